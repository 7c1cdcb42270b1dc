"""posehg train: a data set to a network."""

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
    from posehg.checkpoints import Checkpoint
    from posehg.training.state import State

_CHANGEABLE = ("device", "workers", "warp", "compile", "save_minutes", "epochs", "max_time", "decay")
"""What may differ in a resumed run: how it is computed, and how long."""
_DATA, _RUN = "Data", "Run"


@takes(TrainConfig)
def train(
    context: typer.Context,
    config: TrainConfig,
    data: shared.Data = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", rich_help_panel=_RUN)] = Path(
        "runs/posehg"
    ),
    options: Annotated[
        Path | None,
        typer.Option(
            "--config", help="Take options from this file, such as a run's config.json.", rich_help_panel=_RUN
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out exactly where it stopped.", rich_help_panel=_RUN)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew in a folder that holds a run.", rich_help_panel=_RUN)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Some steps only: what the run takes in memory and time. Writes nothing.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events for TensorBoard, too.", rich_help_panel=_RUN)
    ] = False,
    threads: shared.Threads = 0,
) -> None:
    """Train a stacked hourglass. The defaults are the paper's recipe.

    The run's folder gets best.safetensors and last.safetensors (both usable as --model), metrics.csv, curves.png and
    pictures of what goes in and comes out. Ctrl-C saves first; --resume goes on from there, with the run's own options.
    Several GPUs or machines: torchrun --nproc-per-node NUMBER -m posehg train ...
    """
    from posehg import distributed
    from posehg.cli.progress import TrainingProgress
    from posehg.inference import devices
    from posehg.training import session

    if resume and (overwrite or options or dry_run):
        other = "--overwrite" if overwrite else "--config" if options else "--dry-run"
        raise UsageError(f"--resume continues a run as it was begun, and {other} is for another: give one of them.")
    if threads:
        devices.use_threads(threads)
    given = given_names(context, TrainConfig)
    resumed = session.saved(out) if resume else None
    if resumed is not None:
        config, source = _continued(given, resumed, config), None
    else:
        config, source = _begun(given, config, options)
    if config.decay and config.schedule != "wsd":
        raise UsageError(f"--decay belongs to --schedule wsd, and this run's schedule is {config.schedule}.")
    place = session.Place(out, data)
    with TrainingProgress(config, distributed.world().first) as progress:
        if dry_run:
            lines = session.rehearse(config, place, progress, source)
            if distributed.world().first:
                print("\n".join(lines))
            return
        finished = session.run(config, place, progress, resumed, overwrite, source, tensorboard)
    if not distributed.world().first:
        raise typer.Exit(0 if finished else terminal.INTERRUPTED)
    if not finished:
        words = ["posehg", "train", "--resume", "--out", str(out)]
        words += ["--data", str(data)] if data else []
        terminal.note(f"Stopped and saved. Continue with: {shlex.join(words)}")
        raise typer.Exit(terminal.INTERRUPTED)
    terminal.note(f"Done. Try it: posehg predict PHOTO --model {out / 'best.safetensors'} --out skeleton.png")


def _begun(given: set[str], asked: TrainConfig, options: Path | None) -> tuple[TrainConfig, Checkpoint | None]:
    """The options of a new run: those of the command line, then of the file, then of the model that it begins with."""
    from posehg.training import session

    if options is not None:
        from_file = read_file(options, TrainConfig)
        asked = TrainConfig(**(from_file | {name: getattr(asked, name) for name in given}))
        given = given | from_file.keys()
    return session.from_model(asked, given) if asked.init else (asked, None)


def _continued(given: set[str], state: State, asked: TrainConfig) -> TrainConfig:
    """The options of a resumed run: its own. What is given with --resume must be the same, or may be changed."""
    saved = state.config
    for name in sorted(given - set(_CHANGEABLE)):
        if getattr(asked, name) != getattr(saved, name):
            option = f"--{name.replace('_', '-')}"
            hint = f"Leave {option} out, or begin a new run in another folder."
            raise UsageError(f"A resumed run keeps its options, and its {name} is {getattr(saved, name)}.", hint)
    changed = {name: getattr(asked, name) for name in given if name in _CHANGEABLE}
    if "decay" in given and "epochs" not in given:
        changed |= _decay_from_here(asked.decay, state)
    return replace(saved, **changed)


def _decay_from_here(epochs: float, state: State) -> dict[str, float]:
    """The options that end a run of any length by so many epochs of decay, rounded up to whole ones of the data."""
    from posehg.training.samples import steps_per_epoch

    position = state.progress.epoch + state.progress.step / steps_per_epoch(state.persons, state.config.batch)
    end = math.ceil(position + epochs)
    return {"epochs": end, "decay": end - position}
