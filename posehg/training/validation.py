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
    """A validation set with what the network said of it. pck: of the limb joints, in percent; NaN where none counts."""

    data: Dataset
    poses: Sequence[Pose]
    pck: float


def validate(estimator: Estimator, data: Dataset) -> Validation:
    """PCK@0.2 by the torso of ``data``'s own skeleton, over the limb joints that the network has."""
    poses, predicted = persons.predicted(estimator, data)
    truth = np.stack([person.keypoints for person in data.persons])
    scores = metrics.pck(predicted, truth, data.skeleton)
    counted = metrics.limb_indices(data.skeleton, persons.joints_in_common(estimator, data))
    return Validation(data, poses, scores.mean(counted))
