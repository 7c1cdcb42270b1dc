"""A whole run in its folder: what it writes, and what it leaves alone."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from posehg import checkpoints, datasets, images
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.training import report, session
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE
from posehg.training.samples import unchanged
from posehg.training.session import Place, load_sets
from posehg.training.state import Progress
from tests.toy import SKELETON, TINY, Watcher, dataset


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
    return session.run(config, Place(folder), watcher, None, overwrite), watcher


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def history(folder: Path) -> tuple[dict[str, float], ...]:
    return states.load(folder / STATE).progress.history


def test_a_run_leaves_models_options_figures_and_pictures(tmp_path: Path) -> None:
    assert go(TOY, tmp_path / "new/run")[0]
    names = {LAST, BEST, STATE, "config.json", "metrics.csv", "curves.png", "samples.png", "validation_toy.png"}
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
    assert max(step for _, step in watcher.places) == math.ceil((2 * 7 + 7) / 2)


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


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "curves.png", "samples.png"])
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


@pytest.mark.parametrize(
    "wrong",
    [
        *({"input_size": 24}, {"device": "abacus"}, {"dataset": "toys"}, {"skeleton": "x"}, {"joints": "left_wing"}),
        {"batch": 2, "accumulate": 2},
    ],
)
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
    with pytest.raises(InputError, match="file/run cannot be made"):
        go(TOY, tmp_path / "file/run")


def test_a_report_that_a_kill_prevented_is_written_when_resuming(tmp_path: Path) -> None:
    go(TOY, tmp_path)
    before = (tmp_path / "metrics.csv").read_bytes()
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "curves.png").unlink()
    session.run(TOY, Place(tmp_path), Watcher(), session.saved(tmp_path), False)
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


# ---- which persons, which joints ---------------------------------------------------------------------------------


def sets(config: TrainConfig) -> session.Sets:
    return load_sets(config, Path("nowhere"), Watcher())


def test_a_network_of_some_joints_is_validated_by_the_torso_of_the_whole_set(tmp_path: Path) -> None:
    go(replace(TOY, joints="head, left_hip"), tmp_path)
    assert checkpoints.load(tmp_path / LAST).config.skeleton.joints == ("head", "left_hip")
    assert math.isfinite(history(tmp_path)[-1]["pck_toy"])


def test_the_sets_of_some_joints_are_the_training_ones() -> None:
    loaded = sets(replace(TOY, joints="head,left_hip"))
    assert loaded.training.skeleton.joints == ("head", "left_hip")
    assert loaded.training.persons[6].keypoints.shape == (2, 2)
    assert [part.skeleton for part in loaded.validation] == [SKELETON]


def test_joints_that_the_set_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no joint 'left_hipp'") as caught:
        go(replace(TOY, joints="head,left_hipp"), tmp_path / "run")
    assert caught.value.hint == "Did you mean left_hip?"


@pytest.mark.parametrize("joints", ["", "left_hip,right_hip"])
def test_overfitting_trains_on_some_persons_as_they_are_and_validates_on_them(tmp_path: Path, joints: str) -> None:
    """The torso by which they are measured need not be learned."""
    _, watcher = go(replace(TOY, overfit=3, joints=joints, limit=5), tmp_path)
    assert watcher.places == [(0, 1), (0, 2), (1, 1), (1, 2)]
    loaded = sets(replace(TOY, overfit=3, joints=joints))
    assert [person.id for person in loaded.training.persons] == ["0", "2", "4"]
    assert [person.id for person in loaded.validation[0].persons] == ["0", "2", "4"]
    assert math.isfinite(history(tmp_path)[-1]["pck_toy"])
    config = states.load(tmp_path / STATE).config
    assert config == unchanged(config)
    assert json.loads((tmp_path / "config.json").read_text())["rotation"] == 0


def test_overfitting_lowers_the_loss(tmp_path: Path) -> None:
    wide = replace(TOY, features=16, stem=(8, 8, 16), epochs=12)
    _, watcher = go(replace(wide, overfit=2, lr=1e-2, optimizer="adamw", schedule="constant"), tmp_path)
    assert watcher.losses[-1] < 0.3 * watcher.losses[0]


# ---- samples -----------------------------------------------------------------------------------------------------


def test_the_samples_are_those_of_the_epoch_that_comes(tmp_path: Path) -> None:
    reporting = report.Reporting(tmp_path, Watcher(), True, dataset(), TOY, tensorboard=False)
    reporting.show_samples(epoch=0)
    first = images.read(tmp_path / "samples.png")
    reporting.show_samples(epoch=2)
    third = images.read(tmp_path / "samples.png")
    cell, gap = 256, 4
    assert first.shape == (2 * (cell + gap) + gap, 6 * (cell + gap) + gap, 3)  # seven persons
    assert not np.array_equal(first, third)
    go(TOY, tmp_path / "run", stop_after=1)
    assert np.array_equal(images.read(tmp_path / "run/samples.png"), first)
    session.run(TOY, Place(tmp_path / "run"), Watcher(), session.saved(tmp_path / "run"), False)
    assert np.array_equal(images.read(tmp_path / "run/samples.png"), third)


# ---- TensorBoard -------------------------------------------------------------------------------------------------


class FakeWriter:
    """What TensorBoard is told."""

    def __init__(self, folder: str) -> None:
        self.folder, self.flushed = folder, 0
        self.figures: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.figures.append((name, value, step))

    def flush(self) -> None:
        self.flushed += 1


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[FakeWriter]:
    """Those that are made."""
    module, made = ModuleType("torch.utils.tensorboard"), []

    def make(folder: str) -> FakeWriter:
        made.append(FakeWriter(folder))
        return made[-1]

    module.SummaryWriter = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return made


def with_board(config: TrainConfig, folder: Path, **watching: Any) -> Watcher:
    watcher = Watcher(**watching)
    session.run(config, Place(folder), watcher, None, False, tensorboard=True)
    return watcher


def test_tensorboard_is_told_of_losses_rates_and_scores(tmp_path: Path, writers: list[FakeWriter]) -> None:
    watcher = with_board(TOY, tmp_path)
    [writer] = writers
    assert writer.folder == str(tmp_path)
    figures = {name: [(value, step) for n, value, step in writer.figures if n == name] for name, _, _ in writer.figures}
    steps = range(1, 9)
    assert figures["loss"] == list(zip(watcher.losses, steps, strict=True))
    assert figures["learning rate"] == list(zip(watcher.rates, steps, strict=True))
    scores = [row["pck_toy"] for row in watcher.epochs[-1].history]
    assert figures["PCK@0.2 toy"] == list(zip(scores, (1, 2), strict=True))
    assert figures.keys() == {"loss", "learning rate", "PCK@0.2 toy"}
    assert writer.flushed == 2


def test_a_run_that_begins_anew_has_no_events_of_the_old_one(tmp_path: Path) -> None:
    go(TOY, tmp_path, stop_after=1)
    (tmp_path / "events.out.tfevents.1700000000.here").write_text("old")
    session.run(TOY, Place(tmp_path), Watcher(1), session.saved(tmp_path), False)
    assert (tmp_path / "events.out.tfevents.1700000000.here").exists()
    go(TOY, tmp_path, overwrite=True, stop_after=1)
    assert not (tmp_path / "events.out.tfevents.1700000000.here").exists()


def test_nobody_else_is_told(tmp_path: Path, writers: list[FakeWriter]) -> None:
    go(TOY, tmp_path)
    assert writers == []


def test_a_mistake_leaves_no_events_behind(tmp_path: Path, writers: list[FakeWriter]) -> None:
    with pytest.raises(UsageError):
        with_board(replace(TOY, input_size=24), tmp_path / "run")
    assert writers == []


def test_without_tensorboard_its_installation_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # an import of it fails
    with pytest.raises(UsageError, match="TensorBoard is not installed") as caught:
        with_board(TOY, tmp_path / "run")
    assert "pip install 'posehg[tensorboard]'" in caught.value.hint
    assert not (tmp_path / "run").exists()
