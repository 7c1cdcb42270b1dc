"""posehg train: a data set to a network."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer

from posehg.cli import guard
from posehg.errors import UsageError
from posehg.training.config import RATES, Loss, Optimizer, Precision, Schedule, TrainConfig

D = TrainConfig  # its attributes are the defaults, written there once
_OUT = Path("runs/posehg")
_CHANGEABLE = ("device", "workers", "save_minutes", "epochs")  # in a resumed run: how it is computed, and how long
_DATA, _NET, _LOSS, _AUG, _RUN = "Data", "Network", "Recipe", "Augmentation", "Run"


def train(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="mpii, lspet, coco, synthetic; joined by +, with :N to weigh: mpii:2+lspet.",
            rich_help_panel=_DATA,
        ),
    ] = D.dataset,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set, or of several.", envvar="POSEHG_DATA", rich_help_panel=_DATA),
    ] = None,
    skeleton: Annotated[
        str, typer.Option(help="mpii, lsp, flic or coco; by default the data set's own.", rich_help_panel=_DATA)
    ] = D.skeleton,
    limit: Annotated[
        int, typer.Option(help="Train and validate on so many persons only (0: all).", rich_help_panel=_DATA)
    ] = D.limit,
    stacks: Annotated[int, typer.Option(help="Hourglasses in a row.", rich_help_panel=_NET)] = D.stacks,
    features: Annotated[int, typer.Option(help="Channels in the hourglasses.", rich_help_panel=_NET)] = D.features,
    depth: Annotated[int, typer.Option(help="Halvings in an hourglass.", rich_help_panel=_NET)] = D.depth,
    blocks: Annotated[int, typer.Option(help="Residuals at each position.", rich_help_panel=_NET)] = D.blocks,
    stem: Annotated[
        str, typer.Option(help="Channels of the stem's first three layers.", rich_help_panel=_NET)
    ] = "-".join(map(str, D.stem)),
    input_size: Annotated[
        int, typer.Option(help="Side of the crop in pixels, a multiple of 4 x 2^depth.", rich_help_panel=_NET)
    ] = D.input_size,
    sigma: Annotated[float, typer.Option(help="Of the Gaussians, in heatmap cells.", rich_help_panel=_LOSS)] = D.sigma,
    loss: Annotated[Loss, typer.Option(help="Distance to the target maps.", rich_help_panel=_LOSS)] = D.loss,
    optimizer: Annotated[Optimizer, typer.Option(help="Optimizer.", rich_help_panel=_LOSS)] = D.optimizer,
    schedule: Annotated[Schedule, typer.Option(help="Learning rate over the run.", rich_help_panel=_LOSS)] = D.schedule,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Learning rate; of one-cycle its highest.",
            show_default=", ".join(f"{rate:g} with {loss}" for loss, rate in RATES.items()),
            rich_help_panel=_LOSS,
        ),
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.", rich_help_panel=_LOSS)] = D.weight_decay,
    epochs: Annotated[int, typer.Option(help="Times through the data.", rich_help_panel=_LOSS)] = D.epochs,
    batch: Annotated[int, typer.Option(help="Crops a step.", rich_help_panel=_LOSS)] = D.batch,
    rotation: Annotated[
        float, typer.Option(help="Largest turn, in degrees either way.", rich_help_panel=_AUG)
    ] = D.rotation,
    scale: Annotated[float, typer.Option(help="Largest zoom: 0.25 is 0.75 to 1.25.", rich_help_panel=_AUG)] = D.scale,
    flip: Annotated[float, typer.Option(help="Share of mirrored crops.", rich_help_panel=_AUG)] = D.flip,
    colour: Annotated[float, typer.Option(help="Largest change of a colour channel.", rich_help_panel=_AUG)] = D.colour,
    translation: Annotated[
        float, typer.Option(help="Largest shift, as a share of the crop.", rich_help_panel=_AUG)
    ] = D.translation,
    background: Annotated[
        float,
        typer.Option(help="Share of crops beside the annotated people, with nobody to find.", rich_help_panel=_AUG),
    ] = D.background,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", rich_help_panel=_RUN)] = _OUT,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out exactly where it stopped.", rich_help_panel=_RUN)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew in a folder that holds a run.", rich_help_panel=_RUN)
    ] = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", envvar="POSEHG_DEVICE", rich_help_panel=_RUN)
    ] = D.device,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Of the convolutions (auto: bf16 where the device multiplies it, else fp32).", rich_help_panel=_RUN
        ),
    ] = D.precision,
    workers: Annotated[
        int, typer.Option(help="Processes that prepare crops (0: the training process).", rich_help_panel=_RUN)
    ] = D.workers,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads (0: torch decides).", rich_help_panel=_RUN)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.", rich_help_panel=_RUN)] = D.seed,
    save_minutes: Annotated[
        float, typer.Option(help="Save at least this often, also within an epoch.", rich_help_panel=_RUN)
    ] = D.save_minutes,
) -> None:
    """Train a stacked hourglass. The defaults are the paper's recipe.

    The run's folder gets best.safetensors and last.safetensors (both usable as --model), metrics.csv, curves.png and
    pictures of validation persons. Ctrl-C saves first; --resume goes on from there, with the run's own options.
    """
    from posehg.cli.progress import TrainingProgress
    from posehg.training import session

    if resume and overwrite:
        raise UsageError("--resume continues a run and --overwrite discards it: give one of them.")
    if threads:
        session.use_threads(threads)
    resumed = session.saved(out) if resume else None
    config = TrainConfig(
        dataset=dataset,
        skeleton=skeleton,
        stacks=stacks,
        features=features,
        depth=depth,
        blocks=blocks,
        stem=_widths(stem),
        input_size=input_size,
        sigma=sigma,
        loss=loss,
        optimizer=optimizer,
        schedule=schedule,
        lr=RATES[loss] if lr is None else lr,
        weight_decay=weight_decay,
        epochs=epochs,
        batch=batch,
        rotation=rotation,
        scale=scale,
        flip=flip,
        colour=colour,
        translation=translation,
        background=background,
        precision=precision,
        device=device,
        workers=workers,
        seed=seed,
        limit=limit,
        save_minutes=save_minutes,
    )
    if resumed is not None:
        config = _continued(context, resumed.config, config)
    with TrainingProgress(config) as progress:
        finished = session.run(config, data, out, progress, resumed, overwrite)
    if not finished:
        words = ["posehg", "train", "--resume", "--out", str(out), *(["--data", str(data)] if data else [])]
        guard.note(f"Stopped and saved. Continue with: {shlex.join(words)}")
        raise typer.Exit(guard.INTERRUPTED)
    guard.note(f"Done. Try it: posehg predict PHOTO --model {out / 'best.safetensors'} --out skeleton.png")


def _continued(context: typer.Context, saved: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """The options of a resumed run: its own. What is given with --resume must be the same, or may be changed."""
    names = [field.name for field in fields(TrainConfig)]
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    for name in given:
        if name not in _CHANGEABLE and getattr(asked, name) != getattr(saved, name):
            option = f"--{name.replace('_', '-')}"
            hint = f"Leave {option} out, or begin a new run in another folder."
            raise UsageError(f"A resumed run keeps its options, and its {name} is {getattr(saved, name)}.", hint)
    return replace(saved, **{name: getattr(asked, name) for name in given if name in _CHANGEABLE})


def _widths(text: str) -> tuple[int, int, int]:
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--stem {text} cannot be read.", "Write three numbers, as 64-128-128.")
    first, second, third = map(int, parts)
    return first, second, third
