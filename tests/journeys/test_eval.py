from pathlib import Path

import numpy as np
import pytest

from posehg import checkpoints, datasets
from posehg.datasets import Dataset
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import Skeleton
from tests import stubs
from tests.journeys.conftest import Posehg

POINTS = np.array([[200.0, 150], [140, 110], [259, 191]])


@pytest.fixture
def dots_data(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Four persons as a data set that every name gives; of one the right hand is annotated elsewhere."""
    photo = stubs.dots_photo(POINTS)
    people = [
        Person(Path("a.png"), Box(100, 60, 200, 180), POINTS + shift, np.ones(3, dtype=bool), head_size=30.0)
        for shift in (np.array([[0], [100], [0]]), 0, 0, 0)
    ]
    data = Dataset("made", "val", stubs.DOTS, people, lambda person: photo)
    monkeypatch.setattr(datasets, "load_one", lambda name, root, split, need_images: data)
    return data


def test_the_scores_are_printed_as_tables(posehg: Posehg, dots: Path, dots_data: Dataset) -> None:
    run = posehg("eval", "--model", dots)
    assert (run.code, run.err) == (0, "")
    heading, pckh, pck = run.out.partition("PCKh@T:")[0], *run.out.split("PCKh@T:")[1].split("PCK@T:")
    assert heading == f"made val: 4 people; model {dots}, with flip test, subpixel decoding\n\n"
    assert "4 of 4 people" in pckh
    assert "nose to left hand" in pck
    rows = [line.split() for line in run.out.splitlines()]
    assert ["Hand", "Mean"] in rows
    for title in ("PCKh@0.5", "PCKh@0.1", "PCK@0.2"):
        assert [title, "87.50", "91.67"] in rows
    assert "PCKh@0.5  3 joints                    91.67  75.00 to 100.00\n" in pckh
    assert "PCK@0.2  all 3 joints    91.67  75.00 to 100.00\n" in pck
    assert max(map(len, run.out.splitlines()[1:])) <= 80


def test_metrics_are_taken_apart_when_asked(posehg: Posehg, dots: Path, dots_data: Dataset) -> None:
    run = posehg("eval", "--model", dots, "--breakdown", "--metric", "pckh", "--threshold", 5, "--bootstrap", 0)
    assert run.code == 0, run.err
    assert ["PCKh@5", "100.00", "100.00"] in [line.split() for line in run.out.splitlines()]
    assert "0.9 to 1" in run.out
    assert "upside down" in run.out
    assert "PCK@T:" not in run.out


def test_oks_is_computed_from_the_annotated_boxes(posehg: Posehg, dots: Path, dots_data: Dataset) -> None:
    run = posehg("eval", "--model", dots, "--metric", "oks")
    assert run.code == 0
    assert "4 of 4 people" in run.out
    # One person of four has one joint of three far away: an OKS of 2/3, which is above four of ten thresholds.
    assert [line.split()[:3] for line in run.out.splitlines() if line.startswith("AR")] == [["AR", "0.850", "1.000"]]


@pytest.mark.parametrize(
    ("options", "minimum", "name"),
    [
        ((), 91.7, "PCK@0.2, mean of all 3 joints, is 91.67"),
        (("--metric", "pckh"), 91.7, "PCKh@0.5, mean of 3 joints, is 91.67"),
        (("--metric", "oks"), 99, "OKS AP"),
    ],
)
def test_min_is_a_gate(
    posehg: Posehg, dots: Path, dots_data: Dataset, options: tuple[str, ...], minimum: float, name: str
) -> None:
    run = posehg("eval", "--model", dots, *options, "--min", minimum)
    assert run.code == 4
    assert f"Error: {name}" in run.err
    assert "made val" in run.out  # the tables are printed all the same
    assert posehg("eval", "--model", dots, *options, "--min", 80).code == 0


def test_a_model_of_another_skeleton_is_refused(posehg: Posehg, dots_data: Dataset, tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "tail", stubs.tiny(Skeleton("tail", ("tip", "root"), ())))
    run = posehg("eval", "--model", tmp_path / "tail")
    run.assert_failed(2, "made")
    assert "tip, root" in run.err
    checkpoints.save_folder(tmp_path / "nose", stubs.tiny(Skeleton("nose", ("nose",), ())))
    run = posehg("eval", "--model", tmp_path / "nose")
    assert run.code == 0
    assert "right hand, left hand." in run.out


def test_rendered_people_are_scored(posehg: Posehg, model: Path) -> None:
    run = posehg("eval", "--dataset", "synthetic", "--limit", 2, "--model", model)
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("synthetic val: 2 people; ")
    assert "the 12 limb joints" in run.out
