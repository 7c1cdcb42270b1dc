from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import metrics
from posehg.geometry import Box
from posehg.metrics import PCKH, Average, JointScores
from posehg.poses import Person
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton

N, J = 7, 3
PATIENT = settings(max_examples=50)  # another process may have the cores


def found(predicted: np.ndarray, truth: np.ndarray, heads: Sequence[float], threshold: float) -> JointScores:
    people = [
        Person(Path("a"), Box(0, 0, 9, 9), points, np.ones(J, dtype=bool), head)
        for points, head in zip(truth, heads, strict=True)
    ]
    distances = metrics.distances(PCKH, predicted, people, Skeleton("three", ("a", "b", "c"), ()))
    return metrics.sums(metrics.hits(distances, threshold))


@pytest.mark.parametrize("unit", [0.0, -3.0, np.nan, np.inf])
def test_a_person_without_a_usable_unit_is_skipped(unit: float) -> None:
    truth = np.zeros((2, J, 2))
    scores = found(truth, truth, [1.0, unit], 0.5)
    assert (scores.labelled.tolist(), scores.correct.tolist()) == ([1, 1, 1], [1, 1, 1])


@PATIENT
@given(st.integers(0, 2**32 - 1))
def test_scores_and_averages_equal_those_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, units = rng.uniform(0, 100, (N, J, 2)), rng.uniform(5, 20, N)
    predicted = truth + rng.normal(0, 5, (N, J, 2))
    truth[rng.random((N, J)) < 0.3] = np.nan
    truth[:, 1] = np.nan  # one joint is never labelled
    correct, labelled = [0] * J, [0] * J
    for n in range(N):
        for j in range(J):
            if not np.isnan(truth[n, j]).any():
                labelled[j] += 1
                dx, dy = predicted[n, j] - truth[n, j]
                correct[j] += (dx * dx + dy * dy) ** 0.5 / units[n] <= 0.4
    scores = found(predicted, truth, units.tolist(), 0.4)
    assert (scores.correct.tolist(), scores.labelled.tolist()) == (correct, labelled)
    shares = [100 * hits / total for hits, total in zip(correct, labelled, strict=True) if total]
    mean = sum(shares) / len(shares) if shares else np.nan
    pooled = 100 * sum(correct) / sum(labelled) if shares else np.nan
    assert Average("", (0, 1, 2)).of(scores) == pytest.approx(mean, nan_ok=True)
    assert Average("", (0, 1, 2), by_labels=True).of(scores) == pytest.approx(pooled, nan_ok=True)


def test_a_joint_exactly_at_the_threshold_is_found() -> None:
    assert metrics.sums(metrics.hits(np.array([[0.5, np.nextafter(0.5, 1), 0.0]]), 0.5)).correct.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("skeleton", "a", "b"), [(MPII, 13, 2), (LSP, 9, 2), (COCO, 5, 12), (FLIC, 3, 6)]
)  # left shoulder, right hip; FLIC the others
def test_each_skeletons_torso_has_the_joints_that_its_data_set_measures(skeleton: Skeleton, a: int, b: int) -> None:
    truth = np.full((1, len(skeleton.joints), 2), np.nan)
    truth[0, a], truth[0, b] = (1, 2), (4, 6)
    assert metrics.torso_sizes(truth, skeleton).tolist() == [5]


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 50]))
def test_the_area_under_the_curve_is_that_of_its_trapezoids(seed: int, steps: int) -> None:
    distances = np.random.default_rng(seed).uniform(0, 0.8, (N, J))
    distances[0, 0], distances[1, 1], distances[2, 2] = 0.0, np.nan, np.inf
    distances[3] = 0.5 * np.arange(J) / steps  # exactly on the steps
    curve = replace(PCKH, steps=steps).curve
    for joint in (Average("", (channel,)) for channel in range(J)):
        heights = [joint.of(metrics.sums(metrics.hits(distances, threshold))) for threshold in curve]
        expected = sum((a + b) / 2 for a, b in pairwise(heights)) / steps
        assert joint.of(metrics.sums(metrics.areas(distances, curve))) == pytest.approx(expected)


def test_thresholds_are_the_decimal_numbers_that_are_written() -> None:
    assert PCKH.curve.tolist() == [float(f"{i / 100:.2f}") for i in range(51)]


def hits(seed: int, count: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = (rng.random((count, J)) < (0.3, 0.6, 0.9)).astype(float)
    values[rng.random((count, J)) < 0.2] = np.nan
    return values


def test_resamples_equal_persons_drawn_one_by_one() -> None:
    values, draws = hits(1), 5
    scores = metrics.resampled(values, draws, seed=3)
    rng = np.random.default_rng(3)
    for number in range(draws):
        rows = values[rng.integers(0, N, N)]
        assert scores.correct[number].tolist() == np.nansum(rows, axis=0).tolist()
        assert scores.labelled[number].tolist() == (~np.isnan(rows)).sum(axis=0).tolist()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_figure_itself_and_lies_within_0_and_100(seed: int) -> None:
    values = hits(seed, 101)
    average = Average("", (0, 1, 2))
    low, high = metrics.interval(average.of(metrics.resampled(values, 300)))
    assert 0 <= low < float(average.of(metrics.sums(values))) < high <= 100


def test_an_interval_leaves_out_what_is_not_known() -> None:
    assert metrics.interval(np.array([np.nan, *range(41), np.nan])) == pytest.approx((1, 39))
    assert np.isnan(metrics.interval(np.array([np.nan]))).all()


def grouped(skeleton: Skeleton) -> dict[str, list[str]]:
    return {group.name: [skeleton.joints[c] for c in group.channels] for group in metrics.groups(skeleton)}


def test_the_columns_are_those_of_the_papers() -> None:
    """The head of LSP is the mean of neck and head top, whatever the order of its joints."""
    groups = grouped(MPII)
    assert list(groups) == ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    assert groups["head"] == ["head_top"]
    assert sorted(groups["wrist"]) == ["left_wrist", "right_wrist"]
    assert grouped(Skeleton("turned", LSP.joints[::-1], ()))["head"] == ["upper_neck", "head_top"]
    assert grouped(LSP.subset((*LSP.joints[:12], "head_top")))["head"] == ["head_top"]


def test_sides_are_known_as_the_skeleton_knows_them() -> None:
    pairs = (("Front.L", "Front.R"), ("A1", "B1"))
    paws = Skeleton("cat", ("Front.L", "nose", "Front.R", "A1", "B1"), (), flip_pairs=pairs)
    assert grouped(paws) == {"Front": ["Front.L", "Front.R"], "A1/B1": ["A1", "B1"]}
