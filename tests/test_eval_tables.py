"""How the figures of posehg eval are printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg.cli import eval_tables, terminal
from posehg.datasets import Dataset
from posehg.evaluation import compare, oks, report, scoring
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.evaluation.scoring import Options
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.evaluated import dataset, predictions


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def printed(data: Dataset, found: Predictions | None = None, joints: bool = False, **options: object) -> str:
    scores = scoring.score(data, found or exact(data), Options(**{"resamples": 20, **options}))  # type: ignore[arg-type]
    return "".join(terminal.rendered(part) for part in eval_tables.tables(scores, data, joints))


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


def test_many_groups_take_several_tables() -> None:
    fingers = [f"finger{i}" for i in range(9)]
    hand = Skeleton("hand", tuple(f"{side}_{finger}" for side in ("left", "right") for finger in fingers), ())
    names = [name.capitalize() for name in fingers]
    assert columns(printed(dataset(5, hand)), "PCKh@0.5") == [*names[:7], "Mean", *names[7:]]


def test_a_wider_terminal_has_room_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert columns(printed(dataset(5, COCO)), "PCKh@0.5") == [*BODY, "Eye", "Ear", "Mean"]


def test_groups_that_nobody_predicts_have_no_column() -> None:
    data = dataset(5, COCO)
    keypoints = exact(data).keypoints.copy()
    keypoints[:, :5] = np.nan
    assert columns(printed(data, Predictions(keypoints, exact(data).scores)), "PCKh@0.5") == [*BODY, "Mean"]


def test_the_unit_and_who_can_be_measured_are_said() -> None:
    data = dataset(5)
    data = replace(data, persons=[replace(data.persons[0], head_size=None), *data.persons[1:]])
    text = printed(data)
    assert "PCKh@T: found within T x the head's size (0.6 of its box's diagonal).\n4 of 5 persons can" in text
    assert "PCK@T: found within T x the torso's length (left shoulder to right hip).\n5 of 5 persons" in text
    assert "right shoulder to left hip" in printed(dataset(5, FLIC))
    assert "AUC: the area under the curve over thresholds from 0 to 0.5, in 50 steps.\n" in text
    hand = dataset(5, Skeleton("hand", ("thumb", "palm"), ()))
    assert "PCK@T of the box: found within T x its longer side (hand has no torso).\n" in printed(hand)


def test_the_three_means_are_named_by_the_programs_that_use_them() -> None:
    text = printed(dataset(5))
    for name in (
        "14 joints (bearpaw, anibali)",
        "14 joints, label-weighted (HRNet, mmpose)",
        "all 16, label-weighted (princeton PyTorch)",
        "the 12 limb joints",
        "all 16 joints",
    ):
        assert f" {name} " in text


def test_brackets_in_names_are_printed_as_they_are() -> None:
    text = printed(dataset(5, Skeleton("a [b]", ("[red]tip", "root[/]"), ())), joints=True)
    assert "[red]tip" in text
    assert "root[/]" in text
    assert "(a [b] has no torso)" in text
    data = dataset(5, Skeleton("a", ("[red]tip", "root"), ()))
    keypoints = exact(data).keypoints.copy()
    keypoints[:, 0], keypoints[3] = np.nan, np.nan
    scores = scoring.score(data, Predictions(keypoints, exact(data).scores), Options(resamples=0))
    assert eval_tables.heading(data, "m", scores) == (
        "made val: 5 persons; m\nA note.\n"
        "The predictions do not have these joints of the data set, and they are left out: [red]tip.\n"
        "For 1 of 5 persons nothing is predicted: they count as not found.\n"
    )


def test_the_official_test_split_is_named() -> None:
    assert eval_tables.heading(dataset(5, LSP, "lsp"), "m").startswith("lsp val (the official test split): 5 persons")


def test_the_area_has_all_means_and_nobodys_name() -> None:
    text = printed(dataset(5)).partition("PCKh AUC  14 joints")[2].partition("PCK@T")[0]
    assert text.count("100.00 to 100.00") == 3
    assert "bearpaw" not in text


def test_the_head_of_lsp_is_said() -> None:
    text = printed(dataset(5, LSP))
    assert "Head: the mean of upper neck and head top.\n" in text
    assert "all 14 joints (LSP's Total) " in text
    assert "Mean: of the 12 limb joints.\n" in text
    assert "Head:" not in printed(dataset(5))


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({}, ""),
        ({"model": "m", "flip": False}, "model m, without flip test"),
        ({"model": "m", "flip": True, "decoder": "quarter"}, "model m, with flip test, quarter decoding"),
    ],
)
def test_how_predictions_were_made_is_said_as_far_as_it_is_known(about: dict[str, object], told: str) -> None:
    assert eval_tables.made(about) == told


def test_oks_of_what_nobody_is_is_a_dash() -> None:
    data = dataset(5, COCO)
    assert "5 of 5 persons have no annotated area" in printed(data, metric="oks")
    data = replace(data, persons=[replace(person, area=1e4) for person in data.persons])  # everybody is large
    assert "no annotated area" not in printed(data, metric="oks")
    lines = [line.split() for line in printed(data, metric="oks").splitlines()]
    assert ["AP", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    assert ["AR", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    detections = oks.of_persons(data, exact(data))
    scores = scoring.score_detections(data, detections)
    assert "boxes were given" not in "".join(map(terminal.rendered, eval_tables.tables(scores, data, False)))


def test_a_comparison_fits_into_80_columns(tmp_path: Path) -> None:
    data = dataset(40)
    saved = []
    for name, found in (("a", predictions(data, 100.0)), ("b", exact(data))):
        report.write(tmp_path / name, report.content(data, scoring.score(data, found, Options(resamples=0)), {}, ""))
        saved.append(report.read(tmp_path / name))
    for comparison in compare.compare(saved[0], saved[1], 50):
        groups, means = (terminal.rendered(part).splitlines() for part in eval_tables.differences(comparison))
        assert max(map(len, [*groups, *means])) <= 80
        assert "…" not in "".join([*groups, *means])
        (wrist,) = [line.split() for line in groups if line.startswith("Wrist")]
        assert wrist[2:3] + wrist[-2:] == ["100.00", "100.0", "%"]
        assert len(means) == 2 + len(comparison.means)  # no name takes two lines
