"""The file ``state.pt``: everything a run needs to continue exactly as if it had never stopped."""

import io
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posehg.errors import NotAvailable
from posehg.files import atomic
from posehg.training.config import TrainConfig

VERSION = 3
STATE = "state.pt"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    epoch, step: the next ones, counted from 0; ``step`` within the epoch. loss_sum: over the epoch's steps so far.
    best: highest validation score. history: a row of figures per validation. seconds: training time, validation
    included. best_epoch: epochs before the validation that gave ``best``; 0 for the initial weights, or without one.
    validation: seconds that the last one took.

    A run that --max-time ends within an epoch keeps its place there: more time continues the same epoch.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = -1.0
    history: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    best_epoch: float = 0.0
    validation: float = 0.0

    def time_used(self, config: TrainConfig) -> float:
        """The share of --max-time, without what a last validation takes, that has been used; 1: no more steps."""
        if not config.max_time:
            return 0.0
        return min(1.0, self.seconds / max(1e-9, 60 * config.max_time - self.validation))


@dataclass(frozen=True, eq=False)
class State:
    """A run at one moment.

    network, optimizer, scaler: state_dicts. average: that of the moving average, None without one. persons: how many
    the run trains on. origin: what the initial weights were trained on. data: the folder of the data sets that --data
    gave, empty without it. licence: that of the initial weights and of the teacher, empty without one.
    """

    config: TrainConfig
    progress: Progress
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    average: dict[str, Tensor] | None
    persons: int
    origin: str
    data: str = ""
    licence: str = ""


def save(path: Path, state: State) -> None:
    """Replaces ``path`` atomically: a kill at any moment leaves the old state or the new one."""
    progress = asdict(state.progress) | {"history": list(state.progress.history)}
    content = vars(state) | {"posehg": VERSION, "config": asdict(state.config), "progress": progress}
    buffer = io.BytesIO()
    torch.save(content, buffer)  # to memory first: torch hides the errors of the disk
    with atomic(path, overwrite=True) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load(path: Path) -> State:
    """Reads a state; executes no pickled code. Raises NotAvailable if the file is missing, cut short or something else.

    What earlier versions did not save gets its default.
    """
    if not path.is_file():
        hint = "Give the folder of the run as --out. A run that was stopped before its first step is started again."
        raise NotAvailable(f"There is no run to resume: {path} is missing.", hint)
    try:
        if not zipfile.is_zipfile(path):  # torch.load would try older formats, and fails in odd ways on some bytes
            raise ValueError("It is not a file of torch.save.")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["posehg"] != VERSION:
            hint = "Finish the run with that version, or start a new one with --init last.safetensors."
            raise NotAvailable(f"{path} has format {content['posehg']}; this posehg reads {VERSION}.", hint)
        values = content["config"]
        config = TrainConfig(**{**values, "stem": tuple(values["stem"])})
        progress = Progress(**{**content["progress"], "history": tuple(content["progress"]["history"])})
        parts = {"data": "", "licence": "", **content, "config": config, "progress": progress}
        return State(**{field.name: parts[field.name] for field in fields(State)})
    except NotAvailable:
        raise
    except Exception as error:  # of torch.load, or of what is missing in a file of something else
        raise NotAvailable(f"{path} is not the state of a training run, or is cut short.", str(error)[:200]) from None
