from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg.errors import NotAvailable, UsageError
from posehg.training import session
from posehg.training import state as states
from posehg.training.config import RATES, TrainConfig
from posehg.training.loop import STATE
from posehg.training.state import Progress, State
from tests.toy import TINY

PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores

SHARES = ("scale", "flip", "colour", "occlusion", "half_body", "background", "ema")

# ---- config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("loss", "l1", "no loss 'l1'"),
        ("optimizer", "sgd", "no optimizer 'sgd'"),
        ("schedule", "step", "no schedule 'step'"),
        ("precision", "fp8", "no precision 'fp8'"),
        ("warp", "gpu", "no warp 'gpu'"),
        ("freeze", "stem,head", "no 'head' to freeze"),
        *((name, 0, f"{name} must be") for name in ("epochs", "batch", "accumulate", "sigma", "padding", "input_size")),
        *((name, -0.1, f"{name} must be") for name in (*SHARES, "rotation", "lr", "clip", "max_time")),
        *((name, -1, f"{name} must be") for name in ("translation", "weight_decay", "limit", "overfit", "seed")),
        *((name, 1.1, f"{name} is a share") for name in SHARES),
        *((name, float("nan"), f"{name} must be") for name in ("lr", "rotation", "flip", "clip", "max_time", "ema")),
        *((name, float("inf"), f"{name} must be") for name in ("lr", "rotation", "scale", "clip", "max_time")),
        ("ema", 1.0, "ema must be below 1"),
        ("workers", -2, "workers must be"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_by_its_name(option: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**{option: value})


def test_an_unknown_choice_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig(loss="l1")  # type: ignore[arg-type]
    assert caught.value.hint == "Known: mse, weighted-mse, cross-entropy"


def test_the_learning_rate_follows_from_the_loss_where_none_is_given() -> None:
    assert {loss: TrainConfig(loss=loss).lr for loss in RATES} == RATES
    assert RATES["mse"] == 2.5e-4  # the paper's
    assert TrainConfig(loss="cross-entropy", lr=3e-4).lr == 3e-4


def test_what_is_frozen_may_be_written_with_spaces() -> None:
    assert TrainConfig(freeze="stem, norm").frozen == ("stem", "norm")


# ---- state -------------------------------------------------------------------------------------------------------


def some_state(average: dict[str, Tensor] | None = None) -> State:
    progress = Progress(3, 5, 0.25, 61.5, ({"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.1 + 0.2}), 17.25)
    return State(
        replace(TINY, dataset="a+b", freeze="stem", joints="head_top"),
        progress,
        network={"x": torch.rand(5, 7)},
        optimizer={"state": {0: {"step": torch.tensor(7.0), "square_avg": torch.rand(2, 3)}}, "param_groups": []},
        scaler={"scale": 65536.0, "_growth_tracker": 11},
        average=average,
        persons=11,
        origin="mpii",
    )


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    state = some_state()
    states.save(tmp_path / STATE, state)
    loaded = states.load(tmp_path / STATE)
    assert (loaded.config, loaded.progress) == (state.config, state.progress)
    assert torch.equal(loaded.network["x"], state.network["x"])
    assert torch.equal(loaded.optimizer["state"][0]["square_avg"], state.optimizer["state"][0]["square_avg"])
    assert loaded.scaler == state.scaler
    assert loaded.average is None


def test_an_average_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    state = some_state({"x": torch.rand(5, 7)})
    states.save(tmp_path / STATE, state)
    loaded = states.load(tmp_path / STATE)
    assert loaded.average is not None
    assert torch.equal(loaded.average["x"], state.average["x"])


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


def test_a_state_of_another_version_is_not_available_and_this_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "VERSION", 1)
    states.save(tmp_path / STATE, some_state())
    monkeypatch.undo()
    with pytest.raises(NotAvailable, match=r"written by another posehg \(format 1, known: 3\)"):
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
