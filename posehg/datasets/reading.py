"""Find data sets on disk, and read annotation files that other programs wrote: JSON, MATLAB and HDF5."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from posehg.errors import NotAvailable, UsageError
from posehg.poses import Person

TESTED = {"lsp", "flic", "flic-pc"}
"""Sets whose official test split is called val here; ``test`` is another name for it."""

# What numpy, h5py, scipy and json raise for a broken file or one of another kind depends on the byte at which they
# give up. UnboundLocalError is a bug of scipy's.
_BROKEN = (
    *(OSError, EOFError, BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, MemoryError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, UnboundLocalError),
)

_HDF5 = b"\x89HDF"
_MATLAB_73 = 512
"""A file saved by MATLAB with -v7.3 is HDF5 that begins after a page of this many bytes."""


# ---- where a set is ----------------------------------------------------------------------------------------------


def home(data: Path | None) -> Path:
    """The folder of the data sets: ``data``, else $POSEHG_DATA, else ./data."""
    return data if data is not None else Path(os.environ.get("POSEHG_DATA") or "data")


def find(name: str, data: Path | None, source: str, joined: bool = False) -> Path:
    """The folder of the data set ``name``: DATA/NAME or DATA itself, else $POSEHG_DATA/NAME, else ./data/NAME.

    source: the hint where to get the set. joined: it is one of several, so DATA itself cannot be its folder.
    Raises NotAvailable if there is none.
    """
    candidates = [home(data) / name]
    if data is not None and not joined:
        candidates.append(data)
    for folder in candidates:
        if folder.is_dir():
            return folder
    looked = " or ".join(str(folder) for folder in candidates)
    hint = f"{source} Give the folder that holds it with --data DIR."
    raise NotAvailable(f"The data set {name} was not found: there is no folder {looked}.", hint)


def check_split(name: str, split: str, splits: Collection[str]) -> str:
    """The name that a split of the set has here. Raises UsageError if the set does not have it."""
    if split == "test" and name in TESTED:
        split = "val"
    if split not in splits:
        raise UsageError(f"The data set {name} has no split {split!r}.", f"It has: {', '.join(splits)}.")
    return split


def check_images(
    name: str, persons: Sequence[Person], hint: str = "Unpack the set's images there; the annotations name these files."
) -> None:
    """Raises NotAvailable if annotated images are missing."""
    missing = missing_images(persons)
    if missing:
        total = len({person.image for person in persons})
        raise NotAvailable(
            f"{len(missing):,} of {total:,} images of {name} are missing in {missing[0].parent}; "
            f"the first is {missing[0].name}.",
            hint,
        )


def missing_images(persons: Sequence[Person]) -> list[Path]:
    """The annotated images whose files are missing, sorted. Each folder is listed once."""
    needed = {person.image for person in persons}
    present: dict[Path, set[str]] = {}
    for folder in {path.parent for path in needed}:
        try:
            with os.scandir(folder) as entries:
                present[folder] = {entry.name for entry in entries}
        except (OSError, ValueError):  # ValueError: a name that no folder can have
            present[folder] = set()
    return sorted(path for path in needed if path.name not in present[path.parent])


# ---- files that others wrote -------------------------------------------------------------------------------------


@contextmanager
def expecting(path: Path, expected: str) -> Iterator[None]:
    """If the block fails on the content of a file, raises NotAvailable: the file is not ``expected``."""
    try:
        yield
    except _BROKEN as error:
        text = " ".join(str(error).split())  # it may quote the broken bytes
        reason = text if text.isprintable() and len(text) <= 120 else type(error).__name__
        raise unreadable(path, expected, reason) from None


@contextmanager
def opened(path: Path, expected: str) -> Iterator[BytesIO]:
    """The bytes of a file; the block is ``expecting``. Raises NotAvailable if the file cannot be read."""
    try:
        file = BytesIO(path.read_bytes())
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None
    with expecting(path, expected):
        yield file


def unreadable(path: Path, expected: str, detail: str = "", hint: str = "Copy or download it again.") -> NotAvailable:
    """The error for a file of another format or a truncated one."""
    detail = f" ({detail})" if detail else ""
    return NotAvailable(f"{path} is not {expected}, or was cut short{detail}.", hint)


def wrong(path: Path, place: str, what: object, hint: str = "") -> NotAvailable:
    """The error for one entry of a file that is otherwise as expected. what: a sentence about it."""
    return NotAvailable(f"{path}, {place}: {str(what).rstrip('.')}.", hint)


def read_json(path: Path, expected: str) -> Any:
    """The content of a .json or .json.gz file. Raises NotAvailable, naming it and ``expected``, if it is not that."""
    with opened(path, expected) as file:
        return json.loads(gzip.decompress(file.getvalue()) if path.suffix == ".gz" else file.getvalue())


def read_matlab(path: Path, names: Sequence[str], expected: str, **options: bool) -> dict[str, Any]:
    """The variables ``names`` of a MATLAB file, without those that it lacks.

    options: of scipy's loadmat; by default nothing is squeezed and structs are record arrays.
    Raises NotAvailable as read_json does.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    with opened(path, expected) as file:
        if file.getvalue().startswith(_HDF5):
            raise unreadable(path, expected, "it is an HDF5 file", f"Its name should end in .h5, not {path.suffix}.")
        if file.getvalue().startswith(_HDF5, _MATLAB_73):
            hint = "Save it in MATLAB with: save(..., '-v7')."
            raise NotAvailable(f"{path} is a MATLAB file of version 7.3, which posehg cannot read.", hint)
        try:
            variables = loadmat(file, variable_names=list(names), **options)
        except MatReadError as error:
            raise ValueError(str(error)) from None
        return {name: variables[name] for name in names if name in variables}


def read_mat(path: Path, variable: str, expected: str) -> Any:
    """One variable of a MATLAB file, its structs as objects with attributes. Raises NotAvailable as read_json does."""
    variables = read_matlab(path, [variable], expected, struct_as_record=False, squeeze_me=True)
    with expecting(path, expected):
        return variables[variable]


def each(structs: Any) -> list[Any]:
    """The structs of a MATLAB struct array, which scipy reads as an array, one struct, an empty array or None."""
    if structs is None:
        return []
    return [structs] if hasattr(structs, "_fieldnames") else list(np.atleast_1d(structs))


def matlab_field(struct: Any, name: str) -> Any:
    """A field's value; None if the struct, the field or its value is missing."""
    value: Any = getattr(struct, name, None)
    empty = np.size(value) == 0 or (isinstance(value, str) and not value)
    return None if empty else value


def h5_library(doing: str = "Reading") -> ModuleType:
    """h5py. Raises NotAvailable, with the command that installs it, if it is missing."""
    try:
        import h5py
    except ImportError:
        hint = "Install it: pipx inject posehg h5py, or pip install 'posehg[h5]'"
        raise NotAvailable(f"{doing} .h5 files needs h5py.", hint) from None
    return h5py


def read_h5(path: Path, names: Sequence[str], expected: str, optional: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The arrays ``names`` of an HDF5 file, and those of the ``optional`` ones that it has.

    Raises NotAvailable if h5py is not installed, and as read_json does.
    """
    h5py = h5_library()
    with opened(path, expected) as content, h5py.File(content, "r") as file:
        wanted = [*names, *(name for name in optional if name in file)]
        return {name: np.asarray(file[name][()]) for name in wanted}


def check_rows(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The number of persons in arrays of numbers with a row a person. shapes: name -> the shape of a row.

    Raises ValueError if an array has another shape or another number of rows.
    """
    count = len(arrays[next(iter(shapes))])
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != (count, *shape) or array.dtype.kind not in "fiub":
            raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}")
    return count


def h5_texts(array: NDArray[Any], count: int) -> list[str]:
    """``count`` names, each stored as bytes, as text or as a row of character codes. Raises ValueError for others."""
    if array.ndim == 2 and array.dtype.kind in "fiu":
        names = [bytes(row[row > 0].astype(np.uint8)).decode() for row in array]
    elif array.ndim == 1 and array.dtype.kind in "SO":
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in array]
    else:
        raise ValueError(f"names are {array.dtype} of shape {array.shape}")
    if len(names) != count:
        raise ValueError(f"{len(names)} names of {count} persons")
    return names
