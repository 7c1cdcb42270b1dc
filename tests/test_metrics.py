from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import metrics
from posehg.metrics import Average
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton

N, J = 7, 3
PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores
SHOULDER, HIP, KNEE = range(J)
TOY = Skeleton("toy", ("left_shoulder", "right_hip", "right_knee"), ())


def person(shoulder: tuple[float, float] = (0, 0), hip: tuple[float, float] = (0, 10)) -> np.ndarray:
    """(1, 3, 2): a torso that is 10 long and a knee 10 beyond the hip."""
    return np.array([[shoulder, hip, (0.0, 20.0)]])


def people(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions (N, J, 2), truth (N, J, 2) with gaps, units (N,)."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (N, J, 2))
    predicted = truth + rng.normal(0, 5, (N, J, 2))
    truth[rng.random((N, J)) < 0.3] = np.nan
    return predicted, truth, rng.uniform(5, 20, N)


def pooled(*joints: int) -> Average:
    return Average("", joints, by_labels=True)


def pck(predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton) -> metrics.JointScores:
    units = metrics.torso_sizes(truth, skeleton)
    return metrics.found(metrics.normalised_distances(predicted, truth, units), metrics.PCK.threshold)


@pytest.mark.parametrize("unit", [0.0, -3.0, np.nan, np.inf])
def test_a_person_without_a_usable_unit_is_skipped(unit: float) -> None:
    truth = np.zeros((2, J, 2))
    distances = metrics.normalised_distances(truth, truth, np.array([1.0, unit]))
    scores = metrics.found(distances, 0.5)
    assert scores.labelled.tolist() == [1, 1, 1]
    assert scores.correct.tolist() == [1, 1, 1]


@PATIENT
@given(st.integers(0, 2**32 - 1))
def test_scores_equal_those_of_plain_loops(seed: int) -> None:
    predicted, truth, units = people(seed)
    correct, labelled = [0] * J, [0] * J
    for n in range(N):
        for j in range(J):
            if not np.isnan(truth[n, j]).any():
                labelled[j] += 1
                dx, dy = predicted[n, j] - truth[n, j]
                correct[j] += (dx * dx + dy * dy) ** 0.5 / units[n] <= 0.4
    scores = metrics.found(metrics.normalised_distances(predicted, truth, units), 0.4)
    assert scores.correct.tolist() == correct
    assert scores.labelled.tolist() == labelled


def test_a_joint_exactly_at_the_threshold_is_found() -> None:
    assert metrics.found(np.array([[0.5, np.nextafter(0.5, 1), 0.0]]), 0.5).correct.tolist() == [1, 0, 1]


@pytest.mark.parametrize(("away", "hits"), [(2.0, 1), (2.001, 0)])
def test_pck_measures_in_the_length_of_the_torso(away: float, hits: int) -> None:
    predicted = person()
    predicted[0, KNEE] += (away, 0.0)
    scores = pck(predicted, person(), TOY)
    assert scores.correct.tolist() == [1, 1, hits]


@pytest.mark.parametrize(
    ("skeleton", "a", "b"),
    [
        (MPII, 13, 2),
        (LSP, 9, 2),
        (COCO, 5, 12),
        (FLIC, 3, 6),
    ],  # left shoulder, right hip; FLIC the others
)
def test_each_skeletons_torso_has_the_joints_that_its_data_set_measures(skeleton: Skeleton, a: int, b: int) -> None:
    truth = np.full((1, len(skeleton.joints), 2), np.nan)
    truth[0, a], truth[0, b] = (1, 2), (4, 6)
    assert metrics.torso_sizes(truth, skeleton).tolist() == [5]


@PATIENT
@given(st.integers(0, 2**32 - 1))
def test_averages_equal_those_of_plain_loops(seed: int) -> None:
    predicted, truth, units = people(seed)
    truth[:, 1] = np.nan  # one joint is never labelled
    distances = metrics.normalised_distances(predicted, truth, units)
    shares, hits, total = [], 0, 0
    for j in (0, 1, 2):
        counted = [d for d in distances[:, j] if not np.isnan(d)]
        found = sum(d <= 0.4 for d in counted)
        hits, total = hits + found, total + len(counted)
        shares += [100 * found / len(counted)] if counted else []
    scores = metrics.found(distances, 0.4)
    everything = (0, 1, 2)
    mean = sum(shares) / len(shares) if shares else np.nan
    pooled = 100 * hits / total if total else np.nan
    assert Average("", everything).of(scores) == pytest.approx(mean, nan_ok=True)
    assert Average("", everything, by_labels=True).of(scores) == pytest.approx(pooled, nan_ok=True)
    assert Average("", everything).labels(scores) == total


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 50]))
def test_the_area_under_the_curve_is_that_of_its_trapezoids(seed: int, steps: int) -> None:
    distances = np.random.default_rng(seed).uniform(0, 0.8, (N, J))
    distances[0, 0], distances[1, 1], distances[2, 2] = 0.0, np.nan, np.inf
    distances[3] = 0.5 * np.arange(J) / steps  # exactly on the steps
    heights = [metrics.found(distances, 0.5 * i / steps).percent for i in range(steps + 1)]
    expected = sum((a + b) / 2 for a, b in pairwise(heights)) / steps
    np.testing.assert_allclose(metrics.sums(metrics.areas(distances, 0.5, steps)).percent, expected)


def test_thresholds_are_the_decimal_numbers_that_are_written() -> None:
    assert metrics.thresholds(0.5, 50).tolist() == [float(f"{i / 100:.2f}") for i in range(51)]


def hits(seed: int, count: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = (rng.random((count, J)) < (0.3, 0.6, 0.9)).astype(float)
    values[rng.random((count, J)) < 0.2] = np.nan
    return values


def test_resamples_equal_persons_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn in chunks of two: from the same generator come the same persons."""
    monkeypatch.setattr(metrics, "_CHUNK", 2 * N)
    values, draws = hits(1), 5
    scores = metrics.resampled(values, draws, seed=3)
    rng = np.random.default_rng(3)
    for number in range(draws):
        chosen = rng.integers(0, N, N)
        rows = [values[person] for person in chosen]
        expected = [sum(row[j] for row in rows if not np.isnan(row[j])) for j in range(J)]
        labelled = [sum(not np.isnan(row[j]) for row in rows) for j in range(J)]
        assert scores.correct[number].tolist() == expected
        assert scores.labelled[number].tolist() == labelled


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_figure_itself_and_lies_within_0_and_100(seed: int) -> None:
    values = hits(seed, 101)
    average = Average("", (0, 1, 2))
    low, high = metrics.interval(average.of(metrics.resampled(values, 300)))
    assert 0 <= low < float(average.of(metrics.sums(values))) < high <= 100


def test_an_interval_leaves_out_what_is_not_known() -> None:
    assert metrics.interval(np.array([np.nan, *range(41), np.nan])) == pytest.approx((1, 39))
    assert np.isnan(metrics.interval(np.array([np.nan]))).all()
    assert np.isnan(metrics.interval(np.empty(0))).all()


def grouped(skeleton: Skeleton) -> dict[str, list[str]]:
    return {group.name: [skeleton.joints[c] for c in group.channels] for group in metrics.groups(skeleton)}


def test_the_columns_of_mpii_are_the_seven_of_its_tables() -> None:
    groups = grouped(MPII)
    assert list(groups) == ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    assert groups["head"] == ["head_top"]
    assert sorted(groups["wrist"]) == ["left_wrist", "right_wrist"]


def test_the_head_of_lsp_is_the_mean_of_neck_and_head_top() -> None:
    assert grouped(LSP)["head"] == ["upper_neck", "head_top"]
    turned = Skeleton("turned", tuple(reversed(LSP.joints)), ())
    assert grouped(turned)["head"] == ["upper_neck", "head_top"]
    assert grouped(LSP.subset((*LSP.joints[:12], "head_top")))["head"] == ["head_top"]


def test_sides_are_known_as_the_skeleton_knows_them() -> None:
    paws = Skeleton(
        "cat", ("Front.L", "nose", "Front.R", "A1", "B1"), (), flip_pairs=(("Front.L", "Front.R"), ("A1", "B1"))
    )
    assert grouped(paws) == {"Front": ["Front.L", "Front.R"], "A1/B1": ["A1", "B1"]}


@pytest.mark.shared
def test_pckh_of_published_predictions_equals_a_plain_computation(shared: Path) -> None:
    """Tompson's predictions for the 2,958 persons of MPII's validation; coordinates are (J, 2, N), heads boxes."""
    from scipy.io import loadmat

    file = loadmat(shared / "samples/mpii_val_detections_our_format.mat")
    truth, predicted = (file[key].transpose(2, 0, 1).copy() for key in ("pos_gt_src", "pos_pred_src"))
    missing = file["jnt_missing"].T.astype(bool)
    heads = 0.6 * np.hypot(*(file["headboxes_src"][1] - file["headboxes_src"][0]))
    truth[missing] = np.nan
    scores = metrics.found(metrics.normalised_distances(predicted, truth, heads), 0.5)

    percent, hits, total = [], 0, 0
    for joint in range(16):
        good = all_ = 0
        for n in np.flatnonzero(~missing[:, joint]):
            dx, dy = file["pos_pred_src"][joint, :, n] - file["pos_gt_src"][joint, :, n]
            good, all_ = good + int((dx * dx + dy * dy) ** 0.5 / heads[n] <= 0.5), all_ + 1
        percent.append(100 * good / all_)
        hits, total = hits + good, total + all_
    assert total == 16 * 2958 - 3088
    np.testing.assert_allclose(scores.percent, percent)
    everything = list(range(16))
    assert float(pooled(*everything).of(scores)) == pytest.approx(100 * hits / total)
    assert scores.mean(everything) == pytest.approx(sum(percent) / 16)
    assert 75 < scores.mean([joint for joint in everything if joint not in (6, 7)]) < 90


def test_the_same_persons_are_drawn_for_two_networks() -> None:
    """Hits of one that are misses of the other add up to the labels, in every resample."""
    values = hits(1)
    one, other = metrics.resampled(values, 20), metrics.resampled(1 - values, 20)
    np.testing.assert_array_equal(one.correct + other.correct, one.labelled)
    assert len(np.unique(one.correct[:, 0])) > 1
