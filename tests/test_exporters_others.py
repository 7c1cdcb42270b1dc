"""TorchScript, torch.export and OpenVINO: what is exported says what the network says, in a new process too."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from posehg import heatmaps
from posehg.config import ModelConfig
from posehg.errors import UsageError
from posehg.exporters import EXPORTERS
from posehg.exporters.form import Form
from posehg.inference import engines
from posehg.inference.engines import archives
from tests.exported_models import ASK, BATCHES, MODELS, SIZES, crops, expected, in_a_new_process, one_stack, two_stacks

FORMATS = [
    pytest.param("torchscript"),
    pytest.param("pt2"),
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed"),
    ),
]
NUMBERS = re.compile(r"constants/|data/weights/weight_|data/constants/tensor_")
OF = pytest.mark.parametrize("format", FORMATS)


def exported(name: str, format: str, folder: Path, form: Form) -> Path:
    exporter = EXPORTERS[format]
    file = folder / (exporter.files[0] if exporter.files else f"model{exporter.suffix}")
    exporter.export(MODELS[name](), file, form)
    return file


@OF
def test_a_new_process_finds_the_same_joints(format: str, tmp_path: Path) -> None:
    forms = [Form(), Form(decoder="subpixel"), Form(precision="fp16"), Form(dynamic_size=True, decoder="quarter")]
    files = {}
    for number, (name, form) in enumerate((name, form) for name in MODELS for form in forms):
        (tmp_path / str(number)).mkdir()
        files[number] = exported(name, format, tmp_path / str(number), form)
    for batch in BATCHES:
        np.save(tmp_path / f"crops-{batch}.npy", crops(batch))
    run = in_a_new_process(ASK, tmp_path, *files.values())
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout == ""
    for number, (name, form) in enumerate((name, form) for name in MODELS for form in forms):
        for batch in BATCHES:
            found = np.load(tmp_path / f"maps-{number}-crops-{batch}.npy")
            maps, _, _ = expected(MODELS[name](), crops(batch))
            assert found.dtype == np.float32
            off = 2e-2 if form.precision == "fp16" else 5e-5
            np.testing.assert_allclose(found, maps, rtol=0, atol=off * float(maps.max() - maps.min()))
            if form.precision == "fp32" or name.startswith("two"):  # whose peaks are sharp
                joints = [4 * heatmaps.decode(some, "subpixel")[0] for some in (found, maps)]
                limit = 0.25 if form.precision == "fp16" else 0.05
                assert float(np.abs(joints[0] - joints[1]).max()) < limit


@OF
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_of_any_size_takes_them_all(format: str, precision: str, tmp_path: Path) -> None:
    file = exported("two stacks, logits", format, tmp_path, Form(precision=precision, dynamic_size=True))  # type: ignore[arg-type]
    engine = engines.at(file, engines.Run("cpu"))
    for size in SIZES:
        maps = expected(two_stacks(), crops(3, size))[0]
        np.testing.assert_allclose(np.asarray(engine(crops(3, size))), maps, atol=1e-4 if precision == "fp32" else 2e-2)


@OF
def test_half_the_digits_are_half_the_file(format: str, tmp_path: Path) -> None:
    sizes = []
    for precision in ("fp32", "fp16"):
        (tmp_path / precision).mkdir()
        file = exported("two stacks, logits", format, tmp_path / precision, Form(precision=precision))  # type: ignore[arg-type]
        if format == "openvino":
            sizes.append(file.with_suffix(".bin").stat().st_size)
        else:
            content = archives.entries(file, re.compile(".*"))
            sizes.append(sum(len(data) for name, data in content.items() if NUMBERS.match(name)))
    assert sizes[1] < 0.65 * sizes[0]  # of these small networks a part are biases and norms, which stay as they are


@OF
def test_the_config_comes_back_and_says_that_the_output_is_heatmaps(format: str, tmp_path: Path) -> None:
    config = engines.at(exported("two stacks, logits", format, tmp_path, Form()), engines.Run("cpu")).config
    assert config.output == "heatmaps"
    assert config.skeleton == two_stacks().config.skeleton
    assert engines.at(exported("one stack, 14 joints", format, tmp_path, Form())).config.offset == 0.25
    assert isinstance(config, ModelConfig)


@OF
def test_nothing_is_said_of_the_machine_that_exported(format: str, tmp_path: Path) -> None:
    exported("two stacks, logits", format, tmp_path, Form(decoder="subpixel", dynamic_size=True))
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for text in (b"heatmaps.py", b"network.py", str(Path(__file__).parent.parent).encode()):
        assert text not in content


@pytest.mark.parametrize("format", ["torchscript", "pt2"])
def test_weights_that_float16_cannot_hold_are_told(format: str, tmp_path: Path) -> None:
    checkpoint = one_stack()
    checkpoint.state["stem.0.weight"][0, 0, 0, 0] = 1e9
    with pytest.raises(UsageError, match="too large for fp16"):
        EXPORTERS[format].export(checkpoint, tmp_path / f"model{EXPORTERS[format].suffix}", Form(precision="fp16"))


@pytest.mark.parametrize("format", FORMATS[:2])
def test_joints_in_the_graph_are_those_that_posehg_decodes(format: str, tmp_path: Path) -> None:
    file = exported("two stacks, logits", format, tmp_path, Form(decoder="subpixel"))
    images = torch.from_numpy(crops(3)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        module = torch.jit.load(file) if format == "torchscript" else torch.export.load(file).module()
        found = module(images)
    assert len(found) == 3
    for one, other in zip(found, expected(two_stacks(), crops(3)), strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
def test_joints_in_openvinos_graph_are_those_that_posehg_decodes(tmp_path: Path) -> None:
    from posehg.inference.engines.openvino import library

    file = exported("two stacks, logits", "openvino", tmp_path, Form(decoder="subpixel"))
    compiled = library().Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({"images": crops(3).transpose(0, 3, 1, 2).astype(np.float32) / 255})
    maps, keypoints, scores = expected(two_stacks(), crops(3))
    np.testing.assert_allclose(found["heatmaps"], maps, atol=1e-4)
    np.testing.assert_allclose(found["keypoints"], keypoints, atol=1e-3)
    np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
