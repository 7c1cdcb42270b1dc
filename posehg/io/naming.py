"""Where results belong: the folders of the inputs, mirrored from the one that all have in common."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from posehg.io.source import is_known

_LONGEST = 60
"""Letters of a name made from an address: four bytes each at most, of the 255 that file systems allow."""

_COCOS = re.compile(r"(?:COCO_[a-z]+20\d\d_)?([0-9]{12})", re.ASCII)
"""A picture's name without its suffix, in COCO's releases of 2017 and of 2014."""


def common_folder(folders: Iterable[str]) -> str:
    """The deepest folder that contains all of these absolute ones; "" where there is none, as on several drives."""
    try:
        return os.path.commonpath(list(folders))
    except ValueError:
        return ""


def below(root: str, path: str) -> Path:
    """``path`` from ``root`` on, in letters: no link is followed. Of the root itself or what it is in, the name."""
    full = os.path.abspath(path)
    relative = Path(os.path.relpath(full, root or Path(full).anchor))
    parts = [part for part in relative.parts if part != os.pardir]
    return Path(*parts) if parts else Path(Path(full).name or "_")


def of_address(url: str) -> str:
    """A URL as an absolute path, /host/folder/name, of letters that every file system takes."""
    parts = urlsplit(url)
    *folders, name = [unquote(part) for part in parts.path.split("/") if part] or ["index"]
    if parts.query:
        path = PurePosixPath(name)
        name = f"{path.stem}-{_digest(parts.query)}{path.suffix}"
    return "/" + "/".join(map(_safe, [parts.netloc, *folders, name]))


def _safe(part: str) -> str:
    part = re.sub(r"[^\w.+=@,() -]", "_", part).strip(" ").rstrip(".")
    part = re.sub(r"^\.+", "_", part) or "_"
    if len(part) <= _LONGEST:
        return part
    suffix = PurePosixPath(part).suffix if is_known(part) else ""
    return f"{part[: _LONGEST - 15]}-{_digest(part)}{suffix}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def coco_number(stem: str) -> int | None:
    """COCO's number of a picture, from the name without its suffix; None where COCO does not name pictures so."""
    match = _COCOS.fullmatch(stem)
    return int(match[1]) if match else None


def take(relative: Path, taken: set[str]) -> Path:
    """The path, changed where results would meet those of one taken before, as a.jpg and a.png would in a.json."""
    path = next(variant for variant in _variants(relative) if _key(variant) not in taken)
    taken.add(_key(path))
    return path


def _variants(relative: Path) -> Iterator[Path]:
    """a.png, a-png.png, a-2.png, a-3.png and so on."""
    stem, suffix = relative.stem, relative.suffix
    yield relative
    if suffix:
        yield relative.with_name(f"{stem}-{suffix[1:].lower()}{suffix}")
    for number in count(2):
        yield relative.with_name(f"{stem}-{number}{suffix}")


def _key(relative: Path) -> str:
    return str(relative.with_suffix("")).casefold()
