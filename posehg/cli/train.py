"""posehg train: trains a network on one or several data sets."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posehg.cli import options as shared
from posehg.cli import terminal
from posehg.cli.config_options import given_names, read_file, takes
from posehg.errors import UsageError
from posehg.training.config import TrainConfig

if TYPE_CHECKING:
    from posehg.training.state import State

_CHANGEABLE = ("device", "workers", "warp", "compile", "save_minutes", "epochs", "max_time", "decay")
"""What a resumed run may change: how it is computed, and how long."""


@takes(TrainConfig)
def train(
    context: typer.Context,
    config: TrainConfig,
    data: shared.Data = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the run.", rich_help_panel="Run")
    ] = Path("runs/posehg"),
    file: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Read options from a run's config.json.", rich_help_panel="Run"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out where it stopped.", rich_help_panel="Run")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --out by a new one.", rich_help_panel="Run")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Estimate memory and time by a few steps.", rich_help_panel="Run"),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write events for TensorBoard.", rich_help_panel="Run")
    ] = False,
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
    from posehg import distributed
    from posehg.cli.progress import TrainingProgress
    from posehg.inference import devices
    from posehg.training import builder, trainer
    from posehg.training import state as states

    if resume and (overwrite or file or dry_run):
        other = "--overwrite" if overwrite else "--config" if file else "--dry-run"
        raise UsageError(f"--resume cannot be combined with {other}.", "A resumed run keeps its options.")
    if threads:
        devices.use_threads(threads)
    given = given_names(context, TrainConfig)
    resumed = states.load(out / states.STATE) if resume else None
    source = None
    if resumed is not None:
        config = _resumed_options(given, config, resumed)
    else:
        if file is not None:
            from_file = read_file(file, TrainConfig)
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
        terminal.note(f"Done. Try it: posehg predict PHOTO --model {out / trainer.BEST} --out skeleton.png")
    elif first:
        terminal.note(f"Stopped and saved. Continue with: posehg train --resume --out {shlex.quote(str(out))}")
    if not finished:
        raise typer.Exit(terminal.INTERRUPTED)


def _resumed_options(given: set[str], asked: TrainConfig, state: State) -> TrainConfig:
    """Returns the options of the resumed run, with what may be changed. Raises UsageError for any other change."""
    from posehg.training.data import steps_per_epoch

    saved = state.config
    for name in sorted(given - set(_CHANGEABLE)):
        if getattr(asked, name) != getattr(saved, name):
            option = f"--{name.replace('_', '-')}"
            message = f"A resumed run keeps its options: its {option} is {getattr(saved, name)}."
            raise UsageError(message, f"Leave out {option}, or start a new run in another folder.")
    changed = {name: getattr(asked, name) for name in given if name in _CHANGEABLE}
    if "decay" in given and "epochs" not in given:
        # The decay starts now, and the run ends with it, after a whole number of epochs.
        position = state.progress.epoch + state.progress.step / steps_per_epoch(state.persons, saved.batch)
        end = math.ceil(position + asked.decay)
        changed |= {"epochs": end, "decay": end - position}
    return replace(saved, **changed)
