"""A run at a moment: everything that it takes to go on exactly as if nothing had happened."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posehg.errors import NotAvailable
from posehg.files import atomic
from posehg.training.config import TrainConfig
from posehg.training.step import Stepper

VERSION = 3
_PARTS = ("network", "optimizer", "scaler", "average", "persons", "origin")

_BROKEN = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, OSError, struct.error),  # torch.load: it depends on where it ends
    *(LookupError, TypeError, ValueError, AttributeError),  # it was read, but holds something else
)


@dataclass(frozen=True)
class Progress:
    """epoch, step: what comes next (both count from 0; ``step`` within the epoch). loss_sum: over the epoch's steps.

    seconds: of training so far, in a run that has a limit of them.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = -1.0
    history: tuple[dict[str, float], ...] = field(default=())
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class State:
    """network, optimizer, scaler: their state_dicts. average: likewise, None where the run has none.

    persons: how many the run learns from. origin: what the model that it began with was trained on.
    """

    config: TrainConfig
    progress: Progress
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    average: dict[str, Tensor] | None
    persons: int
    origin: str

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        progress: Progress,
        stepper: Stepper,
        persons: int,
        origin: str,
    ) -> State:
        average = stepper.average
        return cls(
            config,
            progress,
            network=stepper.network.state_dict(),
            optimizer=stepper.optimizer.state_dict(),
            scaler=stepper.scaler.state_dict(),
            average=None if average is None else average.network.state_dict(),
            persons=persons,
            origin=origin,
        )

    def restore(self, stepper: Stepper) -> None:
        """Bring what a run of ``config`` has just built to where this one was."""
        stepper.network.load_state_dict(self.network)
        stepper.optimizer.load_state_dict(self.optimizer)
        stepper.scaler.load_state_dict(self.scaler)
        if stepper.average is not None and self.average is not None:
            stepper.average.network.load_state_dict(self.average)


def save(path: Path, state: State) -> None:
    """Replaces ``path`` in one step, so that a kill at any moment leaves the old state or the new one."""
    content = {
        "posehg": VERSION,
        "config": asdict(state.config),
        "progress": {**asdict(state.progress), "history": list(state.progress.history)},
        **{name: getattr(state, name) for name in _PARTS},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)  # to memory: torch hides what the disk says
    with atomic(path, overwrite=True) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load(path: Path) -> State:
    """Raises NotAvailable for a file that is missing, cut short or not a run's state. No pickled code is executed."""
    if not path.is_file():
        raise NotAvailable(f"There is no run to resume: {path} is missing.", "Name its folder with --out.")
    try:
        if not zipfile.is_zipfile(path):  # torch.load would try older formats, and some bytes make it fail in odd ways
            raise ValueError("It is not a file of torch.save.")
        content = torch.load(path, map_location="cpu", weights_only=True)
        _check_version(path, content["posehg"])
        values = dict(content["config"])
        if values.pop("doubt_labels", False):  # removed since; without it the format is the same
            raise ValueError("It was trained with --doubt-labels, which no longer exists.")
        progress = {**content["progress"], "history": tuple(content["progress"]["history"])}
        config = TrainConfig(**{**values, "stem": tuple(values["stem"])})
        return State(config, Progress(**progress), **{name: content[name] for name in _PARTS})
    except _BROKEN as error:
        raise NotAvailable(f"{path} is not the state of a training run, or is cut short.", str(error)[:200]) from None


def _check_version(path: Path, version: object) -> None:
    if version != VERSION:
        hint = "Finish the run with that version; its models can be used with --model and --init."
        raise NotAvailable(f"{path} was written by another posehg (format {version}, known: {VERSION}).", hint)
