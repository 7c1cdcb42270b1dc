"""A whole run in its folder, or a dry one: its data sets, its report, and what it leaves alone."""

import csv
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from posehg import datasets, images
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.geometry import Box
from posehg.network import parameters
from posehg.poses import Person
from posehg.training import report, trainer
from posehg.training import state as states
from posehg.training.builder import load_data, model_config
from posehg.training.config import TrainConfig
from posehg.training.data import without_augmentation
from posehg.training.state import STATE, Progress
from posehg.training.trainer import BEST, LAST
from tests.stubs import DOTS, dots_estimator, dots_photo, tiny
from tests.toy import SKELETON, TINY, Watcher, dataset


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, root: Path, split: str) -> datasets.Dataset:
        if name == "unvalidated" and split == "val":
            raise NotAvailable("no val")
        note = "Half annotated." if name == "unvalidated" else ""
        return replace(dataset(7 if split == "train" else 3, name, split), note=note)

    monkeypatch.setattr(datasets, "load_known", load)
    monkeypatch.setattr(datasets, "RENDERED", {"toy", "unvalidated"})


TOY = replace(TINY, dataset="toy")


def go(config: TrainConfig, folder: Path, stop_after: int | None = None, **options: Any) -> Watcher:
    watcher = Watcher(stop_after)
    finished = trainer.run(config, folder, None, watcher, **options)
    assert finished == (stop_after is None)
    return watcher


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_leaves_models_options_figures_and_sheets(tmp_path: Path) -> None:
    folder = tmp_path / "new/run"
    watcher = go(TOY, folder)
    assert set(snapshot(folder)) == {STATE, LAST, BEST, *report.FILES, "validation_toy.png"}
    assert json.loads((folder / "config.json").read_text()) == {**asdict(TOY), "stem": [2, 4, 4]}
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row, known in zip(rows, watcher.epochs[-1].history, strict=True):
        assert {key: float(value) for key, value in row.items()} == pytest.approx(known, rel=1e-5)
    cells = np.split(images.read(folder / "validation_toy.png")[4:, 4:], 6, axis=1)
    assert [cell[:-4, :-4].std() > 1 for cell in cells] == [True] * 3 + [False] * 3  # each of three persons once


def test_figures_of_epochs_with_different_columns_fit_one_table_and_one_chart(tmp_path: Path) -> None:
    first = {"epoch": 1.0, "loss": 0.5, "pck_a": 3.0}
    for last, lines in (
        ({"epoch": 2.0, "loss": 0.25, "pck_a": math.nan, "pck_b": 7.0}, ["1,0.5,3,", "2,0.25,nan,7"]),
        ({"epoch": 2.0, "loss": 0.25}, ["1,0.5,3", "2,0.25,"]),
    ):
        report.write(tmp_path, Progress(epoch=2, history=(first, last)), [])
        chart = images.read(tmp_path / "curves.png")
        assert chart.shape == (400, 1600, 3)
        assert (np.ptp(chart.astype(int), axis=-1) > 60).sum() > 100  # coloured lines
        assert (tmp_path / "metrics.csv").read_text().split() == [",".join({**first, **last}), *lines]


def test_samples_are_of_the_coming_epoch_and_a_lost_report_is_rewritten(tmp_path: Path) -> None:
    first, run = report.Report(tmp_path, Watcher(), dataset(), [], TOY), tmp_path / "run"
    sheets = []
    for epoch, stop_after in ((0, 1), (2, None)):
        first.write_samples(epoch)
        sheets.append((tmp_path / "samples.png").read_bytes())
        go(TOY, run, stop_after, resumed=states.load(run / STATE) if epoch else None)
        assert (run / "samples.png").read_bytes() == sheets[-1]
    assert sheets[0] != sheets[1]
    before = snapshot(run)
    for name in report.FILES:
        (run / name).unlink()
    with pytest.raises(UsageError, match="finished") as caught:
        go(TOY, run, resumed=states.load(run / STATE))
    assert "--epochs" in caught.value.hint
    for name in before:
        assert (run / name).read_bytes() == before[name]


@pytest.mark.parametrize("name", [STATE, LAST, BEST, *report.FILES])
def test_files_of_a_run_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(UsageError, match=str(tmp_path)) as caught:
        go(TOY, tmp_path)
    assert "--overwrite" in f"{caught.value} {caught.value.hint}"
    assert snapshot(tmp_path) == {name: b"precious"}


def test_a_run_that_ended_before_its_first_save_can_be_started_again(tmp_path: Path) -> None:
    class Failing(Watcher):
        def stop(self) -> bool:
            raise InputError("The data vanished.")

    for _ in range(2):
        with pytest.raises(InputError, match="vanished"):
            trainer.run(TOY, tmp_path, None, Failing())
        assert snapshot(tmp_path).keys() == set(report.FIRST)
    go(TOY, tmp_path)
    with pytest.raises(UsageError):
        go(TOY, tmp_path)


def test_overwriting_starts_a_new_run(tmp_path: Path) -> None:
    go(TOY, tmp_path)
    before = (tmp_path / LAST).read_bytes()
    (tmp_path / "events.out.tfevents.1700000000.here").write_text("old")
    go(replace(TOY, seed=4), tmp_path, overwrite=True, stop_after=1)
    assert not (tmp_path / BEST).exists()
    assert not (tmp_path / "events.out.tfevents.1700000000.here").exists()
    assert (tmp_path / LAST).read_bytes() != before
    assert states.load(tmp_path / STATE).config.seed == 4


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/run"):
        go(TOY, tmp_path / "file/run")


def test_a_set_without_a_validation_split_is_trained_on_and_oddities_are_noted(tmp_path: Path) -> None:
    watcher = go(replace(TOY, dataset="toy:2+unvalidated", joints="head", half_body=0.5), tmp_path)
    for note, said in zip(watcher.notes, ("Half annotated", "--half-body", "unvalidated"), strict=True):
        assert said in note
    assert list(watcher.epochs[-1].history[-1]) == ["epoch", "loss", "pck_toy", "lr", "seconds"]
    assert all(text in watcher.facts["data"] for text in ("toy:2+unvalidated", "21 people", "3 of toy"))
    assert str(tmp_path) in watcher.facts["folder"]
    assert max(step for _, step in watcher.places) == math.ceil((2 * 7 + 7) / 2)


def test_a_limit_applies_to_training_and_validation() -> None:
    _, training, validation = load_data(replace(TOY, limit=2), None, Watcher())
    assert [len(training), *map(len, validation)] == [2, 2]


@pytest.mark.parametrize("joints", ["", "left_hip,right_hip"])
def test_overfitting_trains_and_validates_on_some_persons(tmp_path: Path, joints: str) -> None:
    asked = replace(TOY, overfit=3, joints=joints, limit=5)
    watcher = go(asked, tmp_path)
    assert watcher.places == [(0, 1), (0, 2), (1, 1), (1, 2)]
    config, training, (validation,) = load_data(asked, None, Watcher())
    assert [[person.id for person in part.persons] for part in (training, validation)] == [["0", "2", "4"]] * 2
    assert math.isfinite(watcher.epochs[-1].history[-1]["pck_toy"])
    assert states.load(tmp_path / STATE).config == config == without_augmentation(asked)


POINTS, WIDE = np.array([[200.0, 150], [140, 110], [259, 191]]), Box(100, 60, 200, 180)
TORSO = float(np.hypot(*(POINTS[0] - POINTS[2])))


@pytest.mark.parametrize(
    ("offsets", "with_torso", "measure", "counted"),
    [
        ((0, 0.15 * TORSO, 0.25 * TORSO), True, "PCK@0.2", 2 / 3),
        ((0, 0.03 * WIDE.w, 0.07 * WIDE.w), False, "PCK@0.05 of the box", 2 / 3),
        ((9.5,), False, "PCK@0.05 of the box", 1),  # between the shorter and the longer side's
        ((0, math.nan), True, "PCK@0.2", 1),  # NaN: the second person has no labelled torso
    ],
)
def test_pck_is_of_the_torso_or_box(offsets: tuple[float, ...], with_torso: bool, measure: str, counted: float) -> None:
    people = []
    for number, offset in enumerate(offsets):
        shift = [[0, 0], [99 if math.isnan(offset) else offset, 0], [offset * 0, 0]]
        people.append(Person(Path(f"{number}.png"), WIDE, POINTS + np.array(shift), np.ones(3, dtype=bool)))
    skeleton = DOTS if with_torso else replace(DOTS, torso=("left_shoulder", "right_hip"))
    data = datasets.Dataset("dots", "val", skeleton, people, lambda person: dots_photo(POINTS))
    result = report.validate(dots_estimator(), data)
    assert result.measure == measure
    assert result.score == pytest.approx(100 * (2 + counted) / 3)


def test_tensorboard_gets_losses_rates_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Mock()
    monkeypatch.setattr(report, "find_spec", Mock())
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", Mock(SummaryWriter=writer))
    watcher = go(TOY, tmp_path, tensorboard=True)
    writer.assert_called_once_with(str(tmp_path))
    expected = [("loss", loss, step) for step, loss in enumerate(watcher.losses, start=1)]
    expected += [("learning rate", rate, step) for step, rate in enumerate(watcher.rates, start=1)]
    expected += [("PCK@0.2 toy", row["pck_toy"], int(row["epoch"])) for row in watcher.epochs[-1].history]
    assert sorted(call.args for call in writer.return_value.add_scalar.call_args_list) == sorted(expected)


def test_without_tensorboard_its_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    with pytest.raises(NotAvailable) as caught:
        go(TOY, tmp_path / "run", tensorboard=True)
    assert "pip install 'posehg[tensorboard]'" in caught.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "steps", "crops"),
    [
        ({}, 7, 2),
        ({"batch": 100, "limit": 1}, 7, 1),  # a set smaller than a batch
        ({"batch": 100, "epochs": 1, "dataset": "unvalidated"}, 1, 7),  # a run of a single step
        ({"batch": 3, "accumulate": 2, "ema": 0.9, "max_time": 45, "workers": 1}, 7, 3),
    ],
)
def test_a_dry_run_says_what_the_run_takes(changes: dict[str, Any], steps: int, crops: int) -> None:
    config = replace(TOY, **{"epochs": 100, **changes})
    lines = dict(line.split(maxsplit=1) for line in trainer.dry_run(config, None, Watcher(), None))
    assert f" {parameters(model_config(config, dataset()).network):,} parameters" in lines["network"]
    assert f" {steps} steps" in lines["loss"]
    assert f" {max(0, config.workers)} worker" in lines["memory"]
    assert f" {crops} crops:" in lines["step"]
    assert ("--max-time" in lines["run"]) == ("max_time" in changes)


def test_a_dry_run_refuses_mistakes_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="3 parts"):
        trainer.dry_run(replace(TOY, batch=2, accumulate=3), None, Watcher(), None)
    config, watcher = replace(TOY, features=8, stem=(4, 4, 8), input_size=64, overfit=2, joints="head"), Watcher()
    lines = dict(line.split(maxsplit=1) for line in trainer.dry_run(config, None, watcher, tiny(SKELETON)))
    assert ("2 people" in lines["data"], lines["joints"]) == (True, "head")
    assert len(watcher.notes) == 1  # what is kept of the model
    assert list(tmp_path.iterdir()) == []
