"""Folders and patterns: what lies there, in natural order, each folder once, hidden things left out."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from posehg.errors import InputError
from posehg.images import unreadable

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Listing:
    """The names in a folder, in natural order. A link counts as what it leads to, and as a file if it leads nowhere."""

    files: list[str]
    folders: list[str]


def natural(name: str) -> tuple[list[str | int], str]:
    """A key to sort by: a2 comes before a10, and small letters are as good as capitals."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def listing(folder: str, hidden: bool = False) -> Listing:
    """What lies in a folder ("" is the current one). Pipes, sockets and devices are passed over: they may never end.

    hidden: names that begin with a dot as well. Raises InputError where the folder may not be read.
    """
    files, folders = [], []
    try:
        with os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not hidden:
                    continue
                if os.path.isdir(entry):
                    folders.append(entry.name)
                elif entry.is_symlink() or entry.is_file():
                    files.append(entry.name)
    except OSError as error:
        raise unreadable(Path(folder), error) from None
    return Listing(sorted(files, key=natural), sorted(folders, key=natural))


def tree(top: str) -> Iterator[tuple[str, Listing] | InputError]:
    """A folder and all below it, each before what it contains, with what lies there; errors for those not readable.

    A link to a folder is followed where it leads out of the tree, once: what it leads to inside has its own turn.
    """
    within = os.path.realpath(top)
    linked: set[str] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            found = listing(folder)
        except InputError as error:
            yield error
            continue
        yield folder, found
        below = [os.path.join(folder, name) for name in found.folders]
        waiting += [path for path in below if not os.path.islink(path) or _leads_out(path, within, linked)][::-1]


def _leads_out(link: str, within: str, linked: set[str]) -> bool:
    """Whether a link leads to a folder that is neither in the tree nor around it, nor was linked to before."""
    real = os.path.realpath(link)
    inside, around = Path(real).is_relative_to(within), Path(within).is_relative_to(real)
    if inside or around or real in linked:
        return False
    linked.add(real)
    return True


def is_pattern(text: str) -> bool:
    return _MAGIC.search(text) is not None


def fixed_part(pattern: str) -> str:
    """The folder that a pattern begins with, before anything in it that can match more than one name; "" is here."""
    folder = ""
    for part in Path(pattern).parts[:-1]:
        path = os.path.join(folder, part)
        if not _is_literal(path, part):
            break
        folder = path
    return folder


def matches(pattern: str) -> Iterator[str | InputError]:
    """The files that a pattern names: * ? [a-z] within a name, ** for any folders. Errors for folders not readable.

    As in a shell, what is hidden must be asked for by a dot, and a part that exists as it is written means itself.
    """
    return _below("", Path(pattern).parts)


def _below(folder: str, parts: tuple[str, ...]) -> Iterator[str | InputError]:
    part, rest = parts[0], parts[1:]
    path = os.path.join(folder, part)
    if part == "**":
        for found in tree(folder):
            if isinstance(found, InputError):
                yield found
            else:
                yield from _below(found[0], _after_stars(rest))
    elif _is_literal(path, part):
        if rest and os.path.isdir(path):
            yield from _below(path, rest)
        elif not rest and os.path.lexists(path) and not os.path.isdir(path):
            yield path
    else:
        try:
            here = listing(folder, hidden=part.startswith("."))
        except InputError as error:
            yield error
            return
        for name in fnmatch.filter(here.folders if rest else here.files, part):
            if rest:
                yield from _below(os.path.join(folder, name), rest)
            else:
                yield os.path.join(folder, name)


def _is_literal(path: str, part: str) -> bool:
    return not is_pattern(part) or os.path.lexists(path)


def _after_stars(rest: tuple[str, ...]) -> tuple[str, ...]:
    while rest and rest[0] == "**":
        rest = rest[1:]
    return rest or ("*",)
