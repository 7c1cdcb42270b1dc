"""posehg eval: the scores of a network, or of predictions in a file, on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from posehg.cli import eval_request, eval_run, options
from posehg.cli.eval_request import Request

_DATA, _FILES, _METRICS, _OUT = "Data", "Predictions", "Metrics", "Output"


def evaluate(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="mpii, flic, flic-pc, lsp, lspet, coco, synthetic, or a file of your own.",
            rich_help_panel=_DATA,
        ),
    ] = "mpii",
    split: Annotated[str, typer.Option(help="train, val or test, as the set has them.", rich_help_panel=_DATA)] = "val",
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
    offline: options.Offline = False,
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Score these predictions: .json, .npz, .h5, .mat, COCO's results, what predict wrote. No network.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what was predicted: .json, .npz or .h5.", rich_help_panel=_FILES),
    ] = None,
    submission: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write MPII's test submission, a .mat file.", rich_help_panel=_FILES),
    ] = None,
    metric: Annotated[
        Literal["auto", "pckh", "pck", "oks"],
        typer.Option(help="auto: PCKh where heads are annotated, and PCK.", rich_help_panel=_METRICS),
    ] = "auto",
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE",
            help="In place of 0.5 and 0.1 (PCKh) or 0.2 (PCK); may be repeated.",
            rich_help_panel=_METRICS,
        ),
    ] = None,
    bootstrap: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=0,
            help="Resamples for the 95 % intervals: 100 to 100000, or 0.",
            rich_help_panel=_METRICS,
        ),
    ] = 1000,
    joints: Annotated[
        bool, typer.Option("--joints", help="Print every joint too, with its labels.", rich_help_panel=_METRICS)
    ] = False,
    breakdown: Annotated[
        bool,
        typer.Option(
            "--breakdown",
            help="Print also how right people are who stand, lie and are upside down, and joints of each score.",
            rich_help_panel=_METRICS,
        ),
    ] = False,
    minimum: Annotated[
        float | None,
        typer.Option(
            "--min",
            metavar="PERCENT",
            help="Exit with 4 where the limbs' mean PCK is lower (--metric pckh: its first mean; oks: AP).",
            rich_help_panel=_METRICS,
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as .json.", rich_help_panel=_OUT)
    ] = None,
    worst: Annotated[
        int,
        typer.Option(metavar="NUMBER", min=0, help="Draw the persons with the largest error.", rich_help_panel=_OUT),
    ] = 0,
    sheet: Annotated[
        Path, typer.Option(metavar="FILE", help="The picture that --worst writes.", rich_help_panel=_OUT)
    ] = Path("worst.png"),
    curve: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Write PCK over the threshold: .csv or .png; may be repeated.", rich_help_panel=_OUT
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=_OUT)] = (
        False
    ),
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A.json B.json", help="Compare two reports, with nothing but --bootstrap.", rich_help_panel=_OUT
        ),
    ] = None,
) -> None:
    """Score a network, or predictions in a file, on annotated persons.

    Each person is cropped by its annotated box, enlarged as in training. PCKh@0.5 counts a joint as found within half
    the head's size, PCK@0.2 within 0.2 of the torso's length. Joints without a label do not count, nor do people
    without a head box, or without the two joints of the torso.

    Several processes share the persons: torchrun --nproc-per-node NUMBER -m posehg eval ...
    """
    given = {
        option.opts[0]
        for option in context.command.params
        if (how := context.get_parameter_source(option.name)) is not None and how.name == "COMMANDLINE"
    }
    eval_request.check_resamples(bootstrap)
    if compare is not None:
        eval_request.check_alone(given)
        eval_run.compare(*compare, bootstrap)
        return
    request = Request(
        dataset=dataset,
        split=split,
        data=data,
        limit=limit,
        source=source,
        predictions=predictions,
        submission=submission,
        metric=metric,
        thresholds=tuple(dict.fromkeys(threshold or ())),
        bootstrap=bootstrap,
        joints=joints,
        breakdown=breakdown,
        minimum=minimum,
        report=report,
        worst=worst,
        sheet=sheet,
        curves=tuple(curve or ()),
        overwrite=overwrite,
    )
    eval_request.check(request, given)
    if source is not None:
        eval_run.from_file(request, source)
    else:
        from posehg.inference.engines import Run

        eval_run.from_network(request, model, offline, flip, decoder, Run(device, threads, precision))
