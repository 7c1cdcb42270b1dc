"""How alike two poses on one picture are, and which of many show different people."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from posehg.geometry import Box
from posehg.poses import Pose

THRESHOLD = 0.3
"""A joint with a lower score is neither drawn nor counted as found."""

_AREA = 1 / 3
"""The area of a person, as OKS has it, as a share of the square of their longer side: of somebody who stands."""


def extent(pose: Pose) -> Box | None:
    """The smallest box around the found joints; None where no joint is found."""
    return Box.bounding(pose.keypoints[pose.scores >= THRESHOLD])


def similarity(one: Pose, other: Pose) -> float:
    """OKS of two poses of one skeleton, 0 .. 1: 1 where each joint is at the same place, 0 where nobody is found.

    A joint weighs as much as it is sure in both poses, so that one of half a body is like that of the whole. The same
    body with left and right swapped is as similar. The smaller of the two says how far apart joints may be.
    """
    boxes = extent(one), extent(other)
    if boxes[0] is None or boxes[1] is None:
        return 0.0
    area = _AREA * min(max(box.w, box.h) for box in boxes if box) ** 2
    mirrored = list(one.skeleton.flip)
    turns = (other.keypoints, other.scores), (other.keypoints[mirrored], other.scores[mirrored])
    return max(_oks(one, points, scores, area) for points, scores in turns)


def _oks(one: Pose, points: np.ndarray, scores: np.ndarray, area: float) -> float:
    reach = 2 * np.array(one.skeleton.oks_sigmas)
    near = np.exp(-((one.keypoints - points) ** 2).sum(axis=1) / (2 * reach**2 * area))
    weights = one.scores * scores
    return float((weights * near).sum() / max(weights.sum(), 1e-12))


def distinct(poses: Iterable[Pose], limit: float) -> list[Pose]:
    """Those that are not as similar as ``limit`` to one before them, in their order."""
    chosen: list[Pose] = []
    for pose in poses:
        if all(similarity(pose, before) < limit for before in chosen):
            chosen.append(pose)
    return chosen
