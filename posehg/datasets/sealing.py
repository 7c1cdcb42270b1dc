"""Files that end with the digest of all that stands before it, so that any changed, lost or added byte is found.

The digest is SHA-256 in hexadecimal. A ZIP file whose comment is as long stays a ZIP file when it is sealed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

LENGTH = 64
"""Bytes of a seal."""
BLANK = b"0" * LENGTH

_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Write the digest over the file's last LENGTH bytes."""
    with open(path, "rb+") as file:
        digest = _digest(file)
        file.seek(-LENGTH, os.SEEK_END)
        file.write(digest)


def intact(path: Path) -> bytes | None:
    """The seal of a file that is as it was sealed, None for any other. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        digest = _digest(file)
        return digest if file.read() == digest else None


def _digest(file: BinaryIO) -> bytes:
    """Of all but the last LENGTH bytes, at which the file is left."""
    digest = hashlib.sha256()
    left = os.fstat(file.fileno()).st_size - LENGTH
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()
