"""The file state.pt: it comes back as it was, and nothing else is taken for one."""

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

from posehg.errors import NotAvailable
from posehg.training import state as states
from posehg.training.state import STATE, Progress, State
from tests.toy import TINY

SOME = State(
    replace(TINY, dataset="a+b", freeze="stem", joints="head_top"),
    Progress(3, 5, 0.25, 61.5, ({"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.1 + 0.2}), 17.25),
    network={"x": torch.rand(5, 7)},
    optimizer={"state": {0: {"step": torch.tensor(7.0), "square_avg": torch.rand(2, 3)}}, "param_groups": []},
    scaler={"scale": 65536.0, "_growth_tracker": 11},
    average=None,
    persons=11,
    origin="mpii",
    data="/my data",
)


@pytest.mark.parametrize("average", [{"x": torch.rand(5, 7)}, None])
def test_a_state_comes_back_as_it_was_saved(tmp_path: Path, average: dict[str, Tensor] | None) -> None:
    states.save(tmp_path / STATE, replace(SOME, average=average))
    loaded = states.load(tmp_path / STATE)
    for name in ("config", "progress", "scaler", "persons", "origin", "data"):
        assert getattr(loaded, name) == getattr(SOME, name)
    assert torch.equal(loaded.network["x"], SOME.network["x"])
    assert torch.equal(loaded.optimizer["state"][0]["square_avg"], SOME.optimizer["state"][0]["square_avg"])
    assert loaded.average is average is None or torch.equal(loaded.average["x"], average["x"])


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    states.save(path, SOME)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def test_what_earlier_versions_did_not_save_has_its_default(tmp_path: Path) -> None:
    def shorten(content: dict[str, Any]) -> None:
        del content["data"], content["progress"]["best_epoch"], content["progress"]["validation"]

    rewritten(tmp_path / STATE, shorten)
    loaded = states.load(tmp_path / STATE)
    assert (loaded.config, loaded.progress, loaded.data) == (SOME.config, SOME.progress, "")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["config"].update(colors=1),
        lambda content: content.update(posehg=1),
        lambda content: content.pop("optimizer"),
        lambda content: content.pop("config"),
    ],
)
def test_a_state_that_cannot_be_continued_is_not_available(tmp_path: Path, change: Any) -> None:
    rewritten(tmp_path / STATE, change)
    with pytest.raises(NotAvailable, match=STATE):
        states.load(tmp_path / STATE)


def test_a_failed_save_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states.save(tmp_path / STATE, SOME)
    before = (tmp_path / STATE).read_bytes()

    def dies(content: Any, buffer: io.BytesIO) -> None:
        buffer.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        states.save(tmp_path / STATE, SOME)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {STATE: before}


@settings(max_examples=50)
@given(share=st.floats(0, 0.999), content=st.binary(max_size=200))
def test_no_other_bytes_are_a_state(share: float, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / STATE
    states.save(path, SOME)
    for broken in (path.read_bytes()[: int(share * path.stat().st_size)], content):
        path.write_bytes(broken)
        with pytest.raises(NotAvailable, match=STATE):
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
