"""Zip archives in which torch keeps programs: read here, and packed anew, before torch itself sees what is in them.

Two readers of zips can see two contents in one file that was made to that end. What was looked through is therefore
what torch is given, and not the file.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from posehg.errors import NotAvailable, printable, reason

_ROOT = "archive"
_LARGEST = 64 * 2**20
"""Bytes of what is compressed. Torch compresses the text of programs alone; that of an hourglass has 0.1 MB."""
_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)
"""What zipfile raises for files that are none, are cut short, or have a password."""


def names(file: Path) -> frozenset[str]:
    """Of the entries, below the folder that all of them are in; none where the file is no archive or no file."""
    try:
        with file.open("rb") as content:
            if content.read(4) != b"PK\x03\x04":
                return frozenset()
        with zipfile.ZipFile(file) as archive:
            return frozenset(_below(archive.namelist()))
    except _BROKEN:
        return frozenset()


def entries(file: Path, known: re.Pattern[str], unread: re.Pattern[str] | None = None) -> dict[str, bytes]:
    """All entries by their names below the folder that all of them are in, but those that are ``unread``.

    Raises NotAvailable, naming the file, where it is damaged, or made otherwise than torch makes it: with an entry
    that is not ``known``, with two of one name, or with one that would unpack to more memory than is its due.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            found = dict(zip(_below([info.filename for info in infos]), infos, strict=True))
            wanted = {name: info for name, info in found.items() if unread is None or not unread.fullmatch(name)}
            for name in wanted:
                if not known.fullmatch(name):
                    raise NotAvailable(f"{file} holds {printable(name, 80)}, which posehg does not load.")
            if len(found) != len(infos):
                raise NotAvailable(f"{file} holds two entries of one name, as torch writes none.")
            stored = [info for info in infos if info.compress_type == zipfile.ZIP_STORED]
            packed = [info for info in wanted.values() if info.compress_type != zipfile.ZIP_STORED]
            most = sum(info.file_size for info in stored)
            if most > file.stat().st_size or sum(info.file_size for info in packed) > _LARGEST:
                raise NotAvailable(f"{file} would unpack to more than it should, as torch writes none.")
            return {name: archive.read(info) for name, info in wanted.items()}
    except _BROKEN as error:
        raise NotAvailable(f"{file} is cut short or damaged ({reason(error)}).", "Copy or export it again.") from None


def packed(content: Mapping[str, bytes], root: str = f"{_ROOT}/") -> io.BytesIO:
    """An archive as torch reads it. root: of the entries' names; "" for those that torch wrote before 2.8."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(f"{root}{name}"), data)
    buffer.seek(0)
    return buffer


def _below(names: list[str]) -> list[str]:
    root = names[0].partition("/")[0] + "/" if names else ""
    return [name.removeprefix(root) for name in names] if all(name.startswith(root) for name in names) else names
