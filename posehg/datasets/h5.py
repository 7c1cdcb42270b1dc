"""Opening HDF5 files, which needs h5py, an optional part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.folder import opened
from posehg.errors import NotAvailable


def library(doing: str = "Reading") -> ModuleType:
    """h5py. Raises NotAvailable, saying how it is installed, where it is not."""
    try:
        import h5py
    except ImportError:
        hint = "Install it: pipx inject posehg h5py, or pip install 'posehg[h5]'"
        raise NotAvailable(f"{doing} .h5 files needs h5py.", hint) from None
    return h5py


def read(path: Path, names: Sequence[str], expected: str, optional: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Those arrays of a file; of the ``optional`` ones those that it has.

    Raises NotAvailable where h5py is not installed and, naming the file and ``expected``, where it cannot be read.
    """
    h5py = library()
    with opened(path, expected) as content, h5py.File(content, "r") as file:
        wanted = [*names, *(name for name in optional if name in file)]
        return {name: np.asarray(file[name][()]) for name in wanted}


def rows(arrays: dict[str, NDArray[Any]], shapes: dict[str, tuple[int, ...]]) -> int:
    """How many persons the arrays hold. shapes: name -> its shape after the first axis; numbers are expected.

    Raises ValueError where an array has another shape or another number of rows.
    """
    count = len(arrays[next(iter(shapes))])
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != (count, *shape) or array.dtype.kind not in "fiub":
            raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}")
    return count


def texts(array: NDArray[Any], count: int) -> list[str]:
    """The names of ``count`` persons, stored as bytes, as text or as a row of character codes each.

    Raises ValueError for anything else.
    """
    if array.ndim == 2 and array.dtype.kind in "fiu":
        names = [bytes(row[row > 0].astype(np.uint8)).decode() for row in array]
    elif array.ndim == 1 and array.dtype.kind in "SO":
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in array]
    else:
        raise ValueError(f"names are {array.dtype} of shape {array.shape}")
    if len(names) != count:
        raise ValueError(f"{len(names)} names of {count} persons")
    return names
