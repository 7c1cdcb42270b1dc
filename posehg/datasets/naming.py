"""How data sets are named: ``mpii``, ``mpii:2+lspet``, ``people/mine.json:0.5``, ``people-{split}.json#CATEGORY``."""

from __future__ import annotations

import re
from os.path import isfile  # unlike Path.is_file it is False for whatever cannot be a file
from pathlib import Path

from posehg.errors import UsageError

KNOWN = ("mpii", "flic", "flic-pc", "lsp", "lspet", "coco", "synthetic")
"""The names of the known data sets; a file of your own never gets one of them."""
SUFFIXES = (".json", ".csv")
"""The file types that a data set of your own can have."""
SPLIT = "{split}"
"""Stands in a file name for the split, if each split is a file of its own."""

_MAX_WEIGHT = 1000
_UNFIT = re.compile(r"[+:#/]|\.(?=(?:json|csv)$)", re.IGNORECASE)
"""Characters that mean something else in the name of a data set."""


def parse(names: str) -> list[tuple[str, float]]:
    """``mpii:2+lspet`` -> [("mpii", 2.0), ("lspet", 1.0)]. A file's path may contain + and : itself.

    Raises UsageError if the names make no sense, or if two files would have the same set name.
    """
    parts = []
    for part in _divided(names):
        name, weight = _weighed(part)
        times = 1.0 if weight is None else _number(weight)
        if not name or not 0 < times <= _MAX_WEIGHT:
            raise UsageError(
                f"{names!r} does not name data sets.", "Write mpii, or mpii+lspet, or mpii:2+lspet:0.5, or mine.json:2."
            )
        parts.append((name, times))
    first: dict[str, str] = {}
    for name, _ in parts:
        other = first.setdefault(set_name(name), name)
        if other != name:
            sentence = f"The data set {set_name(name)} is named twice: by {other} and {name}."
            raise UsageError(sentence, "Two files of one name need to be renamed.")
    return parts


def is_file(name: str) -> bool:
    """Whether a data set's name means a file: by its suffix, or because a file of that path exists."""
    path, _ = file_and_category(name)
    return path.suffix.lower() in SUFFIXES or (path.name != name and isfile(path))


def file_and_category(name: str) -> tuple[Path, str]:
    """``mine.json#dog`` -> the file mine.json and the category "dog", which is "" if none is named."""
    file, mark, category = name.rpartition("#")
    if mark and Path(file).suffix.lower() in SUFFIXES and not isfile(name):
        return Path(file), category
    return Path(name), ""


def set_name(name: str) -> str:
    """The short name of one set: that of a file is its stem without ``{split}``.

    >>> set_name("annotations/people-{split}.json")
    'people'
    """
    if not is_file(name):
        return name
    path, category = file_and_category(name)
    parts = (part.replace(SPLIT, "").strip("-_. ") for part in (path.stem, *path.parts[-2::-1]))
    stem = next(filter(None, parts), "own")
    if stem in KNOWN:
        stem += path.suffix.lower()
    return _UNFIT.sub("-", f"{stem}-{category}" if category else stem)


def set_names(names: str) -> str:
    """The same sets by their short names, without paths: ``people/mine.json:2+lspet`` -> ``mine:2+lspet``."""
    return "+".join(set_name(name) if times == 1 else f"{set_name(name)}:{times:.12g}" for name, times in parse(names))


def _divided(names: str) -> list[str]:
    """The names between the + signs; a + in the path of an existing file does not divide."""
    pieces, parts = names.split("+"), []
    while pieces:
        longest_first = ("+".join(pieces[:count]) for count in range(len(pieces), 1, -1))
        part = next((text for text in longest_first if _is_one_file(text.strip())), pieces[0])
        parts.append(part.strip())
        pieces = pieces[part.count("+") + 1 :]
    return parts


def _is_one_file(part: str) -> bool:
    name, weight = _weighed(part)
    return "+" not in (weight or "") and isfile(name)


def _weighed(part: str) -> tuple[str, str | None]:
    """The name and the text behind its colon; a colon in a file's path is part of the name."""
    name, colon, weight = part.rpartition(":")
    return (name, weight) if colon and (_number(weight) > 0 or not is_file(part)) else (part, None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
