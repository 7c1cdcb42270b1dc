from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from posehg.checkpoints import Checkpoint
from posehg.cli import app
from posehg.exporters import EXPORTERS, Exporter
from posehg.exporters.form import Form
from posehg.files import sha256
from posehg.hub import twins
from posehg.network import parameters
from tests import stubs
from tests.journeys.conftest import Posehg
from tests.test_architecture import modules_after

COMMAND = "from posehg.cli.app import main; main()"


def people(posehg: Posehg, photo: Path, model: Path) -> list[dict[str, object]]:
    run = posehg("predict", photo, "--model", model, "--whole", "--json")
    assert run.code == 0, run.err
    return list(json.loads(run.out)["people"])


def test_the_exported_model_gives_the_same_joints(posehg: Posehg, model: Path, photo: Path, tmp_path: Path) -> None:
    run = posehg("export", model, "--out", tmp_path / "exported")
    assert (run.code, run.out) == (0, "")
    assert people(posehg, photo, tmp_path / "exported") == people(posehg, photo, model)


def test_the_file_alone_may_be_exported_and_used(posehg: Posehg, model: Path, photo: Path, tmp_path: Path) -> None:
    assert posehg("export", model / "model.safetensors", "--out", tmp_path / "exported").code == 0
    alone = (tmp_path / "exported" / "model.safetensors").rename(tmp_path / "alone.safetensors")
    assert people(posehg, photo, alone) == people(posehg, photo, model)


def test_it_says_what_was_written_and_how_to_use_it(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    run = posehg("export", model, "--out", out)
    assert run.err.startswith(f"Wrote {out} (")
    assert "Its joints are those of the network to " in run.err
    assert run.err.endswith(f"Use it: posehg predict PHOTO --model {shlex.quote(str(out))}\n")


def test_fp16_is_smaller_and_nearly_the_same(posehg: Posehg, model: Path, photo: Path, tmp_path: Path) -> None:
    assert posehg("export", model, "--out", tmp_path / "half", "--precision", "fp16").code == 0
    size, half = (sum(f.stat().st_size for f in folder.iterdir()) for folder in (model, tmp_path / "half"))
    assert half < size
    scores = []
    for folder in (model, tmp_path / "half"):
        [person] = people(posehg, photo, folder)
        scores.append([score for *_, score in person["keypoints"]])  # type: ignore[attr-defined]
    np.testing.assert_allclose(*scores, atol=0.03)


def test_a_folder_with_a_model_is_left_as_it_is(posehg: Posehg, model: Path) -> None:
    before = (model / "model.safetensors").read_bytes()
    run = posehg("export", model, "--out", model, "--precision", "fp16")
    run.assert_failed(2, "model.safetensors exists already.")
    assert (model / "model.safetensors").read_bytes() == before


def test_a_model_that_is_not_there_is_named(posehg: Posehg, tmp_path: Path) -> None:
    posehg("export", "no/such", "--out", tmp_path / "x").assert_failed(5, "There is no model at no/such: ")
    assert not (tmp_path / "x").exists()


def test_weights_that_do_not_fit_are_not_passed_on(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    del tensors["stem.0.bias"]
    config = stubs.mpii_checkpoint().config.to_json()
    save_file(tensors, tmp_path / "poor.safetensors", metadata={"posehg": config})
    run = posehg("export", tmp_path / "poor.safetensors", "--out", tmp_path / "x")
    run.assert_failed(5, "the file lacks stem.0.bias.")
    assert not (tmp_path / "x").exists()


def test_the_folder_must_be_named(posehg: Posehg, model: Path) -> None:
    posehg("export", model).assert_failed(2, "Nothing says where the model is to go.")


@pytest.mark.parametrize("format", EXPORTERS)
def test_every_exporter_is_offered(posehg: Posehg, format: str) -> None:
    assert format in posehg("export", "--help").out


def test_an_unknown_format_is_refused_with_those_there_are(posehg: Posehg, model: Path) -> None:
    posehg("export", model, "--out", "x", "--format", "onyx").assert_failed(2, "'safetensors'")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--out", "x.pt2", "--format", "onnx"],
            "x.pt2 is no name for a file of the format onnx, which ends in .onnx.",
        ),
        (["--out", "x", "--format", "onnx"], "x is no name for a file of the format onnx"),
        (["--out", "x.onnx", "--format", "safetensors"], "x.onnx ends as files of the format onnx do"),
        (["--out", "x.onnx", "--format", "openvino"], "openvino is a folder."),
        (["--out", "x.safetensors"], "x.safetensors would be a folder"),
        (["--out", "x", "--precision", "int8"], "is written in fp32 or fp16, not in int8."),
        (["--out", "x.pt2", "--precision", "int8"], "The format pt2 is written in fp32 or fp16, not in int8."),
        (["--out", "x", "--decode"], "--decode means nothing in the format safetensors, but in onnx, "),
        (["--out", "x", "--dynamic-size"], "--dynamic-size means nothing in the format safetensors"),
        (["--out", "x.pt2", "--opset", "18"], "--opset means nothing in the format pt2, but in onnx."),
        (["--out", "x.onnx", "--opset", "12"], "ONNX is not written with opset 12, but with 17 to 23."),
        (["--out", "x.onnx", "--decoder", "quarter"], "--decoder says how --decode reads joints."),
        (["--out", "x.onnx", "--calibration", "."], "--calibration is for --precision int8."),
        (["--push", "a/b", "--format", "onnx"], "--push uploads posehg's own format, not onnx."),
        (["--push", "a/b", "--out", "x.onnx"], "--push uploads posehg's own format, not onnx."),
        (["--cache", "--out", "x.onnx"], "--cache writes to posehg's own folder"),
        (["--cache", "--format", "pt2"], "--cache is for --format onnx, not pt2."),
        (["--cache", "--precision", "fp16"], "What --cache keeps is the network as predict uses it."),
    ],
)
def test_what_cannot_be_meant_is_refused(
    posehg: Posehg, model: Path, arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    posehg("export", model, *arguments).assert_failed(2, sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_a_file_is_refused_with_the_name_that_is_meant(
    posehg: Posehg, model: Path, tmp_path: Path
) -> None:
    run = posehg("export", model, "--out", tmp_path, "--format", "onnx")
    run.assert_failed(2, "is no name for a file of the format onnx")
    assert f"Give --out {tmp_path / 'model.onnx'}" in run.err


# ---- ONNX --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def onnx_file(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as ONNX, exported by the command."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["posehg", "export", str(model), "--out", str(file)])
        with pytest.raises(SystemExit) as stop:
            app.main()
    assert not stop.value.code
    return file


def test_onnx_gives_the_same_people(posehg: Posehg, model: Path, onnx_file: Path, photo: Path) -> None:
    [one], [other] = (people(posehg, photo, place) for place in (model, onnx_file))
    np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=0.2)  # pixels of a photo thrice the crop's


def test_predict_with_onnx_imports_no_torch(onnx_file: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.png"
    loaded = modules_after(COMMAND, "predict", "--model", str(onnx_file), str(photo), "--whole", "--out", str(out))
    assert out.is_file()
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "onnx", "onnxscript", "scipy", "huggingface_hub"}


def test_a_kept_twin_runs_in_the_model_s_place_without_torch(
    posehg: Posehg, model: Path, onnx_file: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEHG_HOME", str(tmp_path / "home"))
    before = people(posehg, photo, model)
    run = posehg("export", model, "--cache", "--no-check")
    assert run.code == 0, run.err
    kept = twins.place(model)
    assert run.err.startswith(f"Kept {kept} (")
    command = ("predict", "--model", model, photo, "--whole", "--device", "cpu")
    after = posehg(*command, "--json")
    assert after.err.count("Run by onnxruntime ") == 1
    np.testing.assert_allclose(json.loads(after.out)["people"][0]["keypoints"], before[0]["keypoints"], atol=0.2)
    loaded = modules_after(COMMAND, *map(str, command), "--out", str(tmp_path / "y.png"))
    assert "torch" not in loaded


FORMS = {
    "model.onnx": "ONNX of opset 18, fp32",
    "model.torchscript": "TorchScript",
    "model.pt2": "torch.export",
    "openvino": "OpenVINO",
}


@pytest.mark.parametrize("name", FORMS)
def test_eval_and_models_info_know_what_was_exported(posehg: Posehg, model: Path, tmp_path: Path, name: str) -> None:
    for package in {"model.onnx": ("onnxscript", "onnxruntime"), "openvino": ("openvino",)}.get(name, ()):
        pytest.importorskip(package)
    file = tmp_path / name
    run = posehg("export", model, "--format", Path(name).suffix[1:] or name, "--out", file)
    assert run.code == 0, run.err
    run = posehg("eval", "--model", file, "--dataset", "synthetic", "--split", "val", "--limit", "3")
    assert run.code == 0, run.err
    run = posehg("models", "info", file, "--json")
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert found["parameters"] == parameters(stubs.mpii_checkpoint().config.network)
    assert found["storage"] == [FORMS[name]]
    assert found["config"]["skeleton"]["name"] == "mpii"
    assert found["sha256"] == sha256(file if file.is_file() else file / "model.bin")


def test_an_onnx_file_that_is_there_stays(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("mine")
    posehg("export", model, "--out", tmp_path / "a.onnx").assert_failed(2, "a.onnx exists already.")
    assert (tmp_path / "a.onnx").read_text() == "mine"


def test_a_file_that_says_something_else_exits_with_4(
    posehg: Posehg, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Exporter.export

    def export(self: Exporter, checkpoint: Checkpoint, file: Path, form: Form) -> None:
        state = {key: value.flip(1) if key == "stem.0.weight" else value for key, value in checkpoint.state.items()}
        real(self, Checkpoint(checkpoint.config, state), file, form)

    monkeypatch.setattr(Exporter, "export", export)
    run = posehg("export", model, "--out", tmp_path / "a.torchscript")
    run.assert_failed(4, "The file gives other joints than the network")
    assert list(tmp_path.iterdir()) == []
    assert posehg("export", model, "--out", tmp_path / "a.torchscript", "--no-check").code == 0


def test_an_onnx_file_cannot_be_exported(posehg: Posehg, onnx_file: Path, tmp_path: Path) -> None:
    posehg("export", onnx_file, "--out", tmp_path / "x").assert_failed(5, "was exported")
