"""A contact sheet of the persons whom a network got most wrong."""

from __future__ import annotations

import numpy as np

from posehg import drawing
from posehg.datasets.dataset import Dataset
from posehg.evaluation.predictions import Predictions
from posehg.evaluation.scoring import UNITS, Metric
from posehg.images import Image
from posehg.metrics import Array
from posehg.poses import Pose

_COLUMNS, _CELL = 6, 256
_PADDING = 1.25
"""The side of what is shown, as a multiple of the person's box."""


def errors(metric: Metric) -> Array:
    """(N,): each person's mean distance over the joints that count; NaN where none does."""
    counted = ~np.isnan(metric.distances)
    with np.errstate(invalid="ignore"):
        return np.where(counted, metric.distances, 0.0).sum(axis=1) / counted.sum(axis=1)


def sheet(data: Dataset, predictions: Predictions, metric: Metric, count: int) -> Image:
    """At most ``count`` persons, the worst first: the truth thin and green, the prediction in colour.

    Under each stand its name and its mean distance. Reads their pictures.
    """
    mistakes = errors(metric)
    order = [index for index in np.argsort(-mistakes, kind="stable") if not np.isnan(mistakes[index])][:count]
    cells = [_cell(data, predictions, index) for index in order]
    captions = [f"{_name(data, index)}\n{_told(mistakes[index])} {UNITS[metric.name]}" for index in order]
    return drawing.contact_sheet(cells, max(1, min(_COLUMNS, len(cells))), _CELL, captions=captions)


def _cell(data: Dataset, predictions: Predictions, index: int) -> Image:
    person = data.persons[index]
    scores = np.nan_to_num(predictions.scores[index])
    pose = Pose(data.skeleton, predictions.keypoints[index], scores, person.box.square(_PADDING), float(scores.mean()))
    return drawing.judged(data.read(person), pose, data.skeleton, person.keypoints, _CELL)


def _name(data: Dataset, index: int) -> str:
    person = data.persons[index]
    return person.id or f"{person.image.name}, number {index}"


def _told(error: float) -> str:
    return f"{error:.2f}" if np.isfinite(error) else "more than any number of"
