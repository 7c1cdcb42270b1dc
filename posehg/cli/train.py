"""posehg train: trains a network on one or several data sets."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from posehg.cli import options as shared
from posehg.cli import terminal
from posehg.errors import UsageError
from posehg.training.config import TrainConfig

if TYPE_CHECKING:
    from posehg.training.report import Validation
    from posehg.training.state import Progress

_run: Callable[..., Any] = partial(typer.Option, rich_help_panel="Run")


@shared.takes
def train(
    context: typer.Context,
    config: TrainConfig,
    data: shared.Data = None,
    out: Annotated[Path, _run("--out", "-o", metavar="DIR", help="Folder of the run.")] = Path("runs/posehg"),
    file: Annotated[
        Path | None, _run("--config", metavar="FILE", help="Read options from a run's config.json.")
    ] = None,
    resume: Annotated[bool, _run("--resume", help="Continue the run in --out where it stopped.")] = False,
    overwrite: Annotated[bool, _run("--overwrite", help="Replace the run in --out by a new one.")] = False,
    dry_run: Annotated[bool, _run("--dry-run", help="Estimate memory and time from a few steps.")] = False,
    tensorboard: Annotated[bool, _run("--tensorboard", help="Also write events for TensorBoard.")] = False,
    threads: shared.Threads = 0,
) -> None:
    """Train a stacked hourglass network.

        posehg train --dataset mpii --data data --out runs/mpii
        posehg train --init bundled --dataset my.json --freeze stem --epochs 20
        torchrun --nproc-per-node 4 -m posehg train --dataset coco --batch 64

    The defaults are the recipe of the paper. The run's folder gets best.safetensors and last.safetensors (usable as
    --model), metrics.csv, curves.png and sheets of samples and predictions. Ctrl-C saves the run; --resume
    continues it.
    """
    import torch

    from posehg import distributed
    from posehg.training import builder, trainer
    from posehg.training import state as states

    if resume and (overwrite or file or dry_run):
        other = "--overwrite" if overwrite else "--config" if file else "--dry-run"
        raise UsageError(f"--resume and {other} cannot be used together.", "A resumed run keeps its options.")
    if threads:
        torch.set_num_threads(threads)
    given = shared.given_names(context, TrainConfig)
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
            config, source = builder.options_of_model(config, given)
    if config.decay and config.schedule != "wsd":
        raise UsageError(f"--decay needs --schedule wsd, but the schedule is {config.schedule}.")
    first = distributed.world().first
    with TrainingProgress(config, first) as progress:
        if dry_run:
            lines = trainer.dry_run(config, data, progress, source)
            if first:
                print("\n".join(lines))
            return
        finished = trainer.run(config, out, data, progress, resumed, overwrite, source, tensorboard)
    if first and finished:
        option = "--detector" if config.task == "detect" else "--model"
        terminal.note(f"Done. Try it: posehg predict PHOTO {option} {out / trainer.BEST} --out skeleton.png")
    elif first:
        terminal.note(f"Stopped and saved. Continue with: posehg train --resume --out {shlex.quote(str(out))}")
    if not finished:
        raise typer.Exit(terminal.INTERRUPTED)


class TrainingProgress:
    """The Listener of ``posehg train``: a bar, a line per epoch, and a clean stop by Ctrl-C or SIGTERM.

    first: whether this process prints.
    """

    def __init__(self, config: TrainConfig, first: bool = True) -> None:
        self._config, self._first, self._stopped = config, first, False
        self._bar = terminal.bar(first)
        self._task = self._bar.add_task("", total=None)
        self._began, self._steps, self._place, self._speed = time.monotonic(), 0, -1, 0.0

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

    def note(self, text: str) -> None:
        if self._first:
            terminal.note(text)

    def stop(self) -> bool:
        return self._stopped

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        # A GPU reports every tenth step only, and a resumed run starts anywhere.
        place = epoch * steps + step
        self._steps += place - self._place if self._place >= 0 else 1
        self._place = place
        self._speed = self._steps * self._config.batch / max(time.monotonic() - self._began, 1e-9)
        text = f"epoch {epoch + 1}/{self._config.epochs}  loss {loss:.3f}  {self._speed:.0f} crops/s"
        self._bar.update(self._task, description=text, completed=step, total=steps)

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        scores = "  ".join(f"{v.measure} {v.data.name} {v.score:.1f}" for v in validations)
        loss, speed = progress.history[-1]["loss"], f"({self._speed:.0f} crops/s)"
        self.note(f"epoch {progress.epoch}/{self._config.epochs}  loss {loss:.4f}  {scores}  {speed}")
        if self._config.overfit and progress.epoch == self._config.epochs:
            fits = all(one.score >= 95 for one in validations)
            advice = "" if fits else " Try more --epochs, or look at the labels: posehg data sheet"
            self.note(f"The network {'fits' if fits else 'does not fit'} the people of --overfit.{advice}")
        self._began, self._steps = time.monotonic(), 0
