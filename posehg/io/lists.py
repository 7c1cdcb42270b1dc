"""@list.txt: a text file whose lines are inputs."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from posehg.errors import InputError
from posehg.images import unreadable
from posehg.io import stream
from posehg.io.source import STANDARD_INPUT

MAX_BYTES = 256 << 20

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What PowerShell puts before its text."""


def lines(path: str) -> list[str]:
    """The inputs that a list names, without empty lines and those that begin with #. ``-`` is standard input.

    Raises InputError, naming the list, where it cannot be read, is no text or names nothing.
    """
    text = _text(_content(path), path)
    found = [line.strip() for line in text.splitlines()]
    found = [line for line in found if line and not line.startswith("#")]
    if not found:
        raise InputError(f"The list {path} names no pictures.", "Write one a line.")
    return found


def folder_of(path: str) -> str:
    """The folder from which on a list's relative paths are meant: its own, so that it works from anywhere."""
    return "" if path == STANDARD_INPUT else os.path.dirname(path)


def _content(path: str) -> bytes:
    if path == STANDARD_INPUT:
        return stream.standard_input(MAX_BYTES)
    try:
        with open(path, "rb") as file:
            return stream.read(file, f"The list {path}", MAX_BYTES)
    except OSError as error:
        raise unreadable(Path(path), error) from None


def _text(content: bytes, path: str) -> str:
    try:
        if content.startswith(_UTF16):
            return content.decode("utf-16")
        if b"\0" not in content:
            # A name on disk may be any bytes: what is not UTF-8 is kept as Python keeps it in paths.
            return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    except UnicodeDecodeError:
        pass
    raise InputError(f"The list {path} is not a text file.", "A picture itself is given without the @.")
