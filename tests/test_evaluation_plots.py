"""The curve of PCK over the threshold, and the sheet of the persons with the largest error."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from posehg.datasets import Dataset
from posehg.evaluation import display, score
from posehg.evaluation.predictions import Predictions
from posehg.evaluation.score import Metric
from posehg.images import Image
from tests.evaluated import dataset, predictions

CELL, GAP = 256, 4
PAIRS = {"head": [9], "shoulder": [12, 13], "elbow": [11, 14], "wrist": [10, 15]}
PAIRS |= {"hip": [2, 3], "knee": [1, 4], "ankle": [0, 5]}


def measured(data: Dataset, found: Predictions | None = None) -> tuple[Metric, ...]:
    return score.score(data, found or predictions(data), resamples=0).metrics


def written(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_of_the_curve_has_the_figures_at_each_threshold(tmp_path: Path) -> None:
    """Counted by plain loops."""
    data, found = dataset(23), predictions(dataset(23))
    display.write_curves(tmp_path / "c.csv", measured(data))
    rows = written(tmp_path / "c.csv")
    assert [row["metric"] for row in rows] == ["PCKh"] * 51 + ["PCK"] * 21
    assert [float(row["threshold"]) for row in rows[:51]] == [i / 100 for i in range(51)]
    assert list(rows[0]) == ["metric", "threshold", *PAIRS, "mean"]
    for row in rows[:51:7]:
        percent = []
        for joint in range(16):
            right = [
                math.dist(points[joint], person.keypoints[joint]) <= 40 * float(row["threshold"])
                for points, person in zip(found.keypoints, data.persons, strict=True)
                if not np.isnan(person.keypoints[joint, 0])
            ]
            percent.append(100 * sum(right) / len(right))
        for name, joints in PAIRS.items():
            assert float(row[name]) == pytest.approx(np.mean([percent[joint] for joint in joints]), abs=1e-4)
        assert float(row["mean"]) == pytest.approx((sum(percent) - percent[6] - percent[7]) / 14, abs=1e-4)
    assert len({row["head"] for row in rows[:51]}) > 10


@pytest.mark.parametrize("count", [1, 2])
def test_the_image_of_the_curve_has_a_panel_for_each_metric(count: int, tmp_path: Path) -> None:
    display.write_curves(tmp_path / "c.png", measured(dataset())[:count])
    page = images.read(tmp_path / "c.png")
    assert page.shape == (500, 700 * count, 3)
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 50  # lines of several colours


def off_by(data: Dataset, pixels: list[float]) -> Predictions:
    """Every joint of a person as many pixels to the right."""
    truth = np.stack([np.nan_to_num(person.keypoints) for person in data.persons])
    return Predictions(truth + np.array(pixels)[:, None, None] * (1, 0), np.ones(truth.shape[:2]))


def shades(page: Image, count: int, columns: int = 6) -> list[int]:
    """The grey of each cell's corner, where nothing is drawn: 20 + 10 times the person's number."""
    places = [(number // columns, number % columns) for number in range(count)]
    height = (page.shape[0] - GAP) // -(-count // columns)
    return [int(page[GAP + row * height + 100, GAP + column * (CELL + GAP) + 250, 0]) for row, column in places]


def test_the_worst_come_first_and_no_others() -> None:
    data = dataset(7)
    found = off_by(data, [1, 20, 3, 40, 0, 9, 2])
    pckh = measured(data, found)[0]
    assert shades(display.worst_sheet(data, found, pckh, 3), 3) == [50, 30, 70]
    assert shades(display.worst_sheet(data, found, pckh, 7), 7) == [50, 30, 70, 40, 80, 20, 60]


def test_who_is_not_predicted_comes_last_and_who_cannot_be_measured_is_left_out() -> None:
    data = dataset(5)
    data = replace(data, persons=[*data.persons[:2], replace(data.persons[2], head_size=None), *data.persons[3:]])
    found = off_by(data, [1, 2, 300, 4, 5])
    keypoints = found.keypoints.copy()
    keypoints[1] = np.nan
    keypoints[0, :3] = np.nan  # which alone makes nobody the worst
    found = Predictions(keypoints, found.scores)
    pckh = measured(data, found)[0]
    page = display.worst_sheet(data, found, pckh, 99)
    assert page.shape[1] == 4 * (CELL + GAP) + GAP
    assert shades(page, 4) == [60, 50, 20, 30]
