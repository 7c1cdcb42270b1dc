"""OpenVINO files, and that using them reports nothing to anyone."""

import json
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from posehg.config import KEY
from posehg.errors import DeviceError, NotAvailable
from posehg.exporters import EXPORTERS, ExportOptions
from posehg.exporters.common import suppress_output
from posehg.inference import engines
from posehg.inference.engines import EngineOptions
from tests.exported_models import crops, expected, in_a_new_process, one_stack

# Not by importing it: that is what tells its maker.
pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("openvino")
    with suppress_output():
        EXPORTERS["openvino"].code().export(one_stack(), made / "model.xml", ExportOptions())
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "model"))


def test_a_folder_and_the_file_in_it_are_one_model(folder: Path) -> None:
    maps = expected(one_stack(), crops(3))[0]
    for place in (folder, folder / "model.xml"):
        engine = engines.open_engine(place, EngineOptions("cpu", threads=1))
        found = engine(crops(3))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, maps, atol=1e-5 * float(np.abs(maps).max()))
        kept = found.copy()
        engine(255 - crops(3))
        np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("callers", [1, 3])
def test_several_threads_may_call_it_at_once(folder: Path, callers: int) -> None:
    engine = engines.open_engine(folder, EngineOptions("cpu", threads=3, callers=callers))
    inputs = [crops(number) for number in (1, 2, 3)] * 7
    one_by_one = [engine(given) for given in inputs]
    with ThreadPoolExecutor(3) as pool:
        for ours, together in zip(one_by_one, pool.map(engine, inputs), strict=True):
            np.testing.assert_allclose(together, ours, atol=1e-6)


def test_the_file_describes_itself_without_openvino(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = engines.describe(folder)
    assert found is not None
    assert found[0] == folder / "model.bin"
    assert found[1].config.skeleton == one_stack().config.skeleton
    with pytest.raises(NotAvailable, match="openvino") as caught:
        engines.open_engine(folder, EngineOptions("cpu"))
    assert "posehg[openvino]" in caught.value.hint


def test_a_folder_with_a_checkpoint_is_that(copy: Path) -> None:
    assert engines.library_of(copy)
    (copy / "model.safetensors").touch()
    assert not engines.library_of(copy)


@pytest.mark.parametrize("change", ["no weights", "short weights", "short", "html", "utf-16", "foreign", "newer"])
def test_broken_and_foreign_files_are_refused_by_name(copy: Path, change: str) -> None:
    file, weights = copy / "model.xml", copy / "model.bin"
    text = file.read_text("utf-8")
    contents = {
        "short": text[: len(text) // 2].encode(),
        "html": b"<?xml version='1.0'?><html/>",
        "utf-16": b"\xff\xfe<\0?\0",
        "foreign": text.replace(f"<{KEY} ", "<other ").encode(),
        "newer": text.replace(f"&quot;{KEY}&quot;: 1", f"&quot;{KEY}&quot;: 99").encode(),
    }
    if change in contents:
        assert contents[change] != file.read_bytes()
        file.write_bytes(contents[change])
    elif change == "no weights":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(NotAvailable) as caught:
        engines.open_engine(copy, EngineOptions("cpu"))
    assert "\n" not in str(caught.value).partition("\nHint")[0]
    assert str(file) in str(caught.value)


def test_other_devices_and_sizes_are_refused(folder: Path) -> None:
    with pytest.raises(DeviceError, match="cuda"):
        engines.open_engine(folder, EngineOptions("cuda"))
    with pytest.raises(NotAvailable, match=r"model\.xml"):
        engines.open_engine(folder, EngineOptions("cpu"))(crops(1, (16, 16)))


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="there are no such signals here")
def test_signals_still_work_after_models_are_deleted(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", crops(1))
    run = in_a_new_process(
        """
import faulthandler, signal
from pathlib import Path
import numpy as np
from posehg.inference.engines import openvino
faulthandler.enable()  # a stack for signals, of which the libraries make others
signal.signal(signal.SIGCHLD, lambda *_: print("taken"))
first, second = (openvino.open_file(Path(arguments[0]), openvino.EngineOptions()) for _ in range(2))
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


def test_exporting_and_running_report_nothing_and_running_needs_no_torch(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", crops(2))
    run = in_a_new_process(
        """
import json, socket, time
from pathlib import Path
import numpy as np
tried = []
def no(*arguments, **options):
    tried.append(str(arguments))
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = no
from posehg.inference.engines import openvino
maps = openvino.open_file(Path(arguments[0]), openvino.EngineOptions("cpu"))(np.load(arguments[1]))
had_torch = "torch" in sys.modules
from posehg.exporters import EXPORTERS, ExportOptions, common
from tests.exported_models import one_stack
with common.suppress_output():
    EXPORTERS["openvino"].code().export(one_stack(), Path(arguments[2]), ExportOptions())
time.sleep(1)  # threads send telemetry
print(json.dumps([maps.shape, had_torch, "openvino_telemetry" in sys.modules, tried]))
""",
        folder,
        tmp_path / "crops.npy",
        tmp_path / "model.xml",
        home=tmp_path,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout) == [[2, 14, 8, 12], False, False, []]
    assert not (tmp_path / "intel").exists()
