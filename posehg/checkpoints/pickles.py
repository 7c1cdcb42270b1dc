"""Checkpoints that torch.save wrote: read without running anything that stands in them.

They are Python pickles, which may hold any program. Here torch's restricted reader makes tensors, numbers, texts and
containers of them, and nothing else: whatever calls for more is refused with a sentence.
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

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_AGAIN = "Download or copy it again."
_TRUST = "Where you trust it: load it with what wrote it, and torch.save its state_dict alone."
_KINDS = ("b1", "i4", "i8", "f2", "f4", "f8")
"""numpy's kinds of numbers that a file may hold beside its weights, by the names that they have in pickles."""


class _Refused(Exception):
    """A sentence's end, to come after the file's name."""


class _Kind:
    """What stands for numpy's dtype in a file. numpy's own would take its flags from there, and with them memory."""

    __slots__ = ("name", "order")  # so that no other object can be made one of these

    def __init__(self, name: object, *_: object) -> None:
        if not isinstance(name, str) or name not in _KINDS:
            shown = printable(repr(name), 40) if isinstance(name, str) else "made of others"
            raise _Refused(f"holds a number of a kind that posehg does not read, {shown}")
        self.name, self.order = name, "<"

    def __setstate__(self, state: object) -> None:
        """Of all that a dtype's state says, the order of bytes is all that is heeded."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.order = ">"


def _scalar(kind: object, data: object) -> np.generic:
    if not isinstance(kind, _Kind) or not isinstance(data, bytes):
        raise _Refused("holds a number that is none")
    dtype: np.dtype[np.generic] = np.dtype(f"{kind.order}{kind.name}")
    if len(data) != dtype.itemsize:
        raise _Refused(f"holds a number of {len(data)} bytes, not {dtype.itemsize}")
    number: np.generic = np.frombuffer(data, dtype)[0]
    return number


def is_pickled(start: bytes) -> bool:
    """Whether a file that begins so was written by torch.save: a zip since 2020, a bare pickle before."""
    return start.startswith((_ZIP, _PICKLE))


def read(file: Path) -> object:
    """What torch.save put into a file, on the CPU. Raises NotAvailable, naming the file, where that is not safe."""
    with file.open("rb") as content:
        start = content.read(len(_ZIP))
    size = file.stat().st_size
    if size > LIMIT:
        raise NotAvailable(f"{file} has {size / 1e9:.1f} GB; a checkpoint has at most {LIMIT / 1e9:.1f}.")
    if start == _ZIP:
        _check_zip(file, size)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # about the age of the format, which is no news to its reader
            # By its name torch would take a file for one of safetensors', whatever stands in it.
            with file.open("rb") as content:
                return torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle that is broken on purpose can raise what it likes
        raise _refusal(file, error) from None


def _check_zip(file: Path, size: int) -> None:
    """torch writes its zips uncompressed; one that would unpack to more than it is was made by somebody else."""
    try:
        with zipfile.ZipFile(file) as content:
            entries = content.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise NotAvailable(f"{file} is cut short or damaged ({reason(error)}).", _AGAIN) from None
    names = {entry.filename.partition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        hint = "Save its weights alone: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
        raise NotAvailable(f"{file} is a TorchScript program, which posehg does not run.", hint)
    if "data.pkl" not in names:
        raise NotAvailable(f"{file} is a zip archive, but no checkpoint of torch.")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise NotAvailable(f"{file} is compressed inside, as torch writes none.")
    if sum(entry.file_size for entry in entries) > size:
        raise NotAvailable(f"{file} would unpack to more than it is, as torch writes none.")


def _harmless() -> list[Any]:
    """What training programs leave beside the weights and torch's own list lacks: numpy's numbers and bare options.

    A Namespace is a bag of names. numpy's numbers are made here, from their bytes: what numpy itself makes them with
    believes what a file says of its types, down to reading from addresses that stand in the file. Files name it by
    the place that it had in numpy 1 and by that in numpy 2.
    """
    places = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((_scalar, place) for place in places), (_Kind, "numpy.dtype"), argparse.Namespace]


def _refusal(file: Path, error: Exception) -> NotAvailable:
    if isinstance(error, _Refused):
        return NotAvailable(f"{file} {error}.", _TRUST)
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if wanted:
        name = printable(wanted[1], 80)
        return NotAvailable(f"{file} asks for {name} to be run, and posehg runs no code from a file.", _TRUST)
    if isinstance(error, MemoryError):
        return NotAvailable(f"{file} asks for more memory than there is.")
    what = reason(error)
    if "weights_only" in what or "Weights only" in what:  # torch's advice is to switch the protection off
        refused = "is damaged, or holds more than the weights of a network, and posehg runs no code from a file"
        return NotAvailable(f"{file} {refused}.", _TRUST)
    return NotAvailable(f"{file} is cut short or damaged ({what.removesuffix('.')}).", _AGAIN)
