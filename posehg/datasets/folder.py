"""What sets on disk share: where they lie, opening their annotation files, whether their pictures are all there."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from posehg.errors import NotAvailable, UsageError
from posehg.poses import Person

VARIABLE = "POSEHG_DATA"
"""The environment variable that names the folder of the data sets."""

_HERE = "Give the folder that holds it with --data DIR."

# What numpy, h5py, scipy and json raise for a file that is broken or of another kind depends on the byte where they
# give up. UnboundLocalError is a slip of scipy's.
_BROKEN = (
    *(OSError, EOFError, BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, MemoryError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, UnboundLocalError),
)

_HDF5 = b"\x89HDF"
_MATLAB_73 = 512
"""Where HDF5 begins in a file that MATLAB saved with -v7.3: behind a page of its own."""


def home(data: Path | None) -> Path:
    """The folder of the data sets: ``data``, else $POSEHG_DATA, else ./data."""
    return data if data is not None else Path(os.environ.get(VARIABLE) or "data")


def find(name: str, data: Path | None, source: str, joined: bool = False) -> Path:
    """The folder of the data set ``name``: DATA/NAME or DATA itself, else $POSEHG_DATA/NAME, else ./data/NAME.

    source: where the set is to be had and how it is laid out, for the hint.
    joined: several sets are asked for at once, so DATA itself cannot be the folder of each of them.
    """
    candidates = [home(data) / name]
    if data is not None and not joined:
        candidates.append(data)
    for folder in candidates:
        if folder.is_dir():
            return folder
    looked = " or ".join(str(folder) for folder in candidates)
    raise NotAvailable(f"The data set {name} was not found: there is no folder {looked}.", f"{source} {_HERE}")


TESTED = {"lsp", "flic", "flic-pc"}
"""Sets whose official test split is posehg's val: of these test is another name for it."""


def own_name(name: str, split: str) -> str:
    """What the set's split is called here."""
    return "val" if split == "test" and name in TESTED else split


def check_split(name: str, split: str, splits: Collection[str]) -> str:
    """The split by its name here. Raises UsageError where the set has no such."""
    split = own_name(name, split)
    if split not in splits:
        raise UsageError(f"The data set {name} has no split {split!r}.", f"It has: {', '.join(splits)}.")
    return split


_UNPACK = "Unpack the set's pictures there; the annotations name these files."


def check_pictures(name: str, persons: Sequence[Person], hint: str = _UNPACK) -> None:
    """Raises NotAvailable where annotated pictures are not there. Each folder is listed once."""
    needed = {person.image for person in persons}
    missing = missing_pictures(persons)
    if missing:
        raise NotAvailable(
            f"{len(missing):,} of {len(needed):,} pictures of {name} are missing in {missing[0].parent}; "
            f"the first is {missing[0].name}.",
            hint,
        )


def missing_pictures(persons: Sequence[Person]) -> list[Path]:
    """The annotated pictures that are not there. Each folder is listed once."""
    needed = {person.image for person in persons}
    present = {folder: _names(folder) for folder in {path.parent for path in needed}}
    return sorted(path for path in needed if path.name not in present[path.parent])


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (OSError, ValueError):  # also a name that no folder can have
        return set()


# ---- files that others wrote -------------------------------------------------------------------------------------


def bytes_of(path: Path) -> bytes:
    """All of a file. Raises NotAvailable where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None


@contextmanager
def expecting(path: Path, expected: str) -> Iterator[None]:
    """Where the block fails on what is in the file, NotAvailable says that it is not ``expected``."""
    try:
        yield
    except _BROKEN as error:
        raise unreadable(path, expected, _reason(error)) from None


@contextmanager
def opened(path: Path, expected: str) -> Iterator[BytesIO]:
    """The bytes of a file; the block is ``expecting``."""
    file = BytesIO(bytes_of(path))
    with expecting(path, expected):
        yield file


def read_json(path: Path, expected: str) -> Any:
    """What a .json or .json.gz file holds. Raises NotAvailable, naming it and ``expected``, where it cannot be read."""
    with opened(path, expected) as file:
        return json.loads(gzip.decompress(file.getvalue()) if path.suffix == ".gz" else file.getvalue())


def read_mat(path: Path, variable: str, expected: str) -> Any:
    """One variable of a MATLAB file, its structs as objects with attributes. Raises NotAvailable as read_json does."""
    variables = read_matlab(path, [variable], expected, struct_as_record=False, squeeze_me=True)
    with expecting(path, expected):
        return variables[variable]


def read_matlab(path: Path, names: Sequence[str], expected: str, **options: bool) -> dict[str, Any]:
    """Those of the variables that a MATLAB file holds; by default nothing is squeezed, structs are record arrays.

    options: of scipy's loadmat. Raises NotAvailable as read_json does.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    with opened(path, expected) as file:
        if file.getvalue().startswith(_HDF5):
            raise unreadable(path, expected, "it is an HDF5 file", f"Its name should end in .h5, not {path.suffix}.")
        if file.getvalue().startswith(_HDF5, _MATLAB_73):
            hint = "Save it in MATLAB with: save(..., '-v7')."
            raise NotAvailable(f"{path} is a MATLAB file of version 7.3, which is not read.", hint)
        try:
            variables = loadmat(file, variable_names=list(names), **options)
        except MatReadError as error:
            raise ValueError(str(error)) from None
        return {name: variables[name] for name in names if name in variables}


def _reason(error: Exception) -> str:
    """What the library says, in one line that is not too long; its text may quote the broken bytes."""
    text = " ".join(str(error).split())
    return text if text.isprintable() and len(text) <= 120 else type(error).__name__


def unreadable(path: Path, expected: str, detail: str = "", hint: str = "Copy or download it again.") -> NotAvailable:
    """The error for a file that is of another format or cut short."""
    detail = f" ({detail})" if detail else ""
    return NotAvailable(f"{path} is not {expected}, or was cut short{detail}.", hint)
