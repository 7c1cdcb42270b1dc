"""posehg eval: score a network, or predictions in a file, on a data set."""

# ruff: noqa: RUF009 (``option`` is ``dataclasses.field`` with names for what it holds)

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from posehg import files
from posehg.cli import completion, terminal
from posehg.cli import options as shared
from posehg.cli.options import option
from posehg.errors import CheckFailed, NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.evaluation.predictions import Predictions, Structs
    from posehg.evaluation.score import Scores

_SETS = "mpii, flic, flic-pc, lsp, lspet, coco, synthetic, or your own .json, .csv or .yaml file."
_SPLITS = "train, val, test or, of a file, all."
_FROM = """Score these predictions, without a network: files of posehg predict and eval, COCO results (.json), or the
preds of other projects (.h5, .mat, .npz)."""
_METRIC = "pckh, pck, oks, or auto (PCK, and PCKh where heads are annotated; OKS of COCO results)."
_THRESHOLD = """Distance within which a joint is correct, in head sizes (PCKh: 0.5 and 0.1) or torsos (PCK: 0.2).
Repeatable. Where both are measured it is PCKh's. With --task detect: the lowest score."""
_MIN = "Exit with code 4 if the limbs' PCK (or PCKh or AP, with --metric pckh or oks) is lower."

_OF_NETWORK = {f"--{field.name}" for field in fields(shared.ModelOptions)}
_OF_DISTANCES = {"--threshold", "--joints", "--breakdown", "--bootstrap", "--worst", "--curve"}
_OF_SCORES = {"--metric", "--min", "--report", "--sheet", *_OF_DISTANCES}
_OF_POSES = {
    *("--from", "--predictions", "--submission", "--metric", "--sheet", "--compare", "--flip", "--decoder"),
    *_OF_DISTANCES - {"--threshold"},
}


@dataclass(frozen=True, kw_only=True)
class EvalOptions(shared.ModelOptions):
    """The options of posehg eval; ``source`` is --from and ``minimum`` is --min."""

    task: Literal["pose", "detect"] = option("pose", "Data", "pose, or detect: a detector of people.", metavar="NAME")
    dataset: str = option("mpii", "Data", _SETS, metavar="NAME", autocompletion=completion.of_dataset)
    split: str = option("val", "Data", _SPLITS, metavar="SPLIT", autocompletion=completion.of_split)
    data: Path | None = option(None, "Data", shared.DATA, envvar="POSEHG_DATA")
    limit: int = option(0, "Data", "Take only N people, evenly spread (0: all).", min=0)
    source: Path | None = option(None, "Predictions", _FROM, "--from", metavar="FILE")
    predictions: Path | None = option(None, "Predictions", "Write the predictions: .json, .npz or .h5.", metavar="FILE")
    submission: Path | None = option(None, "Predictions", "Write a submission to MPII: .mat.", metavar="FILE")
    metric: Literal["auto", "pckh", "pck", "oks"] = option("auto", "Metrics", _METRIC, metavar="NAME")
    threshold: list[float] | None = option(None, "Metrics", _THRESHOLD, metavar="SHARE", min=0)
    bootstrap: int = option(1000, "Metrics", "Resamples for 95 % intervals (0: none).", min=0, max=100_000)
    joints: bool = option(False, "Metrics", "Print every joint with its number of labels.", "--joints")
    breakdown: bool = option(False, "Metrics", "Print scores by posture and by joint score.", "--breakdown")
    minimum: float | None = option(None, "Metrics", _MIN, "--min", metavar="PERCENT", min=0, max=100)
    report: Path | None = option(None, "Output", "Write everything as .json.", metavar="FILE")
    worst: int = option(0, "Output", "Draw the N people with the largest error.", min=0)
    sheet: Path = option(Path("worst.png"), "Output", "The image that --worst writes.", metavar="FILE")
    curve: list[Path] | None = option(None, "Output", "Write PCK curves: .csv or .png. Repeatable.", metavar="FILE")
    overwrite: bool = option(False, "Output", "Replace existing files.", "--overwrite")
    compare: tuple[Path, Path] | None = option(None, "Output", "Compare two reports.", metavar="A.json B.json")


def evaluate(context: typer.Context, options: EvalOptions) -> None:
    """Score a network, or predictions in a file, on annotated people.

        posehg eval --dataset mpii --data data
        posehg eval --dataset lsp --model runs/mpii/best.safetensors --report b.json
        posehg eval --compare a.json b.json
        posehg eval --task detect --dataset boxes.json

    Each person is cropped by its annotated bounding box, enlarged as in training. PCKh@0.5 counts a joint as
    correct within half the head size, PCK@0.2 within 0.2 of the torso's length. Joints without a label do not count.
    People without a head box (PCKh) or without both joints of the torso (PCK) are left out.

    Several processes share the people: torchrun --nproc-per-node N -m posehg eval ...
    """
    from posehg import datasets
    from posehg.datasets.dataset import evenly
    from posehg.evaluation import detections, predictions, score

    source = options.source
    kind = "rows" if source is None else detections.kind_of(source)
    by_people = kind == "results" or (kind == "records" and options.metric == "oks")
    names = {"source": "--from", "minimum": "--min"}
    given = {names.get(name, f"--{name}") for name in shared.given_names(context, EvalOptions)}
    given -= set() if options.bootstrap else {"--bootstrap"}  # 0 asks for nothing
    _check(options, given, by_people)
    if options.task == "detect":
        return _detect(options, given)
    if options.compare is not None:
        return _compare(*options.compare, options.bootstrap)
    need_images = source is None or options.worst > 0
    whole = datasets.load_one(options.dataset, options.data, options.split, need_images=need_images)
    data = datasets.spread(whole, options.limit) if options.limit else whole
    template = None if options.submission is None else predictions.mpii_test_images(data)
    if template is None and not by_people and (options.predictions is None or score.has_labels(data)):
        score.measures(data, options.metric)
        if options.metric == "oks":
            score.coco_scores(datasets.spread(data, 1), [])  # raises, before the work, without pycocotools
    finish = partial(_finish, options, data, template)
    if source is None:
        return _estimate(options, data, finish)
    found, scores = None, None
    if by_people:
        people, about = detections.read(source, data)
        predicted = detections.predicted_joints(data, people) if people else ()
        scores = score.Scores(predicted, oks=score.coco_scores(data, people), searched=True)
    else:
        read = partial(predictions.read, note=terminal.note) if kind == "rows" else detections.matched
        try:
            found = read(source, data)  # a file may hold predictions of these persons alone
        except NotAvailable:
            found, rows = read(source, whole), evenly(len(whole), options.limit or len(whole))
            found = replace(found, keypoints=found.keypoints[rows], scores=found.scores[rows])
        about = dict(found.about)
    finish({**about, "file": str(source), "sha256": files.sha256(source)}, found, scores)


def _check(options: EvalOptions, given: set[str], by_people: bool) -> None:
    """Raises, before any work, UsageError for options that do not go together and for files that cannot be written.

    by_people: the people in the file of --from, without names, are scored by OKS.
    """
    from posehg import distributed, images
    from posehg.datasets.reading import h5_library
    from posehg.evaluation import detections, display, predictions

    unnamed = {"--predictions", "--submission", "--limit", *_OF_DISTANCES}
    unnamed |= {"--metric"} if options.metric in ("pck", "pckh") else set()
    for applies, refused, why in (
        (options.compare, given - {"--compare", "--bootstrap"}, "and --compare cannot be used together."),
        (not options.worst, {"--sheet"}, "needs --worst."),
        (options.metric == "oks", _OF_DISTANCES, "needs PCK or PCKh, not --metric oks."),
        (options.submission, _OF_SCORES, "needs labels, and those of MPII's test split are not public."),
        (options.submission, {"--limit"}, "and --submission cannot be used together: it needs all people."),
        (options.source, _OF_NETWORK, "and --from cannot be used together: --from runs no network."),
        (options.task == "detect", _OF_POSES, "and --task detect cannot be used together."),
        (
            by_people,
            unnamed,
            f"cannot be used: OKS alone scores {options.source}, which does not say who is which annotated person.",
        ),
    ):
        if applies and (wrong := sorted(given & refused)):
            raise UsageError(f"{wrong[0]} {why}")
    if not all(map(math.isfinite, (*(options.threshold or ()), options.minimum or 0))):
        raise UsageError("--threshold and --min must be finite numbers.")
    if options.task == "detect" and (len(options.threshold or ()) > 1 or max(options.threshold or [0]) > 1):
        raise UsageError("--task detect takes one --threshold, a score from 0 to 1.")
    if options.minimum is not None and options.threshold and options.metric == "auto" and options.task == "pose":
        raise UsageError("--min with --threshold needs one metric.", "Add --metric pck or --metric pckh.")
    if options.submission is not None and (options.dataset, options.split) != ("mpii", "test"):
        raise UsageError("--submission is for MPII's test split.", "Add --dataset mpii --split test.")
    name = "--from" if options.source is not None else "--task detect" if options.task == "detect" else ""
    if name and distributed.world().size > 1:
        raise UsageError(f"{name} cannot be shared by several processes.", "Start posehg without torchrun.")
    seen: dict[Path, str] = {}
    for name, path, suffixes in (
        ("--from", options.source, detections.SUFFIXES),
        ("--predictions", options.predictions, predictions.WRITTEN),
        ("--submission", options.submission, (".mat",)),
        ("--report", options.report, (".json",)),
        ("--sheet", options.sheet if options.worst else None, images.SUFFIXES),
        *(("--curve", path, display.CURVE_SUFFIXES) for path in options.curve or ()),
    ):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise shared.wrong_suffix(name, path, suffixes)
        if (other := seen.setdefault(path.resolve(), name)) != name:
            raise UsageError(f"{other} and {name} both name {path}.")
        if name != "--from":
            files.check(path, options.overwrite)
    if options.predictions is not None and options.predictions.suffix.lower() == ".h5":
        h5_library()


def _estimate(options: EvalOptions, data: Dataset, finish: Callable[..., None]) -> None:
    """Estimates every person. Several processes share them, and the first finishes."""
    from posehg import checkpoints, distributed
    from posehg.evaluation import predictions
    from posehg.inference import engines
    from posehg.inference.estimator import Estimator

    note = terminal.note if distributed.world().first else None
    place = checkpoints.find(options.model, options.offline, note)
    estimator = Estimator(engines.open_engine(place, options.run, terminal.note), options.flip, options.decoder)
    about = predictions.made_by(options.model, place, estimator, options.precision)
    with distributed.joined(estimator.device) as world, terminal.fail_together(world):
        share = len(distributed.share(range(len(data)), world))
        watch = partial(terminal.progress, what="Estimating", total=share) if world.first else iter
        found = predictions.estimate(estimator, data, about, watch)
        distributed.alike(lambda: finish(about, found) if world.first else None)


def _finish(
    options: EvalOptions,
    data: Dataset,
    template: Structs | None,
    about: Mapping[str, Any],
    found: Predictions | None,
    scores: Scores | None = None,
) -> None:
    """Scores, prints the tables and writes the files. about: how the predictions were made."""
    from posehg import images
    from posehg.evaluation import display, predictions, report, score

    if found is not None and template is None and score.has_labels(data):
        thresholds = tuple(dict.fromkeys(options.threshold or ()))
        scores = score.score(data, found, options.metric, thresholds, options.bootstrap, options.breakdown)
    with terminal.ignore_closed_stdout():  # a closed pipe loses no file
        print(display.heading(data, about, scores))
        for part in display.tables(scores, data, options.joints) if scores is not None else ():
            terminal.show(part)
            print()
    force = options.overwrite
    if options.predictions is not None and found is not None:
        predictions.write(options.predictions, data, found, force)
        terminal.note(f"Wrote {options.predictions}.")
    if options.submission is not None and found is not None and template is not None:
        predictions.submit(options.submission, data, template, found, force)
        terminal.note(f"Wrote {options.submission}.")
    if scores is None:
        return
    if options.report is not None:
        content = report.content(data, scores, about, shlex.join(["posehg", *sys.argv[1:]]))
        report.write_json(options.report, content, force)
        terminal.note(f"Wrote {options.report}.")
    for path in options.curve or ():
        display.write_curves(path, scores.metrics, force)
        terminal.note(f"Wrote {path}.")
    if options.worst and found is not None:
        images.write(options.sheet, display.worst_sheet(data, found, scores.metrics[0], options.worst), force)
        terminal.note(f"Wrote {options.sheet}: ground truth thin and green, predictions in colour.")
    name, value = scores.main
    if options.minimum is not None and not value >= options.minimum:
        raise CheckFailed(f"{name}, is {display.percent(value)}, below --min {options.minimum:g}.")


def _detect(options: EvalOptions, given: set[str]) -> None:
    """Scores a detector by average precision."""
    from posehg import centers, checkpoints
    from posehg.checkpoints.cache import shown
    from posehg.datasets import scenes
    from posehg.evaluation import person_boxes
    from posehg.evaluation.report import write_json
    from posehg.inference import annotated
    from posehg.inference.detector import Detector, open_detector

    data = scenes.load_one(options.dataset, options.data, options.split)
    data = scenes.spread(data, options.limit) if options.limit else data
    name = options.model if "--model" in given else "detector"
    place = checkpoints.find(name, options.offline, terminal.note)
    detect = open_detector(place, options.run, terminal.note)
    if isinstance(detect, Detector):
        detect.threshold = annotated.LOWEST
    threshold = (options.threshold or [centers.THRESHOLD])[0]
    watch = partial(terminal.progress, what="Detecting", total=len(data))
    found = [annotated.judged(*pair) for pair in annotated.detected(detect, data, watch)]
    by_size = person_boxes.scores(found, threshold)
    with terminal.ignore_closed_stdout():
        print(f"{data.name} {data.split}: {len(data):,} images; model {shown(name)}, score at least {threshold:g}\n")
        terminal.show(person_boxes.table(by_size))
    if options.report is not None:
        about = {"dataset": data.name, "split": data.split, "images": len(data), "model": shown(name)}
        write_json(options.report, {**about, "threshold": threshold, "sizes": by_size}, options.overwrite)
        terminal.note(f"Wrote {options.report}.")
    value = by_size["all"]["AP50"] or 0.0
    if options.minimum is not None and value < options.minimum:
        raise CheckFailed(f"AP50 is {value:.2f} %, below --min {options.minimum:g}.")


def _compare(a: Path, b: Path, resamples: int) -> None:
    """Compares two reports, without data set or network."""
    from posehg.evaluation import display, report

    first, second = report.read(a), report.read(b)
    compared = report.compare(first, second, resamples)
    for letter, one in (("A", first), ("B", second)):
        print(", ".join(filter(None, (f"{letter}: {one.path}", display.made(one.predictions)))))
    print(f"{first.data['name']} {first.data['split']}: {first.data['people']:,} people\n")
    for comparison in compared:
        for part in display.differences(comparison):
            terminal.show(part)
            print()
    print(report.verdict(compared[0]))
