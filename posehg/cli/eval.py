"""posehg eval: a network's scores on a data set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posehg.cli import guard, options
from posehg.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from rich.table import Table as PrintedTable

    from posehg.evaluation import Report, Table
    from posehg.skeletons import Skeleton

_DATA = "Data"


def evaluate(
    dataset: Annotated[
        str, typer.Option("--dataset", help="mpii, lspet, coco or synthetic.", rich_help_panel=_DATA)
    ] = "mpii",
    split: Annotated[str, typer.Option(help="train or val.", rich_help_panel=_DATA)] = "val",
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the data set.", envvar="POSEHG_DATA", rich_help_panel=_DATA)
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", min=0, help="Only so many persons, evenly spread (0: all).", rich_help_panel=_DATA
        ),
    ] = 0,
    model: options.Model = "bundled",
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
    minimum: Annotated[
        float | None,
        typer.Option("--min", metavar="PERCENT", help="Exit with 4 where the mean PCK@0.2 of the limbs is lower."),
    ] = None,
) -> None:
    """Score a network on annotated persons.

    Each person is cropped by its annotated box, enlarged as in training. PCK@0.2 counts a joint as found within 0.2 of
    the torso's length (left shoulder to right hip), PCKh@0.5 within half the head's size. Joints without a label do not
    count, nor do people without the two joints of the torso, or without a head box.

    Several processes share the persons: torchrun --nproc-per-node NUMBER -m posehg eval ...
    """
    from posehg import checkpoints, datasets, evaluation, processes
    from posehg.datasets import packed, parts
    from posehg.inference.estimator import Estimator

    if "+" in dataset:
        raise UsageError(f"--dataset {dataset}: one data set is evaluated at a time.")
    estimator = Estimator(checkpoints.load(checkpoints.find(model)), device, flip, decoder)
    annotated = datasets.load(dataset, data, split)
    if limit:
        annotated = datasets.spread(annotated, limit)
    needed = parts.reach(estimator.config.input_size[0], estimator.config.padding, scale=0, rotation=0, translation=0)
    for sentence in packed.shortfalls(annotated, needed):
        guard.note(sentence)
    with processes.joined(estimator.device) as world, guard.together(world):
        share = len(processes.share(range(len(annotated)), world))
        report = evaluation.evaluate(
            estimator, annotated, lambda poses: guard.with_bar(poses, "Estimating", share) if world.first else poses
        )
        if world.first:
            mirrored = "with flip test" if flip else "without flip test"
            people = f"{report.persons:,} persons"
            print(f"{report.dataset} {report.split}: {people}; model {model}, {mirrored}, {decoder} decoding")
            _print(report)
        _check(report, minimum)


def _check(report: Report, minimum: float | None) -> None:
    metric = report.tables[0]
    name, score = next(iter(metric.means.items()))
    if minimum is not None and not score >= minimum:
        raise CheckFailed(f"{metric.metric}, {name}, is {score:.2f}: below the {minimum:g} that --min asks for.")


def _print(report: Report) -> None:
    absent = [joint for joint in report.skeleton.joints if joint not in report.joints]
    if absent:
        guard.note(f"The model does not have these joints of the data set, which are left out: {', '.join(absent)}.")
    for table in report.tables:
        guard.show(_printed(table, report.skeleton))


def _printed(result: Table, skeleton: Skeleton) -> PrintedTable:
    from rich import box
    from rich.table import Table

    table = Table("joint", box=box.SIMPLE_HEAD)
    table.add_column(result.metric, justify="right")
    table.add_column("counted", justify="right")
    scores = result.scores
    for joint, percent, labelled in zip(skeleton.joints, scores.percent, scores.labelled, strict=True):
        table.add_row(joint.replace("_", " "), _percent(percent), f"{labelled:,}")
    table.add_section()
    for name, mean in result.means.items():
        table.add_row(name, _percent(mean))
    table.add_section()
    table.add_row("persons that can be measured", "", f"{scores.persons:,}")
    return table


def _percent(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"
