"""Arguments become sources."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from posehg.errors import InputError
from posehg.io import folders, lists, naming
from posehg.io.source import STANDARD_INPUT, Kind, Source, is_known, kind_of

_CAMERA = re.compile(r"webcam(?::(\d{1,3}))?")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_KNOWN = "Pictures and videos are known by their suffix: .jpg, .png, .heic, .mp4, .webm and so on."

_Meaning = Literal["file", "missing", "folder", "pattern", "list", "address", "stdin", "camera", "nothing"]
_FOUND = ("file", "folder", "pattern")
_ON_DISK = (*_FOUND, "missing")


@dataclass(frozen=True)
class _Given:
    """An argument, or a line of a list, and what is meant by it. problem: why it means nothing."""

    text: str
    meaning: _Meaning
    problem: InputError | None = None


def expand(arguments: Sequence[str], recursive: bool = False) -> Iterator[Source]:
    """The sources that the arguments mean: in their order, in natural order within a folder, none of them twice.

    They are found one after the other; lists are read, and folders looked into, when the first one is asked for.
    What turns out to be no source, as a folder without pictures, is one with a problem.

    recursive: folders in folders are looked into as well.
    """
    given = list(dict.fromkeys(entry for argument in arguments for entry in _entries(argument)))
    roots = _Roots.of(given)
    seen: set[str] = set()
    taken: set[str] = set()
    for entry in given:
        for found in _found(entry, recursive):
            if isinstance(found, InputError):
                yield Source(entry.text, "image", Path(), found)
            elif (identity := _identity(entry, found)) not in seen:
                seen.add(identity)
                yield Source(found, _kind(entry, found), naming.take(roots.relative(entry, found), taken))


def _entries(argument: str) -> Iterator[_Given]:
    """The argument itself or, of a list, its lines."""
    entry = _given(argument)
    if entry.meaning != "list":
        yield entry
        return
    path = argument[1:]
    try:
        lines = lists.lines(path)
    except InputError as error:
        yield _Given(argument, "nothing", error)
        return
    for line in lines:
        entry = _given(_from(lists.folder_of(path), line))
        nested = InputError(f"{line} in the list {path}: a list cannot name another list.")
        yield _Given(line, "nothing", nested) if entry.meaning == "list" else entry


def _from(folder: str, line: str) -> str:
    """What a line of a list means: of a path, the one from the list's folder on."""
    path = os.path.join(folder, line)
    elsewhere = line == STANDARD_INPUT or _ADDRESS.match(line) or _CAMERA.fullmatch(line)
    return line if elsewhere and not os.path.lexists(path) else path


def _given(text: str) -> _Given:
    """What exists under a name is meant by it, whatever else that could mean."""
    if not text:
        return _Given(text, "nothing", InputError("An input is empty.", "Is a variable not set?"))
    if text == STANDARD_INPUT:
        return _Given(text, "stdin")
    if os.path.isdir(text):
        return _Given(text, "folder")
    if os.path.lexists(text):
        return _Given(text, "file")
    if text.startswith("@"):
        return _Given(text, "list")
    if camera := _CAMERA.fullmatch(text):
        return _Given(f"webcam:{int(camera[1] or 0)}", "camera")
    if _ADDRESS.match(text):
        problem = _misaddressed(text)
        return _Given(text, "nothing" if problem else "address", problem)
    return _Given(text, "pattern" if folders.is_pattern(text) else "missing")


def _misaddressed(text: str) -> InputError | None:
    try:
        if urlsplit(text).scheme in ("http", "https"):
            return None
    except ValueError as error:
        return InputError(f"{text} cannot be had ({error}).", "Check the address.")
    return InputError(f"{text} cannot be had: only http and https addresses are fetched.")


def _found(entry: _Given, recursive: bool) -> Iterator[str | InputError]:
    """The names of an entry's sources, and what is wrong with some."""
    if entry.problem:
        yield entry.problem
    elif entry.meaning == "folder":
        yield from _in_folder(entry.text, recursive)
    elif entry.meaning == "pattern":
        yield from _matching(entry.text)
    else:
        yield entry.text


def _in_folder(folder: str, recursive: bool) -> Iterator[str | InputError]:
    hint = _KNOWN
    nothing = True
    for found in islice(folders.tree(folder), None if recursive else 1):
        if isinstance(found, InputError):
            nothing = False
            yield found
            continue
        path, names = found
        for name in filter(is_known, names.files):
            nothing = False
            yield os.path.join(path, name)
        if names.folders and not recursive:
            hint = "Add --recursive to look into the folders in it."
    if nothing:
        yield InputError(f"There are no pictures in {folder}.", hint)


def _matching(pattern: str) -> Iterator[str | InputError]:
    nothing = True
    for found in folders.matches(pattern):
        if isinstance(found, InputError) or is_known(found):
            nothing = False
            yield found
    if nothing:
        yield InputError(f"No picture matches {pattern}.", _KNOWN)


def _identity(entry: _Given, name: str) -> str:
    """What is the same for the same source, however it is written. A link is not what it leads to."""
    return os.path.normcase(os.path.abspath(name)) if entry.meaning in _ON_DISK else name


def _kind(entry: _Given, name: str) -> Kind:
    if entry.meaning == "camera":
        return "camera"
    return kind_of(urlsplit(name).path if entry.meaning == "address" else name)


@dataclass(frozen=True)
class _Roots:
    """The folder that all inputs on disk have in common, and likewise of addresses."""

    disk: str
    web: str

    @classmethod
    def of(cls, given: Iterable[_Given]) -> _Roots:
        # A file that is not there must not move the results of the others.
        disk = naming.common_folder(_folder(entry) for entry in given if entry.meaning in _FOUND)
        addresses = (naming.of_address(entry.text) for entry in given if entry.meaning == "address")
        return cls(disk, naming.common_folder(map(os.path.dirname, addresses)))

    def relative(self, entry: _Given, name: str) -> Path:
        if entry.meaning == "address":
            return naming.below(self.web, naming.of_address(name))
        if entry.meaning in _ON_DISK:
            return naming.below(self.disk, name)
        return Path("stdin" if entry.meaning == "stdin" else name.replace(":", "-"))


def _folder(entry: _Given) -> str:
    """The folder, absolute, that all sources of an entry lie below."""
    if entry.meaning == "folder":
        return os.path.abspath(entry.text)
    if entry.meaning == "pattern":
        return os.path.abspath(folders.fixed_part(entry.text))
    return os.path.dirname(os.path.abspath(entry.text))
