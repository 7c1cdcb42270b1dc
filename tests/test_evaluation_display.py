"""How the figures of posehg eval are printed and drawn."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg.cli import terminal
from posehg.datasets import Dataset
from posehg.evaluation import display, score
from posehg.evaluation.predictions import Predictions
from posehg.images import Image
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.evaluated import dataset, moved, predictions

CELL, GAP = 256, 4
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
    assert heading.startswith("made val: 5 people; predictions f\nA note.\n")
    assert "[red]tip" in heading
    assert "1 of 5 people" in heading
    assert "official" in display.heading(dataset(5, LSP, "lsp"), {})


def test_oks_of_what_nobody_is_is_a_dash() -> None:
    data = dataset(5, COCO)
    assert "area" in printed(data, metric="oks")
    data = replace(data, persons=[replace(person, area=1e4) for person in data.persons])  # all are large
    assert "area" not in printed(data, metric="oks")
    lines = [line.split() for line in printed(data, metric="oks").splitlines()]
    assert ["AP", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    assert ["AR", "1.000", "1.000", "1.000", "-", "1.000"] in lines


def test_the_table_of_the_curve_has_the_figures_at_each_threshold(tmp_path: Path) -> None:
    data = dataset(23)
    scores = score.score(data, predictions(data), resamples=0)
    display.write_curves(tmp_path / "c.csv", scores.metrics)
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert [row["metric"] for row in rows] == ["PCKh"] * 51 + ["PCK"] * 21
    assert [float(row["threshold"]) for row in rows[:51]] == [i / 100 for i in range(51)]
    assert list(rows[0]) == ["metric", "threshold", "head", *map(str.lower, BODY), "mean"]
    for row, table in ((rows[50], scores.tables[0]), (rows[10], scores.tables[1]), (rows[71], scores.tables[3])):
        expected = [figure.percent for figure in (*table.groups, table.means[0])]
        assert [float(row[name]) for name in list(row)[2:]] == pytest.approx(expected, abs=1e-4)
    assert len({row["head"] for row in rows[:51]}) > 10


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


def test_who_is_not_predicted_or_cannot_be_measured_is_left_out() -> None:
    data = moved(dataset(5), 2, head_size=None)
    found = off_by(data, [1, 2, 300, 4, 5])
    found.keypoints[1] = np.nan
    found.keypoints[0, :3] = np.nan  # which alone makes nobody the worst
    assert shades(data, found, 99) == [60, 50, 20]
