"""What posehg eval does once its options are known: estimate or read, score, write, print, compare."""

from __future__ import annotations

import math
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posehg.cli import eval_tables, terminal
from posehg.cli.eval_request import Request
from posehg.errors import CheckFailed, NotAvailable

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.evaluation.prediction_formats.matching import Predictions
    from posehg.evaluation.scoring import Scores
    from posehg.evaluation.submission import Form
    from posehg.inference.engines import Run


# ---- where predictions come from ---------------------------------------------------------------------------------


def from_network(
    request: Request,
    model: str,
    offline: bool,
    flip: bool,
    decoder: Literal["quarter", "subpixel"],
    run: Run,
) -> None:
    """The figures of a network, which is asked only after all else that can go wrong has been looked at."""
    from posehg import __version__, checkpoints, distributed
    from posehg.checkpoints.cache import shown
    from posehg.datasets import spread
    from posehg.evaluation import estimate
    from posehg.files import sha256
    from posehg.inference import engines
    from posehg.inference.estimator import Estimator

    place = checkpoints.find(model, offline, terminal.note)
    estimator = Estimator(engines.at(place, run), flip, decoder)
    annotated = _load(request)
    if request.limit:
        annotated = spread(annotated, request.limit)
    form = _form(request, annotated)
    _rehearse(request, annotated)
    estimate.check(estimator, annotated)
    exported = engines.described(place)
    weights = sha256(checkpoints.weights_file(place) if exported is None else exported.numbers)
    about = {
        "model": shown(model),
        "weights_sha256": weights,
        "flip": flip,
        "decoder": decoder,
        "precision": run.precision,
        "posehg": __version__,
    }
    with distributed.joined(estimator.device) as world, terminal.fail_together(world):
        share = len(distributed.share(range(len(annotated)), world))
        found = estimate.estimate(
            estimator,
            annotated,
            about,
            lambda poses: terminal.progress(poses, "Estimating", share) if world.first else poses,
        )

        def finish() -> None:
            if world.first:
                device_of = {"device": str(estimator.device)}
                _finish(request, annotated, found, {**about, **device_of}, eval_tables.made(about), form)

        distributed.alike(finish)


def from_file(request: Request, source: Path) -> None:
    """The figures of predictions, without torch."""
    from posehg import datasets
    from posehg.evaluation import coco_results, predictions, scoring
    from posehg.files import sha256

    annotated = _load(request)
    about: dict[str, Any] = {"file": str(source), "sha256": sha256(source)}
    if coco_results.is_results(source):
        category = coco_results.PERSON if request.dataset in datasets.LOADERS else None
        scores = scoring.score_detections(annotated, coco_results.read_results(source, annotated, category))
        with _printed(request, annotated, f"COCO results {source}", scores):
            _write_report(request, annotated, scores, about)
        return
    if request.metric == "oks" and predictions.is_run(source):
        people, said = predictions.read_people(source, annotated)
        scores = scoring.score_detections(annotated, people)
        with _printed(request, annotated, f"predictions {source}\n{eval_tables.made(said)}", scores):
            _write_report(request, annotated, scores, {**said, **about})
        return
    annotated, found = _read(request, source, annotated)
    what = "\n".join(filter(None, (f"predictions {source}", eval_tables.made(found.about))))
    _finish(request, annotated, found, {**found.about, **about}, what, _form(request, annotated))


def _load(request: Request) -> Dataset:
    """The persons. Their images must be there unless predictions are read and none is drawn."""
    from posehg import datasets

    need_images = request.source is None or bool(request.worst)
    return datasets.load_one(request.dataset, request.data, request.split, need_images=need_images)


def _read(request: Request, source: Path, data: Dataset) -> tuple[Dataset, Predictions]:
    """The persons of --limit, of a file that holds the whole split or just them, and what it predicts of them."""
    from posehg.datasets import spread
    from posehg.datasets.dataset import evenly
    from posehg.evaluation import predictions

    if not request.limit:
        return data, predictions.read(source, data)
    some = spread(data, request.limit)
    try:
        return some, predictions.read(source, data).of(evenly(len(data), request.limit))
    except NotAvailable as error:
        try:
            return some, predictions.read(source, some)
        except NotAvailable:
            raise error from None


# ---- what would go wrong in the end, after all the work ------------------------------------------------------------


def _form(request: Request, data: Dataset) -> Form | None:
    from posehg.evaluation import submission

    return None if request.submission is None else submission.prepare(data)


def _rehearse(request: Request, data: Dataset) -> None:
    """Raises what writing predictions and scoring them would raise."""
    import numpy as np

    from posehg.datasets import spread
    from posehg.evaluation import oks, predictions, scoring
    from posehg.evaluation.prediction_formats.matching import Predictions

    if request.predictions is not None:
        blank = np.full((len(data), len(data.skeleton.joints)), np.nan)
        with tempfile.TemporaryDirectory() as folder:
            nothing = Predictions(np.stack([blank, blank], axis=-1), blank)
            predictions.write(Path(folder) / request.predictions.name, data, nothing)
    if _is_scored(request, data):
        scoring.chosen(data, request.options())
        if request.metric == "oks":
            oks.score(spread(data, 1), [])


def _is_scored(request: Request, data: Dataset) -> bool:
    """Without labels nothing is, which is only right where the predictions themselves are asked for."""
    from posehg.evaluation import scoring

    return request.submission is None and (request.predictions is None or scoring.has_labels(data))


# ---- what becomes of them ----------------------------------------------------------------------------------------


def _finish(
    request: Request, data: Dataset, found: Predictions, about: Mapping[str, Any], what: str, form: Form | None
) -> None:
    """Score, write and print. what: whose predictions they are. form: of the submission that is asked for."""
    from posehg import images
    from posehg.evaluation import curve, predictions, scoring, submission, worst

    scores = scoring.score(data, found, request.options()) if _is_scored(request, data) else None
    with _printed(request, data, what, scores):
        if request.predictions is not None:
            predictions.write(request.predictions, data, found, request.overwrite)
            terminal.note(f"Wrote {request.predictions}.")
        if form is not None and request.submission is not None:
            submission.write(request.submission, form, found, request.overwrite)
            terminal.note(f"Wrote {request.submission}.")
        if scores is None:
            return
        _write_report(request, data, scores, about)
        for path in request.curves:
            curve.write(path, scores.metrics, request.overwrite)
            terminal.note(f"Wrote {path}.")
        if request.worst:
            page = worst.sheet(data, found, scores.metrics[0], request.worst)
            images.write(request.sheet, page, request.overwrite)
            terminal.note(f"Wrote {request.sheet}. Thin and green: the annotation; in colour: the prediction.")


def _write_report(request: Request, data: Dataset, scores: Scores, about: Mapping[str, Any]) -> None:
    from posehg.evaluation import report

    if request.report is not None:
        content = report.content(data, scores, dict(about), shlex.join(["posehg", *sys.argv[1:]]))
        report.write(request.report, content, request.overwrite)
        terminal.note(f"Wrote {request.report}.")


@contextmanager
def _printed(request: Request, data: Dataset, what: str, scores: Scores | None) -> Iterator[None]:
    """Around what is written: only then are the figures printed, so that a closed pipe loses no file, and even where
    it fails. --min decides in the end, whoever reads.
    """
    try:
        yield
    finally:
        with terminal.ignore_closed_stdout():
            print(eval_tables.heading(data, what, scores))
            for part in eval_tables.tables(scores, data, request.joints) if scores is not None else ():
                terminal.show(part)
    if scores is not None and request.minimum is not None:
        name, value = _main_figure(scores)
        if not value >= request.minimum:
            told = f"{value:.2f}: below" if math.isfinite(value) else "not known: not"
            raise CheckFailed(f"{name}, is {told} the {request.minimum:g} that --min asks for.")


def _main_figure(scores: Scores) -> tuple[str, float]:
    """What --min is about, in percent."""
    from posehg.metrics import PCKH

    if scores.oks is not None:
        return "OKS, AP in percent", 100 * scores.oks.AP
    by_limbs = [table for table in scores.tables if table.measure is not PCKH]
    table = (by_limbs or scores.tables)[0]
    return f"{table.title}, {table.means[0].average.name}", table.means[0].percent


def compare(a: Path, b: Path, resamples: int) -> None:
    """Two reports, with neither data set nor network."""
    from posehg.evaluation import compare as comparing
    from posehg.evaluation import report

    first, second = report.read(a), report.read(b)
    compared = comparing.compare(first, second, resamples)
    for letter, saved in (("A", first), ("B", second)):
        said = f"predictions {saved.predictions['file']}" if "file" in saved.predictions else ""
        print(", ".join(filter(None, (f"{letter}: {saved.path}", said, eval_tables.made(saved.predictions)))))
    print(f"{first.data['name']} {first.data['split']}: {first.data['persons']:,} persons")
    if others := comparing.differing(first, second):
        print(f"The reports differ in their {' and '.join(others)}, which nothing here is measured by.")
    if resamples:
        print(f"B > A: in so many of {resamples:,} resamples of the persons, drawn for both alike.")
    print()
    for comparison in compared:
        for part in eval_tables.differences(comparison):
            terminal.show(part)
            print()
    print(comparing.verdict(compared[0], resamples))
