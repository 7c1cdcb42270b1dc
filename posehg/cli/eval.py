"""posehg eval: score a network, or predictions in a file, on a data set."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posehg import files
from posehg.cli import options, terminal
from posehg.errors import CheckFailed, NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.evaluation.predictions import Predictions
    from posehg.evaluation.score import Options, Scores
    from posehg.evaluation.submission import Template

_NETWORK = ("--model", "--offline", "--flip", "--decoder", "--device", "--precision", "--threads")
_DISTANCES = ("--threshold", "--joints", "--breakdown", "--bootstrap", "--worst", "--curve")
_SCORES = ("--metric", "--min", "--report", "--sheet", *_DISTANCES)

_data: Callable[..., Any] = partial(typer.Option, rich_help_panel="Data")
_files: Callable[..., Any] = partial(typer.Option, metavar="FILE", rich_help_panel="Predictions")
_metrics: Callable[..., Any] = partial(typer.Option, rich_help_panel="Metrics")
_out: Callable[..., Any] = partial(typer.Option, rich_help_panel="Output")

_FROM = """Score these predictions, without a network: files of posehg predict and eval, COCO results (.json), or the
preds of other projects (.h5, .mat, .npz)."""
_MIN = "Exit with 4 if the mean PCK of the limbs is lower (--metric pckh: its first mean; oks: AP)."
_SETS = "mpii, flic, flic-pc, lsp, lspet, coco, synthetic, or your own .json or .csv file."


def evaluate(
    context: typer.Context,
    dataset: Annotated[str, _data(help=_SETS)] = "mpii",
    split: Annotated[str, _data(help="train, val or test.")] = "val",
    data: options.Data = None,
    limit: Annotated[int, _data(min=0, help="Take only N persons, evenly spread (0: all).")] = 0,
    model: options.Model = "bundled",
    offline: options.Offline = False,
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    threads: options.Threads = 0,
    source: Annotated[Path | None, _files("--from", help=_FROM)] = None,
    predictions: Annotated[Path | None, _files(help="Write the predictions: .json, .npz or .h5.")] = None,
    submission: Annotated[Path | None, _files(help="Write a submission to MPII's benchmark: .mat.")] = None,
    metric: Annotated[
        Literal["auto", "pckh", "pck", "oks"], _metrics(help="auto: PCKh, if heads are annotated, and PCK.")
    ] = "auto",
    threshold: Annotated[
        list[float] | None,
        _metrics(metavar="SHARE", help="Instead of 0.5 and 0.1 (PCKh) or 0.2 (PCK). Repeatable."),
    ] = None,
    bootstrap: Annotated[int, _metrics(min=0, help="Resamples for the 95 % intervals: 100 to 100000, or 0.")] = 1000,
    joints: Annotated[bool, _metrics("--joints", help="Print every joint with its number of labels.")] = False,
    breakdown: Annotated[bool, _metrics("--breakdown", help="Print scores by posture and by joint score.")] = False,
    minimum: Annotated[float | None, _metrics("--min", metavar="PERCENT", help=_MIN)] = None,
    report: Annotated[Path | None, _out(metavar="FILE", help="Write everything as .json.")] = None,
    worst: Annotated[int, _out(min=0, help="Draw the N persons with the largest error.")] = 0,
    sheet: Annotated[Path, _out(metavar="FILE", help="The image that --worst writes.")] = Path("worst.png"),
    curve: Annotated[
        list[Path] | None, _out(metavar="FILE", help="Write PCK over the threshold: .csv or .png. Repeatable.")
    ] = None,
    overwrite: Annotated[bool, _out("--overwrite", help="Replace existing files.")] = False,
    compare: Annotated[
        tuple[Path, Path] | None, _out(metavar="A.json B.json", help="Compare two reports; takes only --bootstrap.")
    ] = None,
) -> None:
    """Score a network, or predictions in a file, on annotated persons.

        posehg eval --dataset mpii --data data
        posehg eval --dataset lspet --model runs/best --report b.json
        posehg eval --compare a.json b.json

    Each person is cropped by its annotated bounding box, enlarged as in training. PCKh@0.5 counts a joint as found
    within half the head size, PCK@0.2 within 0.2 of the torso's length. Joints without a label do not count, nor do
    people without a head box (PCKh) or without both joints of the torso (PCK).

    Several processes share the persons: torchrun --nproc-per-node N -m posehg eval ...
    """
    given = {
        option.opts[0]
        for option in context.command.params
        if (how := context.get_parameter_source(option.name)) is not None and how.name == "COMMANDLINE"
    }
    if bootstrap and not 100 <= bootstrap <= 100_000:
        raise UsageError(f"--bootstrap must be between 100 and 100000, or 0, not {bootstrap}.")
    if compare is not None:
        _refuse(given, sorted(given - {"--compare", "--bootstrap"}), "cannot be combined with --compare.")
        _compare(*compare, bootstrap)
        return

    from posehg.evaluation.score import Options

    request = Request(
        dataset=dataset,
        split=split,
        data=data,
        limit=limit,
        source=source,
        predictions=predictions,
        submission=submission,
        options=Options(metric, tuple(dict.fromkeys(threshold or ())), bootstrap, breakdown),
        joints=joints,
        minimum=minimum,
        report=report,
        worst=worst,
        sheet=sheet if worst else None,
        curves=tuple(curve or ()),
        overwrite=overwrite,
    )
    _check_options(request, given)
    _check_files(request)
    if source is not None:
        _score_file(request, source)
    else:
        from posehg.inference.engines import Run

        _score_network(request, model, offline, flip, decoder, Run(device, threads, precision))


@dataclass(frozen=True)
class Request:
    """The options of the command; source is --from, minimum is --min."""

    dataset: str
    split: str
    data: Path | None
    limit: int
    source: Path | None
    predictions: Path | None
    submission: Path | None
    options: Options
    joints: bool
    minimum: float | None
    report: Path | None
    worst: int
    sheet: Path | None
    curves: tuple[Path, ...]
    overwrite: bool


# ---- what goes together --------------------------------------------------------------------------------------------


def _check_options(request: Request, given: Collection[str]) -> None:
    """Raises UsageError for options that do not go together. given: the options on the command line."""
    from posehg import datasets
    from posehg.evaluation import detections

    metric, source = request.options.metric, request.source
    if [times for _, times in datasets.parse(request.dataset)] != [1]:
        raise UsageError(f"--dataset must be one data set, not {request.dataset}.")
    for threshold in request.options.thresholds:
        if not 0 < threshold < math.inf:
            raise UsageError(f"--threshold must be above 0, not {threshold:g}.")
    if request.minimum is not None and not math.isfinite(request.minimum):
        raise UsageError(f"--min must be a percentage, not {request.minimum:g}.")
    if request.minimum is not None and request.options.thresholds and metric == "auto":
        raise UsageError("--min with --threshold needs one metric.", "Add --metric pck or --metric pckh.")
    if "--sheet" in given and not request.worst:
        raise UsageError("--sheet needs --worst.", "Add --worst N.")
    if metric == "oks":
        _refuse(given, _DISTANCES, "needs PCK or PCKh, not --metric oks.")
    if request.submission is not None:
        if (request.dataset, request.split) != ("mpii", "test"):
            raise UsageError("--submission is for MPII's test split.", "Add --dataset mpii --split test.")
        _refuse(given, _SCORES, "needs labels, and those of MPII's test split are not public.")
    if source is None:
        return
    _refuse(given, _NETWORK, "is for a network and cannot be combined with --from.")
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise UsageError("--from cannot be shared by several processes.", "Start it without torchrun.")
    if not source.is_file():
        hint = "Write predictions with: posehg eval --predictions FILE, or posehg predict FOLDER --out run.jsonl"
        raise NotAvailable(f"{source} is not a file." if source.exists() else f"There is no file {source}.", hint)
    results = detections.is_coco_results(source)
    if results and metric not in ("auto", "oks"):
        raise UsageError(f"COCO results such as {source} are scored by OKS alone, not by --metric {metric}.")
    if results or (metric == "oks" and detections.is_records(source)):
        scored = ("--predictions", "--submission", "--limit", *_DISTANCES)
        _refuse(given, scored, f"needs to know who is who, and the people in {source}, scored by OKS, have no names.")


def _refuse(given: Collection[str], options: Collection[str], why: str) -> None:
    for option in options:
        if option in given:
            raise UsageError(f"{option} {why}")


def _check_files(request: Request) -> None:
    """Raises, before the work, UsageError for wrong names and as ``files.check`` for files that cannot be written."""
    from posehg import images
    from posehg.evaluation import detections, plots, predictions

    readable = dict.fromkeys((*predictions.SUFFIXES, *detections.SUFFIXES))
    wanted: list[tuple[str, Path | None, Collection[str]]] = [
        ("--from", request.source, readable),
        ("--predictions", request.predictions, predictions.WRITTEN),
        ("--submission", request.submission, (".mat",)),
        ("--report", request.report, (".json",)),
        ("--sheet", request.sheet, images.SUFFIXES),
        *(("--curve", path, plots.CURVE_SUFFIXES) for path in request.curves),
    ]
    seen: dict[Path, str] = {}
    for option, path, suffixes in wanted:
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{option} {path}: the name must end in {' or '.join(suffixes)}.")
        if option != "--from":
            files.check(path, request.overwrite)
        if other := seen.get(path.resolve()):
            raise UsageError(f"{other} and {option} both name {path}.")
        seen[path.resolve()] = option


# ---- the run -------------------------------------------------------------------------------------------------------


def _score_network(
    request: Request, model: str, offline: bool, flip: bool, decoder: Literal["quarter", "subpixel"], run: Any
) -> None:
    """Estimates everyone, after a check of all that could fail afterwards."""
    from posehg import __version__, checkpoints, datasets, distributed
    from posehg.checkpoints.cache import shown
    from posehg.datasets.reading import h5_library
    from posehg.evaluation import oks, predictions, score, submission
    from posehg.inference import engines, persons
    from posehg.inference.estimator import Estimator

    place = checkpoints.find(model, offline, terminal.note)
    estimator = Estimator(engines.open_engine(place, run), flip, decoder)
    whole = datasets.load_one(request.dataset, request.data, request.split, need_images=True)
    data = datasets.spread(whole, request.limit) if request.limit else whole
    template = None if request.submission is None else submission.prepare(data)
    if request.predictions is not None and request.predictions.suffix.lower() == ".h5":
        h5_library("Writing")
    if _is_scored(request, data):
        score.measures(data, request.options.metric)
        if request.options.metric == "oks":
            oks.score(datasets.spread(data, 1), [])
    if not persons.joints_in_common(estimator, data):
        hint = f"The model has: {', '.join(estimator.config.skeleton.joints)}."
        raise UsageError(f"The model has none of the joints of {data.name}.", hint)
    exported = engines.describe(place)
    about = {
        "model": shown(model),
        "weights_sha256": files.sha256(checkpoints.weights_file(place) if exported is None else exported.weights),
        "flip": flip,
        "decoder": decoder,
        "precision": run.precision,
        "posehg": __version__,
    }
    with distributed.joined(estimator.device) as world, terminal.fail_together(world):
        share = len(distributed.share(range(len(data)), world))
        watch = partial(terminal.progress, what="Estimating", total=share) if world.first else iter
        found = predictions.estimate(estimator, data, about, watch)

        def finish() -> None:
            if world.first:
                scores = score.score(data, found, request.options) if _is_scored(request, data) else None
                _finish(request, data, {**about, "device": str(estimator.device)}, scores, found, template)

        distributed.alike(finish)


def _score_file(request: Request, source: Path) -> None:
    """Scores predictions without torch."""
    from posehg import datasets
    from posehg.datasets.dataset import evenly
    from posehg.evaluation import detections, oks, predictions, score, submission

    data = datasets.load_one(request.dataset, request.data, request.split, need_images=bool(request.worst))
    people = None
    file = {"file": str(source), "sha256": files.sha256(source)}
    is_records = detections.is_records(source)
    if detections.is_coco_results(source):
        category = None if datasets.is_file(request.dataset) else detections.PERSON
        people, said = detections.read_coco_results(source, data, category), dict[str, Any]()
    elif is_records and request.options.metric == "oks":
        people, said = detections.read(source, data)
    if people is not None:
        scores = score.Scores((), (), (), 0, oks.score(data, people))
        _finish(request, data, {**said, **file}, scores)
        return

    read = detections.predictions if is_records else predictions.read
    some = datasets.spread(data, request.limit) if request.limit else data
    try:
        found = read(source, data).subset(evenly(len(data), request.limit or len(data)))
    except NotAvailable as error:
        if some is data:
            raise
        try:
            found = read(source, some)  # the file may hold predictions of these persons alone
        except NotAvailable:
            raise error from None
    scored = score.score(some, found, request.options) if _is_scored(request, some) else None
    template = None if request.submission is None else submission.prepare(some)
    _finish(request, some, {**found.about, **file}, scored, found, template)


def _is_scored(request: Request, data: Dataset) -> bool:
    """False without labels, if only the predictions are wanted."""
    from posehg.evaluation import score

    return request.submission is None and (request.predictions is None or score.has_labels(data))


def _finish(
    request: Request,
    data: Dataset,
    about: Mapping[str, Any],
    scores: Scores | None,
    found: Predictions | None = None,
    template: Template | None = None,
) -> None:
    """Writes the files, then prints the tables, even if writing failed; a closed pipe loses no file. --min comes last.

    about: how the predictions were made.
    """
    from posehg.evaluation import tables

    try:
        _write(request, data, about, scores, found, template)
    finally:
        with terminal.ignore_closed_stdout():
            print(tables.heading(data, about, scores))
            for part in tables.printed(scores, data, request.joints) if scores is not None else ():
                terminal.show(part)
    if scores is not None and request.minimum is not None:
        name, value = scores.main
        if not value >= request.minimum:
            raise CheckFailed(f"{name}, is {tables.percent(value)}, below --min {request.minimum:g}.")


def _write(
    request: Request,
    data: Dataset,
    about: Mapping[str, Any],
    scores: Scores | None,
    found: Predictions | None,
    template: Template | None,
) -> None:
    from posehg import images
    from posehg.evaluation import plots, predictions, report, submission

    if request.predictions is not None and found is not None:
        predictions.write(request.predictions, data, found, request.overwrite)
        terminal.note(f"Wrote {request.predictions}.")
    if request.submission is not None and found is not None and template is not None:
        submission.write(request.submission, template, found, request.overwrite)
        terminal.note(f"Wrote {request.submission}.")
    if scores is None:
        return
    if request.report is not None:
        command = shlex.join(["posehg", *sys.argv[1:]])
        report.write(request.report, data, scores, about, command, request.overwrite)
        terminal.note(f"Wrote {request.report}.")
    for path in request.curves:
        plots.write_curves(path, scores.metrics, request.overwrite)
        terminal.note(f"Wrote {path}.")
    if request.sheet is not None and found is not None:
        page = plots.worst_sheet(data, found, scores.metrics[0], request.worst)
        images.write(request.sheet, page, request.overwrite)
        terminal.note(f"Wrote {request.sheet}: ground truth thin and green, predictions in colour.")


def _compare(a: Path, b: Path, resamples: int) -> None:
    """Compares two reports, without data set or network."""
    from posehg.evaluation import report, tables

    first, second = report.read(a), report.read(b)
    compared = report.compare(first, second, resamples)
    for letter, one in (("A", first), ("B", second)):
        print(", ".join(filter(None, (f"{letter}: {one.path}", tables.made(one.predictions)))))
    print(f"{first.data['name']} {first.data['split']}: {first.data['persons']:,} persons")
    if others := report.differing(first, second):
        print(f"The reports differ in their {' and '.join(others)}, which these metrics do not use.")
    if resamples:
        print(f"B > A: the share of {resamples:,} resamples of the persons in which B is higher.")
    print()
    for part in (part for comparison in compared for part in tables.differences(comparison)):
        terminal.show(part)
        print()
    print(report.verdict(compared[0], resamples))
