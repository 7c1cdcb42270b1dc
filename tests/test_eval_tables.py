"""How the figures of posehg eval are printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg.cli import eval_tables, guard
from posehg.datasets import Dataset
from posehg.evaluation import compare, oks, report, scoring
from posehg.evaluation.predictions import Predictions
from posehg.evaluation.scoring import Options
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.evaluated import dataset, predictions


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def printed(data: Dataset, found: Predictions | None = None, joints: bool = False, **options: object) -> str:
    scores = scoring.score(data, found or exact(data), Options(**{"resamples": 20, **options}))  # type: ignore[arg-type]
    return "".join(guard.drawn(part) for part in eval_tables.tables(scores, data, joints))


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
        (COCO, [*BODY, "Eye", "Ear"]),  # the mean, for which there is no room, stands among the means
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
    assert len([1 for line in text.splitlines() if not line.startswith(" ") and line.endswith("100")]) == 0


def test_many_groups_take_several_tables() -> None:
    fingers = [f"finger{i}" for i in range(9)]
    hand = Skeleton("hand", tuple(f"{side}_{finger}" for side in ("left", "right") for finger in fingers), ())
    assert columns(printed(dataset(5, hand)), "PCKh@0.5") == [*(name.capitalize() for name in fingers), "Mean"]


def test_groups_that_nobody_predicts_have_no_column() -> None:
    data = dataset(5, COCO)
    keypoints = exact(data).keypoints.copy()
    keypoints[:, :5] = np.nan
    assert columns(printed(data, Predictions(keypoints, exact(data).scores)), "PCKh@0.5") == [*BODY, "Mean"]


def test_the_unit_and_who_can_be_measured_are_said() -> None:
    data = dataset(5)
    data = replace(data, persons=[replace(data.persons[0], head_size=None), *data.persons[1:]])
    text = printed(data)
    assert "PCKh: found within that share of the head's size (0.6 of its box's diagonal).\n4 of 5 persons can" in text
    assert "PCK: found within that share of the torso's length (left shoulder to right hip).\n5 of 5 persons" in text
    assert "right shoulder to left hip" in printed(dataset(5, FLIC))
    assert "AUC: the area under the curve over thresholds from 0 to 0.5, in 50 steps.\n" in text
    hand = dataset(5, Skeleton("hand", ("thumb", "palm"), ()))
    assert "PCK of the box: found within that share of its longer side (hand has no torso).\n" in printed(hand)


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


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({}, "model not known, flip test not known"),
        ({"model": "m", "flip": False}, "model m, without flip test"),
        ({"model": "m", "flip": True, "decoder": "quarter"}, "model m, with flip test, quarter decoding"),
    ],
)
def test_how_predictions_were_made_is_said_as_far_as_it_is_known(about: dict[str, object], told: str) -> None:
    assert eval_tables.made(about) == told


def test_oks_of_what_nobody_is_is_a_dash() -> None:
    data = dataset(5, COCO)  # everybody's box is large
    lines = [line.split() for line in printed(data, metric="oks").splitlines()]
    assert ["AP", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    assert ["AR", "1.000", "1.000", "1.000", "-", "1.000"] in lines
    detections = oks.of_persons(data, exact(data))
    scores = scoring.score_detections(data, detections)
    assert "boxes were given" not in "".join(map(guard.drawn, eval_tables.tables(scores, data, False)))


def test_a_comparison_fits_into_80_columns(tmp_path: Path) -> None:
    data = dataset(40)
    saved = []
    for name, found in (("a", predictions(data, 100.0)), ("b", exact(data))):
        report.write(tmp_path / name, report.content(data, scoring.score(data, found, Options(resamples=0)), {}, ""))
        saved.append(report.read(tmp_path / name))
    for comparison in compare.compare(saved[0], saved[1], 50):
        text = guard.drawn(eval_tables.differences(comparison))
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
        rows = [line.split() for line in text.splitlines()]
        (wrist,) = [row for row in rows if row[:1] == ["Wrist"]]
        assert wrist[2:3] + wrist[-2:] == ["100.00", "100.0", "%"]
