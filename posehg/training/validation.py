"""How good the network is by now: the same estimator as prediction, on annotated persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posehg import metrics
from posehg.datasets.dataset import Dataset
from posehg.inference import persons
from posehg.inference.estimator import Estimator
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
    """PCK over the limb joints that the network has, of ``data``'s own skeleton."""
    poses, predicted = persons.predicted(estimator, data)
    truth = np.stack([person.keypoints for person in data.persons])
    sides = np.array([max(person.box.w, person.box.h) for person in data.persons])
    measure, units = metrics.pck_measure(data.skeleton), metrics.pck_units(truth, sides, data.skeleton)
    scores = metrics.found(metrics.normalised_distances(predicted, truth, units), measure.threshold)
    counted = metrics.limb_channels(data.skeleton, persons.joints_in_common(estimator, data))
    return Validation(data, poses, scores.mean(counted), measure.at(measure.threshold))
