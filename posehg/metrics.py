"""PCK and PCKh: arrays in, arrays out. N persons, J joints.

NaN never counts: in the truth it is a joint that is not labelled, in a prediction one that the network does not have.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import LIMB_JOINTS, Skeleton

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointScores:
    """correct: (J,) how many joints were found; labelled: (J,) of how many; persons: of how many people.

    Those of people without a unit, such as a torso to measure by, are in neither.
    """

    correct: NDArray[np.int64]
    labelled: NDArray[np.int64]
    persons: int

    @property
    def percent(self) -> Array:
        """(J,) percent found; NaN for a joint that is never labelled."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 100.0 * self.correct / self.labelled

    def mean(self, joints: list[int]) -> float:
        """The unweighted mean of these joints' percentages; joints never labelled are left out, NaN if all are."""
        values = self.percent[joints]
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    def weighted_mean(self, joints: list[int]) -> float:
        """Found of labelled over these joints together, in percent."""
        labelled = int(self.labelled[joints].sum())
        return 100.0 * int(self.correct[joints].sum()) / labelled if labelled else float("nan")


def normalised_distances(predicted: Array, truth: Array, unit: Array) -> Array:
    """|predicted - truth| / unit: (N, J, 2), (N, J, 2), (N,) photo pixels -> (N, J).

    NaN where truth or prediction is NaN and for persons whose unit is missing, zero or negative: they are skipped.
    """
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)
    return np.linalg.norm(predicted - truth, axis=-1) / unit[:, None]


def found(distances: Array, threshold: float) -> JointScores:
    """PCK: a joint is found when its normalised distance is at most ``threshold``. distances: (N, J)."""
    with np.errstate(invalid="ignore"):
        hits = distances <= threshold
    counted = np.isfinite(distances)
    persons = int(counted.any(axis=1).sum())
    return JointScores(hits.sum(axis=0).astype(np.int64), counted.sum(axis=0).astype(np.int64), persons)


def torso_sizes(truth: Array, skeleton: Skeleton) -> Array:
    """The unit of PCK: (N, J, 2) -> (N,) the distance of the skeleton's two torso joints; NaN where one is missing."""
    a, b = (truth[:, skeleton.index(joint)] for joint in skeleton.torso)
    return np.linalg.norm(a - b, axis=-1)


def pck(predicted: Array, truth: Array, skeleton: Skeleton, threshold: float = 0.2) -> JointScores:
    """PCK by torso size: predicted and truth (N, J, 2) in photo pixels, NaN in the truth = not labelled."""
    return found(normalised_distances(predicted, truth, torso_sizes(truth, skeleton)), threshold)


def limb_indices(skeleton: Skeleton, joints: Collection[str] | None = None) -> list[int]:
    """The channels whose mean is the figure of a network: of the twelve joints of arms and legs, where there are any.

    joints: those of the skeleton that count, all by default. Without an arm or leg among them it is their channels.
    """
    counted = [channel for channel, joint in enumerate(skeleton.joints) if joints is None or joint in joints]
    return [channel for channel in counted if skeleton.joints[channel] in LIMB_JOINTS] or counted
