"""posehg eval: a network's scores on a data set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from posehg.cli import guard
from posehg.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from posehg.evaluation import Report


def evaluate(
    dataset: Annotated[str, typer.Option("--dataset", help="mpii, lspet, coco or synthetic.")] = "mpii",
    split: Annotated[str, typer.Option(help="Which part of it.")] = "val",
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.", envvar="POSEHG_DATA")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Folder or safetensors file; the bundled one.", envvar="POSEHG_MODEL")
    ] = "",
    flip: Annotated[bool, typer.Option(help="Average with the mirrored crop.")] = True,
    decoder: Annotated[Literal["quarter", "subpixel"], typer.Option(help="How a joint is read off.")] = "subpixel",
    limit: Annotated[int, typer.Option(min=0, help="Only so many persons, evenly spread (0: all).")] = 0,
    minimum: Annotated[
        float | None, typer.Option("--min", help="Exit with 4 where PCK@0.2 (limb joints) is below this.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", envvar="POSEHG_DEVICE")] = "auto",
) -> None:
    """Score a network on annotated persons, each taken from its annotated box enlarged as in training.

    PCK@0.2 counts a joint as found within 0.2 of the torso (left shoulder to right hip), PCKh@0.5 within half the head
    size. Joints that are not labelled do not count.
    """
    from posehg import checkpoints, datasets, evaluation
    from posehg.inference.estimator import Estimator

    if "+" in dataset:
        raise UsageError(f"--dataset {dataset}: one data set is evaluated at a time.")
    annotated = datasets.load(dataset, data, split)
    if limit:
        annotated = datasets.spread(annotated, limit)
    folder = Path(model) if model else checkpoints.bundled_folder()
    estimator = Estimator(checkpoints.load(folder), device, flip, decoder)
    report = evaluation.evaluate(estimator, annotated)
    _print(report, model or "bundled", flip, decoder)
    score = next(iter(report.tables[0].means.values()))
    if minimum is not None and not score >= minimum:
        raise CheckFailed(f"PCK@0.2 is {score:.2f}, below the {minimum:g} that --min asks for.")


def _print(report: Report, model: str, flip: bool, decoder: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    persons = f"{report.persons:,} persons"
    mirrored = "with flip test" if flip else "without flip test"
    console = Console(highlight=False)
    console.print(f"{report.dataset} {report.split}: {persons}; model {model}, {mirrored}, {decoder} decoding")
    absent = [joint for joint in report.skeleton.joints if joint not in report.joints]
    if absent:
        guard.note(f"The model does not have these joints of the data set: {', '.join(absent)}. They count as missed.")
    for result in report.tables:
        table = Table("joint", box=box.SIMPLE_HEAD)
        table.add_column(result.metric, justify="right")
        table.add_column("labelled", justify="right")
        for joint, percent, labelled in zip(
            report.skeleton.joints, result.scores.percent, result.scores.labelled, strict=True
        ):
            value = f"{percent:.2f}" if math.isfinite(percent) else "-"
            table.add_row(joint.replace("_", " "), value, f"{labelled:,}")
        table.add_section()
        for name, value in result.means.items():
            table.add_row(name, f"{value:.2f}")
        console.print(table)


