"""A whole run in its folder: what it writes, and what it leaves alone."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from posehg import datasets, images
from posehg.errors import NotAvailable, UsageError
from posehg.training import report, session
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE
from posehg.training.state import Progress
from tests.toy import TINY, Watcher, dataset


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(root: Path, split: str) -> datasets.Dataset:
        if root.name == "unvalidated" and split == "val":
            raise NotAvailable("no val")
        return dataset(7 if split == "train" else 3, root.name, split)

    for name in ("toy", "unvalidated"):
        monkeypatch.setitem(datasets.LOADERS, name, load)
    monkeypatch.setattr(datasets, "RENDERED", {"toy", "unvalidated"})


TOY = replace(TINY, dataset="toy")


def go(config: TrainConfig, folder: Path, overwrite: bool = False, **watching: Any) -> tuple[bool, Watcher]:
    watcher = Watcher(**watching)
    return session.run(config, None, folder, watcher, None, overwrite), watcher


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_leaves_models_options_figures_and_pictures(tmp_path: Path) -> None:
    assert go(TOY, tmp_path / "new/run")[0]
    names = {LAST, BEST, STATE, "config.json", "metrics.csv", "curves.png", "validation_toy.png"}
    assert set(snapshot(tmp_path / "new/run")) == names


def test_a_runs_options_are_written_out(tmp_path: Path) -> None:
    go(TOY, tmp_path, stop_after=1)
    assert json.loads((tmp_path / "config.json").read_text()) == {**asdict(TOY), "stem": [2, 4, 4]}


def test_the_figures_have_a_line_an_epoch(tmp_path: Path) -> None:
    _, watcher = go(TOY, tmp_path)
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row, known in zip(rows, watcher.epochs[-1].history, strict=True):
        assert {key: float(value) for key, value in row.items()} == pytest.approx(known, rel=1e-5)


def test_the_sheet_shows_every_person_of_a_small_set_once(tmp_path: Path) -> None:
    go(TOY, tmp_path)
    cell, gap = 256, 4
    sheet = images.read(tmp_path / "validation_toy.png")
    assert sheet.shape == (cell + 2 * gap, 6 * (cell + gap) + gap, 3)
    used = [sheet[gap:-gap, gap + i * (cell + gap) :][:, :cell].std() > 1 for i in range(6)]
    assert used == [True] * 3 + [False] * 3


def test_a_set_without_a_validation_split_takes_no_part_and_this_is_said(tmp_path: Path) -> None:
    _, watcher = go(replace(TOY, dataset="toy:2+unvalidated"), tmp_path)
    assert watcher.notes == ["unvalidated takes no part in the validation: no val"]
    assert set(watcher.epochs[-1].history[-1]) == {"epoch", "loss", "pck_toy"}
    assert max(step for _, step in watcher.places) == (2 * 7 + 7) // 2


def test_a_limit_applies_to_training_and_validation(tmp_path: Path) -> None:
    _, watcher = go(replace(TOY, limit=2), tmp_path)
    assert watcher.places == [(0, 1), (1, 1)]
    assert images.read(tmp_path / "validation_toy.png")[:, 2 * 260 + 4 :].min() == 255


@pytest.mark.parametrize("kept", [STATE, LAST, BEST])
def test_a_folder_with_a_run_is_left_alone(tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).write_bytes(b"precious")
    with pytest.raises(UsageError, match="holds a run already"):
        go(TOY, tmp_path)
    assert snapshot(tmp_path) == {kept: b"precious"}


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "curves.png"])
def test_somebody_elses_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"has a {name} already"):
        go(TINY, tmp_path)
    assert snapshot(tmp_path) == {name: b"mine"}


def test_overwriting_begins_anew(tmp_path: Path) -> None:
    go(TOY, tmp_path)
    before = (tmp_path / LAST).read_bytes()
    go(replace(TOY, seed=4), tmp_path, overwrite=True, stop_after=1)
    assert not (tmp_path / BEST).exists()
    assert (tmp_path / LAST).read_bytes() != before
    assert states.load(tmp_path / STATE).config.seed == 4


@pytest.mark.parametrize("wrong", [{"input_size": 24}, {"device": "abacus"}, {"dataset": "toys"}, {"skeleton": "x"}])
def test_a_mistake_costs_no_run_even_when_overwriting(tmp_path: Path, wrong: dict[str, Any]) -> None:
    go(TOY, tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(UsageError):
        go(replace(TOY, **wrong), tmp_path, overwrite=True)
    assert snapshot(tmp_path) == before


def test_a_mistake_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot take an input of 24 x 24"):
        go(replace(TOY, input_size=24), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/run cannot be made"):
        go(TOY, tmp_path / "file/run")


def test_a_report_that_a_kill_prevented_is_written_when_resuming(tmp_path: Path) -> None:
    go(TOY, tmp_path)
    before = (tmp_path / "metrics.csv").read_bytes()
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "curves.png").unlink()
    session.run(TOY, None, tmp_path, Watcher(), session.saved(tmp_path), False)
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert (tmp_path / "curves.png").exists()


def test_figures_of_epochs_with_different_columns_fit_one_table(tmp_path: Path) -> None:
    history = (
        {"epoch": 1.0, "loss": 0.5, "pck_a": 3.0},
        {"epoch": 2.0, "loss": 0.25, "pck_a": float("nan"), "pck_b": 7.0},
    )
    report.write(tmp_path, Progress(epoch=2, history=history), ())
    lines = (tmp_path / "metrics.csv").read_text().split()
    assert lines == ["epoch,loss,pck_a,pck_b", "1,0.5,3,", "2,0.25,nan,7"]
