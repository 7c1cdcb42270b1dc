"""Checkpoints that torch.save wrote: read without running anything that stands in them.

They are Python pickles, which may hold any program. Here torch's restricted reader makes tensors, numbers, texts and
containers of them, and nothing else: whatever calls for more is refused with a sentence.
"""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posehg.errors import NotAvailable

LIMIT = 4 * 2**30
"""Bytes. The largest published checkpoint of an hourglass, with its optimizer's state, has a quarter of it."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_AGAIN = "Download or copy it again."
_SCALARS = (np.bool_, np.int32, np.int64, np.float16, np.float32, np.float64)


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
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle that is broken on purpose can raise what it likes
        raise _refusal(file, error) from None


def _check_zip(file: Path, size: int) -> None:
    """torch writes its zips uncompressed; one that would unpack to more than it is was made by somebody else."""
    try:
        with zipfile.ZipFile(file) as content:
            entries = content.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise NotAvailable(f"{file} is cut short or damaged ({printable(str(error))}).", _AGAIN) from None
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

    Neither can do anything. numpy's is known to files by the place that it had in numpy 1 and by that in numpy 2.
    """
    scalar: Callable[..., object] = np.float64(0).__reduce__()[0]  # type: ignore[assignment]
    places = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = [type(np.dtype(kind)) for kind in _SCALARS]
    return [*((scalar, place) for place in places), np.dtype, *kinds, argparse.Namespace]


def _refusal(file: Path, error: Exception) -> NotAvailable:
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if wanted:
        hint = "Where you trust it: load it with what wrote it, and torch.save its state_dict alone."
        return NotAvailable(f"{file} asks for {wanted[1]} to be run, and posehg runs no code from a file.", hint)
    if isinstance(error, MemoryError):
        return NotAvailable(f"{file} asks for more memory than there is.")
    what = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "weights_only" in what or "Weights only" in what:  # torch's advice is to switch the protection off
        what = "torch's reader of weights refuses it"
    return NotAvailable(f"{file} is cut short or damaged ({printable(what).removesuffix('.')}).", _AGAIN)


def printable(text: str) -> str:
    """What a file says, as it may be shown: on one line, not too long, and without a terminal's commands."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])
