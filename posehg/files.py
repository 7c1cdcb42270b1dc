"""Files that appear whole or not at all, and what the files of other programs have in common."""

import errno
import hashlib
import math
import os
import re
import reprlib
import secrets
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from posehg.errors import InputError, UsageError

IMAGE_COLUMNS = ("image", "file_name", "filename", "file", "source")
"""Names in tables of the column with the image."""
BOX_COLUMNS, *CORNERS = (("x", "y", "w", "h"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
"""Names in tables of the columns with a bounding box, or with two corners of it."""


def box_columns(header: Collection[str]) -> tuple[str, ...]:
    """The columns of a table's bounding boxes: corners only if there is neither x nor y, w or h."""
    found = (names for names in CORNERS if set(names) <= set(header) and not set(BOX_COLUMNS) & set(header))
    return next(found, BOX_COLUMNS)


def box_sides(columns: tuple[str, ...], a: float, b: float, c: float, d: float) -> tuple[float, float, float, float]:
    """x, y, width and height from the numbers in these columns."""
    return (a, b, c, d) if columns == BOX_COLUMNS else (a, b, c - a, d - b)


def table_start(text: str) -> tuple[str, int]:
    """The separator of a CSV table, and the number of lines above its header: 1 for Excel's line ``sep=;``, else 0."""
    first = text.partition("\n")[0]
    named = re.fullmatch(r'"?sep=([,;\t])"?[,;\s]*', first, re.IGNORECASE)
    return (named[1], 1) if named else (max(",;\t", key=first.count), 0)


def id_text(value: object) -> str:
    """An id from a JSON file as text: 1, 1.0, "1" and "1.0" are one id, as tables turn integers into floats."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", str(value).strip())


def as_number(value: object, what: str) -> float:
    """A number, which may be written as text; NaN for None, as some tools write it for joints without a label."""
    with suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, bool):
            return math.nan if value is None else float(value)  # type: ignore[arg-type]
    raise ValueError(f"its {what} cannot be {reprlib.repr(value)}")


@contextmanager
def atomic(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary path to write to; it replaces ``path`` when the block ends without an error.

    Raises UsageError if the file exists and ``overwrite`` is False, InputError if it cannot be written.
    """
    # A short name of fixed length: a long file name must not give a temporary name that is too long.
    temporary = path.parent / f".posehg-{secrets.token_hex(6)}{path.suffix}"
    try:
        with naming(path):
            _check_name(path, overwrite)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())  # so that after a crash the name never stands for missing bytes
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # a read-only file system refuses even this
            temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Turns an OSError in the block, or one of the errors, into an InputError that names the file to be written."""
    expected: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except expected as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be written: {why.lower()}.") from error


def check(path: Path, overwrite: bool) -> None:
    """Raises, before long work, what ``atomic`` would raise after it."""
    with naming(path):
        _check_name(path, overwrite)
        check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raises an error if no file can be created in the folder, which need not exist yet."""
    with naming(folder):
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not place.is_dir():
            raise UsageError(f"{place} is a file, not a folder.")
        descriptor, name = tempfile.mkstemp(prefix=".posehg-", dir=place)
        os.close(descriptor)
        os.unlink(name)


def make_folder(folder: Path) -> None:
    """Creates the folder and its parents. Raises InputError, which names it, if that fails."""
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_file(path: str) -> bool:
    """Whether a path means a file even if there is none: it has a suffix, which v1.2 has not, and no / at its end."""
    is_suffix = re.fullmatch(r"\.(?!v\d)[a-z]\w*", Path(path).suffix, re.IGNORECASE)
    return is_suffix is not None and not path.endswith(("/", os.sep)) and not Path(path).is_dir()


def is_full(error: BaseException) -> bool:
    """Whether an error, or its cause, says that the disk or quota is full."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _check_name(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file.")
    if path.exists() and not overwrite:
        hint = "Give --overwrite (in Python overwrite=True) to replace it, or choose another name."
        raise UsageError(f"{path} already exists.", hint)
    above = next((place for place in path.parents if place.exists()), path.parent)
    if not above.is_dir():
        raise UsageError(f"{above} is a file, not a folder.")
    if above != path.parent:
        raise UsageError(f"The folder {path.parent} does not exist.", f"Create it first: mkdir -p {path.parent}")
