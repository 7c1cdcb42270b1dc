"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from posehg.errors import InputError, UsageError


@contextmanager
def atomic(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the place of ``path`` when the block ends without error.

    Raises UsageError where the file exists and may not be overwritten, InputError where it cannot be written.
    """
    temporary = _beside(path)
    try:
        with naming(path):
            _check_name(path, overwrite)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())  # a rename that survives a crash must not name a file whose bytes did not
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # a read-only file system refuses even to look for it
            temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What the system refuses in the block becomes an InputError that names the file to be written."""
    try:
        yield
    except PermissionError:
        hint = "Choose a folder that you may write to."
        raise InputError(f"{path} cannot be written: permission denied.", hint) from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def check(path: Path, overwrite: bool) -> None:
    """Raises, before long work, what ``atomic`` would raise after it: a file is made beside the path, and removed."""
    _check_name(path, overwrite)
    temporary = _beside(path)
    with naming(path):
        try:
            temporary.touch()
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Raises InputError where no file can be made in a folder."""
    with naming(folder):
        temporary = _beside(folder / "file")
        try:
            temporary.touch()
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_full(error: BaseException) -> bool:
    """Whether what was refused, or an error that tells of it, says that there is no room left."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _beside(path: Path) -> Path:
    # The name is short and fixed, so that a long file name does not become a too long temporary one.
    return path.parent / f".posehg-{secrets.token_hex(6)}{path.suffix}"


def _check_name(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; a file is to be written there.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already.", "Give --overwrite to replace it, or another name.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}.", f"Make it first: mkdir -p {path.parent}")


def make_folder(folder: Path) -> None:
    """The folder and those above it, where they do not exist. Raises InputError, naming it, where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made: {error.strerror or error}.") from None
