"""A pose's bounding box."""

from dataclasses import replace

import numpy as np
import pytest

from posehg.geometry import Affine, Box
from posehg.poses import THRESHOLD, Pose
from tests.results import SEVEN

CROP = Box(-20, -10, 200, 200)
POINTS = np.array([[50.0, 20], [40, 40], [60, 40], [30, 60], [70, 60], [45, 80], [55, 119]])


def pose(**changes: object) -> Pose:
    return replace(Pose(SEVEN, POINTS, np.full(7, 0.9), CROP, 0.9), **changes)  # type: ignore[arg-type]


def test_the_bounding_box_reaches_a_little_beyond_the_found_joints() -> None:
    assert tuple(pose().bbox) == pytest.approx((30 - 6, 20 - 6, 41 + 12, 100 + 12))
    scores = np.array([0.9, 0.9, 0.9, 0.9, 0.9, THRESHOLD, 0.1])
    there = pose(scores=scores)
    assert there.found.tolist() == [True] * 6 + [False]
    assert tuple(there.bbox) == pytest.approx((30 - 3.66, 20 - 3.66, 41 + 7.32, 61 + 7.32))


def test_one_joint_has_a_small_box_and_none_has_the_crop() -> None:
    assert tuple(pose(scores=np.eye(7)[3]).bbox) == pytest.approx((29.94, 59.94, 1.12, 1.12))
    assert pose(scores=np.zeros(7)).bbox == CROP


def test_the_box_moves_with_the_pose() -> None:
    change = Affine.translation(7, -300)
    for scores in (np.full(7, 0.9), np.zeros(7)):
        there = pose(scores=scores)
        assert tuple(there.moved(change).bbox) == pytest.approx(tuple(there.bbox.moved(change)))
    assert pose().moved(change).bbox.y < 0  # it is not cut off at an image's border
