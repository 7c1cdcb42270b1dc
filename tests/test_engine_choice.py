"""When onnxruntime runs a network in torch's place: decided without torch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from posehg.checkpoints import cache
from posehg.inference.engines import Run, choice


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a twin, on a machine with onnxruntime and without a GPU."""
    monkeypatch.setenv("POSEHG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(choice, "find_spec", lambda name: name)
    monkeypatch.setattr(choice, "may_have_gpu", lambda: False)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    cache.onnx_file(file).parent.mkdir(parents=True)
    cache.onnx_file(file).write_bytes(b"twin")
    return file


@pytest.mark.parametrize("run", [Run(), Run("cpu"), Run("cpu", threads=3)])
def test_the_twin_runs_on_the_cpu(model: Path, run: Run) -> None:
    assert choice.twin(model, run) == cache.onnx_file(model)
    assert choice.twin(model.parent, run) == cache.onnx_file(model)  # the folder that the file is in


@pytest.mark.parametrize("run", [Run("cuda"), Run("cuda:1"), Run("mps"), Run("cpu", precision="bf16")])
def test_what_torch_alone_can_do_torch_does(model: Path, run: Run) -> None:
    assert choice.twin(model, run) is None


def test_a_gpu_is_quicker_but_the_cpu_may_be_asked_for(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "may_have_gpu", lambda: True)
    assert choice.twin(model, Run("auto")) is None
    assert choice.twin(model, Run("cpu")) == cache.onnx_file(model)


def test_without_onnxruntime_there_is_no_choice(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert choice.twin(model, Run()) is None


def test_other_weights_have_no_twin(model: Path) -> None:
    model.write_bytes(b"other weights")
    assert choice.twin(model, Run()) is None


@pytest.mark.parametrize(
    ("system", "drivers", "built", "may"),
    [
        ("darwin", False, False, True),
        ("linux", False, True, False),
        ("linux", True, False, False),
        ("linux", True, True, True),
        ("win32", False, True, True),
        ("win32", True, False, False),
    ],
)
def test_a_gpu_needs_a_driver_and_a_torch_that_is_built_for_it(
    system: str, drivers: bool, built: bool, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(choice, "_DRIVERS", (tmp_path if drivers else tmp_path / "nothing",))
    monkeypatch.setattr(choice, "built_for_gpu", lambda: built)
    assert choice.may_have_gpu() is may


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("cuda: Optional[str] = '12.4'\nhip: Optional[str] = None\n", True),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.2.4'\n", True),
        ('cuda = "11.8"\n', True),
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n__version__ = '2.13.0+cpu'\n", False),
    ],
)
def test_torch_s_version_file_tells_what_it_was_built_for(
    text: str, built: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version.py").write_text(text)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(choice, "find_spec", lambda name: spec)
    assert choice.built_for_gpu() is built


def test_it_is_what_this_torch_says_of_itself() -> None:
    import torch

    assert choice.built_for_gpu() is bool(torch.version.cuda or torch.version.hip)
