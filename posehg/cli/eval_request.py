"""What posehg eval is asked to do, and whether that goes together: found out before anything is computed."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from posehg import files
from posehg.errors import NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.evaluation.scoring import Choice, Options

_NETWORK = {"model": "--model", "flip": "--flip", "decoder": "--decoder", "device": "--device"}
_SCORES = {
    **{"metric": "--metric", "threshold": "--threshold", "bootstrap": "--bootstrap", "joints": "--joints"},
    **{"minimum": "--min", "report": "--report", "worst": "--worst", "sheet": "--sheet", "curve": "--curve"},
}


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
    minimum: float | None
    report: Path | None
    worst: int
    sheet: Path
    curves: tuple[Path, ...]
    overwrite: bool

    def options(self) -> Options:
        from posehg.evaluation.scoring import Options

        return Options(self.metric, self.thresholds, self.bootstrap)


def check_alone(given: Collection[str]) -> None:
    """Raises UsageError where --compare comes with what is for an evaluation. given: the options that were given."""
    others = sorted(set(given) - {"compare", "bootstrap"})
    if others:
        name = {"source": "from", "minimum": "min"}.get(others[0], others[0])
        raise UsageError(f"--compare takes two reports and nothing else: --{name.replace('_', '-')} has no use there.")


def check(request: Request, given: Collection[str]) -> None:
    """Raises UsageError for options that do not go together and for files that cannot be written; NotAvailable for
    predictions that are not there. given: the options that were given.
    """
    from posehg import datasets

    if [times for _, times in datasets.parse(request.dataset)] != [1]:
        raise UsageError(f"--dataset {request.dataset}: one data set is evaluated at a time.")
    for threshold in request.thresholds:
        if not 0 < threshold < math.inf:
            raise UsageError(f"--threshold {threshold:g}: a threshold is a number above 0.")
    if "sheet" in given and not request.worst:
        raise UsageError("--sheet is where the persons of --worst go.", "Give --worst NUMBER too.")
    if request.metric == "oks" and (request.worst or request.curves):
        raise UsageError(f"{'--worst' if request.worst else '--curve'} needs PCK or PCKh: OKS has no distances.")
    if request.source is not None:
        _check_source(request.source, given)
    if request.submission is not None:
        _check_submission(request, given)
    _check_targets(request)


def _check_source(source: Path, given: Collection[str]) -> None:
    from posehg.evaluation import predictions

    for name, option in _NETWORK.items():
        if name in given:
            raise UsageError(f"{option} is for a network, and --from scores what a file says.", f"Leave out {option}.")
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise UsageError("--from has nothing to share between processes.", "Start it without torchrun.")
    if not source.is_file():
        raise NotAvailable(f"There is no file {source}.", "Predictions are written by: posehg eval --predictions FILE")
    _check_suffix(source, "--from", predictions.SUFFIXES)


def _check_submission(request: Request, given: Collection[str]) -> None:
    if (request.dataset, request.split) != ("mpii", "test"):
        raise UsageError("--submission is for MPII's test persons.", "Give --dataset mpii --split test.")
    for name, option in _SCORES.items():
        if name in given:
            raise UsageError(f"{option} needs labels, and those of MPII's test persons are not public.")


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
    seen: dict[Path, str] = {} if request.source is None else {request.source.absolute(): "--from"}
    for option, path, suffixes in kinds:
        if path is None:
            continue
        _check_suffix(path, option, suffixes)
        files.check(path, request.overwrite)
        other = seen.setdefault(path.absolute(), option)
        if other != option or request.curves.count(path) > 1:
            raise UsageError(f"{path} is named twice: by {other} and {option}.", "Give each file a name of its own.")


def _check_suffix(path: Path, option: str, suffixes: Collection[str]) -> None:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: its name has to end in {' or '.join(suffixes)}.")


# ---- what only the data set tells --------------------------------------------------------------------------------


def load(request: Request) -> Dataset:
    """The persons. Predictions are in pixels of the photos: what reads or writes them needs the set's own files."""
    from posehg import datasets
    from posehg.datasets import folder

    name, data, split = request.dataset, request.data, request.split
    if request.source is None and request.predictions is None and request.submission is None:
        found = datasets.load(name, data, split)
    else:
        try:
            pictures = request.source is None or bool(request.worst)
            found = datasets.load_unpacked(name, data, split, pictures=pictures)
        except NotAvailable:
            pack = datasets.pack_path(folder.home(data), name, split)
            if not pack.exists():
                raise
            sentence = f"{pack} holds parts of the photos, and predictions are in pixels of the whole ones."
            raise NotAvailable(sentence, "Give --data for where the data set lies unpacked.") from None
    return datasets.spread(found, request.limit) if request.limit else found


def rehearse(request: Request, data: Dataset) -> bool:
    """Whether there is something to score; raises what would be raised in the end, after all the work.

    Without labels that is only right where the predictions themselves are asked for.
    """
    import numpy as np

    from posehg.datasets import spread
    from posehg.evaluation import oks, predictions, scoring, submission

    blank = np.full((len(data), len(data.skeleton.joints)), np.nan)
    nothing = predictions.Predictions(np.stack([blank, blank], axis=-1), blank)
    with _trial(request.predictions) as path:
        if path is not None:
            predictions.write(path, data, nothing)
    with _trial(request.submission) as path:
        if path is not None:
            submission.write(path, data, nothing)
            return False
    if request.predictions is not None and not scoring.has_labels(data):
        return False
    if "OKS" in scoring.chosen(data, request.options()):
        oks.score(spread(data, 1), [])
    return True


@contextmanager
def _trial(path: Path | None) -> Iterator[Path | None]:
    """A path with that name where nobody will look for it."""
    if path is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / path.name
