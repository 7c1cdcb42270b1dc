"""Files of torch.save, harmless, broken and hostile."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from posehg import checkpoints
from posehg.checkpoints import pickles
from posehg.errors import NotAvailable

ZIPPED = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(content: object, path: Path, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_refused(path: Path, *words: str) -> NotAvailable:
    """In one sentence that names the file."""
    with pytest.raises(NotAvailable) as caught:
        pickles.read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith((".", ").")), message
    assert "\n" not in message
    for word in words:
        assert word in message
    return caught.value


# ---- what may stand in a file ----------------------------------------------------------------------------------------


@ZIPPED
def test_tensors_numbers_and_texts_come_back(tmp_path: Path, zipped: bool) -> None:
    content = {"state_dict": {"a": torch.arange(5.0)}, "epoch": 3, "arch": "hg", "best_acc": torch.tensor(0.5)}
    found = pickles.read(saved(content, tmp_path / "a.pt", zipped))
    assert isinstance(found, dict)
    assert torch.equal(found["state_dict"]["a"], content["state_dict"]["a"])  # type: ignore[index]
    assert (found["epoch"], found["arch"], float(found["best_acc"])) == (3, "hg", 0.5)


@ZIPPED
@pytest.mark.parametrize("number", [np.float64(1.5), np.float32(1.5), np.float16(1.5), np.int64(7), np.bool_(True)])
def test_numpys_numbers_come_back(tmp_path: Path, number: np.generic, zipped: bool) -> None:
    found = pickles.read(saved({"best_acc": number}, tmp_path / "a.pt", zipped))
    assert found == {"best_acc": number}
    assert type(found["best_acc"]) is type(number)  # type: ignore[index]


@pytest.mark.parametrize("place", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpys_numbers_of_both_its_versions_come_back(tmp_path: Path, place: str) -> None:
    path = saved({"best_acc": np.float64(1.5)}, tmp_path / "a.pt")
    ours = next(name for name in ("numpy._core.multiarray", "numpy.core.multiarray") if name.encode() in pickled(path))
    rewritten(path, lambda data: data.replace(ours.encode(), place.encode()))
    assert place.encode() in pickled(path)
    assert pickles.read(path) == {"best_acc": 1.5}


class Dtype:
    """numpy's dtype, as a file has it, with flags of the file's choice."""

    def __init__(self, kind: object, flags: int = 0, order: str = "<") -> None:
        self.call = (np.dtype, (kind, False, True), (3, order, None, None, None, -1, -1, flags))

    def __reduce__(self) -> Any:
        return self.call


class Scalar:
    """numpy's number of a dtype, as a file has it."""

    def __init__(self, kind: object, data: object) -> None:
        self.call = (np.float64(0).__reduce__()[0], (kind, data))

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("flags", [1, 4, 5, 63, 255])
def test_numpys_flags_are_not_taken_from_a_file(tmp_path: Path, flags: int) -> None:
    """numpy would take the number for a pointer, and follow or show it."""
    content = {"best_acc": Scalar(Dtype("f8", flags), np.float64(1.5).tobytes())}
    assert pickles.read(saved(content, tmp_path / "a.pt")) == {"best_acc": 1.5}


def test_numpys_numbers_of_another_machine_come_back(tmp_path: Path) -> None:
    content = {"epoch": Scalar(Dtype("i4", order=">"), (7).to_bytes(4, "big"))}
    assert pickles.read(saved(content, tmp_path / "a.pt")) == {"epoch": 7}


@pytest.mark.parametrize(
    "number",
    [
        Scalar(Dtype("O"), b"A" * 8),
        Scalar(Dtype("V8"), b"A" * 8),
        Scalar(Dtype([("a", Dtype("f8", 5))]), b"A" * 8),
        Scalar(Dtype((Dtype("f8", 5), [("a", "O")])), b"A" * 8),
        Scalar(Dtype("f8"), b"A" * 7),
        Scalar(Dtype("f8"), b"A" * 16),
        Scalar(Dtype("f8"), 3),
        Scalar("f8", b"A" * 8),
        Dtype("U5"),
    ],
)
@ZIPPED
def test_numpys_other_kinds_are_refused(tmp_path: Path, number: object, zipped: bool) -> None:
    assert_refused(saved({"a": number}, tmp_path / "a.pt", zipped), "number")


def test_nothing_of_numpys_own_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = [one[0] if isinstance(one, tuple) else one for one in pickles._HARMLESS]
    assert not [one for one in allowed if str(getattr(one, "__module__", "")).startswith("numpy")]


@ZIPPED
def test_a_programs_options_come_back(tmp_path: Path, zipped: bool) -> None:
    options = argparse.Namespace(lr=2.5e-4, arch="hg", best=np.float64(3))
    assert pickles.read(saved({"args": options}, tmp_path / "a.pt", zipped)) == {"args": options}


def test_nothing_stays_allowed_afterwards(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    pickles.read(saved({"args": argparse.Namespace()}, tmp_path / "a.pt"))
    assert set(torch.serialization.get_safe_globals()) == before


def test_an_old_file_is_read_without_a_warning(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(3)}, tmp_path / "a.pt", zipped=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickles.read(path)


# ---- what would run --------------------------------------------------------------------------------------------------


class Calls:
    """Pickled, it asks its reader to call something."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Network(nn.Module):
    """A class that its reader would have to import."""


def hostile(path: Path, content: object, form: str) -> Path:
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
        return path
    return saved(content, path, zipped=form == "zip")


FORM = pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])


@FORM
@pytest.mark.parametrize("call", ["os.system", "open", "eval", "exec", "rename"])
@pytest.mark.parametrize("lenient", ["0", "1"])
def test_a_pickle_that_would_run_a_program_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, call: str, lenient: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", lenient)  # torch's own way to switch protection off
    trace, other = tmp_path / "trace", tmp_path / "other"
    other.touch()
    code = f"open({str(trace)!r}, 'w')"
    content = {
        "os.system": Calls(os.system, f"touch {trace}"),
        "open": Calls(open, str(trace), "w"),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "rename": Calls(os.rename, str(other), str(trace)),
    }[call]
    path = hostile(
        tmp_path / "bad.pth.tar", {"state_dict": {"a": torch.zeros(1) if form == "zip" else 1}, "b": content}, form
    )
    with pytest.raises(NotAvailable, match="runs no code") as caught:
        checkpoints.load(path)
    assert str(path) in str(caught.value)
    assert not trace.exists()


def test_the_same_pickle_would_have_run_it(tmp_path: Path) -> None:
    """So that the test above is one."""
    trace = tmp_path / "trace"
    path = hostile(tmp_path / "bad.pth", {"b": Calls(os.system, f"touch {trace}")}, "zip")
    torch.load(path, weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize("content", [Calls(os.system, "true"), {"a": torch.float32}, 3])
def test_a_pickle_of_a_later_form_is_not_called_a_broken_download(tmp_path: Path, content: object) -> None:
    path = tmp_path / "later.pth"
    path.write_bytes(pickle.dumps({"b": content, "c": [1, 2]}, protocol=4))
    error = assert_refused(path, "runs no code")
    assert "Download" not in error.hint


@pytest.mark.parametrize("hostile", [False, True])
def test_the_name_does_not_make_it_a_safetensors_file(tmp_path: Path, hostile: bool) -> None:
    content = {"a": Calls(os.system, "true") if hostile else torch.arange(3)}
    path = saved(content, tmp_path / "a.safetensors")
    if hostile:
        assert_refused(path, "runs no code")
    else:
        found = pickles.read(path)
        assert isinstance(found, dict)
        assert torch.equal(found["a"], torch.arange(3))


@pytest.mark.parametrize(
    ("content", "asked"),
    [(np.zeros(3), "numpy"), (Path("x"), "pathlib"), (Network(), "Network"), (slice(1), "slice")],
    ids=["array", "path", "module", "slice"],
)
@ZIPPED
def test_what_needs_more_than_tensors_is_named_and_told_how_to_be_had(
    tmp_path: Path, content: object, asked: str, zipped: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source of a class in a test
        path = saved({"a": content}, tmp_path / "a.pt", zipped)
    error = assert_refused(path, asked, "runs no code")
    assert "state_dict" in error.hint


@FORM
def test_what_asks_for_more_memory_than_there_is_is_refused(tmp_path: Path, form: str) -> None:
    path = hostile(tmp_path / "greedy.pt", {"a": Calls(bytearray, 2**62)}, form)
    assert_refused(path, "memory")


# ---- archives --------------------------------------------------------------------------------------------------------


def pickled(path: Path) -> bytes:
    with zipfile.ZipFile(path) as content:
        return next(content.read(name) for name in content.namelist() if name.endswith("data.pkl"))


def rewritten(path: Path, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """The same archive with another pickle in it."""
    with zipfile.ZipFile(path) as content:
        parts = {name: content.read(name) for name in content.namelist()}
    with zipfile.ZipFile(path, "w", compression) as content:
        for name, data in parts.items():
            content.writestr(name, change(data) if name.endswith("data.pkl") else data)


def test_an_archive_packed_anew_is_still_read(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(3)}, tmp_path / "a.pt")
    rewritten(path, bytes)
    assert isinstance(pickles.read(path), dict)


def test_a_compressed_archive_is_refused_unread(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(1_000_000)}, tmp_path / "bomb.pt")
    rewritten(path, bytes, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert_refused(path, "compressed")


def test_an_archive_whose_parts_lie_over_each_other_is_refused(tmp_path: Path) -> None:
    """A directory that names the same bytes many times, each time as another part."""
    path = saved({"a": torch.zeros(10_000)}, tmp_path / "bomb.pt")
    with zipfile.ZipFile(path, "a") as content:
        largest = max(content.infolist(), key=lambda entry: entry.file_size)
        for number in range(50):
            again = zipfile.ZipInfo(f"archive/data/{number + 1}")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(largest, name))
            content.filelist.append(again)
        content._didModify = True  # type: ignore[attr-defined]
    assert_refused(path, "unpack")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book.pt", "w") as content:
        content.writestr("chapter.txt", "Call me Ishmael.")
    assert_refused(tmp_path / "book.pt", "zip")


def test_a_torchscript_program_is_refused_with_advice(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.trace(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4))
        torch.jit.save(program, str(tmp_path / "program.pt"))
    error = assert_refused(tmp_path / "program.pt", "TorchScript")
    assert "state_dict" in error.hint


# ---- broken files ----------------------------------------------------------------------------------------------------


@ZIPPED
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_cut_short_says_so(tmp_path: Path, share: float, zipped: bool) -> None:
    path = saved({"state_dict": {"a": torch.arange(1000.0)}, "b": "c" * 500}, tmp_path / "a.pt", zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    error = assert_refused(path, "damaged")
    assert "Download" in error.hint


def test_a_file_larger_than_any_checkpoint_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved({"a": torch.zeros(3)}, tmp_path / "a.pt")
    monkeypatch.setattr(pickles, "LIMIT", path.stat().st_size)
    pickles.read(path)
    monkeypatch.setattr(pickles, "LIMIT", path.stat().st_size - 1)
    assert_refused(path, " GB")


def test_five_gigabytes_are_too_many(tmp_path: Path) -> None:
    with open(tmp_path / "huge.pt", "wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(5 * 10**9)  # without taking them on the disk
    assert_refused(tmp_path / "huge.pt", "5.0 GB")


def told(path: Path) -> str:
    """What is said of a file that cannot be read; any other error goes through."""
    try:
        pickles.read(path)
    except NotAvailable as error:
        return str(error)
    return ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from([b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x80"]), rest=st.binary(max_size=60))
def test_whatever_follows_the_first_bytes_it_is_one_sentence(tmp_path: Path, start: bytes, rest: bytes) -> None:
    path = tmp_path / "odd.pt"
    path.write_bytes(start + rest)
    assert told(path).isprintable()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), zipped=st.booleans())
def test_a_byte_that_changed_does_no_harm(tmp_path: Path, at: float, value: int, zipped: bool) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.arange(9.0)}}, buffer, _use_new_zipfile_serialization=zipped)
    content = bytearray(buffer.getvalue())
    content[int(at * len(content))] = value
    path = tmp_path / "odd.pt"
    path.write_bytes(content)
    assert told(path).isprintable()
