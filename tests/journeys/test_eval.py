from __future__ import annotations

import subprocess
from collections.abc import Callable
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
    people = []
    for number in range(4):
        keypoints = POINTS.copy()
        keypoints[1] += 100 * (number == 0)
        visible = np.ones(3, dtype=bool)
        people.append(Person(Path("a.png"), Box(100, 60, 200, 180), keypoints, visible, head_size=30.0))
    data = Dataset("made", "val", stubs.DOTS, people, lambda person: photo)
    monkeypatch.setattr(datasets, "load", lambda name, root, split: data)
    return data


def rows(text: str) -> dict[str, list[str]]:
    """The lines of a table: what stands before the numbers, and these."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {" ".join(w for w in line if not w[0].isdigit()): [w for w in line if w[0].isdigit()] for line in lines}


def test_the_scores_are_printed_as_tables(posehg: Posehg, dots: Path, dots_data: Dataset) -> None:
    run = posehg("eval", "--model", dots)
    assert (run.code, run.err) == (0, "")
    heading, pck, pckh = run.out.partition("PCK@0.2")[0], *run.out.split("PCK@0.2")[1].split("PCKh@0.5")
    assert heading.startswith(f"made val: 4 persons; model {dots}, with flip test, subpixel decoding\n")
    assert rows(pck)["right hand"] == rows(pckh)["right hand"] == ["75.00", "4"]
    assert rows(pck)["nose"] == rows(pckh)["nose"] == ["100.00", "4"]
    assert "mean of all 3 joints" in run.out
    assert "91.67" in run.out


def test_fewer_persons_are_taken_when_asked(posehg: Posehg, dots: Path, dots_data: Dataset) -> None:
    run = posehg("eval", "--model", dots, "--limit", 2, "--no-flip", "--decoder", "quarter")
    assert run.out.startswith(f"made val: 2 persons; model {dots}, without flip test, quarter decoding\n")


@pytest.mark.parametrize(("minimum", "code"), [(91.6, 0), (91.7, 4)])
def test_min_is_a_gate(posehg: Posehg, dots: Path, dots_data: Dataset, minimum: float, code: int) -> None:
    run = posehg("eval", "--model", dots, "--min", minimum)
    assert run.code == code
    assert ("below the 91.7 that --min asks for." in run.err) == bool(code)
    assert "PCK@0.2" in run.out  # the tables are printed all the same


def test_a_model_of_another_skeleton_is_refused(posehg: Posehg, dots_data: Dataset, tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "tail", stubs.tiny(Skeleton("tail", ("tip", "root"), ())))
    run = posehg("eval", "--model", tmp_path / "tail")
    run.assert_failed(3, "The model has none of the joints of made")
    assert "Hint: The model has: tip, root.\n" in run.err


def test_joints_that_the_model_does_not_have_are_told(posehg: Posehg, dots_data: Dataset, tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "nose", stubs.tiny(Skeleton("nose", ("nose",), ())))
    run = posehg("eval", "--model", tmp_path / "nose")
    assert run.code == 0
    assert "left out: right_hand, left_hand.\n" in run.err
    assert rows(run.out)["right hand -"] == ["0"]


def test_a_picture_that_is_missing_is_named(
    posehg: Posehg, dots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [Person(tmp_path / "gone.jpg", Box(0, 0, 9, 9), POINTS, np.ones(3, dtype=bool))]
    data = Dataset("made", "val", stubs.DOTS, people)
    monkeypatch.setattr(datasets, "load", lambda name, root, split: data)
    posehg("eval", "--model", dots).assert_failed(3, f"There is no file {tmp_path / 'gone.jpg'}.")


def test_a_misspelt_data_set_is_recognised(posehg: Posehg, model: Path) -> None:
    run = posehg("eval", "--dataset", "mpi", "--model", model)
    run.assert_failed(2, "There is no data set 'mpi'.")
    assert "Hint: Did you mean mpii?" in run.err


def test_a_data_set_that_is_not_there_comes_with_its_source(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    run = posehg("eval", "--dataset", "lspet", "--data", tmp_path / "none", "--model", model)
    run.assert_failed(5, "The data set lspet was not found")
    assert "http" in run.err


def test_one_data_set_is_evaluated_at_a_time(posehg: Posehg, model: Path) -> None:
    posehg("eval", "--dataset", "mpii+lspet", "--model", model).assert_failed(2, "one data set is evaluated at a time.")


def test_a_process_of_its_own_scores_rendered_people(
    real_posehg: Callable[..., subprocess.Popen[bytes]], model: Path
) -> None:
    process = real_posehg("eval", "--dataset", "synthetic", "--limit", 2, "--model", model)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, b"")
    assert out.decode().startswith("synthetic val: 2 persons; ")
    assert "mean of the 12 limb joints" in out.decode()
