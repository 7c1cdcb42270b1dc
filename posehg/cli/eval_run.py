"""What posehg eval does once its options are known: estimate or read, score, print, write, compare."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posehg.cli import eval_request, eval_tables, guard
from posehg.cli.eval_request import Request
from posehg.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.evaluation.predictions import Predictions
    from posehg.evaluation.scoring import Scores


# ---- where predictions come from ---------------------------------------------------------------------------------


def from_network(
    request: Request, model: str, flip: bool, decoder: Literal["quarter", "subpixel"], device: str
) -> None:
    """The figures of a network, which is asked only after all else that can go wrong has been looked at."""
    from posehg import __version__, checkpoints, processes
    from posehg.datasets import packed, parts
    from posehg.evaluation import estimate
    from posehg.evaluation.report import file_sha256
    from posehg.inference.estimator import Estimator

    place = checkpoints.find(model)
    estimator = Estimator(checkpoints.load(place), device, flip, decoder)
    annotated = eval_request.load(request)
    scored = eval_request.rehearse(request, annotated)
    estimate.check(estimator, annotated)
    needed = parts.reach(estimator.config.input_size[0], estimator.config.padding, scale=0, rotation=0, translation=0)
    for sentence in packed.shortfalls(annotated, needed):
        guard.note(sentence)
    weights = file_sha256(checkpoints.weights_file(place))
    about = {"model": model, "weights_sha256": weights, "flip": flip, "decoder": decoder, "posehg": __version__}
    with processes.joined(estimator.device) as world, guard.together(world):
        share = len(processes.share(range(len(annotated)), world))
        found = estimate.estimate(
            estimator,
            annotated,
            about,
            lambda poses: guard.with_bar(poses, "Estimating", share) if world.first else poses,
        )

        def finish() -> None:
            if world.first:
                print(eval_tables.heading(annotated, eval_tables.made(about)))
                _finish(request, annotated, found, {**about, "device": str(estimator.device)}, scored)

        processes.alike(finish)


def from_file(request: Request, source: Path) -> None:
    """The figures of predictions, without torch."""
    from posehg.evaluation import oks, predictions, scoring
    from posehg.evaluation.report import file_sha256

    results = oks.is_results(source)
    if results:
        _check_results(request)
    annotated = eval_request.load(request)
    about = {"file": str(source), "sha256": file_sha256(source)}
    if results:
        scores = scoring.score_detections(annotated, oks.read_results(source, annotated))
        print(eval_tables.heading(annotated, f"COCO results {source}"))
        _tell(request, annotated, scores, about)
        _check(request, scores)
        return
    found = predictions.read(source, annotated)
    scored = eval_request.rehearse(request, annotated)
    print(eval_tables.heading(annotated, f"predictions {source}: {eval_tables.made(found.about)}"))
    _finish(request, annotated, found, {**found.about, **about}, scored)


def _check_results(request: Request) -> None:
    """A list of results names people, not which annotated person each of them is."""
    wanted = {"--worst": request.worst, "--curve": request.curves, "--threshold": request.thresholds}
    wanted |= {"--predictions": request.predictions, "--submission": request.submission}
    wanted |= {f"--metric {request.metric}": request.metric not in ("auto", "oks")}
    for option, value in wanted.items():
        if value:
            sentence = f"{option}: {request.source} is a list of COCO results, which is scored by OKS alone."
            raise UsageError(sentence, "It does not say which annotated person each of them is.")


# ---- what becomes of them ----------------------------------------------------------------------------------------


def _finish(request: Request, data: Dataset, found: Predictions, about: Mapping[str, Any], scored: bool) -> None:
    """Score, print and write. scored: whether there are labels to score by."""
    from posehg import images
    from posehg.evaluation import curve, predictions, scoring, submission, worst

    if request.predictions is not None:
        predictions.write(request.predictions, data, found, request.overwrite)
        guard.note(f"Wrote {request.predictions}.")
    if request.submission is not None:
        submission.write(request.submission, data, found, request.overwrite)
        guard.note(f"Wrote {request.submission}.")
    if not scored:
        return
    scores = scoring.score(data, found, request.options())
    absent = [joint for joint in data.skeleton.joints if joint not in scores.joints]
    if absent:
        how = "OKS counts them as wrong" if scores.oks is not None else "they are left out"
        guard.note(f"The predictions do not have these joints of the data set, and {how}: {', '.join(absent)}.")
    _tell(request, data, scores, about)
    for path in request.curves:
        curve.write(path, scores.metrics, request.overwrite)
        guard.note(f"Wrote {path}.")
    if request.worst:
        page = worst.sheet(data, found, scores.metrics[0], request.worst)
        images.write(request.sheet, page, request.overwrite)
        guard.note(f"Wrote {request.sheet}.")
    _check(request, scores)


def _tell(request: Request, data: Dataset, scores: Scores, about: Mapping[str, Any]) -> None:
    from posehg.evaluation import report

    for part in eval_tables.tables(scores, data, request.joints):
        guard.show(part)
    if request.report is not None:
        content = report.content(data, scores, dict(about), shlex.join(["posehg", *sys.argv[1:]]))
        report.write(request.report, content, request.overwrite)
        guard.note(f"Wrote {request.report}.")


def _check(request: Request, scores: Scores) -> None:
    name, value = _main_figure(scores)
    if request.minimum is not None and not value >= request.minimum:
        told = f"{value:.2f}: below" if math.isfinite(value) else "not known: not"
        raise CheckFailed(f"{name}, is {told} the {request.minimum:g} that --min asks for.")


def _main_figure(scores: Scores) -> tuple[str, float]:
    """What --min is about, in percent."""
    if scores.oks is not None:
        return "OKS, AP in percent", 100 * scores.oks.AP
    by_limbs = [table for table in scores.tables if table.metric != "PCKh"]
    table = (by_limbs or scores.tables)[0]
    return f"{table.title}, {table.means[0].average.name}", table.means[0].percent


def compare(a: Path, b: Path, resamples: int) -> None:
    """Two reports, with neither data set nor network."""
    from posehg.evaluation import compare as comparing
    from posehg.evaluation import report

    first, second = report.read(a), report.read(b)
    compared = comparing.compare(first, second, resamples)
    for letter, saved in (("A", first), ("B", second)):
        said = f"predictions {saved.predictions['file']}: " if "file" in saved.predictions else ""
        print(f"{letter}: {saved.path}, {said}{eval_tables.made(saved.predictions)}")
    print(f"{first.data['name']} {first.data['split']}: {first.data['persons']:,} persons")
    if resamples:
        print(f"B > A: in so many of {resamples:,} resamples of the persons, drawn for both alike.")
    print()
    for comparison in compared:
        guard.show(eval_tables.differences(comparison))
        print()
    print(comparing.verdict(compared[0], resamples))
