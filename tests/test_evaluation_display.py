"""How the figures of posehg eval are printed and drawn."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from posehg.cli import terminal
from posehg.datasets import Dataset
from posehg.evaluation import display, report, score
from posehg.evaluation.predictions import Predictions
from posehg.images import Image
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.evaluated import dataset, moved, predictions

CELL, GAP = 256, 4
PAIRS = {"head": [9], "shoulder": [12, 13], "elbow": [11, 14], "wrist": [10, 15]}
PAIRS |= {"hip": [2, 3], "knee": [1, 4], "ankle": [0, 5]}
BODY = ["Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def printed(data: Dataset, joints: bool = False, **options: object) -> str:
    """Everything is found, so that all figures are as wide as they get."""
    scores = score.score(data, predictions(data, 0.0), **{"resamples": 20, **options})  # type: ignore[arg-type]
    return "".join(terminal.rendered(part) for part in display.tables(scores, data, joints))


def columns(text: str, title: str) -> list[str]:
    """The names over the lines of that title in the tables of groups."""
    lines = text.splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith(title + " ") and "to" not in line.split()]
    heads = [max(above for above in range(place) if lines[above].startswith("──")) - 1 for place in places]
    return [name for head in heads for name in lines[head].split()]


@pytest.mark.parametrize(
    ("skeleton", "names"),
    [
        (MPII, ["Head", *BODY, "Mean"]),
        (LSP, ["Head", *BODY, "Mean"]),
        (COCO, [*BODY, "Eye", "Mean", "Ear"]),  # the last one in a table of its own
        (FLIC, [*BODY[:4], "Eye", "Mean"]),
    ],
)
def test_the_columns_are_those_of_the_papers(skeleton: Skeleton, names: list[str]) -> None:
    assert columns(printed(dataset(5, skeleton)), "PCKh@0.5") == names


@pytest.mark.parametrize("skeleton", [MPII, COCO, Skeleton("hand", tuple(f"finger {i}" for i in range(21)), ())])
@pytest.mark.parametrize("joints", [False, True])
def test_nothing_is_wider_than_80_columns_and_no_figure_is_cut(skeleton: Skeleton, joints: bool) -> None:
    text = printed(dataset(5, skeleton), joints)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("100.00 to 100.00") >= 4
    figures = [word for line in text.splitlines() if line.startswith("PCK") for word in line.split() if "100" in word]
    assert set(figures) == {"100.00"}


def test_brackets_in_names_are_printed_as_they_are() -> None:
    text = printed(dataset(5, Skeleton("a [b]", ("[red]tip", "root[/]"), ())), joints=True)
    assert all(name in text for name in ("[red]tip", "root[/]", "(a [b] has"))


def test_the_heading_says_what_was_not_predicted() -> None:
    data = dataset(5, Skeleton("a", ("[red]tip", "root"), ()))
    keypoints = predictions(data).keypoints.copy()
    keypoints[:, 0], keypoints[3] = np.nan, np.nan
    scores = score.score(data, Predictions(keypoints, np.ones((5, 2))), resamples=0)
    heading = display.heading(data, {"file": "f"}, scores)
    assert heading.startswith("made val: 5 persons; predictions f\nA note.\n")
    assert "[red]tip" in heading
    assert "1 of 5 persons" in heading
    assert "official" in display.heading(dataset(5, LSP, "lsp"), {})


def test_oks_of_what_nobody_is_is_a_dash() -> None:
    data = dataset(5, COCO)
    assert "area" in printed(data, metric="oks")
    data = replace(data, persons=[replace(person, area=1e4) for person in data.persons])  # all are large
    assert "area" not in printed(data, metric="oks")
    lines = [line.split() for line in printed(data, metric="oks").splitlines()]
    assert ["AP", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    assert ["AR", "1.000", "1.000", "1.000", "-", "1.000"] in lines


def test_a_comparison_fits_into_80_columns(tmp_path: Path) -> None:
    data = dataset(40)
    saved = []
    for name, found in (("a", predictions(data, 100.0)), ("b", predictions(data, 0.0))):
        report.write(tmp_path / name, data, score.score(data, found, resamples=0), {}, "")
        saved.append(report.read(tmp_path / name))
    for comparison in report.compare(saved[0], saved[1], 50):
        groups, means = (terminal.rendered(part).splitlines() for part in display.differences(comparison))
        assert max(map(len, [*groups, *means])) <= 80
        assert "…" not in "".join([*groups, *means])
        (wrist,) = [line.split() for line in groups if line.startswith("Wrist")]
        assert wrist[2:3] + wrist[-2:] == ["100.00", "100.0", "%"]
        assert len(means) == 2 + len(comparison[2])  # no name takes two lines


def test_the_table_of_the_curve_has_the_figures_at_each_threshold(tmp_path: Path) -> None:
    """Counted by plain loops."""
    data, found = dataset(23), predictions(dataset(23))
    display.write_curves(tmp_path / "c.csv", score.score(data, found, resamples=0).metrics)
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
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
    measured = score.score(dataset(), predictions(dataset()), resamples=0).metrics
    display.write_curves(tmp_path / "c.png", measured[:count])
    page = images.read(tmp_path / "c.png")
    assert page.shape == (500, 700 * count, 3)
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 50  # lines of several colours


def off_by(data: Dataset, pixels: list[float]) -> Predictions:
    """Every joint of a person as many pixels to the right."""
    truth = np.stack([np.nan_to_num(person.keypoints) for person in data.persons])
    return Predictions(truth + np.array(pixels)[:, None, None] * (1, 0), np.ones(truth.shape[:2]))


def shades(data: Dataset, found: Predictions, count: int) -> list[int]:
    """The grey of the corner of each cell in the sheet, where nothing is drawn: 20 + 10 times the person's number."""
    pckh = score.score(data, found, resamples=0).metrics[0]
    page: Image = display.worst_sheet(data, found, pckh, count)
    rows, columns = (page.shape[0] - GAP) // (CELL + GAP), (page.shape[1] - GAP) // (CELL + GAP)
    height = (page.shape[0] - GAP) // rows
    cells = [
        page[GAP + row * height + 100, GAP + x * (CELL + GAP) + 250, 0] for row in range(rows) for x in range(columns)
    ]
    return [int(shade) for shade in cells if shade < 255]


def test_the_worst_come_first_and_no_others() -> None:
    data = dataset(7)
    found = off_by(data, [1, 20, 3, 40, 0, 9, 2])
    assert shades(data, found, 3) == [50, 30, 70]
    assert shades(data, found, 7) == [50, 30, 70, 40, 80, 20, 60]


def test_who_is_not_predicted_comes_last_and_who_cannot_be_measured_is_left_out() -> None:
    data = moved(dataset(5), 2, head_size=None)
    found = off_by(data, [1, 2, 300, 4, 5])
    found.keypoints[1] = np.nan
    found.keypoints[0, :3] = np.nan  # which alone makes nobody the worst
    assert shades(data, found, 99) == [60, 50, 20, 30]
