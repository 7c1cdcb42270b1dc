"""Bytes of unknown length, up to a limit."""

from __future__ import annotations

import sys
from typing import IO

from posehg.errors import InputError

_CHUNK = 1 << 20


def read(file: IO[bytes], name: str, limit: int) -> bytes:
    """All of a file or pipe. Raises InputError, naming it, where it has more bytes than the limit."""
    content = bytearray()
    while chunk := file.read(_CHUNK):
        content += chunk
        if len(content) > limit:
            raise too_long(name, limit)
    return bytes(content)


def standard_input(limit: int) -> bytes:
    """Raises InputError where nothing is piped in, or more than the limit."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("Nothing is piped into standard input.", "For example: curl ADDRESS | posehg predict -")
    # Without Python's buffer, whose lock a thread that still waits for input would hold at the program's end.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
        return read(file, "Standard input", limit)


def too_long(name: str, limit: int) -> InputError:
    return InputError(f"{name} is larger than {limit / (1 << 20):,.0f} MiB.", "Save it as a file first, and check it.")
