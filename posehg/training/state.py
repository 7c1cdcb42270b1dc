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

_BROKEN = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, OSError, struct.error),  # torch.load: it depends on where it ends
    *(LookupError, TypeError, ValueError, AttributeError),  # it was read, but holds something else
)


@dataclass(frozen=True)
class Progress:
    """epoch, step: what comes next (both count from 0; ``step`` within the epoch). loss_sum: over the epoch's steps."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = -1.0
    history: tuple[dict[str, float], ...] = field(default=())


@dataclass(frozen=True, eq=False)
class State:
    config: TrainConfig
    progress: Progress
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    rng: Tensor


def save(path: Path, state: State) -> None:
    """Replaces ``path`` in one step, so that a kill at any moment leaves the old state or the new one."""
    content = {
        "posehg": 1,
        "config": asdict(state.config),
        "progress": {**asdict(state.progress), "history": list(state.progress.history)},
        "network": state.network,
        "optimizer": state.optimizer,
        "rng": state.rng,
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
        values = content["config"]
        progress = {**content["progress"], "history": tuple(content["progress"]["history"])}
        return State(
            TrainConfig(**{**values, "stem": tuple(values["stem"])}),
            Progress(**progress),
            content["network"],
            content["optimizer"],
            content["rng"],
        )
    except _BROKEN as error:
        raise NotAvailable(f"{path} is not the state of a training run, or is cut short.", str(error)[:200]) from None
