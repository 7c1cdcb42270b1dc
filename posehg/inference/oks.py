"""OKS between found poses: how similar two of them are, and which of several show different people."""

from collections.abc import Iterable

import numpy as np

from posehg.geometry import Box
from posehg.poses import Pose

_AREA = 1 / 3
"""OKS measures in the person's area: that of a standing person, as a share of the square of the longer side."""


def extent(pose: Pose) -> Box | None:
    """The bounding box of the found joints; None if no joint was found."""
    return Box.bounding(pose.keypoints[pose.found])


def oks(one: Pose, other: Pose) -> float:
    """Object keypoint similarity of two poses of one skeleton, 0 .. 1; 0 if either pose has no found joint.

    Each joint is weighted by the product of its two scores, so half a body can match the whole. A pose with left and
    right swapped is as similar. The scale is the area of the smaller person.
    """
    boxes = [box for box in (extent(one), extent(other)) if box]
    if len(boxes) < 2:
        return 0.0
    area = _AREA * min(max(box.w, box.h) for box in boxes) ** 2
    reach = 2 * np.array(one.skeleton.oks_sigmas)
    best = 0.0
    for order in (slice(None), list(one.skeleton.flip)):
        distances = ((one.keypoints - other.keypoints[order]) ** 2).sum(axis=1)
        weights = one.scores * other.scores[order]
        near = np.exp(-distances / (2 * reach**2 * area))
        best = max(best, float((weights * near).sum() / max(weights.sum(), 1e-12)))
    return best


def distinct(poses: Iterable[Pose], limit: float) -> list[Pose]:
    """The poses in their order, without those whose OKS with an earlier kept one reaches ``limit``."""
    kept: list[Pose] = []
    for pose in poses:
        if all(oks(pose, earlier) < limit for earlier in kept):
            kept.append(pose)
    return kept


def surest_first(poses: Iterable[Pose], limit: float) -> list[Pose]:
    """``distinct`` poses, the one with the highest score first."""
    return distinct(sorted(poses, key=lambda pose: -pose.score), limit)
