"""OKS between poses."""

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


def pose(seed: int, side: float = 130.0) -> Pose:
    """Random joints in a box of that side, all found."""
    rng, count = np.random.default_rng(seed), len(MPII.joints)
    return Pose(MPII, rng.uniform(50, 50 + side, (count, 2)), rng.uniform(0.4, 1, count), Box(0, 0, 170, 170), 0.5)


@settings(max_examples=40)
@given(one=SEEDS, other=SEEDS, zoom=st.floats(2, 9), x=st.floats(-400, 400))
def test_oks_is_symmetric_and_independent_of_scale_and_mirroring(one: int, other: int, zoom: float, x: float) -> None:
    a, b = pose(one, 400.0), pose(other, 400.0)
    value = oks(a, b)
    assert 0 <= value <= 1 + 1e-12
    assert oks(b, a) == pytest.approx(value)
    mirrored = list(MPII.flip)
    swapped = replace(b, keypoints=b.keypoints[mirrored], scores=b.scores[mirrored])
    assert oks(a, swapped) == pytest.approx(value)
    assert oks(a, a) == pytest.approx(1)
    larger = Affine([[zoom, 0, x], [0, zoom, -x], [0, 0, 1]])
    assert oks(a.moved(larger), b.moved(larger)) == pytest.approx(value, abs=0.01)  # but for the width of a pixel


def test_it_is_the_definition_if_all_scores_are_1() -> None:
    joints = Skeleton("three", ("a", "b", "c"), (), sigmas=(0.1, 0.05, 0.2))
    points = np.array([(0.0, 0.0), (19.0, 29.0), (7.0, 11.0)])
    one = Pose(joints, points, np.ones(3), Box(0, 0, 31, 31), 1.0)
    other = replace(one, keypoints=points + np.array([(0, 0), (0, 0), (3, -4)]))
    area = 30**2 / 3  # the box is 20 x 30 pixels
    expected = (1 + 1 + np.exp(-(5**2) / (2 * (2 * 0.2) ** 2 * area))) / 3
    assert oks(one, other) == pytest.approx(expected)


def test_half_a_body_matches_the_whole() -> None:
    full = pose(3)
    legs = [joint.endswith(("hip", "knee", "ankle")) for joint in MPII.joints]
    half = replace(full, keypoints=np.where(np.array(legs)[:, None], 999.0, full.keypoints))
    assert oks(full, half) < 0.7
    assert oks(full, replace(half, scores=np.where(legs, 0.0, half.scores))) == pytest.approx(1)
    nobody = replace(full, scores=np.full(16, 0.29))
    assert extent(nobody) is None
    assert oks(nobody, nobody) == oks(full, nobody) == oks(nobody, full) == 0


@settings(max_examples=25)
@given(seeds=st.lists(st.integers(0, 4), max_size=11), limit=st.floats(0.1, 0.9))
def test_distinct_keeps_the_first_of_similar_poses(seeds: list[int], limit: float) -> None:
    poses = [pose(seed) for seed in seeds]
    kept = distinct(poses, limit)
    for number, one in enumerate(poses):
        earlier = [other for other in kept if poses.index(other) < number]
        assert (one in kept) == all(oks(one, other) < limit for other in earlier)
