"""The one-euro filter over tracks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.geometry import Box
from posehg.inference.tracking import OneEuro
from posehg.poses import Pose
from posehg.skeletons import MPII

J = len(MPII.joints)


def pose(seed: int, id: int | None = 1, size: float = 130.0) -> Pose:
    rng = np.random.default_rng(seed)
    return Pose(MPII, rng.uniform(50, 50 + size, (J, 2)), rng.uniform(0.4, 1, J), Box(0, 0, 170, 170), 0.7, id)


def shifted(one: Pose, x: float) -> Pose:
    return replace(one, keypoints=one.keypoints + np.array([x, 0.0]))


def test_it_is_the_filter_of_the_paper() -> None:
    """One joint along one axis, as Algorithm 1 of Casiez, Roussel and Vogel has it, in body lengths."""

    def alpha(cutoff: float, since: float) -> float:
        return 1 / (1 + 1 / (2 * np.pi * cutoff * since))

    still, rng = pose(3), np.random.default_rng(11)
    still = replace(still, keypoints=still.keypoints * (0, 1))
    size = float(np.ptp(still.keypoints[:, 1])) + 1
    places, steps = rng.uniform(-9, 9, 17), rng.uniform(0.01, 0.2, 17)
    smoother = OneEuro(min_cutoff=1.3, beta=7.0, velocity_cutoff=0.9)
    value, slope = places[0], 0.0
    smoother([shifted(still, places[0])], 0.0)
    for place, step, time in zip(places[1:], steps[1:], np.cumsum(steps[1:]), strict=True):
        slope += alpha(0.9, step) * ((place - value) / step - slope)
        value += alpha(1.3 + 7.0 * abs(slope) / size, step) * (place - value)
        found = smoother([shifted(still, place)], float(time))[0].keypoints
        assert found[:, 0] == pytest.approx(np.full(J, value))
        assert found[:, 1] == pytest.approx(still.keypoints[:, 1])


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), gaps=st.lists(st.floats(0, 0.4, allow_subnormal=False), min_size=2, max_size=13))
def test_a_smoothed_joint_lies_between_the_places_where_it_was_seen(seed: int, gaps: list[float]) -> None:
    rng, smoother = np.random.default_rng(seed), OneEuro()
    low, high = np.full((J, 2), np.inf), np.full((J, 2), -np.inf)
    for time in np.cumsum(gaps):
        now = pose(int(rng.integers(2**31)))
        kept = now.keypoints.copy()
        low, high = np.minimum(low, kept), np.maximum(high, kept)
        (found,) = smoother([now], float(time))
        assert (found.keypoints >= low - 1e-9).all()
        assert (found.keypoints <= high + 1e-9).all()
        assert np.array_equal(now.keypoints, kept)
        assert np.array_equal(found.scores, now.scores)


def test_tracks_do_not_mix_and_poses_without_id_pass() -> None:
    separate, together = (OneEuro(), OneEuro()), OneEuro()
    for number in range(5):
        poses = [pose(number, id=1), pose(number + 100, id=2)]
        alone = [smoother([one], number * 0.04)[0] for smoother, one in zip(separate, poses, strict=True)]
        both = together(poses[::-1] if number % 2 else poses, number * 0.04)
        for one in both:
            assert np.array_equal(one.keypoints, next(other.keypoints for other in alone if other.id == one.id))
        unknown = pose(number, id=None)
        assert together([unknown], number * 0.04) == [unknown]


def test_a_joint_that_was_not_found_starts_again() -> None:
    smoother, lost = OneEuro(), 4
    smoother([pose(1)], 0.0)
    second, third = pose(2), pose(3)
    scores = second.scores.copy()
    scores[lost] = 0.1
    (found,) = smoother([replace(second, scores=scores)], 0.04)
    assert np.array_equal(found.keypoints[lost], second.keypoints[lost])
    (found,) = smoother([third], 0.08)
    assert np.flatnonzero((found.keypoints == third.keypoints).all(axis=1)).tolist() == [lost]


@pytest.mark.parametrize(("time", "again"), [(1.3, False), (1.7, True), (0.0, True)])
def test_a_track_starts_again_after_a_gap_and_when_time_goes_back(time: float, again: bool) -> None:
    smoother = OneEuro(away=0.5)
    smoother([pose(1)], 1.0)
    (found,) = smoother([pose(2)], time)
    assert np.array_equal(found.keypoints, pose(2).keypoints) == again


def test_a_frame_of_the_same_time_changes_nothing() -> None:
    smoother, other = OneEuro(), OneEuro()
    for each in (smoother, other):
        each([pose(1)], 0.0)
        before = each([pose(2)], 0.04)[0]
    assert np.array_equal(smoother([pose(3)], 0.04)[0].keypoints, before.keypoints)
    assert np.array_equal(smoother([pose(4)], 0.08)[0].keypoints, other([pose(4)], 0.08)[0].keypoints)
