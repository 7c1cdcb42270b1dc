"""Files of torch.save, harmless, broken and hostile."""

import argparse
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from posehg import checkpoints
from posehg.checkpoints.foreign import pickles
from posehg.errors import NotAvailable
from tests.foreign_files import refused

ZIPPED = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(content: object, path: Path, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


class Calls:
    """Pickled, it asks its reader to call something, and perhaps to give the result a state."""

    def __init__(self, function: Callable[..., object], *arguments: object, state: object = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.call


@ZIPPED
def test_tensors_come_back_from_beside_numbers_and_options(tmp_path: Path, zipped: bool) -> None:
    flagged = Calls(np.dtype, "f8", False, True, state=(3, "<", None, None, None, -1, -1, 63))
    odd = [Calls(np.float64(0).__reduce__()[0], flagged, b"A" * 8), Calls(np.dtype, "O"), Calls(np.dtype, "V8")]
    content = {
        "state_dict": {"a": torch.arange(5.0)},
        "epoch": 3,
        "arch": "hg",
        "best_acc": [np.float64(1.5), np.float16(1.5), np.int64(7), np.bool_(True)],
        "odd": odd,  # with numpy's own types they would read memory at any address
        "args": argparse.Namespace(lr=2.5e-4, best=np.float64(3)),
    }
    before = set(torch.serialization.get_safe_globals())
    path = saved(content, tmp_path / "a.safetensors", zipped)  # the suffix does not decide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pickles.read(path)
    assert isinstance(found, dict)
    assert torch.equal(found["state_dict"]["a"], torch.arange(5.0))
    assert (found["epoch"], found["arch"]) == (3, "hg")
    assert not any(isinstance(one, np.generic | np.dtype) for one in (*found["best_acc"], *found["odd"]))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("place", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numbers_of_both_versions_of_numpy_are_read(tmp_path: Path, place: str) -> None:
    path = saved({"a": torch.zeros(3), "best_acc": np.float64(1.5)}, tmp_path / "a.pt")
    for known in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        rewritten(path, lambda data, known=known: data.replace(known, place.encode()))  # type: ignore[misc]
    assert isinstance(pickles.read(path), dict)


class Network(nn.Module):
    """A class that its reader would have to import."""


def hostile(path: Path, content: object, form: str) -> Path:
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
        return path
    return saved(content, path, zipped=form == "zip")


FORM = pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])


@FORM
@pytest.mark.parametrize("call", ["os.system", "eval", "rename"])
@pytest.mark.parametrize("lenient", ["0", "1"])
def test_a_pickle_that_would_run_a_program_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, call: str, lenient: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", lenient)  # torch's own way to switch protection off
    trace, other = tmp_path / "trace", tmp_path / "other"
    other.touch()
    content = {
        "os.system": Calls(os.system, f"touch {trace}"),
        "eval": Calls(eval, f"open({str(trace)!r}, 'w')"),
        "rename": Calls(os.rename, str(other), str(trace)),
    }[call]
    weights = {"a": torch.zeros(1) if form == "zip" else 1}
    path = hostile(tmp_path / "bad.pth.tar", {"state_dict": weights, "b": content}, form)
    with pytest.raises(NotAvailable, match=r"bad\.pth\.tar asks .* no code"):
        checkpoints.load(path)
    assert not trace.exists()
    if form == "zip":  # so that this is a test
        torch.load(path, weights_only=False)
        assert trace.exists()


@pytest.mark.parametrize(
    ("content", "asked"),
    [(np.zeros(3), "numpy"), (Path("x"), "pathlib"), (Network(), "Network"), (slice(1), "slice")],
    ids=["array", "path", "module", "slice"],
)
@ZIPPED
def test_what_needs_more_than_tensors_is_named(tmp_path: Path, content: object, asked: str, zipped: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source of a class in a test
        path = saved({"a": content}, tmp_path / "a.pt", zipped)
    assert "state_dict" in refused(pickles.read, path, asked).hint


def rewritten(path: Path, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """The same archive with another pickle in it."""
    with zipfile.ZipFile(path) as content:
        parts = {name: content.read(name) for name in content.namelist()}
    with zipfile.ZipFile(path, "w", compression) as content:
        for name, data in parts.items():
            content.writestr(name, change(data) if name.endswith("data.pkl") else data)


def test_a_compressed_archive_is_refused_unread(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(1_000_000)}, tmp_path / "bomb.pt")
    rewritten(path, bytes)
    assert isinstance(pickles.read(path), dict)
    rewritten(path, bytes, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    refused(pickles.read, path, "unpack")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book.pt", "w") as content:
        content.writestr("chapter.txt", "Call me Ishmael.")
    refused(pickles.read, tmp_path / "book.pt", "zip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.trace(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4))
        torch.jit.save(program, str(tmp_path / "program.pt"))
    assert "onnx" in refused(pickles.read, tmp_path / "program.pt", "TorchScript").hint


@ZIPPED
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_cut_short_says_so(tmp_path: Path, share: float, zipped: bool) -> None:
    path = saved({"state_dict": {"a": torch.arange(1000.0)}, "b": "c" * 500}, tmp_path / "a.pt", zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "Download" in refused(pickles.read, path, "damaged").hint


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), zipped=st.booleans())
def test_a_changed_byte_does_no_harm(tmp_path: Path, at: float, value: int, zipped: bool) -> None:
    path = saved({"state_dict": {"a": torch.arange(9.0)}}, tmp_path / "odd.pt", zipped)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] = value
    path.write_bytes(content)
    with suppress(NotAvailable):  # no other error
        pickles.read(path)
