"""ONNX files: read without torch, run by onnxruntime; what is broken or not posehg's is refused in a sentence."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from posehg.config import KEY
from posehg.errors import DeviceError, NotAvailable, UsageError
from posehg.exporters import EXPORTERS, ExportOptions
from posehg.inference import engines
from posehg.inference.engines import Run
from posehg.inference.engines import onnx as engine
from tests import exported_models as models

onnx = pytest.importorskip("onnx", reason="onnx writes the files")
pytest.importorskip("onnxscript", reason="torch exports by onnxscript")
pytest.importorskip("onnxruntime", reason="onnxruntime runs the files")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "two.onnx"
    EXPORTERS["onnx"].export(models.two_stacks(), file, ExportOptions(decoder="quarter"))
    return file


def changed(exported: Path, file: Path, key: str, text: str | None) -> Path:
    """The same with another text for a key of its metadata, or without it."""
    model = onnx.load(exported)
    kept = {one.key: one.value for one in model.metadata_props if one.key != key}
    del model.metadata_props[:]
    for name, value in (kept if text is None else {**kept, key: text}).items():
        model.metadata_props.add(key=name, value=value)
    onnx.save(model, file)
    return file


# ---- broken files ------------------------------------------------------------------------------------------


def test_a_file_that_is_cut_short_anywhere_is_refused_by_name(exported: Path, tmp_path: Path) -> None:
    content, file = exported.read_bytes(), tmp_path / "short.onnx"
    for length in (0, 1, 7, 100, len(content) // 2, len(content) - 5000, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(NotAvailable, match=r"short\.onnx"):
            engines.at(file)


def test_damaged_bytes_never_lead_to_another_error(exported: Path, tmp_path: Path) -> None:
    content, file, random = exported.read_bytes(), tmp_path / "damaged.onnx", np.random.default_rng(3)
    for _ in range(40):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 23):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        with suppress(NotAvailable):  # or the damage is in a weight
            engines.at(file, Run("cpu"))(models.crops(1))


# ---- the engine --------------------------------------------------------------------------------------------------


def test_it_says_what_the_network_says(exported: Path) -> None:
    opened = engines.at(exported, Run("cpu"))
    assert (opened.device, opened.config.output) == ("cpu", "heatmaps")
    assert opened.name.startswith("onnxruntime ")
    for batch in models.BATCHES:
        found = opened(models.crops(batch))
        maps, _, _ = models.expected(models.two_stacks(), models.crops(batch))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, maps, atol=1e-4)


def test_so_many_threads_compute_as_were_asked_for(exported: Path) -> None:
    opened = engines.at(exported, Run("cpu", threads=1))
    assert isinstance(opened, engine.Onnx)
    assert opened._session.get_session_options().intra_op_num_threads == 1


def test_crops_of_another_size_are_refused(exported: Path) -> None:
    with pytest.raises(NotAvailable, match=r"two\.onnx cannot be run"):
        engines.at(exported, Run("cpu"))(models.crops(1, (16, 16)))


def test_a_file_of_somebody_else_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="was not exported by posehg"):
        engines.at(changed(exported, tmp_path / "else.onnx", KEY, None))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"posehg": 99}', '{"posehg": 1, "network": {}}', "{" * 9000])
def test_a_config_that_is_none_is_refused(text: str, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"odd\.onnx|newer posehg"):
        engines.at(changed(exported, tmp_path / "odd.onnx", KEY, text))


def test_a_config_of_another_network_is_refused(exported: Path, tmp_path: Path) -> None:
    other = models.one_stack().config.to_json()
    with pytest.raises(NotAvailable, match="gives heatmaps of shape"):
        engines.at(changed(exported, tmp_path / "other.onnx", KEY, other), Run("cpu"))(models.crops(1))


@pytest.mark.parametrize("device", ["mps", "cuda", "cuda:1"])
def test_a_device_that_onnxruntime_does_not_have_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match=device.partition(":")[0]):
        engine._device(device, ["CPUExecutionProvider"])


def test_a_device_of_no_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="kind of device"):
        engine._device("gpu", ["CPUExecutionProvider"])


def test_the_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert [engine._device(device, both) for device in ("auto", "cuda", "cuda:2", "cpu")] == [
        *("cuda:0", "cuda:0", "cuda:2", "cpu")
    ]
    assert engine._device("auto", both[1:]) == "cpu"
    assert engine._providers("cuda:2")[0] == ("CUDAExecutionProvider", {"device_id": 2})


def test_without_onnxruntime_it_says_what_to_install(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(NotAvailable, match="needs onnxruntime") as error:
        engines.at(exported)
    assert "posehg[onnx]" in error.value.hint
