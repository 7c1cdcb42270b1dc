"""What sets on disk share: where they lie, opening their annotation files, whether their pictures are all there."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from posehg.errors import NotAvailable, UsageError
from posehg.poses import Person

VARIABLE = "POSEHG_DATA"
"""The environment variable that names the folder of the data sets."""

_HERE = "Give the folder that holds it with --data DIR."

# What scipy raises for a file that is broken or of another kind depends on the byte where it gives up.
_BROKEN_MAT = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, NotImplementedError, zlib.error)
_BROKEN_GZ = (OSError, EOFError, zlib.error)


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


def check_split(name: str, split: str, splits: Collection[str]) -> None:
    if split not in splits:
        raise UsageError(f"The data set {name} has no split {split!r}.", f"It has: {', '.join(splits)}.")


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
    except (FileNotFoundError, NotADirectoryError):
        return set()


def read_json(path: Path, expected: str) -> Any:
    """What a .json or .json.gz file holds. Raises NotAvailable, naming it and ``expected``, where it cannot be read."""
    content = _bytes(path)
    try:
        return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (ValueError, RecursionError, *_BROKEN_GZ):  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise unreadable(path, expected) from None


def read_mat(path: Path, variable: str, expected: str) -> Any:
    """One variable of a MATLAB file, its structs as objects with attributes. Raises NotAvailable as read_json does."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    content = BytesIO(_bytes(path))
    try:
        return loadmat(content, struct_as_record=False, squeeze_me=True, variable_names=[variable])[variable]
    except (*_BROKEN_MAT, MatReadError):
        raise unreadable(path, expected) from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None


def unreadable(path: Path, expected: str, detail: str = "", hint: str = "Copy or download it again.") -> NotAvailable:
    """The error for a file that is of another format or cut short."""
    detail = f" ({detail})" if detail else ""
    return NotAvailable(f"{path} is not {expected}, or was cut short{detail}.", hint)
