"""Engines: which one runs a file, and that torch's is the network itself."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posehg import checkpoints, files
from posehg.checkpoints import Checkpoint
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import NotAvailable, UsageError
from posehg.exporters import EXPORTERS, ExportOptions, Precision, common
from posehg.inference import engines
from posehg.inference.engines import EngineOptions, library_of, onnxruntime, open_engine
from posehg.inference.engines.torch import Folded, TorchEngine, from_checkpoint
from posehg.network import Residual, StackedHourglass
from posehg.skeletons import FLIC

B, H, W = 3, 32, 48


def trained(seed: int, blocks: int = 1, stacks: int = 2) -> Checkpoint:
    """With statistics and weights such as a network has after training, none of them 0 or 1."""
    random = torch.Generator().manual_seed(seed)
    config = HourglassConfig(len(FLIC.joints), stacks, 14, depth=2, blocks=blocks, stem=(6, 10, 12), low_features=18)
    network = StackedHourglass(config)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) - (0 if "var" in name else 0.5) + 0.05)
    return Checkpoint(ModelConfig(config, FLIC, (H, W)), network.state_dict())


def crops(seed: int, count: int = B) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, H, W, 3), dtype=np.uint8)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), blocks=st.integers(1, 2), stacks=st.integers(1, 3))
def test_folding_keeps_the_output(seed: int, blocks: int, stacks: int) -> None:
    network = trained(seed, blocks, stacks).network()
    images = torch.rand(B, 3, H, W, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        expected, [found] = network(images)[-1], Folded(network)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_folding_leaves_fewer_layers_and_the_original_unchanged() -> None:
    network = trained(3, stacks=3).network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modules = list(Folded(network).modules())
    residuals = sum(isinstance(module, Residual) for module in modules)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in modules) == residuals
    joints = network.config.joints
    assert sum(getattr(module, "out_channels", 0) == joints for module in modules) == 1
    assert not any(getattr(module, "in_channels", 0) == joints for module in modules)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_batch_norms_with_tiny_factors_keep_their_shift() -> None:
    checkpoint = trained(11)
    for name, value in checkpoint.state.items():
        if name.endswith("bn1.weight"):
            value[:4] = torch.tensor([0.0, 0.0, 1e-30, -1e-30])
        if name.endswith("bn1.bias"):
            value[:4] = torch.tensor([0.7, -0.7, 0.7, 0.7])
    with torch.inference_mode():
        expected = checkpoint.network()(torch.from_numpy(crops(2)).permute(0, 3, 1, 2) / 255)[-1]
    found = from_checkpoint(checkpoint, EngineOptions("cpu"))(crops(2))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_torch_receives_rgb_in_0_to_1() -> None:
    seen: list[torch.Tensor] = []

    class Keep(nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            seen.append(images)
            return [images[:, :, ::4, ::4] * 0, images[:, :, ::4, ::4]]

    some = crops(5)
    output = TorchEngine(trained(0).config, Keep(), "cpu")(some)
    np.testing.assert_allclose(seen[0].numpy(), some.transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    np.testing.assert_allclose(output.numpy(), some.transpose(0, 3, 1, 2)[:, :, ::4, ::4] / 255, rtol=1e-6)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close(precision: str) -> None:
    checkpoint = trained(7)
    exact = from_checkpoint(checkpoint, EngineOptions("cpu"))(crops(1))
    rough = from_checkpoint(checkpoint, EngineOptions("cpu", precision=precision))(crops(1))  # type: ignore[arg-type]
    assert rough.dtype == torch.float32
    assert 0 < float((rough - exact).abs().max()) < 0.1 * float(exact.abs().max())


def test_a_checkpoint_runs_in_torch_and_is_not_exported(tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path, trained(1))
    assert not library_of(tmp_path)
    assert engines.describe(tmp_path) is None
    assert isinstance(open_engine(tmp_path, EngineOptions("cpu")), TorchEngine)
    with pytest.raises(NotAvailable):
        open_engine(tmp_path / "nothing.onnx")


class Doubled(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 2 * images


@pytest.mark.parametrize("name", ["model.torchscript", "model.pt2", "scripted.pt", "exported.pt"])
def test_programs_of_torch_are_refused_with_what_to_use(name: str, tmp_path: Path) -> None:
    if "script" in name:
        torch.jit.save(torch.jit.script(Doubled()), tmp_path / name)
    else:
        torch.export.save(torch.export.export(Doubled(), (torch.zeros(1, 3, 8, 8),)), tmp_path / name)
    assert not library_of(tmp_path / name)
    with pytest.raises(NotAvailable, match=name) as caught:
        open_engine(tmp_path / name)
    assert "safetensors" in caught.value.hint
    assert "onnx" in caught.value.hint


@pytest.fixture(scope="module")
def with_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with a model.onnx."""
    folder = tmp_path_factory.mktemp("model") / "with_copy"
    common.write(trained(1), EXPORTERS["safetensors"], folder, ExportOptions())
    return folder


@pytest.mark.parametrize(
    ("options", "system", "gpu", "expected"),
    [
        (EngineOptions(), "linux", False, "onnxruntime"),
        (EngineOptions("cpu", threads=3), "linux", True, "onnxruntime"),
        (EngineOptions(), "linux", True, "torch"),
        (EngineOptions(), "darwin", True, "torch"),
        (EngineOptions(), "darwin", False, "onnxruntime"),
        (EngineOptions(), "win32", True, "torch"),
        (EngineOptions("cuda:1"), "linux", True, "torch"),
        (EngineOptions("cpu", precision="bf16"), "linux", False, "torch"),
        (EngineOptions("cpu", library="torch"), "linux", False, "torch"),
        (EngineOptions("cpu", library="openvino"), "linux", False, "openvino"),
        (EngineOptions("cuda", library="onnxruntime"), "linux", True, "onnxruntime"),
    ],
)
def test_one_rule_says_what_runs_a_model_that_has_a_copy(
    options: EngineOptions, system: str, gpu: bool, expected: str, with_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(engines, "_DRIVERS", (with_copy if gpu else with_copy / "nothing",))
    monkeypatch.setattr("platform.machine", lambda: "arm64" if gpu else "x86_64")
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "nvcuda.dll" if gpu else None)
    chosen: list[str] = []
    weights = files.sha256(with_copy / "model.safetensors")
    for library in ("onnxruntime", "openvino"):
        module = SimpleNamespace(
            open_file=lambda *_, name=library: chosen.append(name) or SimpleNamespace(weights=weights)
        )
        monkeypatch.setitem(sys.modules, f"posehg.inference.engines.{library}", module)
    monkeypatch.setattr("posehg.inference.engines.torch.from_checkpoint", lambda *_: chosen.append("torch"))
    open_engine(with_copy, options)
    assert chosen == [expected]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_all_engines_give_the_same_joints(precision: Precision, tmp_path: Path) -> None:
    common.write(trained(1), EXPORTERS["safetensors"], folder := tmp_path / "model", ExportOptions(precision))
    libraries: tuple[engines.Library, ...] = ("torch", "onnxruntime", *(["openvino"] if find_spec("openvino") else []))
    opened = [open_engine(folder, EngineOptions("cpu", library=library)) for library in libraries]
    assert [engine.name.split()[0] for engine in opened] == list(libraries)
    maps = [np.asarray(engine(crops(3))) for engine in opened]
    for other in maps[1:]:
        assert common.difference(maps[0], other, 0.05).joints < 0.05


@pytest.mark.parametrize(
    "what", ["none", "other weights", "damaged", "empty", "foreign", "no library", "broken library"]
)
def test_a_copy_that_cannot_be_used_is_noted_and_torch_runs_the_model(
    what: str, with_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(with_copy, tmp_path / "model")
    copy = folder / "model.onnx"
    if what == "none":
        copy.unlink()
    elif what == "other weights":
        checkpoints.save_folder(folder, trained(2), overwrite=True)
    elif what in ("damaged", "empty"):
        copy.write_bytes(copy.read_bytes()[:1000] if what == "damaged" else b"")
    elif what == "foreign":
        common.write(trained(1), EXPORTERS["onnx"], copy, ExportOptions(), overwrite=True)
    elif what == "no library":
        monkeypatch.setattr(onnxruntime, "find_spec", lambda name: None)
    else:

        def broken(name: str) -> None:
            raise ImportError("libgomp.so.1: cannot open shared object file")

        monkeypatch.setattr(onnxruntime, "import_module", broken)
    notes: list[str] = []
    engine = open_engine(folder, EngineOptions("cpu"), notes.append)
    assert isinstance(engine, TorchEngine)
    assert len(notes) == (what != "none")
    assert all("onnx" in note for note in notes)
    with pytest.raises(NotAvailable, match="onnx"):
        open_engine(folder, EngineOptions("cpu", library="onnxruntime"))


def test_a_model_that_was_opened_ahead_is_used_once(
    with_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def open_copy(place: Path, *more: Any) -> Any:
        opened.append(place)
        return really(place, *more)

    really = engines._open_copy
    (damaged := shutil.copytree(with_copy, tmp_path / "model")).joinpath("model.onnx").write_bytes(b"")
    monkeypatch.setattr(engines, "_DRIVERS", ())
    monkeypatch.setattr(engines, "_open_copy", open_copy)
    engines.open_ahead([with_copy, damaged])
    maps = [open_engine(with_copy)(crops(2)) for _ in range(2)]
    assert opened.count(with_copy) == 2
    np.testing.assert_array_equal(*maps)
    notes: list[str] = []
    assert isinstance(open_engine(damaged, note=notes.append), TorchEngine)
    assert len(notes) == opened.count(damaged) == 1


def test_an_exported_file_keeps_its_library_and_number_format(with_copy: Path) -> None:
    for options in (EngineOptions("cpu", library="torch"), EngineOptions("cpu", precision="bf16")):
        with pytest.raises(UsageError, match=r"model\.onnx"):
            open_engine(with_copy / "model.onnx", options)
