"""A run's figures for TensorBoard, which is an optional part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from posehg.errors import UsageError
from posehg.training.state import Progress
from posehg.training.validation import Validation

EVENTS = "events.out.tfevents.*"
"""What its files in the folder are called."""


class Board:
    """Writes the events of a run into ``folder``. Raises UsageError where TensorBoard is not installed."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError(
                "TensorBoard is not installed.",
                "Install it: pip install 'posehg[tensorboard]' (pipx inject posehg tensorboard)",
            ) from None
        self._kind, self._folder = SummaryWriter, folder

    @cached_property
    def _writer(self) -> Any:
        return self._kind(str(self._folder))  # which makes the folder: not before there is something to write

    def step(self, number: int, loss: float, rate: float) -> None:
        self._writer.add_scalar("loss", loss, number)
        self._writer.add_scalar("learning rate", rate, number)

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        for validation in validations:
            self._writer.add_scalar(f"{validation.measure} {validation.data.name}", validation.pck, progress.epoch)
        self._writer.flush()
