"""What all exporters have in common, ONNX, and the proof that a file says what the network says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import heatmaps
from posehg.checkpoints import Checkpoint
from posehg.errors import CheckFailed, InputError, NotAvailable, UsageError
from posehg.exporters import EXPORTERS, Exporter, parity, pictures, writing
from posehg.exporters import onnx as exporter
from posehg.exporters.form import Form
from posehg.exporters.parity import LIMITS, difference
from posehg.hub import onnx_file
from posehg.inference import engines
from posehg.inference.engines import Run
from posehg.skeletons import LSP
from tests import exported_models as models

ONNX = EXPORTERS["onnx"]
J, ROWS, COLUMNS = 5, 17, 23


@pytest.fixture
def runs_onnx() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed")


def outputs(file: Path, count: int, size: tuple[int, int] = (models.H, models.W)) -> list[np.ndarray]:
    return engines.at(file, Run("cpu")).outputs(models.crops(count, size))  # type: ignore[attr-defined]


# ---- ONNX --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("runs_onnx")
@pytest.mark.parametrize("name", models.MODELS)
def test_onnx_gives_heatmaps_and_joints_of_any_number_of_pictures(name: str, tmp_path: Path) -> None:
    ONNX.export(models.MODELS[name](), tmp_path / "a.onnx", Form(decoder="subpixel"))
    for batch in models.BATCHES:
        maps, keypoints, scores = models.expected(models.MODELS[name](), models.crops(batch))
        found = outputs(tmp_path / "a.onnx", batch)
        scale = float(abs(maps).max())
        np.testing.assert_allclose(found[0], maps, atol=2e-4 * max(1, scale))
        np.testing.assert_allclose(found[2], scores, atol=2e-4)
        own, _ = heatmaps.decode(np.asarray(found[0]), "subpixel")
        offset = models.MODELS[name]().config.offset
        np.testing.assert_allclose(found[1], (own + offset) * 4 + 1.5, atol=1e-3)
        assert found[1].shape == keypoints.shape


@pytest.mark.usefixtures("runs_onnx")
def test_onnx_of_dynamic_size_takes_pictures_of_other_sizes(tmp_path: Path) -> None:
    ONNX.export(models.two_stacks(), tmp_path / "a.onnx", Form(decoder="quarter", dynamic_size=True))
    for size in (*models.SIZES, (models.H, models.W)):
        maps, _, _ = models.expected(models.two_stacks(), models.crops(3, size))
        np.testing.assert_allclose(outputs(tmp_path / "a.onnx", 3, size)[0], maps, atol=2e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("runs_onnx")
@pytest.mark.parametrize("opset", [17, 20, 23])
def test_the_opset_is_the_one_that_was_asked_for(opset: int, tmp_path: Path) -> None:
    ONNX.export(models.two_stacks(), tmp_path / "a.onnx", Form(decoder="quarter", opset=opset))
    assert onnx_file.read(tmp_path / "a.onnx").opset == opset
    maps, _, _ = models.expected(models.two_stacks(), models.crops(2))
    np.testing.assert_allclose(outputs(tmp_path / "a.onnx", 2)[0], maps, atol=2e-4)


@pytest.mark.parametrize("opset", [1, 16, 24, 99])
def test_another_opset_is_refused(opset: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"opset {opset}, but with 17 to 23"):
        ONNX.export(models.two_stacks(), tmp_path / "a.onnx", Form(opset=opset))


@pytest.mark.usefixtures("runs_onnx")
def test_fp16_is_half_as_large_and_takes_and_gives_float32(tmp_path: Path) -> None:
    import onnx

    for precision in ("fp32", "fp16"):
        ONNX.export(models.two_stacks(), tmp_path / f"{precision}.onnx", Form(precision))  # type: ignore[arg-type]
    exact, half = (onnx.load(tmp_path / f"{name}.onnx").graph for name in ("fp32", "fp16"))
    numbers = [sum(len(one.raw_data) for one in graph.initializer) for graph in (exact, half)]
    assert numbers[1] < 0.6 * numbers[0]
    assert all(one.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for one in (*half.input, *half.output))
    maps, _, _ = models.expected(models.two_stacks(), models.crops(2))
    np.testing.assert_allclose(outputs(tmp_path / "fp16.onnx", 2)[0], maps, atol=0.02)


@pytest.mark.usefixtures("runs_onnx")
def test_int8_leaves_the_heatmaps_conversion_in_float32(tmp_path: Path) -> None:
    import onnx

    checkpoint = models.two_stacks()
    crops = pictures.noise(7, checkpoint.config.input_size)
    ONNX.export(checkpoint, tmp_path / "a.onnx", Form("int8", calibration=crops))
    graph = onnx.load(tmp_path / "a.onnx").graph
    made = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    whole = [node for node in convolutions if node.input[1] in made]
    assert {made[node.input[1]].op_type for node in whole} == {"DequantizeLinear"}
    assert len(whole) == len(convolutions) - 1
    assert not any(
        made[name].op_type == "DequantizeLinear"
        for node in graph.node
        if node.op_type in ("Exp", "MatMul", "ReduceMax")
        for name in node.input
        if name in made
    )


@pytest.mark.usefixtures("runs_onnx")
def test_the_file_says_what_who_deploys_it_must_know(tmp_path: Path) -> None:
    checkpoint = models.one_stack()
    checkpoint.config.provenance["licence"] = "of somebody"
    ONNX.export(checkpoint, tmp_path / "a.onnx", Form(decoder="quarter", dynamic_size=True))
    found = onnx_file.read(tmp_path / "a.onnx").metadata
    assert found["joints"].split(", ") == list(LSP.joints)
    assert found["input"] == "images: float32 (batch, 3, 32, 48), RGB in 0 .. 1"
    assert (found["stride"], found["licence"], found["precision"]) == ("4", "of somebody", "fp32")
    assert found["offset"].startswith("0.25 cells")
    assert found["mean"] == "[0.5, 0.5, 0.5]"
    assert "in the graph" in found["normalisation"]
    assert found["flip"] == str(list(LSP.flip))
    assert "quarter" in found["keypoints"]
    assert "multiples of 16" in found["size"]


@pytest.mark.usefixtures("runs_onnx")
def test_the_file_does_not_say_where_it_was_made(tmp_path: Path) -> None:
    ONNX.export(models.two_stacks(), tmp_path / "a.onnx", Form())
    content = (tmp_path / "a.onnx").read_bytes()
    assert b"posehg/network.py" not in content
    assert str(Path(__file__).parents[1]).encode() not in content


@pytest.mark.usefixtures("runs_onnx")
def test_nothing_that_libraries_say_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ONNX.export(models.two_stacks(), tmp_path / "a.onnx", Form(opset=17))
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(NotAvailable, match="needs onnxscript") as error:
        ONNX.export(models.two_stacks(), tmp_path / "a.onnx", Form())
    assert "pipx inject posehg onnxscript" in error.value.hint


# ---- parity ------------------------------------------------------------------------------------------------------


def gaussians(seed: int, sigma: float = 1.3) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(3, 12, (3, J, 2))
    return heatmaps.encode(points, (ROWS, COLUMNS), sigma).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), x=st.sampled_from([0.02, 0.06, 0.5, 3]))
def test_the_difference_is_how_far_the_joints_moved(seed: int, x: float) -> None:
    points = np.random.default_rng(seed).uniform(4, 12, (3, J, 2))
    points = np.round(points) + np.clip(points - np.round(points), -0.3, 0.3)  # between two cells rounding chooses
    exact, moved = (heatmaps.encode(points + step, (ROWS, COLUMNS), 2.0) for step in (0, np.array([x / 4, 0])))
    found = difference(exact, moved, parity.Limit(np.inf, 1e9))
    if x <= 0.06:
        assert found.counted > 0
        assert found.joints == pytest.approx(x, abs=1e-3)
    assert found.maps == pytest.approx(float(abs(exact - moved).max()))


def test_a_joint_counts_where_rounding_alone_cannot_move_it() -> None:
    limit = LIMITS["fp16"]
    exact = gaussians(3)
    noise = np.random.default_rng(1).uniform(-1e-3, 1e-3, exact.shape).astype(np.float32)
    for maps in (exact, exact / 20, np.full_like(exact, 0.5)):  # seen; of too low a score; flat
        found = difference(maps, maps + noise, limit)
        assert found.joints <= limit.joints
    assert difference(exact, exact + noise, limit).counted > J
    assert difference(exact / 20, exact / 20 + noise, limit).counted == 0
    assert difference(np.full_like(exact, 0.5), np.full_like(exact, 0.5) + noise, limit).counted == 0


def test_two_cells_that_are_equally_high_do_not_count() -> None:
    points = np.array([[[5.5, 7.0], [5.0, 7.0]]])
    exact = heatmaps.encode(points, (ROWS, COLUMNS), 1.0)
    assert difference(exact, exact + 1e-5, LIMITS["fp32"]).counted == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_infinitely_wrong(wrong: float) -> None:
    found = gaussians(5)
    found[1, 2, 3, 4] = wrong
    assert difference(gaussians(5), found, LIMITS["int8"]).maps == np.inf


def breaking(exporter: Exporter, monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    """The exporter writes another network than it was given."""
    real = Exporter.export

    def export(self: Exporter, checkpoint: Checkpoint, file: Path, form: Form) -> None:
        real(self, change(checkpoint), file, form)  # type: ignore[operator]

    monkeypatch.setattr(Exporter, "export", export)


def other_weights(checkpoint: Checkpoint) -> Checkpoint:
    state = dict(checkpoint.state)
    state["stem.0.weight"] = state["stem.0.weight"].flip(1)  # BGR
    return Checkpoint(checkpoint.config, state)


@pytest.mark.usefixtures("runs_onnx")
@pytest.mark.parametrize("form", [Form(), Form("fp16"), Form(decoder="quarter", dynamic_size=True)], ids=["", "h", "d"])
def test_a_file_of_another_network_is_not_written(form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(ONNX, monkeypatch, other_weights)
    with pytest.raises(CheckFailed, match=r"heatmaps up to [\d.e+-]+, with") as error:
        writing.write(models.two_stacks(), ONNX, tmp_path / "a.onnx", form)
    assert error.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_network_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(EXPORTERS["safetensors"], monkeypatch, other_weights)
    with pytest.raises(CheckFailed):
        writing.write(models.two_stacks(), EXPORTERS["safetensors"], tmp_path / "a", Form())
    assert list(tmp_path.iterdir()) == []
    writing.write(models.two_stacks(), EXPORTERS["safetensors"], tmp_path / "a", Form(), check=False)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"config.json", "model.safetensors"}


def test_keypoints_that_are_not_those_of_the_heatmaps_are_found() -> None:
    maps = gaussians(7)
    cells, scores = heatmaps.decode(maps, "quarter")
    points = (cells + 0.25) * 4 + 1.5
    parity._check_keypoints((maps, points, scores), maps, 0.25, "quarter")
    for wrong in ((maps, points + 0.02, scores), (maps, points, scores + 0.01), (maps, points[:1], scores)):
        with pytest.raises(CheckFailed, match="reads its own heatmaps wrongly"):
            parity._check_keypoints(wrong, maps, 0.25, "quarter")


@pytest.mark.usefixtures("runs_onnx")
@pytest.mark.parametrize("name", models.MODELS)
def test_a_right_file_is_written_and_its_parity_told(name: str, tmp_path: Path) -> None:
    form = Form(decoder="subpixel", dynamic_size=True)
    found = writing.write(models.MODELS[name](), ONNX, tmp_path / "a.onnx", form)
    assert found is not None
    assert found.maps <= 1e-3
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


# ---- writing -----------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        writing.write(models.two_stacks(), EXPORTERS["safetensors"], tmp_path / "file" / "a", Form())


def test_files_in_the_folder_that_are_not_of_the_format_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    writing.write(models.two_stacks(), EXPORTERS["safetensors"], tmp_path, Form(), check=False)
    (tmp_path / "model.safetensors").write_text("old")
    with pytest.raises(UsageError, match=r"model\.safetensors exists already"):
        writing.write(models.two_stacks(), EXPORTERS["safetensors"], tmp_path, Form(), check=False)
    writing.write(models.two_stacks(), EXPORTERS["safetensors"], tmp_path, Form(), overwrite=True, check=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert engines.at(tmp_path, Run("cpu")).config == models.two_stacks().config


# ---- pictures ----------------------------------------------------------------------------------------------------


def test_calibration_wants_a_folder_with_pictures(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError):
            pictures.of_folder(folder, None)  # type: ignore[arg-type]
