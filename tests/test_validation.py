from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg.datasets import Dataset
from posehg.geometry import Box
from posehg.poses import Person
from posehg.training.validation import validate
from tests.stubs import DOTS, dots_estimator, dots_photo

POINTS = np.array([[200.0, 150], [140, 110], [259, 191]])
BOX = Box(100, 60, 200, 180)


def dots(*offsets: float, torso: tuple[str, str] = DOTS.torso) -> Dataset:
    """A person for each offset, whose right hand is annotated so many pixels beside where it is."""
    people = []
    for number, offset in enumerate(offsets):
        keypoints = POINTS + np.array([[0, 0], [offset, 0], [0, 0]])
        people.append(Person(Path(f"{number}.png"), BOX, keypoints, np.ones(3, dtype=bool)))
    return Dataset("dots", "val", replace(DOTS, torso=torso), people, lambda person: dots_photo(POINTS))


def test_a_torso_is_what_is_measured_by() -> None:
    torso = float(np.hypot(*(POINTS[0] - POINTS[2])))
    result = validate(dots_estimator(), dots(0, 0.15 * torso, 0.25 * torso))
    assert result.measure == "PCK@0.2"
    assert result.pck == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)


def test_without_a_torso_the_box_is() -> None:
    result = validate(dots_estimator(), dots(0, 0.03 * BOX.w, 0.07 * BOX.w, torso=("left_shoulder", "right_hip")))
    assert result.measure == "PCK@0.05 of the box"
    assert result.pck == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)


def test_the_longer_side_of_the_box_counts() -> None:
    assert 0.05 * BOX.h < 9.5 < 0.05 * BOX.w
    result = validate(dots_estimator(), dots(9.5, torso=("left_shoulder", "right_hip")))
    assert result.pck == pytest.approx(100)


def test_somebody_without_a_labelled_torso_is_left_out() -> None:
    data = dots(0, 99)
    data.persons[1].keypoints[2] = np.nan
    assert validate(dots_estimator(), data).pck == pytest.approx(100)
