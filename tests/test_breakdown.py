"""Figures taken apart by posture and by score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.evaluation import breakdown
from posehg.evaluation.breakdown import POSTURES, take_apart
from posehg.metrics import Average
from posehg.skeletons import COCO, LSP, Skeleton

SHOULDERS, HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")


def turned(degrees: float, skeleton: Skeleton = LSP) -> np.ndarray:
    """(1, J, 2) of somebody upright who was turned by so many degrees."""
    body = np.random.default_rng(3).normal(size=(len(skeleton.joints), 2)) + np.array([40, 60])
    for joints, y in ((SHOULDERS, 20.0), (HIPS, 50.0)):
        for x, joint in zip((47.0, 33.0), joints, strict=True):
            body[skeleton.index(joint)] = x, y
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((body - 37) @ turn.T + 37)[None]


@settings(max_examples=100, deadline=None)
@given(st.floats(-360, 360))
def test_the_torso_says_how_somebody_holds_themselves(degrees: float) -> None:
    away = abs((degrees + 180) % 360 - 180)  # from upright
    if min(abs(away - 45), abs(away - 135)) > 1e-3:
        expected = "upright" if away < 45 else "level" if away < 135 else "upside down"
        assert POSTURES[int(breakdown.postures(turned(degrees, COCO), COCO)[0])] == expected


def test_nobody_without_a_labelled_torso_has_a_posture() -> None:
    people = np.concatenate([turned(0), turned(0)])
    people[1, LSP.index("left_hip")] = np.nan
    assert np.isnan(breakdown.postures(people, LSP)).tolist() == [False, True]
    hand = Skeleton("hand", ("wrist", "thumb"), (("wrist", "thumb"),))
    assert np.isnan(breakdown.postures(np.zeros((3, 2, 2)), hand)).all()


def test_each_posture_has_the_mean_of_its_people() -> None:
    truth = np.concatenate([turned(angle) for angle in (0, 10, 90, 180, -90)])
    values = np.full((5, len(LSP.joints)), np.nan)
    values[:, :2] = [(1, 1), (1, 0), (0, 1), (0, 0), (np.nan, 1)]
    apart = take_apart("PCK@0.2", values, Average("mean of two", (0, 1)), truth, values * np.nan, LSP)
    found = {part.name: (part.labels, part.percent) for part in apart.postures}
    assert found == {
        "upright": (4, 75.0),
        "level": (3, 50.0),
        "upside down": (2, 0.0),
        "level or upside down": (5, pytest.approx(100 / 3)),
    }
    assert apart.scores == ()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_every_joint_that_counts_is_in_the_bin_of_its_score(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.choice([0.0, 1.0, np.nan], size=(7, 14))
    scores = random.choice([0.0, 0.1, 0.25, 0.3, 0.999, 1.0, np.nan], size=(7, 14))
    bins = take_apart("", values, Average("", (0,)), np.zeros((7, 14, 2)), scores, LSP).scores
    counted = np.isfinite(values) & np.isfinite(scores)
    assert sum(part.labels for part in bins) == counted.sum()
    assert bins[0].labels == (counted & (scores == 0)).sum()
    assert bins[9].labels == (counted & (scores > 0.9)).sum()
    right = sum(part.labels * part.percent / 100 for part in bins if part.labels)
    assert right == pytest.approx(values[counted].sum())
