"""How good the network is by now: the same estimator as prediction, on annotated persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posehg import metrics
from posehg.datasets.dataset import Dataset
from posehg.inference import persons
from posehg.inference.estimator import Estimator
from posehg.metrics import Array
from posehg.poses import Pose


@dataclass(frozen=True, eq=False)
class Validation:
    """A validation set with what the network said of it.

    pck: of the limb joints, in percent; NaN where none counts. measure: what it is called.
    """

    data: Dataset
    poses: Sequence[Pose]
    pck: float
    measure: str = "PCK@0.2"


def validate(estimator: Estimator, data: Dataset) -> Validation:
    """PCK over the limb joints that the network has, of ``data``'s own skeleton: @0.2 of its torso.

    A hand, or an animal, may have none. It is measured as animals are: @0.05 of the box's longer side.
    """
    poses, predicted = persons.predicted(estimator, data)
    truth = np.stack([person.keypoints for person in data.persons])
    measure, threshold, units = _unit(data, truth)
    scores = metrics.found(metrics.normalised_distances(predicted, truth, units), threshold)
    counted = metrics.limb_indices(data.skeleton, persons.joints_in_common(estimator, data))
    return Validation(data, poses, scores.mean(counted), measure)


def _unit(data: Dataset, truth: Array) -> tuple[str, float, Array]:
    """What the measure is called, its threshold, and (N,) its unit of each person in photo pixels."""
    if metrics.has_torso(data.skeleton):
        return "PCK@0.2", 0.2, metrics.torso_sizes(truth, data.skeleton)
    sides = np.array([max(person.box.w, person.box.h) for person in data.persons])
    return "PCK@0.05 of the box", 0.05, sides
