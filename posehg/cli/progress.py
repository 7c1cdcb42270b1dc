"""Progress of a training run on the terminal: a bar, a line per epoch, and a clean stop by Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from posehg.training.config import TrainConfig
from posehg.training.report import Validation
from posehg.training.state import Progress as RunProgress


class TrainingProgress:
    """The Listener of ``posehg train``; as a context manager it holds the terminal and handles two signals.

    first: whether this process prints.
    """

    def __init__(self, config: TrainConfig, first: bool = True) -> None:
        self._config, self._first, self._stopped = config, first, False
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} crops/s"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (first and self._console.is_terminal),
        )
        self._task = self._bar.add_task("", epoch=0, epochs=config.epochs, loss=0.0, speed=0.0, total=None)
        self._began, self._steps, self._place, self._speed = time.monotonic(), 0, -1, 0.0

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        asked_twice = self._stopped and number == signal.SIGINT
        if asked_twice or self._place < 0:
            raise KeyboardInterrupt  # at once: the last save is complete, or there was no step yet
        self._stopped = True
        self.note("Stopping after this step, then saving.")

    def note(self, text: str) -> None:
        # Verbatim: lines of a log are not wrapped, and brackets in file names are no markup.
        if self._first:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> bool:
        return self._stopped

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        # A GPU reports every tenth step only, and a resumed run starts anywhere.
        place = epoch * steps + step
        self._steps += place - self._place if self._place >= 0 else 1
        self._place = place
        self._speed = self._steps * self._config.batch / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(self._task, completed=step, total=steps, epoch=epoch + 1, loss=loss, speed=self._speed)

    def epoch(self, progress: RunProgress, validations: Sequence[Validation]) -> None:
        row = progress.history[-1]
        scores = "  ".join(f"{v.measure} {v.data.name} {v.pck:.1f}" for v in validations)
        self.note(
            f"epoch {progress.epoch}/{self._config.epochs}  loss {row['loss']:.4f}  {scores}"
            f"  ({self._speed:.0f} crops/s)"
        )
        self._began, self._steps = time.monotonic(), 0
