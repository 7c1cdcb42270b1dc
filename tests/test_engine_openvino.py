"""Files of OpenVINO's, and that nobody is told of them."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from posehg.config import KEY
from posehg.errors import DeviceError, NotAvailable
from posehg.exporters import ExportOptions
from posehg.inference import engines
from posehg.inference.engines import Run, openvino
from tests.exported_models import crops, expected, in_a_new_process, one_stack, refused

# Not by importing it: that is what tells its maker.
pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from posehg.exporters import openvino as exporter

    made = tmp_path_factory.mktemp("openvino")
    exporter.export(one_stack(), made / "model.xml", ExportOptions())
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "model"))


def test_a_folder_and_the_file_in_it_are_the_same_model(folder: Path) -> None:
    maps = expected(one_stack(), crops(3))[0]
    for place in (folder, folder / "model.xml"):
        engine = engines.at(place, Run("cpu", threads=1))
        found = engine(crops(3))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, maps, atol=1e-5 * float(np.abs(maps).max()))
        assert engine.name.startswith("openvino 20")
        assert engine.device == "cpu"


def test_an_answer_stays_what_it_was_when_the_next_is_given(folder: Path) -> None:
    engine = engines.at(folder, Run("cpu"))
    first = engine(crops(2))
    kept = first.copy()
    engine(255 - crops(2))
    np.testing.assert_array_equal(first, kept)


def test_a_folder_with_a_model_of_posehgs_own_is_that(copy: Path) -> None:
    assert openvino.recognises(copy)
    (copy / "model.safetensors").touch()
    assert not openvino.recognises(copy)


@pytest.mark.parametrize("content", [b"", b"<?xml", b"<?xml version='1.0'?><html/>", b"\xff\xfe<\0?\0", bytes(100)])
def test_odd_files_are_not_recognised(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_bytes(content)
    assert not openvino.recognises(tmp_path)
    assert not openvino.recognises(tmp_path / "model.xml")
    assert not openvino.recognises(tmp_path / "none")


def test_a_file_without_its_numbers_is_told(copy: Path) -> None:
    (copy / "model.bin").unlink()
    refused(copy / "model.xml", "no model.bin beside it")


def test_a_file_that_is_cut_short_is_told(copy: Path) -> None:
    whole = (copy / "model.xml").read_bytes()
    (copy / "model.xml").write_bytes(whole[: len(whole) // 2])
    refused(copy / "model.xml", "cannot be run")


def test_numbers_that_are_cut_short_are_told(copy: Path) -> None:
    whole = (copy / "model.bin").read_bytes()
    (copy / "model.bin").write_bytes(whole[:100])
    refused(copy / "model.xml", "cannot be run")


def rewritten(folder: Path, old: str, new: str) -> Path:
    file = folder / "model.xml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    return file


def test_a_file_of_somebody_elses_is_told(copy: Path) -> None:
    refused(rewritten(copy, f"<{KEY} ", "<other "), "not exported by posehg")


def test_a_newer_config_or_another_networks_is_told(copy: Path, folder: Path, tmp_path: Path) -> None:
    refused(rewritten(copy, f"&quot;{KEY}&quot;: 1", f"&quot;{KEY}&quot;: 99"), "newer posehg")


def test_only_the_cpu_is_used(folder: Path) -> None:
    with pytest.raises(DeviceError, match="on the CPU"):
        engines.at(folder, Run("cuda"))


def test_a_size_that_it_was_not_exported_for_is_told(folder: Path) -> None:
    engine = engines.at(folder, Run("cpu"))
    with pytest.raises(NotAvailable, match="cannot be run"):
        engine(crops(1, (16, 16)))


def test_a_missing_package_is_told_with_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(NotAvailable, match="need openvino") as caught:
        engines.at(folder, Run("cpu"))
    assert "posehg[openvino]" in caught.value.hint


QUIET = """
import json, socket
from pathlib import Path
tried = []
def no(*arguments, **options):
    tried.append(str(arguments))
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = no
"""


@pytest.mark.parametrize("telemetry", ["not imported", "already imported"])
def test_a_run_needs_no_torch_and_tells_nobody(folder: Path, telemetry: str, tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", crops(2))
    run = in_a_new_process(
        QUIET
        + """
import numpy as np
from importlib.util import find_spec
if arguments[2] == "already imported" and find_spec("openvino_telemetry"):
    import openvino_telemetry
from posehg.inference.engines import openvino
engine = openvino.open(Path(arguments[0]))
maps = engine(np.load(arguments[1]))
import time; time.sleep(1)  # telemetry is sent by threads
names = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([maps.shape, "torch" in names, tried]))
""",
        folder,
        tmp_path / "crops.npy",
        telemetry,
        home=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [[2, 14, 8, 12], False, []]
    assert not (tmp_path / "intel").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="there are no such signals here")
def test_signals_are_taken_after_models_have_come_and_gone(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", crops(1))
    run = in_a_new_process(
        """
import faulthandler, signal
from pathlib import Path
import numpy as np
from posehg.inference.engines import openvino
faulthandler.enable()  # a stack for signals, of which the libraries make others
signal.signal(signal.SIGCHLD, lambda *_: print("taken"))
first, second = (openvino.open(Path(arguments[0])) for _ in range(2))
for engine in (first, second):
    engine(np.load(arguments[1]))
del engine, first
del second
signal.raise_signal(signal.SIGCHLD)
""",
        folder,
        tmp_path / "crops.npy",
        home=tmp_path,
    )
    assert (run.returncode, run.stdout) == (0, "taken\n"), run.stderr


def test_an_export_tells_nobody(tmp_path: Path) -> None:
    run = in_a_new_process(
        QUIET
        + """
from posehg.exporters import ExportOptions
from posehg.exporters import openvino
from tests.exported_models import one_stack
openvino.export(one_stack(), Path(arguments[0]), ExportOptions())
import time; time.sleep(1)
print(json.dumps([tried, "openvino_telemetry" in sys.modules]))
""",
        tmp_path / "model.xml",
        home=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [[], False]
    assert run.stderr == ""
    assert not (tmp_path / "intel").exists()
