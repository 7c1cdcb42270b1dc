"""The command line, called in this process where it can be, and models for it."""

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from torch import nn

from posehg import centers, checkpoints, images
from posehg.checkpoints import Checkpoint
from posehg.cli import app
from posehg.inference import engines
from posehg.inference.engines import torch as torch_engine
from posehg.network import StackedHourglass
from tests import stubs

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str

    def assert_failed(self, code: int, named: str) -> None:
        """It ended with one sentence that names what is wrong, perhaps a hint, and no traceback."""
        assert self.code == code, self.err
        errors = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, self.err
        assert named in errors[0]
        assert errors[0].endswith((".", "?"))
        assert "Traceback" not in self.err
        assert self.out == ""


Posehg = Callable[..., Run]


def people(posehg: Posehg, photo: Path, model: Path, *options: str) -> list[dict[str, object]]:
    """What predict prints of everyone it finds on a photo that shows one person."""
    run = posehg("predict", photo, "--model", model, "--whole", "--json", *options)
    assert run.code == 0, run.err
    return list(json.loads(run.out)["people"])


def environment() -> dict[str, str]:
    """For a process of its own."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("POSEHG_")}
    return mine | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@pytest.fixture(scope="session", autouse=True)
def _commands_made_once() -> Iterator[None]:
    """typer makes all commands of its annotations whenever it is called: more work than most calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def posehg(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Posehg:
    """posehg with these arguments, in this process."""
    for variable in ("POSEHG_DEBUG", "POSEHG_MODEL", "POSEHG_DEVICE", "POSEHG_DATA"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["posehg", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app.main()
        captured = capsys.readouterr()
        return Run(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real network with random weights and MPII's joints."""
    folder = tmp_path_factory.mktemp("models") / "random"
    checkpoints.save_folder(folder, stubs.mpii_checkpoint())
    return folder


@pytest.fixture(scope="session")
def saved_stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    for skeleton in (stubs.DOTS, stubs.SQUARE, stubs.PERSON):
        checkpoints.save_folder(folder / skeleton.name, stubs.tiny(skeleton))
    checkpoints.save_folder(folder / "boxes", stubs.tiny(centers.SKELETON, (64, 96), "boxes"))
    return folder


@pytest.fixture
def seeing(saved_stubs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the models ``dots``, ``square`` and ``person``, and of ``boxes``; all networks are stubs.

    That is also true of the bundled detector.
    """
    networks = {"dots": stubs.Dots, "square": stubs.Square, "person": stubs.Squares, "boxes": stubs.Rectangles}
    real, fold = Checkpoint.network, torch_engine.Folded

    def network(checkpoint: Checkpoint) -> nn.Module:
        stub = networks.get(checkpoint.config.skeleton.name)
        return stub() if stub else real(checkpoint)

    def folded(net: nn.Module, kind: torch.dtype) -> nn.Module:
        return fold(net, kind) if isinstance(net, StackedHourglass) else net

    monkeypatch.setattr(Checkpoint, "network", network)
    monkeypatch.setattr(torch_engine, "Folded", folded)
    monkeypatch.setattr(engines, "ONNX", "no such file")  # the bundled detector's would be the real one
    return saved_stubs


@pytest.fixture
def dots(seeing: Path) -> Path:
    return seeing / "dots"


@pytest.fixture
def square(seeing: Path) -> Path:
    return seeing / "square"


@pytest.fixture
def person(seeing: Path) -> Path:
    """A human's joints, so that a detector finds the people."""
    return seeing / "person"


@pytest.fixture
def boxes(seeing: Path) -> Path:
    return seeing / "boxes"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A white square, 100 pixels wide, from (110, 60) on."""
    path = tmp_path / "photo.png"
    images.write(path, stubs.square_photo(110, 60, 100))
    return path


@pytest.fixture
def empty_photo(tmp_path: Path) -> Path:
    path = tmp_path / "empty.png"
    images.write(path, np.zeros((60, 80, 3), dtype=np.uint8))
    return path
