"""ONNX files: run by onnxruntime without torch; a broken or foreign file is refused by name."""

from pathlib import Path

import numpy as np
import pytest

from posehg.config import KEY
from posehg.errors import DeviceError, NotAvailable, UsageError
from posehg.exporters import EXPORTERS, ExportOptions
from posehg.inference.engines import EngineOptions, describe, onnxruntime, open_engine
from tests import exported_models as models

onnx = pytest.importorskip("onnx", reason="onnx writes the files")
pytest.importorskip("onnxscript", reason="torch exports by onnxscript")
pytest.importorskip("onnxruntime", reason="onnxruntime runs the files")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "two.onnx"
    EXPORTERS["onnx"].code().export(models.two_stacks(), file, ExportOptions(decoder="quarter"))
    return file


def changed(exported: Path, file: Path, text: str | None) -> Path:
    """A copy with another config in its metadata, or without one."""
    model = onnx.load(exported)
    kept = {one.key: one.value for one in model.metadata_props if one.key != KEY}
    del model.metadata_props[:]
    for name, value in (kept if text is None else {**kept, KEY: text}).items():
        model.metadata_props.add(key=name, value=value)
    onnx.save(model, file)
    return file


def test_it_gives_what_the_network_gives_and_describes_itself(exported: Path) -> None:
    engine = open_engine(exported, EngineOptions("cpu"))
    assert (engine.device, engine.config.output) == ("cpu", "heatmaps")
    for batch in models.BATCHES:
        heatmaps = engine(models.crops(batch))
        maps, _, _ = models.expected(models.two_stacks(), models.crops(batch))
        assert heatmaps.dtype == np.float32
        np.testing.assert_allclose(heatmaps, maps, atol=1e-4)
    session, _ = onnxruntime.session(exported, EngineOptions("cpu", threads=1))
    assert session.get_session_options().intra_op_num_threads == 1
    description = describe(exported)
    assert description is not None
    weights, found = description
    assert (weights, found.config.skeleton) == (exported, models.two_stacks().config.skeleton)
    assert found.parameters > 0
    assert "fp32" in found.storage[0]


def test_truncated_files_are_refused_by_name(exported: Path, tmp_path: Path) -> None:
    content, file = exported.read_bytes(), tmp_path / "broken.onnx"
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        for use in (open_engine, describe):
            with pytest.raises(NotAvailable, match=r"broken\.onnx"):
                use(file)  # type: ignore[operator]


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"posehg": 99}', '{"posehg": 1, "network": {}}', "{" * 9000])
def test_foreign_files_and_broken_configs_are_refused(text: str | None, exported: Path, tmp_path: Path) -> None:
    file = changed(exported, tmp_path / "odd.onnx", text)
    for use in (open_engine, describe):
        with pytest.raises(NotAvailable):
            use(file)  # type: ignore[operator]


def test_crops_of_another_size_and_the_config_of_another_network_are_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"two\.onnx"):
        open_engine(exported, EngineOptions("cpu"))(models.crops(1, (16, 16)))
    other = changed(exported, tmp_path / "other.onnx", models.one_stack().config.to_json())
    with pytest.raises(NotAvailable, match=r"other\.onnx"):
        open_engine(other, EngineOptions("cpu"))(models.crops(1))


@pytest.mark.parametrize(
    ("device", "error"), [("mps", DeviceError), ("cuda", DeviceError), ("cuda:1", DeviceError), ("gpu", UsageError)]
)
def test_missing_devices_are_refused_by_name(device: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=device.partition(":")[0]):
        onnxruntime._device(device, ["CPUExecutionProvider"])


def test_a_gpu_is_used_if_there_is_one() -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    given = {device: onnxruntime._device(device, both) for device in ("auto", "cuda", "cuda:2", "cpu")}
    assert given == {"auto": "cuda:0", "cuda": "cuda:0", "cuda:2": "cuda:2", "cpu": "cpu"}
    assert onnxruntime._device("auto", both[1:]) == "cpu"


def test_without_onnxruntime_the_error_names_the_package(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "find_spec", lambda name: None)
    for use in (open_engine, describe):
        with pytest.raises(NotAvailable, match="onnxruntime") as error:
            use(exported)  # type: ignore[operator]
        assert "onnxruntime" in error.value.hint
