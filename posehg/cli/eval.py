"""posehg eval: score a network, or predictions in a file, on a data set."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posehg import files
from posehg.cli import options as shared
from posehg.cli import terminal
from posehg.errors import CheckFailed, NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.evaluation.predictions import Predictions
    from posehg.evaluation.score import Scores
    from posehg.evaluation.submission import Template

_data: Callable[..., Any] = partial(typer.Option, rich_help_panel="Data")
_files: Callable[..., Any] = partial(typer.Option, metavar="FILE", rich_help_panel="Predictions")
_metrics: Callable[..., Any] = partial(typer.Option, rich_help_panel="Metrics")
_out: Callable[..., Any] = partial(typer.Option, rich_help_panel="Output")

_SETS = "mpii, flic, flic-pc, lsp, lspet, coco, synthetic, or your own .json or .csv file."
_FROM = """Score these predictions, without a network: files of posehg predict and eval, COCO results (.json), or the
preds of other projects (.h5, .mat, .npz)."""
_MIN = "Exit with 4 if the mean PCK of the limbs is lower (--metric pckh: its first mean; oks: AP)."

_OF_NETWORK = ("--model", "--offline", "--flip", "--decoder", "--device", "--precision", "--threads")
_OF_DISTANCES = ("--threshold", "--joints", "--breakdown", "--bootstrap", "--worst", "--curve")
_OF_SCORES = ("--metric", "--min", "--report", "--sheet", *_OF_DISTANCES)


@dataclass(frozen=True)
class EvalOptions:
    """The options of posehg eval; ``source`` is --from and ``minimum`` is --min."""

    dataset: Annotated[str, _data(help=_SETS)] = "mpii"
    split: Annotated[str, _data(help="train, val or test.")] = "val"
    data: shared.Data = None
    limit: Annotated[int, _data(min=0, help="Take only N persons, evenly spread (0: all).")] = 0
    model: shared.Model = "bundled"
    offline: shared.Offline = False
    flip: shared.Flip = True
    decoder: shared.Decoder = "subpixel"
    device: shared.Device = "auto"
    precision: shared.Precision = "fp32"
    threads: shared.Threads = 0
    source: Annotated[Path | None, _files("--from", help=_FROM)] = None
    predictions: Annotated[Path | None, _files(help="Write the predictions: .json, .npz or .h5.")] = None
    submission: Annotated[Path | None, _files(help="Write a submission to MPII's benchmark: .mat.")] = None
    metric: Annotated[
        Literal["auto", "pckh", "pck", "oks"], _metrics(help="auto: PCKh, if heads are annotated, and PCK.")
    ] = "auto"
    threshold: Annotated[
        list[float] | None,
        _metrics(metavar="SHARE", help="Instead of 0.5 and 0.1 (PCKh) or 0.2 (PCK). Repeatable."),
    ] = None
    bootstrap: Annotated[int, _metrics(min=0, help="Resamples for the 95 % intervals: 100 to 100000, or 0.")] = 1000
    joints: Annotated[bool, _metrics("--joints", help="Print every joint with its number of labels.")] = False
    breakdown: Annotated[bool, _metrics("--breakdown", help="Print scores by posture and by joint score.")] = False
    minimum: Annotated[float | None, _metrics("--min", metavar="PERCENT", help=_MIN)] = None
    report: Annotated[Path | None, _out(metavar="FILE", help="Write everything as .json.")] = None
    worst: Annotated[int, _out(min=0, help="Draw the N persons with the largest error.")] = 0
    sheet: Annotated[Path, _out(metavar="FILE", help="The image that --worst writes.")] = Path("worst.png")
    curve: Annotated[
        list[Path] | None, _out(metavar="FILE", help="Write PCK over the threshold: .csv or .png. Repeatable.")
    ] = None
    overwrite: Annotated[bool, _out("--overwrite", help="Replace existing files.")] = False
    compare: Annotated[
        tuple[Path, Path] | None, _out(metavar="A.json B.json", help="Compare two reports; takes only --bootstrap.")
    ] = None

    def given(self) -> set[str]:
        """The options, as on the command line, whose values are neither the defaults nor from the environment."""
        names = {"source": "--from", "minimum": "--min"}
        return {
            names.get(field.name, f"--{field.name}")
            for field in fields(self)
            if (value := getattr(self, field.name)) not in (field.default, [], ())
            and str(value) != os.environ.get(f"POSEHG_{field.name.upper()}")
        }

    def is_scored(self, data: Dataset) -> bool:
        """False for data without labels if only the predictions are wanted."""
        from posehg.evaluation.score import has_labels

        return self.submission is None and (self.predictions is None or has_labels(data))

    def scores(self, data: Dataset, found: Predictions) -> Scores | None:
        from posehg.evaluation.score import score

        if not self.is_scored(data):
            return None
        thresholds = tuple(dict.fromkeys(self.threshold or ()))
        return score(data, found, self.metric, thresholds, self.bootstrap, self.breakdown)


@shared.from_dataclass(EvalOptions)
def evaluate(options: EvalOptions) -> None:
    """Score a network, or predictions in a file, on annotated persons.

        posehg eval --dataset mpii --data data
        posehg eval --dataset lspet --model runs/best --report b.json
        posehg eval --compare a.json b.json

    Each person is cropped by its annotated bounding box, enlarged as in training. PCKh@0.5 counts a joint as found
    within half the head size, PCK@0.2 within 0.2 of the torso's length. Joints without a label do not count, nor do
    people without a head box (PCKh) or without both joints of the torso (PCK).

    Several processes share the persons: torchrun --nproc-per-node N -m posehg eval ...
    """
    if options.bootstrap and not 100 <= options.bootstrap <= 100_000:
        raise UsageError(f"--bootstrap must be between 100 and 100000, or 0, not {options.bootstrap}.")
    if options.compare is not None:
        _refuse(options, options.given() - {"--compare", "--bootstrap"}, "cannot be combined with --compare.")
        _compare(*options.compare, options.bootstrap)
        return
    _check(options)
    _check_files(options)
    if options.source is not None:
        _score_file(options, options.source)
    else:
        _score_network(options)


def _check(options: EvalOptions) -> None:
    """Raises UsageError for options that do not go together, NotAvailable without the file of --from."""
    from posehg import datasets
    from posehg.evaluation import detections

    metric, source, minimum = options.metric, options.source, options.minimum
    if [times for _, times in datasets.parse(options.dataset)] != [1]:
        raise UsageError(f"--dataset must be one data set, not {options.dataset}.")
    for threshold in options.threshold or ():
        if not 0 < threshold < math.inf:
            raise UsageError(f"--threshold must be above 0, not {threshold:g}.")
    if minimum is not None and not math.isfinite(minimum):
        raise UsageError(f"--min must be a percentage, not {minimum:g}.")
    if minimum is not None and options.threshold and metric == "auto":
        raise UsageError("--min with --threshold needs one metric.", "Add --metric pck or --metric pckh.")
    if not options.worst:
        _refuse(options, ("--sheet",), "needs --worst.")
    if metric == "oks":
        _refuse(options, _OF_DISTANCES, "needs PCK or PCKh, not --metric oks.")
    if options.submission is not None:
        if (options.dataset, options.split) != ("mpii", "test"):
            raise UsageError("--submission is for MPII's test split.", "Add --dataset mpii --split test.")
        _refuse(options, _OF_SCORES, "needs labels, and those of MPII's test split are not public.")
    if source is None:
        return
    _refuse(options, _OF_NETWORK, "is for a network and cannot be combined with --from.")
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise UsageError("--from cannot be shared by several processes.", "Start it without torchrun.")
    if not source.is_file():
        hint = "Write predictions with: posehg eval --predictions FILE, or posehg predict FOLDER --out run.jsonl"
        raise NotAvailable(f"{source} is not a file." if source.exists() else f"{source} does not exist.", hint)
    kind = detections.kind_of(source)
    if kind == "results" and metric not in ("auto", "oks"):
        raise UsageError(f"COCO results such as {source} are scored by OKS alone, not by --metric {metric}.")
    if kind == "results" or (kind == "records" and metric == "oks"):
        why = f"needs to know who is who, and the people in {source}, scored by OKS, have no names."
        _refuse(options, ("--predictions", "--submission", "--limit", *_OF_DISTANCES), why)


def _refuse(options: EvalOptions, refused: Collection[str], why: str) -> None:
    if wrong := sorted(options.given() & set(refused)):
        raise UsageError(f"{wrong[0]} {why}")


def _check_files(options: EvalOptions) -> None:
    """Raises, before the work, UsageError for wrong names and as ``files.check`` for files that cannot be written."""
    from posehg import images
    from posehg.evaluation import detections, display, predictions

    wanted: list[tuple[str, Path | None, Collection[str]]] = [
        ("--from", options.source, dict.fromkeys((*predictions.SUFFIXES, *detections.SUFFIXES))),
        ("--predictions", options.predictions, predictions.WRITTEN),
        ("--submission", options.submission, (".mat",)),
        ("--report", options.report, (".json",)),
        ("--sheet", options.sheet if options.worst else None, images.SUFFIXES),
        *(("--curve", path, display.CURVE_SUFFIXES) for path in options.curve or ()),
    ]
    seen: dict[Path, str] = {}
    for option, path, suffixes in wanted:
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{option} {path}: the name must end in {' or '.join(suffixes)}.")
        if option != "--from":
            files.check(path, options.overwrite)
        if other := seen.get(path.resolve()):
            raise UsageError(f"{other} and {option} both name {path}.")
        seen[path.resolve()] = option


def _score_network(options: EvalOptions) -> None:
    """Estimates every person, after a check of all that could fail afterwards."""
    from posehg import __version__, checkpoints, datasets, distributed
    from posehg.checkpoints.cache import shown
    from posehg.datasets.reading import h5_library
    from posehg.evaluation import predictions, score, submission
    from posehg.inference import engines, persons
    from posehg.inference.estimator import Estimator

    place = checkpoints.find(options.model, options.offline, terminal.note)
    run = engines.Run(options.device, options.threads, options.precision)
    estimator = Estimator(engines.open_engine(place, run), options.flip, options.decoder)
    data = datasets.load_one(options.dataset, options.data, options.split, need_images=True)
    data = datasets.spread(data, options.limit) if options.limit else data
    template = None if options.submission is None else submission.prepare(data)
    if options.predictions is not None and options.predictions.suffix.lower() == ".h5":
        h5_library("Writing")
    if options.is_scored(data):
        score.measures(data, options.metric)
        if options.metric == "oks":
            score.coco_scores(datasets.spread(data, 1), [])  # is pycocotools there?
    if not persons.joints_in_common(estimator, data):
        hint = f"The model has: {', '.join(estimator.config.skeleton.joints)}."
        raise UsageError(f"The model has none of the joints of {data.name}.", hint)
    exported = engines.describe(place)
    about = {
        "model": shown(options.model),
        "weights_sha256": files.sha256(checkpoints.weights_file(place) if exported is None else exported.weights),
        "flip": options.flip,
        "decoder": options.decoder,
        "precision": options.precision,
        "posehg": __version__,
    }
    with distributed.joined(estimator.device) as world, terminal.fail_together(world):
        share = len(distributed.share(range(len(data)), world))
        watch = partial(terminal.progress, what="Estimating", total=share) if world.first else iter
        found = predictions.estimate(estimator, data, about, watch)

        def finish() -> None:
            if world.first:
                made = {**about, "device": str(estimator.device)}
                _finish(options, data, made, options.scores(data, found), found, template)

        distributed.alike(finish)


def _score_file(options: EvalOptions, source: Path) -> None:
    """Scores predictions without torch."""
    from posehg import datasets
    from posehg.datasets.dataset import evenly
    from posehg.evaluation import detections, predictions, score, submission

    whole = datasets.load_one(options.dataset, options.data, options.split, need_images=bool(options.worst))
    kind, file = detections.kind_of(source), {"file": str(source), "sha256": files.sha256(source)}
    if kind == "results" or (kind == "records" and options.metric == "oks"):
        category = None if datasets.is_file(options.dataset) else detections.PERSON
        people, about = detections.read(source, whole, category)
        _finish(options, whole, {**about, **file}, score.Scores(oks=score.coco_scores(whole, people)))
        return
    read = predictions.read if kind == "rows" else detections.matched
    data = datasets.spread(whole, options.limit) if options.limit else whole
    try:
        found = read(source, data)  # a file may hold predictions of these persons alone
    except NotAvailable:
        found, rows = read(source, whole), evenly(len(whole), options.limit or len(whole))
        found = replace(found, keypoints=found.keypoints[rows], scores=found.scores[rows])
    template = None if options.submission is None else submission.prepare(data)
    _finish(options, data, {**found.about, **file}, options.scores(data, found), found, template)


def _finish(
    options: EvalOptions,
    data: Dataset,
    about: Mapping[str, Any],
    scores: Scores | None,
    found: Predictions | None = None,
    template: Template | None = None,
) -> None:
    """Writes the files, then prints the tables, even if writing failed; a closed pipe loses no file. --min comes last.

    about: how the predictions were made.
    """
    from posehg import images
    from posehg.evaluation import display, predictions, report, submission

    try:
        if options.predictions is not None and found is not None:
            predictions.write(options.predictions, data, found, options.overwrite)
            terminal.note(f"Wrote {options.predictions}.")
        if options.submission is not None and found is not None and template is not None:
            submission.write(options.submission, template, found, options.overwrite)
            terminal.note(f"Wrote {options.submission}.")
        if options.report is not None and scores is not None:
            command = shlex.join(["posehg", *sys.argv[1:]])
            report.write(options.report, data, scores, about, command, options.overwrite)
            terminal.note(f"Wrote {options.report}.")
        for path in options.curve or ():
            assert scores is not None
            display.write_curves(path, scores.metrics, options.overwrite)
            terminal.note(f"Wrote {path}.")
        if options.worst and scores is not None and found is not None:
            page = display.worst_sheet(data, found, scores.metrics[0], options.worst)
            images.write(options.sheet, page, options.overwrite)
            terminal.note(f"Wrote {options.sheet}: ground truth thin and green, predictions in colour.")
    finally:
        with terminal.ignore_closed_stdout():
            print(display.heading(data, about, scores))
            for part in display.tables(scores, data, options.joints) if scores is not None else ():
                terminal.show(part)
                print()
    if scores is not None and options.minimum is not None:
        name, value = scores.main
        if not value >= options.minimum:
            raise CheckFailed(f"{name}, is {display.percent(value)}, below --min {options.minimum:g}.")


def _compare(a: Path, b: Path, resamples: int) -> None:
    """Compares two reports, without data set or network."""
    from posehg.evaluation import display, report

    first, second = report.read(a), report.read(b)
    compared = report.compare(first, second, resamples)
    for letter, one in (("A", first), ("B", second)):
        print(", ".join(filter(None, (f"{letter}: {one.path}", display.made(one.predictions)))))
    print(f"{first.data['name']} {first.data['split']}: {first.data['persons']:,} persons")
    if resamples:
        print(f"B > A: the share of {resamples:,} resamples of the persons in which B is higher.")
    print()
    for part in (part for comparison in compared for part in display.differences(comparison)):
        terminal.show(part)
        print()
    print(report.verdict(compared[0], resamples))
