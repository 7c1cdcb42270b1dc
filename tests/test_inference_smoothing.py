from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.geometry import Affine, Box
from posehg.inference.smoothing import OneEuro
from posehg.poses import Pose
from posehg.skeletons import MPII

SEEDS = st.integers(0, 2**31)
TIMES = st.lists(st.floats(0, 0.4, allow_subnormal=False), min_size=2, max_size=13)
J = len(MPII.joints)


def pose(seed: int, id: int | None = 1, size: float = 130.0) -> Pose:
    rng = np.random.default_rng(seed)
    return Pose(MPII, rng.uniform(50, 50 + size, (J, 2)), rng.uniform(0.4, 1, J), Box(0, 0, 170, 170), 0.7, id)


def shifted(one: Pose, x: float, y: float = 0.0) -> Pose:
    return replace(one, keypoints=one.keypoints + np.array([x, y]))


def trembling(frames: int, spread: float, size: float = 130.0) -> list[Pose]:
    rng, still = np.random.default_rng(5), pose(7, size=size)
    return [replace(still, keypoints=still.keypoints + rng.normal(0, spread, (J, 2))) for _ in range(frames)]


def smoothed(poses: list[Pose], step: float = 0.04, **options: float) -> np.ndarray:
    smoother = OneEuro(**options)
    return np.stack([smoother([one], number * step)[0].keypoints for number, one in enumerate(poses)])


# ---- what it does ------------------------------------------------------------------------------------------------


def test_it_is_the_filter_of_the_paper() -> None:
    """One joint along one axis, as Algorithm 1 of Casiez, Roussel and Vogel has it, in body lengths."""

    def alpha(cutoff: float, since: float) -> float:
        return 1 / (1 + 1 / (2 * np.pi * cutoff * since))

    still, rng = pose(3), np.random.default_rng(11)
    still = replace(still, keypoints=still.keypoints * (0, 1))
    size = float(np.ptp(still.keypoints[:, 1])) + 1
    ways, steps = rng.uniform(-9, 9, 17), rng.uniform(0.01, 0.2, 17)
    smoother = OneEuro(min_cutoff=1.3, beta=7.0, velocity_cutoff=0.9)
    value, slope = ways[0], 0.0
    smoother([shifted(still, ways[0])], 0.0)
    for way, step, time in zip(ways[1:], steps[1:], np.cumsum(steps[1:]), strict=True):
        slope += alpha(0.9, step) * ((way - value) / step - slope)
        value += alpha(1.3 + 7.0 * abs(slope) / size, step) * (way - value)
        given = smoother([shifted(still, way)], float(time))[0].keypoints
        assert given[:, 0] == pytest.approx(np.full(J, value))
        assert given[:, 1] == pytest.approx(still.keypoints[:, 1])


def test_a_still_joint_trembles_less() -> None:
    poses = trembling(40, spread=1.0)
    before = np.stack([one.keypoints for one in poses])
    after = smoothed(poses)
    assert np.abs(np.diff(after[10:], axis=0)).mean() < 0.35 * np.abs(np.diff(before[10:], axis=0)).mean()


def test_a_fast_joint_lags_less_with_a_larger_beta() -> None:
    poses = [shifted(pose(7), 8.0 * number) for number in range(30)]
    behind = [np.abs(smoothed(poses, beta=beta)[-1] - poses[-1].keypoints).max() for beta in (0.0, 5.0, 50.0)]
    assert behind[0] > behind[1] > behind[2]
    assert behind[2] < 8.0  # less than a frame


@settings(max_examples=20, deadline=None)
@given(zoom=st.floats(0.5, 9), x=st.floats(-400, 400))
def test_settings_mean_the_same_for_large_and_small_people(zoom: float, x: float) -> None:
    larger = Affine([[zoom, 0, x], [0, zoom, -x], [0, 0, 1]])
    poses = [shifted(one, number * 13.0) for number, one in enumerate(trembling(7, 9.0, size=4000.0))]
    expected = larger(smoothed(poses))
    # A person's size counts the pixels at both ends, so that it does not grow by quite that much.
    assert np.abs(smoothed([one.moved(larger) for one in poses]) - expected).max() < 0.2 * zoom


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, gaps=TIMES)
def test_a_smoothed_joint_lies_between_the_places_where_it_was_seen(seed: int, gaps: list[float]) -> None:
    rng, smoother = np.random.default_rng(seed), OneEuro()
    low, high = np.full((J, 2), np.inf), np.full((J, 2), -np.inf)
    for time in np.cumsum(gaps):
        now = pose(int(rng.integers(2**31)))
        low, high = np.minimum(low, now.keypoints), np.maximum(high, now.keypoints)
        (given,) = smoother([now], float(time))
        assert (given.keypoints >= low - 1e-9).all()
        assert (given.keypoints <= high + 1e-9).all()
        assert np.array_equal(given.scores, now.scores)
        assert (given.id, given.box) == (now.id, now.box)


def test_the_same_motion_at_another_frame_rate_lags_as_much() -> None:
    def behind(rate: int) -> float:
        poses = [shifted(pose(7), 100.0 * number / rate) for number in range(2 * rate)]
        return float(np.abs(smoothed(poses, 1 / rate)[-1] - poses[-1].keypoints).max())

    assert behind(100) == pytest.approx(behind(50), rel=0.2)


# ---- who and which joint -----------------------------------------------------------------------------------------


def test_people_are_smoothed_apart_whatever_their_order() -> None:
    apart, together = (OneEuro(), OneEuro()), OneEuro()
    for number in range(5):
        poses = [pose(number, id=1), pose(number + 100, id=2)]
        alone = [smoother([one], number * 0.04)[0] for smoother, one in zip(apart, poses, strict=True)]
        both = together(poses[::-1] if number % 2 else poses, number * 0.04)
        for one in both:
            assert np.array_equal(one.keypoints, next(o.keypoints for o in alone if o.id == one.id))


def test_a_pose_without_an_id_is_given_as_it_is() -> None:
    smoother = OneEuro()
    for number in range(3):
        one = pose(number, id=None)
        assert smoother([one], number * 0.04) == [one]


def test_a_joint_that_was_not_found_starts_afresh_and_the_others_do_not() -> None:
    smoother, lost = OneEuro(), 4
    smoother([pose(1)], 0.0)
    second, third = pose(2), pose(3)
    scores = second.scores.copy()
    scores[lost] = 0.1
    (given,) = smoother([replace(second, scores=scores)], 0.04)
    assert np.array_equal(given.keypoints[lost], second.keypoints[lost])
    (given,) = smoother([third], 0.08)
    same = (given.keypoints == third.keypoints).all(axis=1)
    assert same[lost]
    assert same.sum() == 1


@pytest.mark.parametrize(("gap", "afresh"), [(0.3, False), (0.7, True)])
def test_who_was_away_for_long_starts_afresh(gap: float, afresh: bool) -> None:
    smoother = OneEuro(away=0.5)
    smoother([pose(1)], 1.0)
    (given,) = smoother([pose(2)], 1.0 + gap)
    assert np.array_equal(given.keypoints, pose(2).keypoints) == afresh


def test_who_is_gone_is_forgotten() -> None:
    smoother = OneEuro()
    for number in range(200):
        smoother([pose(number, id=number)], number * 0.04)
    assert len(smoother._tracks) <= 0.5 / 0.04 + 1


# ---- odd times ---------------------------------------------------------------------------------------------------


def test_a_frame_of_the_same_time_changes_nothing() -> None:
    smoother, other = OneEuro(), OneEuro()
    for each in (smoother, other):
        each([pose(1)], 0.0)
        before = each([pose(2)], 0.04)[0]
    (again,) = smoother([pose(3)], 0.04)
    assert np.array_equal(again.keypoints, before.keypoints)
    assert np.array_equal(smoother([pose(4)], 0.08)[0].keypoints, other([pose(4)], 0.08)[0].keypoints)


def test_times_that_go_back_start_afresh() -> None:
    smoother = OneEuro()
    smoother([pose(1)], 5.0)
    assert np.array_equal(smoother([pose(2)], 0.0)[0].keypoints, pose(2).keypoints)


def test_the_poses_that_are_given_are_not_changed() -> None:
    smoother, poses = OneEuro(), [pose(1), pose(2)]
    kept = [one.keypoints.copy() for one in poses]
    for number, one in enumerate(poses):
        smoother([one], number * 0.04)
    assert all(np.array_equal(one.keypoints, keypoints) for one, keypoints in zip(poses, kept, strict=True))
