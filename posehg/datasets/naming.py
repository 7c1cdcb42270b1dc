"""How data sets are named: ``mpii``, ``mpii:2+lspet``, ``people/mine.json:0.5``, ``people-{split}.json#CATEGORY``."""

import re
from os.path import isfile  # unlike Path.is_file it is False for whatever cannot be a file
from pathlib import Path

from posehg.errors import UsageError

MODULES = {
    "mpii": "mpii",
    "flic": "flic",
    "flic-pc": "flic",
    "lsp": "lsp",
    "lspet": "lsp",
    "coco": "coco",
    "synthetic": "synthetic",
}
"""The table of known data sets: each name and the module that reads it. A file of your own never gets such a name."""
FILES = {".json": "coco", ".csv": "csv", ".yaml": "yolo", ".yml": "yolo"}
"""The table of files of your own: each file type and the module that reads it."""
SPLIT = "{split}"  # stands in a file name for the split, if each split is a file of its own


def parse(names: str) -> list[tuple[str, float]]:
    """``mpii:2+lspet`` -> [("mpii", 2.0), ("lspet", 1.0)]. A file whose path has a + in it can only be named alone.

    Raises UsageError if the names make no sense.
    """
    parts = []
    for part in [names] if isfile(names) else names.split("+"):
        named = re.fullmatch(r"(.+?)(?::(\d*\.?\d+))?", part.strip())
        times = float(named[2] or 1) if named else 0.0
        if named is None or not 0 < times <= 1000:
            hint = "Write mpii, or mpii+lspet, or mpii:2+lspet:0.5, or mine.json:2."
            why = "a name is missing" if named is None else "the weight must be above 0 and at most 1000"
            raise UsageError(f"The data sets {names!r} cannot be read: {why}.", hint)
        parts.append((named[1], times))
    return parts


def is_file(name: str) -> bool:
    """Whether a data set's name means a file: by its suffix, or because a file of that path exists."""
    path, _ = file_and_category(name)
    return path.suffix.lower() in FILES or (path.name != name and isfile(path))


def file_and_category(name: str) -> tuple[Path, str]:
    """``mine.json#dog`` -> the file mine.json and the category "dog", which is "" if none is named."""
    file, mark, category = name.rpartition("#")
    if mark and Path(file).suffix.lower() in FILES and not isfile(name):
        return Path(file), category
    return Path(name), ""


def set_name(name: str) -> str:
    """The short name of one set: that of a file is its stem, without ``{split}`` and what separates it."""
    if not is_file(name):
        return name
    path, category = file_and_category(name)
    names = [path.stem, *path.parts[-2::-1]]
    if FILES.get(path.suffix.lower()) == "yolo" and path.stem in ("data", "dataset"):
        names.append(names.pop(0))  # it is the folder that tells such sets apart
    parts = (part.replace(SPLIT, "").strip("-_. ") for part in names)
    stem = next(filter(None, parts), "own")
    if stem in MODULES:
        stem += path.suffix.lower()
    return re.sub(r"[^\w -]", "-", f"{stem}-{category}" if category else stem)  # . + : # / mean something in a name


def set_names(names: str) -> str:
    """The same sets by their short names, without paths: ``people/mine.json:2+lspet`` -> ``mine:2+lspet``."""
    return "+".join(set_name(name) if times == 1 else f"{set_name(name)}:{times:.12g}" for name, times in parse(names))
