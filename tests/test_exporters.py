"""All formats: the exported file gives what the network gives, and no other file is written."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import heatmaps, images
from posehg.checkpoints import Checkpoint
from posehg.config import KEY, ModelConfig
from posehg.errors import CheckFailed, InputError, NotAvailable, UsageError
from posehg.exporters import EXPORTERS, ExportOptions, Precision, common, onnx
from posehg.exporters.common import LIMITS, difference, write
from posehg.inference import engines
from posehg.inference.engines import EngineOptions
from tests import exported_models as models
from tests.exported_models import MODELS, crops, expected, one_stack, two_stacks

J, ROWS, COLUMNS = 5, 17, 23
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}
INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(package) is None for package in NEEDED.get(name, ())), reason="not installed"
        ),
    )
    for name in EXPORTERS
]
EVERY = pytest.mark.parametrize("format", INSTALLED)
GRAPHS = pytest.mark.parametrize("format", INSTALLED[1:])
ONNX = pytest.mark.parametrize("format", INSTALLED[1:2])


def exported(checkpoint: Checkpoint, format: str, folder: Path, options: ExportOptions) -> Path:
    exporter = EXPORTERS[format]
    folder.mkdir(exist_ok=True)
    out = folder / f"model{exporter.suffix}" if exporter.suffix else folder
    write(checkpoint, exporter, out, options, check=False)
    return out if exporter.suffix else out / exporter.files[0]


def outputs(format: str, file: Path, batch: np.ndarray) -> tuple[ModelConfig, list[np.ndarray]]:
    """The config in the file, and all that it gives for crops (B, H, W, 3), by the library that the format is for."""
    texts = {KEY: ""}
    if format == "torchscript":
        program = torch.jit.load(file, _extra_files=texts)
    elif format == "pt2":
        program = torch.export.load(file, extra_files=texts).module()
    else:
        engine = engines.open_engine(file, EngineOptions("cpu"))
        return engine.config, list(engine.outputs(batch))  # type: ignore[attr-defined]
    with torch.inference_mode():
        found = program(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255)
    config = ModelConfig.from_json(texts[KEY] if isinstance(texts[KEY], str) else texts[KEY].decode())
    return config, [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]


@GRAPHS
@pytest.mark.parametrize(("name", "precision"), [*((name, "fp32") for name in MODELS), (list(MODELS)[1], "fp16")])
def test_a_file_gives_the_networks_heatmaps_and_joints(
    format: str, name: str, precision: Precision, tmp_path: Path
) -> None:
    checkpoint = MODELS[name]()
    file = exported(checkpoint, format, tmp_path, ExportOptions(precision, decoder="subpixel"))
    for batch in models.BATCHES:
        maps, keypoints, scores = expected(checkpoint, crops(batch))
        config, found = outputs(format, file, crops(batch))
        assert config == replace(checkpoint.config, output="heatmaps")
        assert [value.dtype for value in found] == [np.float32] * 3
        off = (2e-2 if precision == "fp16" else 5e-5) * max(1, float(maps.max() - maps.min()))
        np.testing.assert_allclose(found[0], maps, rtol=0, atol=off)
        own, own_scores = heatmaps.decode(found[0], "subpixel")
        np.testing.assert_allclose(found[1], (own + checkpoint.config.offset) * 4 + 1.5, atol=1e-3)
        np.testing.assert_allclose(found[2], own_scores, atol=1e-4)
        np.testing.assert_allclose(found[2], scores, atol=off)
        if precision == "fp32":  # on noise rounding to half precision moves joints
            np.testing.assert_allclose(found[1], keypoints, rtol=0, atol=0.05)


@GRAPHS
def test_a_graph_of_any_size_accepts_other_sizes_and_tells_nothing_of_the_machine(
    format: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ExportOptions(decoder="quarter", dynamic_size=True)
    file = exported(two_stacks(), format, tmp_path, options)
    assert capfd.readouterr() == ("", "")
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for text in (b"heatmaps.py", str(Path(__file__).parent.parent).encode()):
        assert text not in content
    for size in (*models.SIZES, (models.H, models.W)):
        maps, _, _ = expected(two_stacks(), crops(3, size))
        np.testing.assert_allclose(outputs(format, file, crops(3, size))[1][0], maps, atol=2e-4)


@GRAPHS
def test_fp16_halves_the_size(format: str, tmp_path: Path) -> None:
    checkpoint = models.two_stacks(features=160)  # so large that weights are most of the file
    sizes = []
    for precision in ("fp32", "fp16"):
        exported(checkpoint, format, tmp_path / precision, ExportOptions(precision))  # type: ignore[arg-type]
        sizes.append(sum(file.stat().st_size for file in (tmp_path / precision).iterdir()))
    assert sizes[1] < 0.65 * sizes[0]  # biases and norms stay as they are


@pytest.mark.slow
@ONNX
@pytest.mark.parametrize("opset", [17, 23])
def test_the_opset_can_be_chosen(format: str, opset: int, tmp_path: Path) -> None:
    import onnx

    file = exported(two_stacks(), format, tmp_path, ExportOptions(decoder="quarter", opset=opset))
    assert [one.version for one in onnx.load(file).opset_import if not one.domain] == [opset]
    np.testing.assert_allclose(outputs(format, file, crops(2))[1][0], expected(two_stacks(), crops(2))[0], atol=2e-4)


@ONNX
@pytest.mark.parametrize("opset", [16, 24])
def test_other_opsets_are_refused(format: str, opset: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{opset}"):
        exported(two_stacks(), format, tmp_path, ExportOptions(opset=opset))


@ONNX
def test_int8_quantizes_all_convolutions_but_the_last(format: str, tmp_path: Path) -> None:
    import onnx

    options = ExportOptions("int8", calibration=list(crops(7)))
    graph = onnx.load(exported(two_stacks(), format, tmp_path, options)).graph
    made = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantized = [node for node in convolutions if node.input[1] in made]
    assert {made[node.input[1]].op_type for node in quantized} == {"DequantizeLinear"}
    assert len(quantized) == len(convolutions) - 1
    after = [name for node in graph.node if node.op_type in ("Exp", "MatMul", "ReduceMax") for name in node.input]
    assert not any(made[name].op_type == "DequantizeLinear" for name in after if name in made)


@ONNX
def test_the_metadata_describe_the_graph(format: str, tmp_path: Path) -> None:
    import onnx

    checkpoint = one_stack()
    checkpoint.config.provenance["licence"] = "a licence"
    file = exported(checkpoint, format, tmp_path, ExportOptions(decoder="quarter", dynamic_size=True))
    found = {one.key: one.value for one in onnx.load(file).metadata_props}
    assert found[KEY] == checkpoint.config.to_json()
    assert found["joints"].split(", ") == list(checkpoint.config.skeleton.joints)
    assert found["flip"] == str(list(checkpoint.config.skeleton.flip))
    for key, text in {
        **{
            "input": f"(batch, 3, 32, 48) or other multiples of {checkpoint.config.network.multiple}",
            "stride": "4",
            "offset": "0.25",
        },
        **{"precision": "fp32", "licence": "a licence"},
    }.items():
        assert text in found[key]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(NotAvailable, match="onnxscript"):
        exported(two_stacks(), "onnx", tmp_path, ExportOptions())


def gaussians(seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(3, 12, (3, J, 2))
    return heatmaps.encode(points, (ROWS, COLUMNS), 1.3).astype(np.float32)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), x=st.sampled_from([0.02, 0.06, 0.5, 3]))
def test_the_difference_is_how_far_the_joints_moved(seed: int, x: float) -> None:
    points = np.random.default_rng(seed).uniform(4, 12, (3, J, 2))
    points = np.round(points) + np.clip(points - np.round(points), -0.3, 0.3)  # between two cells rounding chooses
    exact, moved = (heatmaps.encode(points + step, (ROWS, COLUMNS), 2.0) for step in (0, np.array([x / 4, 0])))
    found = difference(exact, moved, 1e9)
    if x <= 0.06:
        assert found.counted > 0
        assert found.joints == pytest.approx(x, abs=1e-3)
    assert found.maps == pytest.approx(float(abs(exact - moved).max()))


def test_only_joints_that_rounding_cannot_move_count() -> None:
    exact = gaussians(3)
    noise = np.random.default_rng(1).uniform(-1e-3, 1e-3, exact.shape).astype(np.float32)
    _, most = LIMITS["fp16"]
    # Sharp peaks; too low a score; flat.
    found = [difference(maps, maps + noise, most) for maps in (exact, exact / 20, np.full_like(exact, 0.5))]
    assert max(one.joints for one in found) <= most
    assert found[0].counted > J
    assert [one.counted for one in found[1:]] == [0, 0]
    tie = heatmaps.encode(np.array([[[5.5, 7.0], [5.0, 7.0]]]), (ROWS, COLUMNS), 1.0)
    assert difference(tie, tie + 1e-5, most).counted == 1
    wrong = exact.copy()
    wrong[1, 2, 3, 4] = np.nan
    assert difference(exact, wrong, most).maps == np.inf


def test_wrongly_decoded_keypoints_are_found() -> None:
    maps, config = gaussians(7), one_stack().config
    cells, scores = heatmaps.decode(maps, "quarter")
    points = (cells + 0.25) * 4 + 1.5
    common.check_decoding(maps, points, scores, config, "quarter")
    for wrong in ((points + 0.02, scores), (points, scores + 0.01), (points[:1], scores)):
        with pytest.raises(CheckFailed):
            common.check_decoding(maps, *wrong, config, "quarter")


@EVERY
def test_a_file_is_written_if_it_matches_the_network(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, out = EXPORTERS[format], tmp_path / f"new/model{EXPORTERS[format].suffix}"
    out.parent.mkdir()
    full = ExportOptions(decoder="quarter", dynamic_size=True) if exporter.options else ExportOptions()
    with monkeypatch.context() as patch:
        models.read_bgr(patch, exporter)
        with pytest.raises(CheckFailed):
            write(two_stacks(), exporter, out, ExportOptions("fp16"))
        assert list(out.parent.iterdir()) == []
        assert write(two_stacks(), exporter, out, ExportOptions(), check=False) is None
    with pytest.raises(UsageError, match="exists"):
        write(two_stacks(), exporter, out, full)
    parity = write(two_stacks(), exporter, out, full, overwrite=True)
    assert parity is not None
    assert parity.maps <= 1e-3
    assert parity.joints <= 0.05
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    if exporter.files:
        assert {path.name for path in out.iterdir()} - {exporter.copy} == set(exporter.files)


def test_other_files_in_the_folder_stay_and_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write(two_stacks(), EXPORTERS["safetensors"], tmp_path, ExportOptions(), check=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert engines.open_engine(tmp_path, EngineOptions("cpu", library="torch")).config == two_stacks().config
    with pytest.raises(InputError, match=r"notes\.txt"):
        write(two_stacks(), EXPORTERS["safetensors"], tmp_path / "notes.txt" / "a", ExportOptions())


def test_calibration_takes_a_crop_of_each_image_of_a_folder(tmp_path: Path) -> None:
    def calibrated(folder: Path | None) -> list[tuple[int, ...]]:
        found = onnx.calibration_crops(folder, one_stack(), lambda sources, *_: sources)
        return [crop.shape for crop in found]

    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError):
            calibrated(folder)
    for index in range(3):
        images.write(tmp_path / f"{index}.png", crops(1, (40, 60))[0])
    for source, count in ((tmp_path, 3), (None, onnx.ENOUGH)):
        assert calibrated(source) == [(models.H, models.W, 3)] * count
