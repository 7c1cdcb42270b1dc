"""posehg export: the exported model gives the same people, and mistakes are reported before anything is written."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from posehg.exporters import EXPORTERS, choose
from posehg.files import sha256
from posehg.network import parameters
from tests import stubs
from tests.exported_models import read_bgr
from tests.journeys.conftest import Posehg, people
from tests.test_architecture import modules_after

COMMAND = "from posehg.cli.app import main; main()"
NEEDED = {"onnx": ("onnxscript", "onnxruntime"), "openvino": ("openvino",)}


def test_a_folder_of_its_own_gives_exactly_the_same_people(
    posehg: Posehg, model: Path, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a folder"
    run = posehg("export", model / "model.safetensors", "--out", out)
    assert (run.code, run.out) == (0, "")
    assert f"--model '{out}'" in run.err
    assert (out / "README.md").is_file()
    alone = (out / "model.safetensors").rename(tmp_path / "alone.safetensors")
    assert people(posehg, photo, alone) == people(posehg, photo, model)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_predict_eval_and_models_info_use_an_exported_model(
    posehg: Posehg, model: Path, photo: Path, tmp_path: Path, format: str
) -> None:
    for package in NEEDED[format]:
        if find_spec(package) is None:  # an import of openvino outside posehg starts its telemetry
            pytest.skip(f"{package} is not installed")
    file = tmp_path / f"model{EXPORTERS[format].suffix}"
    run = posehg("export", model, "--format", format, "--out", file)
    assert run.code == 0, run.err
    [one], [other] = (people(posehg, photo, place, "--no-flip") for place in (model, file))  # its maps are symmetric
    np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=0.2)  # pixels of a photo thrice the crop's
    run = posehg("eval", "--model", file, "--dataset", "synthetic", "--split", "val", "--limit", "3")
    assert run.code == 0, run.err
    found = json.loads(posehg("models", "info", file, "--json").out)
    assert found["parameters"] == parameters(stubs.mpii_checkpoint().config.network)
    assert found["config"]["skeleton"]["name"] == "mpii"
    assert found["sha256"] == sha256(file if file.is_file() else file / "model.bin")
    posehg("export", file, "--out", tmp_path / "x").assert_failed(5, file.name)
    arguments = ("predict", "--model", str(file), str(photo), "--whole", "--out", str(tmp_path / "y.png"))
    assert not modules_after(COMMAND, *arguments) & {"torch", "onnx", "onnxscript", "scipy", "huggingface_hub"}


def test_a_folder_gets_an_onnx_file_that_runs_in_the_models_place_without_torch(
    posehg: Posehg, model: Path, photo: Path, tmp_path: Path
) -> None:
    for package in NEEDED["onnx"]:
        if find_spec(package) is None:  # an import of openvino outside posehg starts its telemetry
            pytest.skip(f"{package} is not installed")
    out = tmp_path / "exported"
    assert posehg("export", model, "--out", out).code == 0
    before = people(posehg, photo, model, "--no-flip")
    command = ("predict", "--model", out, photo, "--whole", "--no-flip", "--device", "cpu")
    after = posehg(*command, "--json")
    np.testing.assert_allclose(json.loads(after.out)["people"][0]["keypoints"], before[0]["keypoints"], atol=0.2)
    assert "torch" not in modules_after(COMMAND, *map(str, command), "--out", str(tmp_path / "y.png"))
    assert json.loads(posehg("models", "info", out, "--json").out)["run_by"].startswith("onnxruntime")
    (out / "model.onnx").write_bytes(b"damaged")
    run = posehg(*command, "--json")
    assert (run.code, "model.onnx" in run.err) == (0, True)
    posehg(*command, "--engine", "onnxruntime").assert_failed(5, "model.onnx")


def test_without_the_packages_for_onnx_a_folder_has_no_such_file_and_an_old_one_goes(
    posehg: Posehg, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "exported"
    out.mkdir()
    (out / "model.onnx").write_bytes(b"of other weights")
    monkeypatch.setattr("posehg.exporters.onnx.find_spec", lambda name: None)
    run = posehg("export", model, "--out", out)
    assert (run.code, "model.onnx" in run.err) == (0, True)
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_a_file_that_differs_from_the_network_exits_with_4(
    posehg: Posehg, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bgr(monkeypatch, EXPORTERS["torchscript"])
    posehg("export", model, "--out", tmp_path / "a.torchscript").assert_failed(4, "joints")
    assert list(tmp_path.iterdir()) == []
    assert posehg("export", model, "--out", tmp_path / "a.torchscript", "--no-check").code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "nothing to write"),
        (["--out", "x", "--format", "onyx"], "'safetensors'"),
        (["--out", "x.pt2", "--format", "onnx"], ".pt2"),
        (["--out", "x.onnx", "--format", "openvino"], "openvino"),
        (["--out", "x.safetensors"], "x.safetensors"),
        *((["--out", f"x{suffix}"], suffix) for suffix in (".tflite", ".engine", ".pb", ".h5", ".model", ".MLPACKAGE")),
        (["--out", "x.tflite", "--precision", "int8"], ".tflite"),
        (["--out", ""], "--out"),
        (["--out="], "--out"),
        (["--out", "x", "--out=x.onnx"], "twice"),
        (["--out", "x", "--precision", "int8"], "int8"),
        (["--out", "x", "--decode"], "--decode"),
        (["--out", "x.pt2", "--opset", "18"], "--opset"),
        (["--out", "x.onnx", "--opset", "12"], "12"),
        (["--out", "x.onnx", "--decoder", "quarter"], "--decoder"),
        (["--out", "x.onnx", "--calibration", "."], "--calibration"),
        (["--out", "x", "--private"], "--private"),
        (["--push", "a/b", "--offline"], "--offline"),
        (["--push", "a/b", "--format", "onnx"], "onnx"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    posehg: Posehg, model: Path, arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    posehg("export", model, *arguments).assert_failed(2, named)
    assert list(tmp_path.iterdir()) == []


def test_files_that_exist_stay(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    before = (model / "model.safetensors").read_bytes()
    assert {choose(None, Path(name)).suffix for name in ("model-v1.2", "model.v2", "x.model/")} == {""}  # folders
    posehg("export", model, "--out", model, "--precision", "fp16").assert_failed(2, "model.safetensors")
    assert (model / "model.safetensors").read_bytes() == before
    (tmp_path / "a.onnx").write_text("mine")
    posehg("export", model, "--out", tmp_path / "a.onnx").assert_failed(2, "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "mine"
    posehg("export", model, "--out", tmp_path / "a.onnx", "--format", "openvino").assert_failed(2, "a.onnx")
    posehg("export", model, "--out", tmp_path, "--format", "onnx").assert_failed(2, str(tmp_path))
