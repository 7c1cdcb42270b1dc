from __future__ import annotations

import csv
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import datasets, images
from posehg.errors import NotAvailable, UsageError
from posehg.network import HourglassConfig, StackedHourglass
from posehg.training import report, session
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE
from posehg.training.optimize import learning_rate, optimizer
from posehg.training.state import Progress, State
from tests.toy import TINY, Watcher, dataset

PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores

# ---- config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("loss", "l1", "no loss 'l1'"),
        ("optimizer", "sgd", "no optimizer 'sgd'"),
        ("schedule", "step", "no schedule 'step'"),
        ("precision", "fp8", "no precision 'fp8'"),
        *((name, 0, f"{name} must be") for name in ("epochs", "batch", "lr", "sigma", "padding", "input_size")),
        *((name, -0.1, f"{name} must be") for name in ("rotation", "scale", "flip", "colour", "background")),
        *((name, -1, f"{name} must be") for name in ("translation", "weight_decay", "workers", "limit", "seed")),
        *((name, 1.1, f"{name} is a share") for name in ("scale", "flip", "colour", "background")),
        *((name, float("nan"), f"{name} must be") for name in ("lr", "rotation", "flip")),
        *((name, float("inf"), f"{name} must be") for name in ("lr", "rotation", "scale")),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_by_its_name(option: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**{option: value})


def test_an_unknown_choice_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig(loss="l1")  # type: ignore[arg-type]
    assert caught.value.hint == "Known: mse, cross-entropy"


# ---- optimizers and learning rates -------------------------------------------------------------------------------

CYCLE = TrainConfig(schedule="one-cycle", lr=0.5)


def test_a_constant_rate_is_constant() -> None:
    assert {learning_rate(TrainConfig(), step, 7) for step in range(7)} == {2.5e-4}


@PATIENT
@given(st.integers(50, 5000))
def test_one_cycle_rises_to_its_highest_rate_and_falls_to_zero_without_a_jump(steps: int) -> None:
    rates = np.array([learning_rate(CYCLE, step, steps) for step in range(steps)])
    top = int(rates.argmax())
    assert rates[top] == pytest.approx(0.5, rel=0.02)
    assert top + 1 == pytest.approx(0.1 * steps, abs=1)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert np.abs(np.diff(rates)).max() <= 1.001 * 0.5 * 10 / steps  # never faster than the warm-up
    assert 0 <= rates[-1] < 1e-6
    assert rates[0] < 0.5 * 11 / steps


def test_weight_decay_acts_on_convolutions_alone() -> None:
    network = StackedHourglass(HourglassConfig(stacks=1, features=4, depth=1, stem=(2, 4, 4)))
    groups = optimizer(network, TrainConfig(optimizer="adamw", weight_decay=0.1)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {id(p): 0.1 if p.ndim == 4 else 0.0 for p in network.parameters()} == decay


def test_the_default_optimizer_is_the_papers() -> None:
    made = optimizer(torch.nn.Linear(2, 3), TrainConfig())
    assert isinstance(made, torch.optim.RMSprop)
    assert made.param_groups[0]["lr"] == 2.5e-4


# ---- state -------------------------------------------------------------------------------------------------------


def some_state() -> State:
    progress = Progress(3, 5, 0.25, 61.5, ({"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.1 + 0.2}))
    optimizer_state = {"state": {0: {"step": torch.tensor(7.0), "square_avg": torch.rand(2, 3)}}, "param_groups": []}
    return State(
        replace(TINY, dataset="a+b"), progress, {"x": torch.rand(5, 7)}, optimizer_state, torch.get_rng_state()
    )


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    state = some_state()
    states.save(tmp_path / STATE, state)
    loaded = states.load(tmp_path / STATE)
    assert (loaded.config, loaded.progress) == (state.config, state.progress)
    assert torch.equal(loaded.network["x"], state.network["x"])
    assert torch.equal(loaded.optimizer["state"][0]["square_avg"], state.optimizer["state"][0]["square_avg"])
    assert torch.equal(loaded.rng, state.rng)


def test_a_failing_save_leaves_the_old_state_and_nothing_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states.save(tmp_path / STATE, some_state())
    before = (tmp_path / STATE).read_bytes()

    def dies(content: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        states.save(tmp_path / STATE, some_state())
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    assert (tmp_path / STATE).read_bytes() == before


@PATIENT
@given(share=st.floats(0, 0.999))
def test_a_state_that_was_cut_short_is_not_available(share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / STATE
    states.save(path, some_state())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(NotAvailable, match="cut short"):
        states.load(path)


@pytest.mark.parametrize(
    "content",
    [{}, {"config": 3}, [1, 2], torch.zeros(3), "text", {"config": {"colors": 1, "stem": (1, 2, 3)}, "progress": {}}],
    ids=repr,
)
def test_a_file_that_holds_something_else_is_not_available(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / STATE)
    with pytest.raises(NotAvailable, match=r"state\.pt is not the state of a training run"):
        states.load(tmp_path / STATE)


@PATIENT
@given(content=st.binary(max_size=200))
def test_a_file_of_any_bytes_is_not_available(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bytes") / STATE
    path.write_bytes(content)
    with pytest.raises(NotAvailable):
        states.load(path)


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_state_is_not_executed(tmp_path: Path, save: Callable[[Any, Path], Any]) -> None:
    save({"config": Bomb(tmp_path / "made")}, tmp_path / STATE)
    with pytest.raises(NotAvailable):
        states.load(tmp_path / STATE)
    assert not (tmp_path / "made").exists()


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no run to resume"):
        session.saved(tmp_path)


# ---- a whole run in its folder -----------------------------------------------------------------------------------


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
