"""Files that others wrote: their bytes, and one sentence where they are not what they should be."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from posehg.datasets.folder import unreadable
from posehg.errors import NotAvailable

# What numpy, h5py and scipy raise for a file that is broken or of another kind depends on the byte where they give up.
_BROKEN = (
    *(OSError, EOFError, BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, MemoryError),
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError),
)

_MATLAB_73 = b"\x89HDF"
"""Begins the second part of a file that MATLAB saved with -v7.3, after 512 bytes of its own."""


@contextmanager
def opened(path: Path, expected: str) -> Iterator[BytesIO]:
    """The bytes of a file.

    Raises NotAvailable where they cannot be read and, saying that it is not ``expected``, where the block fails on
    them.
    """
    try:
        content = BytesIO(path.read_bytes())
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        yield content
    except _BROKEN as error:
        raise unreadable(path, expected, _reason(error)) from None


def matlab(path: Path, variables: Sequence[str], expected: str) -> dict[str, Any]:
    """Those of the variables that a MATLAB file holds, nothing squeezed, structs as record arrays.

    Raises NotAvailable as ``opened`` does.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    with opened(path, expected) as file:
        if _MATLAB_73 in file.getvalue()[:1024]:
            hint = "Save it in MATLAB with: save(..., '-v7')."
            raise NotAvailable(f"{path} is a MATLAB file of version 7.3, which is not read.", hint)
        try:
            content = loadmat(file, variable_names=list(variables))
        except (MatReadError, ArithmeticError, UnboundLocalError) as error:  # scipy slips on some broken bytes
            raise ValueError(str(error)) from None
    return {name: content[name] for name in variables if name in content}


def _reason(error: Exception) -> str:
    """What the library says, in one line that is not too long; its text may quote the broken bytes."""
    text = " ".join(str(error).split())
    return text if text.isprintable() and len(text) <= 120 else type(error).__name__
