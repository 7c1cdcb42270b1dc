"""What posehg eval is asked to do, and whether that goes together: found out before anything is read or computed."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from posehg import files
from posehg.errors import NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.evaluation.scoring import Choice, Options

_NETWORK = ("--model", "--offline", "--flip", "--decoder", "--device", "--precision", "--threads")
_DISTANCES = ("--threshold", "--joints", "--breakdown", "--bootstrap", "--worst", "--curve")
_SCORES = ("--metric", "--min", "--report", "--sheet", *_DISTANCES)
_RESAMPLES = (100, 100_000)


@dataclass(frozen=True)
class Request:
    """The options of the command, as it names them; source is --from, minimum is --min."""

    dataset: str
    split: str
    data: Path | None
    limit: int
    source: Path | None
    predictions: Path | None
    submission: Path | None
    metric: Choice
    thresholds: tuple[float, ...]
    bootstrap: int
    joints: bool
    breakdown: bool
    minimum: float | None
    report: Path | None
    worst: int
    sheet: Path
    curves: tuple[Path, ...]
    overwrite: bool

    def options(self) -> Options:
        from posehg.evaluation.scoring import Options

        return Options(self.metric, self.thresholds, self.bootstrap, self.breakdown)


def check_resamples(count: int) -> None:
    low, high = _RESAMPLES
    if count and not low <= count <= high:
        raise UsageError(f"--bootstrap {count}: resamples are {low} to {high}, or 0 for no intervals.")


def check_alone(given: Collection[str]) -> None:
    """Raises UsageError where --compare comes with what is for an evaluation. given: the options that were given."""
    others = sorted(set(given) - {"--compare", "--bootstrap"})
    _refuse(given, others, "has no use with --compare, which takes two reports and nothing else.")


def check(request: Request, given: Collection[str]) -> None:
    """Raises UsageError for options that do not go together, and what ``files.check`` does for files that cannot be
    written; NotAvailable for predictions that are not there. given: the options that were given.
    """
    from posehg import datasets

    if [times for _, times in datasets.parse(request.dataset)] != [1]:
        raise UsageError(f"--dataset {request.dataset}: one data set is evaluated at a time.")
    for threshold in request.thresholds:
        if not 0 < threshold < math.inf:
            raise UsageError(f"--threshold {threshold:g}: a threshold is a number above 0.")
    if request.minimum is not None:
        if not math.isfinite(request.minimum):
            raise UsageError(f"--min {request.minimum:g}: it is a percentage.")
        if request.thresholds and request.metric == "auto":
            raise UsageError("--min and --threshold may be meant for two metrics.", "Give --metric pck or pckh.")
    if "--sheet" in given and not request.worst:
        raise UsageError("--sheet is where the persons of --worst go.", "Give --worst NUMBER too.")
    if request.metric == "oks":
        _refuse(given, _DISTANCES, "needs PCK or PCKh: OKS has neither distances nor resamples.")
    if request.source is not None:
        _check_source(request, request.source, given)
    if request.submission is not None:
        if (request.dataset, request.split) != ("mpii", "test"):
            raise UsageError("--submission is for MPII's test persons.", "Give --dataset mpii --split test.")
        _refuse(given, _SCORES, "needs labels, and those of MPII's test persons are not public.")
    _check_targets(request)


def _refuse(given: Collection[str], options: Collection[str], why: str, hint: str = "") -> None:
    for option in options:
        if option in given:
            raise UsageError(f"{option} {why}", hint)


def _check_source(request: Request, source: Path, given: Collection[str]) -> None:
    from posehg.evaluation import coco_results, predictions

    _refuse(given, _NETWORK, "is for a network, and --from scores what a file says.", "Leave it out.")
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise UsageError("--from has nothing to share between processes.", "Start it without torchrun.")
    if not source.is_file():
        what = f"{source} is no regular file." if source.exists() else f"There is no file {source}."
        raise NotAvailable(
            what, "Predictions are written by: posehg eval --predictions FILE, posehg predict FOLDER --out run.jsonl"
        )
    _check_suffix(source, "--from", predictions.SUFFIXES)
    if coco_results.is_results(source):
        why = f"cannot be had of {source}, a list of COCO results, which is scored by OKS alone."
        _refuse_who(given, why)
        if request.metric not in ("auto", "oks"):
            raise UsageError(f"--metric {request.metric} {why}")
    elif request.metric == "oks" and predictions.is_run(source):
        _refuse_who(given, f"cannot be had of {source}, people whom posehg predict found, by OKS.")


def _refuse_who(given: Collection[str], why: str) -> None:
    """What is not for people of whom nothing says who of the set they are."""
    _refuse(given, ("--predictions", "--submission", *_DISTANCES), why, "It does not say who is whom.")
    _refuse(given, ("--limit",), why, "Whoever is left out would count as wrongly found.")


def _check_targets(request: Request) -> None:
    from posehg import images
    from posehg.evaluation import curve
    from posehg.evaluation.prediction_formats import WRITERS

    kinds: list[tuple[str, Path | None, Collection[str]]] = [
        ("--predictions", request.predictions, WRITERS),
        ("--submission", request.submission, (".mat",)),
        ("--report", request.report, (".json",)),
        ("--sheet", request.sheet if request.worst else None, images.SUFFIXES),
        *(("--curve", path, curve.SUFFIXES) for path in request.curves),
    ]
    seen = {} if request.source is None else {request.source.resolve(): "--from"}
    for option, path, suffixes in kinds:
        if path is None:
            continue
        _check_suffix(path, option, suffixes)
        files.check(path, request.overwrite)
        if other := seen.get(path.resolve()):
            raise UsageError(f"{path} is named twice: by {other} and {option}.", "Give each file a name of its own.")
        seen[path.resolve()] = option


def _check_suffix(path: Path, option: str, suffixes: Collection[str]) -> None:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: its name has to end in {' or '.join(suffixes)}.")
