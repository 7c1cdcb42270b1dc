from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.geometry import Affine, Box
from posehg.inference.oks import distinct, extent, oks
from posehg.poses import Pose
from posehg.skeletons import MPII, Skeleton

SEEDS = st.integers(0, 2**31)


def pose(seed: int, joints: Skeleton = MPII, side: float = 130.0) -> Pose:
    """Somebody anywhere in a box of that side, each joint found."""
    rng = np.random.default_rng(seed)
    count = len(joints.joints)
    return Pose(joints, rng.uniform(50, 50 + side, (count, 2)), rng.uniform(0.4, 1, count), Box(0, 0, 170, 170), 0.5)


def swapped(one: Pose) -> Pose:
    mirrored = list(one.skeleton.flip)
    return replace(one, keypoints=one.keypoints[mirrored], scores=one.scores[mirrored])


# ---- similarity --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(one=SEEDS, other=SEEDS)
def test_similarity_is_symmetric_and_within_0_and_1(one: int, other: int) -> None:
    a, b = pose(one), pose(other)
    assert 0 <= oks(a, b) <= 1 + 1e-12
    assert oks(a, b) == pytest.approx(oks(b, a))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_pose_is_like_itself_and_like_itself_with_left_and_right_swapped(seed: int) -> None:
    one = pose(seed)
    assert oks(one, one) == pytest.approx(1)
    assert oks(one, swapped(one)) == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(one=SEEDS, other=SEEDS, zoom=st.floats(2, 9), x=st.floats(-400, 400))
def test_similarity_is_the_same_on_an_enlarged_picture(one: int, other: int, zoom: float, x: float) -> None:
    larger = Affine([[zoom, 0, x], [0, zoom, -x], [0, 0, 1]])
    a, b = pose(one, side=400.0), pose(other, side=400.0)  # so large that a pixel's own width is nothing
    assert oks(a.moved(larger), b.moved(larger)) == pytest.approx(oks(a, b), abs=0.01)


def test_similarity_is_oks_where_all_joints_are_equally_sure() -> None:
    joints = Skeleton("three", ("a", "b", "c"), (), sigmas=(0.1, 0.05, 0.2))
    points = np.array([(0.0, 0.0), (19.0, 29.0), (7.0, 11.0)])
    one = Pose(joints, points, np.ones(3), Box(0, 0, 31, 31), 1.0)
    other = replace(one, keypoints=points + np.array([(0, 0), (0, 0), (3, -4)]))
    area = 30**2 / 3  # the joints' box is 20 x 30 pixels
    expected = (1 + 1 + np.exp(-(5**2) / (2 * (2 * 0.2) ** 2 * area))) / 3
    assert oks(one, other) == pytest.approx(expected)


def test_half_a_body_is_like_the_whole() -> None:
    whole = pose(3)
    legs = [joint.endswith(("hip", "knee", "ankle")) for joint in MPII.joints]
    half = replace(whole, keypoints=np.where(np.array(legs)[:, None], 999.0, whole.keypoints))
    assert oks(whole, half) < 0.7
    assert oks(whole, replace(half, scores=np.where(legs, 0.0, half.scores))) == pytest.approx(1)


def test_nobody_is_like_nobody() -> None:
    nobody = replace(pose(5), scores=np.full(16, 0.29))
    assert extent(nobody) is None
    assert oks(nobody, nobody) == oks(pose(5), nobody) == oks(nobody, pose(5)) == 0


def test_poses_that_are_sure_of_different_joints_are_not_alike() -> None:
    one, other = (replace(pose(7), scores=(np.arange(16) % 2 == odd).astype(float)) for odd in (0, 1))
    unpaired = replace(MPII, flip_pairs=())  # no mirrored joint is sure in both either
    assert oks(replace(one, skeleton=unpaired), replace(other, skeleton=unpaired)) == 0


# ---- repeats -----------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seeds=st.lists(st.integers(0, 4), max_size=11), limit=st.floats(0.1, 0.9))
def test_of_similar_poses_the_first_stays(seeds: list[int], limit: float) -> None:
    poses = [pose(seed) for seed in seeds]
    chosen = distinct(poses, limit)
    assert [poses.index(one) for one in chosen] == sorted(poses.index(one) for one in chosen)
    assert all(oks(a, b) < limit for a in chosen for b in chosen if a is not b)
    for number, one in enumerate(poses):
        before = [other for other in chosen if poses.index(other) < number]
        assert (one in chosen) == all(oks(one, other) < limit for other in before)
