"""Checkpoints that torch.save wrote, read without running anything in them.

They are Python pickles, which may hold any program. torch's restricted reader makes tensors, numbers, texts and
containers of them, and nothing else; a file that asks for more is refused.
"""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posehg.errors import NotAvailable, printable, reason

LIMIT = 4 * 2**30
"""Bytes. The largest published checkpoint of an hourglass, with its optimizer's state, has a quarter of it."""

_AGAIN = "Download or copy it again."
_TRUST = "If you trust the file, load it with the program that wrote it and torch.save its state_dict alone."
_KINDS = ("b1", "i4", "i8", "f2", "f4", "f8")
"""numpy's number types that a file may hold beside its weights, as pickles name them."""


class _Refused(Exception):
    """The end of a sentence that begins with the file's name."""


class _Kind:
    """Stands for numpy's dtype in a file. numpy's own takes flags from the file, and with them reads any memory."""

    __slots__ = ("name", "order")  # so that no other object can turn into one of these

    def __init__(self, name: object, *_: object) -> None:
        if not isinstance(name, str) or name not in _KINDS:
            raise _Refused(f"holds a number of an unknown type, {printable(repr(name), 40)}")
        self.name, self.order = name, "<"

    def __setstate__(self, state: object) -> None:
        """Of a dtype's state only the byte order is used."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.order = ">"

    def __repr__(self) -> str:
        return "a dtype"


def _scalar(kind: object, data: object) -> np.generic:
    """Stands for numpy's function that makes a number of a dtype and bytes."""
    if not isinstance(kind, _Kind) or not isinstance(data, bytes):
        raise _Refused("holds a number without a type or bytes")
    dtype: np.dtype[np.generic] = np.dtype(f"{kind.order}{kind.name}")
    if len(data) != dtype.itemsize:
        raise _Refused(f"holds a number of {len(data)} bytes, not {dtype.itemsize}")
    number: np.generic = np.frombuffer(data, dtype)[0]
    return number


_HARMLESS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),  # its name in numpy 1
    (_scalar, "numpy._core.multiarray.scalar"),  # its name in numpy 2
    (_Kind, "numpy.dtype"),
    argparse.Namespace,
]
"""What training programs store beside the weights and torch does not allow by itself: numpy's numbers and options."""


def is_pickled(start: bytes) -> bool:
    """Whether a file with these first bytes may be from torch.save: a zip since 2020, a bare pickle before."""
    return start.startswith((b"PK\x03\x04", b"\x80"))


def read(file: Path) -> object:
    """What torch.save stored in a file, on the CPU. Raises NotAvailable, naming the file, if it is unsafe or broken."""
    size = file.stat().st_size
    if size > LIMIT:
        raise NotAvailable(f"{file} has {size / 1e9:.1f} GB; a checkpoint has at most {LIMIT / 1e9:.1f}.")
    try:
        with file.open("rb") as content:
            if content.read(2) == b"PK":
                _check_zip(content, size)
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals(_HARMLESS),
            file.open("rb") as content,  # given a name, torch takes the suffix .safetensors at its word
        ):
            warnings.simplefilter("ignore")  # about the age of the format
            return torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle that is broken on purpose can raise anything
        raise _explained(file, error) from None


def _check_zip(content: Any, size: int) -> None:
    """torch does not compress its zips: one that would unpack to more than it is was made to do harm."""
    with zipfile.ZipFile(content) as archive:
        entries = archive.infolist()
    names = {entry.filename.partition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        raise _Refused("is a TorchScript program, which posehg does not run")
    if "data.pkl" not in names:
        raise _Refused("is a zip archive, but not a checkpoint of torch")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _Refused("is compressed, which torch never does")
    if sum(entry.file_size for entry in entries) > size:
        raise _Refused("would unpack to more bytes than it has")


def _explained(file: Path, error: Exception) -> NotAvailable:
    what = reason(error)
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if isinstance(error, _Refused):
        return NotAvailable(f"{file} {error}.", _TRUST)
    if wanted:
        name = printable(wanted[1], 80)
        return NotAvailable(f"{file} asks to run {name}, and posehg runs no code from a file.", _TRUST)
    if isinstance(error, MemoryError):
        return NotAvailable(f"{file} asks for more memory than there is.")
    if re.search("weights.only", what, re.IGNORECASE):  # torch's advice is to switch the protection off
        sentence = f"{file} is damaged or holds more than weights, and posehg runs no code from a file."
        return NotAvailable(sentence, _TRUST)
    return NotAvailable(f"{file} is cut short or damaged ({what.removesuffix('.')}).", _AGAIN)
