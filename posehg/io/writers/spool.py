"""numpy's .npz files whose arrays are longer than memory should hold: rows wait on disk until their number is known."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

_IN_MEMORY = 1 << 20
"""Bytes of a column from which on it is put on disk."""


class Rows:
    """A column of numbers: rows of one shape and kind. dtype: with its byte order, as ``<f8``."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self._file = _waiting(folder)
        self._dtype = dtype
        self._count = 0

    def add(self, row: Any) -> None:
        self._file.write(np.asarray(row, dtype=self._dtype).tobytes())
        self._count += 1

    def save(self, file: IO[bytes], shape: tuple[int, ...]) -> None:
        """As .npy. shape: of a row."""
        _head(file, self._dtype, (self._count, *shape))
        self._file.seek(0)
        shutil.copyfileobj(self._file, file)

    def close(self) -> None:
        self._file.close()


class Texts:
    """A column of texts of any length; half characters, as in names of files that are not UTF-8, stay as they are."""

    def __init__(self, folder: Path) -> None:
        self._file = _waiting(folder)
        self._count, self._longest = 0, 1

    def add(self, text: str) -> None:
        code = text.encode("utf-32-le", "surrogatepass")
        self._file.write(struct.pack("<q", len(code)) + code)
        self._count += 1
        self._longest = max(self._longest, len(text))

    def save(self, file: IO[bytes]) -> None:
        """As .npy, whose texts are all as long as the longest."""
        _head(file, f"<U{self._longest}", (self._count,))
        self._file.seek(0)
        for _ in range(self._count):
            (length,) = struct.unpack("<q", self._file.read(8))
            file.write(self._file.read(length).ljust(4 * self._longest, b"\0"))

    def close(self) -> None:
        self._file.close()


@contextmanager
def member(archive: ZipFile, name: str) -> Iterator[IO[bytes]]:
    """An array of the archive, to be written to."""
    entry = ZipInfo(f"{name}.npy")  # without the time, so that the same results are the same bytes
    entry.compress_type = ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as file:
        yield file


def save_texts(archive: ZipFile, name: str, texts: str | Sequence[str]) -> None:
    """One text or a few as an array of the archive."""
    with member(archive, name) as file:
        np.lib.format.write_array(file, np.array(texts, dtype=np.str_), allow_pickle=False)


def _head(file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})


def _waiting(folder: Path) -> IO[bytes]:
    """Bytes that are gone when they are closed: in memory, and from so many on in the folder."""
    return tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))
