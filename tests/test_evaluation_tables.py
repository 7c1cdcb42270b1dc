"""How the figures of posehg eval are printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg.cli import terminal
from posehg.datasets import Dataset
from posehg.evaluation import display, report, score
from posehg.evaluation.predictions import Predictions
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.evaluated import dataset, predictions


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def printed(data: Dataset, found: Predictions | None = None, joints: bool = False, **options: object) -> str:
    scores = score.score(data, found or exact(data), **{"resamples": 20, **options})  # type: ignore[arg-type]
    return "".join(terminal.rendered(part) for part in display.tables(scores, data, joints))


def exact(data: Dataset) -> Predictions:
    """Everything is found, so that all figures are as wide as they get."""
    return predictions(data, spread=0.0)


def columns(text: str, title: str) -> list[str]:
    """The names over the lines of that title in the tables of groups."""
    lines = text.splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith(title + " ") and "to" not in line.split()]
    heads = [max(above for above in range(place) if lines[above].startswith("──")) - 1 for place in places]
    return [name for head in heads for name in lines[head].split()]


BODY = ["Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]


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


@pytest.mark.parametrize(
    "skeleton", [MPII, LSP, COCO, FLIC, Skeleton("hand", tuple(f"finger {i}" for i in range(21)), ())]
)
@pytest.mark.parametrize("joints", [False, True])
def test_nothing_is_wider_than_80_columns_and_no_figure_is_cut(skeleton: Skeleton, joints: bool) -> None:
    text = printed(dataset(5, skeleton), joints=joints)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("100.00 to 100.00") >= 4
    figures = [word for line in text.splitlines() if line.startswith("PCK") for word in line.split() if "100" in word]
    assert set(figures) == {"100.00"}


def test_brackets_in_names_are_printed_as_they_are() -> None:
    text = printed(dataset(5, Skeleton("a [b]", ("[red]tip", "root[/]"), ())), joints=True)
    assert "[red]tip" in text
    assert "root[/]" in text
    assert "(a [b] has no torso)" in text
    data = dataset(5, Skeleton("a", ("[red]tip", "root"), ()))
    keypoints = exact(data).keypoints.copy()
    keypoints[:, 0], keypoints[3] = np.nan, np.nan
    scores = score.score(data, Predictions(keypoints, exact(data).scores), resamples=0)
    heading = display.heading(data, {"file": "f"}, scores)
    assert heading.startswith("made val: 5 persons; predictions f\nA note.\n")
    assert "[red]tip" in heading
    assert "1 of 5 persons" in heading
    assert "official" in display.heading(dataset(5, LSP, "lsp"), {})


def test_oks_of_what_nobody_is_is_a_dash() -> None:
    data = dataset(5, COCO)
    assert "area" in printed(data, metric="oks")
    data = replace(data, persons=[replace(person, area=1e4) for person in data.persons])  # everybody is large
    assert "area" not in printed(data, metric="oks")
    lines = [line.split() for line in printed(data, metric="oks").splitlines()]
    assert ["AP", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    assert ["AR", "1.000", "1.000", "1.000", "-", "1.000"] in lines


def test_a_comparison_fits_into_80_columns(tmp_path: Path) -> None:
    data = dataset(40)
    saved = []
    for name, found in (("a", predictions(data, 100.0)), ("b", exact(data))):
        report.write(tmp_path / name, data, score.score(data, found, resamples=0), {}, "")
        saved.append(report.read(tmp_path / name))
    for comparison in report.compare(saved[0], saved[1], 50):
        groups, means = (terminal.rendered(part).splitlines() for part in display.differences(comparison))
        assert max(map(len, [*groups, *means])) <= 80
        assert "…" not in "".join([*groups, *means])
        (wrist,) = [line.split() for line in groups if line.startswith("Wrist")]
        assert wrist[2:3] + wrist[-2:] == ["100.00", "100.0", "%"]
        assert len(means) == 2 + len(comparison[2])  # no name takes two lines
