"""Object keypoint similarity: COCO's average precision and recall of poses, by pycocotools.

OKS of a found and an annotated person is the mean over the annotated joints of exp(-d² / (2 (2 sigma)² area)), d being
a joint's distance; https://cocodataset.org/#keypoints-eval. People are ranked by their score. Where each of them was
estimated in a box that was given, it is the mean of the joints' scores, as other projects have it for such boxes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.coco_results import PERSON
from posehg.evaluation.prediction_formats.matching import Predictions, given
from posehg.evaluation.prediction_formats.run import Detection
from posehg.geometry import Box
from posehg.metrics import Array
from posehg.poses import Person

Record = tuple[Path, dict[str, Any]]
"""A picture, and what the tools need to know of somebody on it."""

_NOWHERE = 1e9
"""The coordinate of a joint that is not predicted: so far off that it is similar to none."""


@dataclass(frozen=True)
class OksScores:
    """Each 0 .. 1; NaN where nothing of that kind is annotated.

    AP, AR: over the thresholds 0.50, 0.55 .. 0.95 of OKS; AP50 .. AR75: at one. Medium people have an area of 32² to
    96² pixels, large ones more.
    """

    AP: float
    AP50: float
    AP75: float
    AP_medium: float
    AP_large: float
    AR: float
    AR50: float
    AR75: float
    AR_medium: float
    AR_large: float


def of_persons(data: Dataset, predictions: Predictions) -> list[Detection]:
    """One detection a person, in their order, without those of whom nothing is predicted.

    Its score is the mean of the known scores of its joints; 1 where a file of predictions does not have any, so that
    all are of one rank.
    """
    found = zip(data.persons, predictions.keypoints, predictions.scores, strict=True)
    return [
        Detection(person.image, keypoints, scores, _mean(scores[given(keypoints)]))
        for person, keypoints, scores in found
        if given(keypoints).any()
    ]


def _mean(scores: Array) -> float:
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else 1.0


def score(data: Dataset, detections: Sequence[Detection], sigmas: Array | None = None) -> OksScores:
    """COCO's ten figures. As there, the twenty people of the highest scores count on each picture.

    An annotated person is as large as its ``area`` says, else as the extent of its labelled joints: boxes are drawn
    with more or less room around somebody. Those whom the set ignores, crowds and people without a labelled joint, are
    not missed, and who is found there is not counted as wrong.
    sigmas: (J,) how far apart annotators set each joint, as a share of the root of the area; the skeleton's by default.
    Raises NotAvailable where pycocotools is not installed, UsageError for sigmas that are not J positive numbers.
    """
    COCO, COCOeval = _tools()
    sigmas = _sigmas(data, sigmas)
    truth = [(person.image, _truth(person, counts=True)) for person in data.persons]
    truth += [(person.image, _truth(person, counts=False)) for person in data.ignored]
    found = [(detection.image, _found(detection)) for detection in detections]
    # Equal scores rank in the order of pictures: sorted by name they are in the order of COCO's numbers.
    images = sorted({image for image, _ in truth + found})
    with redirect_stdout(io.StringIO()):  # the tools print what they do
        annotated, detected = (_indexed(COCO(), images, records) for records in (truth, found))
        evaluation = COCOeval(annotated, detected, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return OksScores(*(float(figure) if figure >= 0 else float("nan") for figure in evaluation.stats))


def _tools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        hint = "Install it: pipx inject posehg pycocotools, or pip install 'posehg[coco]'"
        raise NotAvailable("OKS needs pycocotools.", hint) from None
    return COCO, COCOeval


def _sigmas(data: Dataset, sigmas: Array | None) -> Array:
    chosen = np.asarray(data.skeleton.oks_sigmas if sigmas is None else sigmas, dtype=np.float64)
    joints = len(data.skeleton.joints)
    if chosen.shape != (joints,) or not (np.isfinite(chosen) & (chosen > 0)).all():
        raise UsageError(f"OKS of the skeleton {data.skeleton.name!r} needs {joints} sigmas, each a positive number.")
    return chosen


def _indexed(coco: Any, images: list[Path], records: list[Record]) -> Any:
    """The tools' own form of a file. Ids begin with 1: they take 0 for nobody."""
    numbers = {image: number for number, image in enumerate(images, start=1)}
    annotations = [
        {"id": id, "image_id": numbers[image], "category_id": PERSON, **record}
        for id, (image, record) in enumerate(records, start=1)
    ]
    known = [{"id": number} for number in numbers.values()]
    coco.dataset = {"images": known, "categories": [{"id": PERSON}], "annotations": annotations}
    coco.createIndex()
    return coco


def _truth(person: Person, counts: bool) -> dict[str, Any]:
    labelled = given(person.keypoints)
    flags = np.where(labelled, 1 + person.visible, 0)  # 1: hidden, 2: visible
    keypoints = np.where(labelled[:, None], person.keypoints, 0)
    box = person.box
    extent = Box.bounding(person.keypoints) or box
    return {
        "keypoints": np.column_stack([keypoints, flags]).ravel(),
        "num_keypoints": int(labelled.sum()) if counts else 0,  # the tools ignore whoever has none
        "area": extent.w * extent.h if person.area is None else person.area,
        "bbox": [box.x, box.y, box.w, box.h],
        "iscrowd": int(person.crowd),
    }


def _found(detection: Detection) -> dict[str, Any]:
    predicted = given(detection.keypoints)
    keypoints = np.where(predicted[:, None], detection.keypoints, _NOWHERE)
    width, height = np.ptp(detection.keypoints[predicted], axis=0) if predicted.any() else (0.0, 0.0)
    return {
        "keypoints": np.column_stack([keypoints, np.ones(len(keypoints))]).ravel(),
        "area": float(width * height),
        "score": detection.score,
    }
