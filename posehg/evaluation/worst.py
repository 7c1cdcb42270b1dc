"""A contact sheet of the persons whom a network got most wrong."""

from __future__ import annotations

import numpy as np

from posehg import drawing
from posehg.datasets.dataset import Dataset
from posehg.evaluation.prediction_formats.matching import Predictions, name_of
from posehg.evaluation.scoring import Metric
from posehg.images import Image
from posehg.metrics import Array
from posehg.poses import Pose

_COLUMNS, _CELL = 6, 256
_PADDING = 1.25
"""The side of what is shown, as a multiple of the person's box."""


def errors(metric: Metric) -> Array:
    """(N,): each person's mean distance over the joints that count and are predicted; NaN where there is none."""
    known = np.isfinite(metric.distances)
    with np.errstate(invalid="ignore"):
        return np.where(known, metric.distances, 0.0).sum(axis=1) / known.sum(axis=1)


def sheet(data: Dataset, predictions: Predictions, metric: Metric, count: int) -> Image:
    """At most ``count`` persons, the worst first: the truth thin and green, the prediction in colour.

    Under each stand its name, its picture, its mean distance and how many joints are not predicted. Persons of whom
    nothing is predicted have no distance and come last. Reads their pictures.
    """
    mistakes, missing = errors(metric), np.isinf(metric.distances).sum(axis=1)
    measured = [index for index in range(len(data)) if missing[index] or not np.isnan(mistakes[index])]
    order = sorted(measured, key=lambda index: -np.nan_to_num(mistakes[index], nan=-1.0))[:count]
    cells = [_cell(data, predictions, index) for index in order]
    captions = [
        f"{name_of(index, data.persons[index])}\n{data.persons[index].image.name}\n"
        + _told(mistakes[index], metric.measure.units, missing[index])
        for index in order
    ]
    return drawing.contact_sheet(cells, max(1, min(_COLUMNS, len(cells))), _CELL, captions=captions)


def _cell(data: Dataset, predictions: Predictions, index: int) -> Image:
    person = data.persons[index]
    scores = np.nan_to_num(predictions.scores[index])
    pose = Pose(data.skeleton, predictions.keypoints[index], scores, person.box.square(_PADDING), float(scores.mean()))
    return drawing.judged(data.read(person), pose, data.skeleton, person.keypoints, _CELL)


def _told(error: float, units: str, missing: int) -> str:
    if np.isnan(error):
        return "nothing is predicted"
    lost = "a joint is" if missing == 1 else f"{missing} joints are"
    return f"{error:.2f} {units}" + (f", {lost} not predicted" if missing else "")
