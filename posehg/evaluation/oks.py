"""COCO's average precision (AP) and recall (AR) of poses, by pycocotools.

OKS, the similarity of a found and an annotated person, is the mean over the labelled joints of
exp(-d^2 / (2 (2 sigma)^2 area)) with d the distance of a joint: https://cocodataset.org/#keypoints-eval
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.detections import PERSON, Detection
from posehg.evaluation.predictions import Predictions, is_known
from posehg.geometry import Box
from posehg.metrics import Array
from posehg.poses import Person

FIGURES = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")
_NOWHERE = 1e9  # where a joint that is not predicted is put: its similarity is 0


def of_persons(data: Dataset, predictions: Predictions) -> list[Detection]:
    """A detection for each person with a prediction, in order.

    Its score is the mean of the known joint scores, as in other projects for given boxes; 1 if none is known.
    """
    detections = []
    for person, keypoints, scores in zip(data.persons, predictions.keypoints, predictions.scores, strict=True):
        there = is_known(keypoints)
        if there.any():
            known = scores[there & ~np.isnan(scores)]
            detections.append(Detection(person.image, keypoints, scores, float(known.mean()) if len(known) else 1.0))
    return detections


def score(data: Dataset, detections: Sequence[Detection], sigmas: Array | None = None) -> dict[str, float]:
    """COCO's ten ``FIGURES``, each in 0 .. 1, NaN if nothing of that kind is annotated.

    AP, AR: over the OKS thresholds 0.50, 0.55 .. 0.95. Medium persons have an area of 32^2 to 96^2 pixels, large ones
    more. The twenty detections of an image with the highest scores count.

    A person without an annotated area is as large as the extent of its labelled joints, because bounding boxes have
    more or less room around the person. Ignored people are neither missed nor wrongly found.
    sigmas: (J,) the spread of annotators for each joint, as a share of the root of the area; by default the skeleton's.
    Raises NotAvailable without pycocotools, UsageError for sigmas that are not J positive numbers.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        hint = "Install it: pipx inject posehg pycocotools, or pip install 'posehg[coco]'"
        raise NotAvailable("OKS needs pycocotools.", hint) from None
    sigmas = np.asarray(data.skeleton.oks_sigmas if sigmas is None else sigmas, dtype=np.float64)
    joints = len(data.skeleton.joints)
    if sigmas.shape != (joints,) or not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise UsageError(f"OKS of the skeleton {data.skeleton.name!r} needs {joints} sigmas, each a positive number.")
    truth = [(person.image, _truth(person, counts=True)) for person in data.persons]
    truth += [(person.image, _truth(person, counts=False)) for person in data.ignored]
    found = [(detection.image, _found(detection)) for detection in detections]
    # Equal scores rank in the order of images: sorted by name, that is the order of COCO's numbers.
    images = sorted({image for image, _ in truth + found})
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        annotated, detected = (_indexed(COCO(), images, records) for records in (truth, found))
        evaluation = COCOeval(annotated, detected, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = (float(figure) if figure >= 0 else float("nan") for figure in evaluation.stats)
    return dict(zip(FIGURES, values, strict=True))


def _indexed(coco: Any, images: list[Path], records: list[tuple[Path, dict[str, Any]]]) -> Any:
    """The COCO object with these records, each of an image. Ids begin with 1: pycocotools takes 0 for no match."""
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
    labelled = is_known(person.keypoints)
    flags = np.where(labelled, 1 + person.visible, 0)  # 1: hidden, 2: visible
    keypoints = np.where(labelled[:, None], person.keypoints, 0)
    extent = Box.bounding(person.keypoints) or person.box
    return {
        "keypoints": np.column_stack([keypoints, flags]).ravel(),
        "num_keypoints": int(labelled.sum()) if counts else 0,  # pycocotools ignores persons without keypoints
        "area": extent.w * extent.h if person.area is None else person.area,
        "bbox": list(person.box.as_tuple()),
        "iscrowd": int(person.crowd),
    }


def _found(detection: Detection) -> dict[str, Any]:
    predicted = is_known(detection.keypoints)
    keypoints = np.where(predicted[:, None], detection.keypoints, _NOWHERE)
    width, height = np.ptp(detection.keypoints[predicted], axis=0) if predicted.any() else (0.0, 0.0)
    return {
        "keypoints": np.column_stack([keypoints, np.ones(len(keypoints))]).ravel(),
        "area": float(width * height),
        "score": detection.score,
    }
