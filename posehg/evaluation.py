"""A data set and an estimator to a report: PCK by torso size and, where heads are annotated, PCKh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from posehg import metrics
from posehg.datasets.dataset import Dataset
from posehg.errors import InputError
from posehg.inference import persons
from posehg.inference.estimator import Estimator
from posehg.metrics import JointScores
from posehg.poses import Pose
from posehg.skeletons import Skeleton

PCK_THRESHOLD, PCKH_THRESHOLD = 0.2, 0.5
_NOT_IN_PCKH_MEAN = ("pelvis", "thorax")
"""MPII's own evaluation leaves these two joints out of its mean."""


@dataclass(frozen=True, eq=False)
class Table:
    """One metric: the scores of each joint, and the means in use, each by its name, in percent."""

    metric: str
    scores: JointScores
    means: dict[str, float]


@dataclass(frozen=True, eq=False)
class Report:
    """dataset, split, persons: what was evaluated. joints: those that the network and the data set share."""

    dataset: str
    split: str
    persons: int
    skeleton: Skeleton
    joints: tuple[str, ...]
    tables: tuple[Table, ...]


def evaluate(estimator: Estimator, data: Dataset, watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter) -> Report:
    """The poses from the annotated boxes against the annotation; joints are matched by name, others do not count.

    Of several processes each estimates its share, and all get the whole report.
    watch: sees this process's poses come, for a progress bar.
    Raises InputError where network and data set have no joint in common.
    """
    joints = persons.joints_in_common(estimator, data)
    if not joints:
        raise InputError(
            f"The model has none of the joints of {data.name}: it was made for another skeleton.",
            f"The model has: {', '.join(estimator.config.skeleton.joints)}.",
        )
    _, predicted = persons.predicted(estimator, data, watch)
    people = list(data.persons)
    truth = np.stack([person.keypoints for person in people])
    tables = [_pck(predicted, truth, data.skeleton, joints)]
    heads = np.array([np.nan if person.head_size is None else person.head_size for person in people])
    if np.isfinite(heads).any():
        tables.append(_pckh(predicted, truth, heads, data.skeleton))
    return Report(data.name, data.split, len(data), data.skeleton, joints, tuple(tables))


def _pck(predicted: metrics.Array, truth: metrics.Array, skeleton: Skeleton, joints: tuple[str, ...]) -> Table:
    scores = metrics.pck(predicted, truth, skeleton, PCK_THRESHOLD)
    channels = [skeleton.index(joint) for joint in joints]
    limbs = metrics.limb_indices(skeleton, joints)
    means = {f"mean of the {len(limbs)} limb joints": scores.mean(limbs)} if limbs != channels else {}
    means[f"mean of all {len(joints)} joints"] = scores.mean(channels)
    return Table(f"PCK@{PCK_THRESHOLD:g}", scores, means)


def _pckh(predicted: metrics.Array, truth: metrics.Array, heads: metrics.Array, skeleton: Skeleton) -> Table:
    distances = metrics.normalised_distances(predicted, truth, heads)
    scores = metrics.found(distances, PCKH_THRESHOLD)
    everything = list(range(len(skeleton.joints)))
    counted = [i for i in everything if skeleton.joints[i] not in _NOT_IN_PCKH_MEAN]
    means = {
        "mean of joints without pelvis and thorax": scores.mean(counted),
        "weighted mean without pelvis and thorax": scores.weighted_mean(counted),
        "weighted mean of all joints": scores.weighted_mean(everything),
    }
    return Table(f"PCKh@{PCKH_THRESHOLD:g}", scores, means)
