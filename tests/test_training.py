from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.errors import NotAvailable, UsageError
from posehg.network import HourglassConfig, StackedHourglass
from posehg.training import session
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import STATE
from posehg.training.optimize import learning_rate, optimizer
from posehg.training.state import Progress, State
from tests.toy import TINY

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
    assert {learning_rate(TrainConfig(schedule="constant"), step, 7) for step in range(7)} == {2.5e-4}


def test_by_default_the_rate_is_a_fifth_for_the_last_fifth_of_the_run() -> None:
    assert [learning_rate(TrainConfig(), step, 10) for step in range(10)] == [2.5e-4] * 8 + [5e-5] * 2


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

    def dies(content: Any, buffer: io.BytesIO) -> None:
        buffer.write(b"half")
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
