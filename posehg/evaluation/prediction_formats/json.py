"""posehg's own format: people and joints by name, numbers as exact as they were.

    {"posehg_predictions": 1, "dataset": .., "split": .., "about": {..}, "joints": [..],
     "people": [{"id": .., "keypoints": [[x, y, score], ..]}, ..]}

Coordinates are photo pixels counted from 0. A joint that is not predicted is null in place of [x, y, score], a score
that is not known is null, and so are the keypoints of somebody of whom nothing is predicted. The number grows when a
reader of older files could misread a new one.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import opened
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.prediction_formats import matching, records
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.metrics import Array

KEY, VERSION = "posehg_predictions", 1

_EXPECTED = "a file of predictions that posehg wrote"

Joint = list[float | None] | None


def read(path: Path, data: Dataset) -> Predictions:
    """A record, or lines of them, that ``posehg predict`` wrote are read too.

    Raises NotAvailable for other files and other people, UsageError for COCO's list of results.
    """
    if records.is_records(path):
        return records.read(path, data)
    with opened(path, _EXPECTED) as file:
        content = json.load(file)
        _check_kind(path, content)
        matching.check_set(path, data, content["dataset"], content["split"])
        joints, people = content["joints"], content["people"]
        values = np.array([_person(person["keypoints"], len(joints)) for person in people])
        values = values.reshape(len(people), len(joints), 3)
        ids = [str(person["id"]) for person in people]
        return matching.by_name(path, data, ids, joints, values[..., :2], values[..., 2], dict(content["about"]))


def write(path: Path, data: Dataset, predictions: Predictions) -> None:
    triples = np.concatenate([predictions.keypoints, predictions.scores[..., None]], axis=-1)
    people = [
        {"id": name, "keypoints": _listed(person)} for name, person in zip(matching.names(data), triples, strict=True)
    ]
    head = {KEY: VERSION, "dataset": data.name, "split": data.split, "about": dict(predictions.about)}
    content = {**head, "joints": list(data.skeleton.joints), "people": people}
    path.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _check_kind(path: Path, content: Any) -> None:
    if isinstance(content, list):
        raise UsageError(
            f"{path} is a list, as COCO's results: any number of people a picture, which only OKS can score.",
            "Give --metric oks.",
        )
    if "posehg_report" in content:
        raise UsageError(f"{path} is a report, which holds no predictions.", "Two reports are compared by --compare.")
    if content[KEY] != VERSION:
        hint = "Update posehg, or write the predictions again."
        raise NotAvailable(f"{path} has version {content[KEY]} of its format; posehg reads {VERSION}.", hint)


def _person(keypoints: list[Joint] | None, joints: int) -> Array:
    """(K, 3) x, y and score, NaN for null."""
    if keypoints is None:
        return np.full((joints, 3), np.nan)
    return matching.numbers([_joint(joint) for joint in keypoints]).reshape(joints, 3)


def _joint(joint: Joint) -> tuple[float, float, float]:
    if joint is None:
        return math.nan, math.nan, math.nan
    x, y, score = joint
    if x is None or y is None:
        raise ValueError("a joint has one coordinate")
    return x, y, math.nan if score is None else score


def _listed(person: Array) -> list[Joint] | None:
    """(J, 3) -> what is written of somebody."""
    joints: list[Joint] = [
        [x, y, None if math.isnan(score) else score] if math.isfinite(x) and math.isfinite(y) else None
        for x, y, score in person.tolist()
    ]
    return None if all(joint is None for joint in joints) else joints
