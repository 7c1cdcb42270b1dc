"""posehg train: trains a network on one or several data sets."""

from __future__ import annotations

import math
import shlex
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from posehg.cli import options as shared
from posehg.cli import terminal
from posehg.cli.help import Data
from posehg.errors import UsageError
from posehg.training.config import TrainConfig

if TYPE_CHECKING:
    from posehg.training.report import Validation
    from posehg.training.state import Progress

_SOON, _SELDOM = 30, 600
"""Without a terminal: seconds of an epoch before the first line on its progress, and from one to the next."""

_run: Callable[..., Any] = partial(typer.Option, rich_help_panel="Run")


def train(
    context: typer.Context,
    config: TrainConfig,
    data: Data = None,
    out: Annotated[Path, _run("--out", "-o", metavar="DIR", help="Folder of the run.")] = Path("runs/posehg"),
    file: Annotated[
        Path | None, _run("--config", metavar="FILE", help="Read options from a run's config.json.")
    ] = None,
    resume: Annotated[bool, _run("--resume", help="Continue the run in --out where it stopped.")] = False,
    overwrite: Annotated[bool, _run("--overwrite", help="Replace the run in --out by a new one.")] = False,
    dry_run: Annotated[bool, _run("--dry-run", help="Estimate memory and time from a few steps.")] = False,
    tensorboard: Annotated[bool, _run("--tensorboard", help="Also write events for TensorBoard.")] = False,
    threads: Annotated[int, _run("--threads", help="CPU threads (0: automatic).", min=0, max=512)] = 0,
) -> None:
    """Train a stacked hourglass network.

        posehg train --dataset mpii --data data --out runs/mpii
        posehg train --init bundled --dataset my.json --freeze stem --epochs 20
        torchrun --nproc-per-node 4 -m posehg train --dataset coco --batch 64

    The defaults are the recipe of the paper. The run's folder, which --model takes, gets best.safetensors and
    last.safetensors, metrics.csv, curves.png and sheets of samples and predictions. Ctrl-C saves the run; --resume
    continues it.
    """
    import torch

    from posehg import distributed
    from posehg.checkpoints.format import LAST
    from posehg.training import builder, trainer
    from posehg.training import state as states

    if resume and (overwrite or file or dry_run):
        other = "--overwrite" if overwrite else "--config" if file else "--dry-run"
        raise UsageError(f"--resume and {other} cannot be used together.", "A resumed run keeps its options.")
    if threads:
        torch.set_num_threads(threads)
    given, first = shared.given_names(context, TrainConfig), distributed.world().first
    resumed = states.load(out / states.STATE) if resume else None
    source = None
    if resumed is not None:
        config = builder.resumed_options(given, config, resumed)
        source_of_data = context.get_parameter_source("data")
        if source_of_data is not None and source_of_data.name == "ENVIRONMENT" and resumed.data:
            data = None  # the run's own folder goes before $POSEHG_DATA
    else:
        if file is not None:
            from_file = shared.read_file(file, TrainConfig)
            config = TrainConfig(**(from_file | {name: getattr(config, name) for name in given}))
            given = given | from_file.keys()
        if config.init:
            config, source = builder.options_of_model(config, given, terminal.note if first else None)
    if config.decay and config.schedule != "wsd":
        raise UsageError(f"--decay needs --schedule wsd, but the schedule is {config.schedule}.")
    with TrainingProgress(config, first) as progress:
        if dry_run:
            lines = trainer.dry_run(config, data, progress, source)
            if first:
                print("\n".join(lines))
            return
        finished = trainer.run(config, out, data, progress, resumed, overwrite, source, tensorboard)
    folder = shlex.quote(str(out))
    if first and finished:
        option = "--detector" if config.task == "detect" else "--model"
        model = shlex.quote(str(out / LAST)) if progress.initial_is_best else folder
        again = f"posehg predict PHOTO {option} {model} --out skeleton.png"
        terminal.note(f"Done after {progress.summary()}. Try it: {again}")
    elif first:
        terminal.note(f"Stopped and saved. Continue with: posehg train --resume --out {folder}")
    if not finished:
        raise terminal.Ended(terminal.INTERRUPTED)


class TrainingProgress:
    """The Listener of ``posehg train``: a bar, a line per epoch, and a clean stop by Ctrl-C or SIGTERM.

    Where there is no terminal, a line now and then replaces the bar. first: whether this process prints.
    """

    def __init__(self, config: TrainConfig, first: bool = True) -> None:
        self._config, self._first, self._stopped = config, first, False
        self._bar = terminal.bar(first, "{task.fields[left]}")
        self._task = self._bar.add_task("reading the data", total=None, left="")
        self._began = self._said = time.monotonic()  # the epoch, the last line
        self._place, self._steps, self._size = -1, 0, 0  # steps of the run, since _began, of an epoch
        self._seconds, self._validation, self._deadline = 0.0, 0.0, math.inf  # of a step, of a validation, of all
        self._losses: deque[float] = deque(maxlen=100)  # of the last steps: that of one batch says little
        self._total = ""  # what follows the number of an epoch

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        asked_twice = self._stopped and number == signal.SIGINT
        if asked_twice or self._place < 0:
            raise KeyboardInterrupt  # at once: the last save is complete, or there was no step yet
        self._stopped = True
        self.note("Stopping after this step, then saving.")

    def begin(self, facts: Mapping[str, str], progress: Progress) -> None:
        from rich.text import Text

        for heading, text in facts.items():
            if self._first:
                self._bar.console.print(Text.assemble((f"{heading:<9}", "bold cyan"), text))
        self._began = self._said = time.monotonic()
        self._last, self._validation = progress, progress.validation
        if self._config.max_time:
            self._deadline = self._began + 60 * self._config.max_time - progress.seconds

    def note(self, text: str) -> None:
        if self._first:
            terminal.note(text)

    def stop(self) -> bool:
        return self._stopped

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        # A GPU reports every tenth step only, and a resumed run starts anywhere.
        now, place = time.monotonic(), epoch * steps + step
        before = self._place if self._place >= 0 else self._last.epoch * steps + self._last.step
        self._steps += place - before
        self._place, self._size = place, steps
        self._seconds = max(now - self._began, 1e-9) / self._steps
        left, speed = self._time_left(now, epoch, step), self._speed()
        number = f"epoch {epoch + 1}{self._total}"
        self._losses.append(loss)
        mean = f"loss {math.fsum(self._losses) / len(self._losses):.3f}"
        text = f"{number}  {mean}  {speed}"
        if step == steps or now >= self._deadline - self._validation:
            text, left = f"{number}  validating", ""
        self._bar.update(self._task, description=text, completed=step, total=steps, left=left)
        if self._bar.disable and left and now - self._said > (_SELDOM if self._said > self._began else _SOON):
            self.note(f"{number}, step {step:,} of {steps:,}  {mean}  ({speed}, {left})")
            self._said = now

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        from posehg.training.report import epoch_line

        now, epochs = time.monotonic(), self._config.epochs
        self._validation, self._last = progress.validation, progress
        left = self._time_left(now, progress.epoch, progress.step)
        is_last = progress.epoch == epochs or progress.time_used(self._config) == 1
        figures = epoch_line(progress, validations, self._total)
        self.note(f"{figures}  ({self._speed() if is_last else f'{self._speed()}, {left}'})")
        if self._config.overfit and progress.epoch == epochs:
            fits = all(one.score >= 95 for one in validations)
            advice = "" if fits else " Try more --epochs, or look at the labels: posehg data sheet"
            counted = self._config.counted
            self.note(f"The network {'fits' if fits else 'does not fit'} the {counted} of --overfit.{advice}")
        self._began = self._said = now
        self._steps = 0

    def _speed(self) -> str:
        speed = self._config.batch / self._seconds if self._seconds else 0
        return f"{speed:.0f} {self._config.samples}/s"

    def _time_left(self, now: float, epoch: int, step: int) -> str:
        """The time from there to the end of the run, at the speed so far."""
        epochs = self._config.epochs - epoch
        whole = (epochs * self._size - step) * self._seconds + epochs * self._validation
        limit = self._deadline - now
        self._total = f"/{self._config.epochs}" if whole <= limit else ""  # otherwise the time ends the run
        return f"{timedelta(seconds=round(max(0.0, min(whole, limit))))} left"

    @property
    def initial_is_best(self) -> bool:
        """Whether the weights of --init scored higher than those of all epochs."""
        return self._last.best >= 0 and not self._last.best_epoch

    def summary(self) -> str:
        """How far the run came, how long it took, and which epoch was the best."""
        from posehg.checkpoints.format import BEST
        from posehg.training.report import epochs_text

        last = self._last
        limit = "" if last.epoch == self._config.epochs else f", the end of --max-time {self._config.max_time:g}"
        best = f"; epoch {epochs_text(last.best_epoch)} was the best" if last.best_epoch else ""
        if self.initial_is_best:
            best = f"; {BEST} holds the initial weights, as all epochs scored lower"
        took = timedelta(seconds=round(last.seconds))
        return f"epoch {epochs_text(last.history[-1]['epoch'])} in {took}{limit}{best}"
