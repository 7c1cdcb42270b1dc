"""Which of the names in a file is that of a picture or video."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from posehg.io.naming import coco_number
from posehg.io.source import Source, is_known

Parts = tuple[str, ...]
"""Of a path: its folders and the file's name."""

_Key = tuple[int | str, ...]

_NUMBER, _STEM, _NAME = 1, 2, 3
"""What two file names can have in common; more is closer."""


class Closeness(NamedTuple):
    """How close two names are. parts: how many are the same, from the end on. name: _NAME, _STEM or _NUMBER."""

    parts: float
    name: int


@dataclass(frozen=True)
class Match:
    """name: as the file has it."""

    name: str
    closeness: Closeness


class Names:
    """The names of a file, as they stand there.

    Folders must agree as far as both sides have some that tell pictures apart: those below the folder that all names in
    the file share, and those below the one that all sources share. So boxes of train/a.jpg are not those of val/a.jpg,
    but a file that was written in another folder, or on another machine, is still of use.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._parts = {name: _parts(name) for name in names}
        shared = _common_beginning([parts[:-1] for parts in self._parts.values()])
        self._depths = {name: len(parts) - shared for name, parts in self._parts.items()}
        self._below = {parts[-self._depths[name] :]: name for name, parts in self._parts.items()}
        self._index: defaultdict[_Key, list[str]] = defaultdict(list)
        for name, parts in self._parts.items():
            for kind, text in {**_forms(parts[-1]), **_listed_number(parts[-1])}.items():
                for folder in {(), parts[-2:-1]}:
                    self._index[(kind, text, *folder)].append(name)

    def closest(self, source: Source) -> Sequence[Match]:
        """The closest name; none where none is close, several where they are equally close."""
        if source.name in self._parts:
            return [Match(source.name, Closeness(math.inf, _NAME))]
        parts = _parts(_path(source.name))
        found: dict[str, Closeness] = {}
        for folder in (parts[-2:-1], ()):  # with the same folder, or else with any: few, or else perhaps many
            for kind, text in _forms(parts[-1]).items():
                for name in self._index.get((kind, text, *folder), ()):
                    closeness = Closeness(_in_common(self._parts[name], parts), kind)
                    if closeness.parts >= min(self._depths[name], len(source.relative.parts)):
                        found[name] = max(closeness, found.get(name, closeness))
            if found:
                break
        best = max(found.values(), default=None)
        closest = [Match(name, closeness) for name, closeness in found.items() if closeness == best]
        return self._agreed(closest, parts[-len(source.relative.parts) :])

    def _agreed(self, closest: Sequence[Match], below: Parts) -> Sequence[Match]:
        """Of names that are as close the one that both sides have below their shared folders; further ones with it."""
        name = self._below.get(below)
        if name is None:
            return closest
        mine = [match for match in closest if match.name == name]
        return mine or [*closest, Match(name, Closeness(len(below), _NAME))]


def stem_of(name: str) -> str:
    """Without the suffix, if it is one of a picture or video."""
    return os.path.splitext(name)[0] if is_known(name) else name


def _forms(name: str) -> dict[int, str]:
    """A file's name, without its suffix, and COCO's number as far as it has one: what may be equal, by its kind."""
    stem = stem_of(name)
    forms = {_NAME: name, _STEM: stem}
    number = coco_number(stem)
    return forms if number is None else {**forms, _NUMBER: str(number)}


def _listed_number(name: str) -> dict[int, str]:
    """What COCO's lists have in place of a name: only the number."""
    return {_NUMBER: name} if re.fullmatch("0|[1-9][0-9]{0,11}", name) else {}


def _parts(name: str) -> Parts:
    """Of a name on whatever system; at least one."""
    path = os.path.normpath(name.replace("\\", "/")).replace("\\", "/")
    return tuple(part for part in PurePosixPath(path).parts if part not in ("/", "//", "..")) or (name,)


def _common_beginning(paths: Sequence[Parts]) -> int:
    """How many parts all paths begin with."""
    first, last = min(paths, default=()), max(paths, default=())
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _path(name: str) -> str:
    """A source's whole path: that of a URL without what says which server and which version."""
    return unquote(urlsplit(name).path) if "://" in name else os.path.abspath(name)


def _in_common(one: Parts, other: Parts) -> int:
    """How many parts agree, from the end on. Of the file names that is known already."""
    count = 1
    for a, b in zip(one[-2::-1], other[-2::-1], strict=False):
        if a != b:
            break
        count += 1
    return count
