"""How data sets are named: ``mpii``, ``mpii:2+lspet``, ``people/mine.json:0.5``; and what their packs are called."""

from __future__ import annotations

from os.path import isfile
from pathlib import Path

from posehg.datasets import custom
from posehg.errors import UsageError

KNOWN = ("mpii", "flic", "flic-pc", "lsp", "lspet", "coco", "synthetic")
"""The sets that posehg knows: each is read by the module of its name."""

_MOST = 1000
is_file = custom.is_file


def parse(names: str) -> list[tuple[str, float]]:
    """``mpii:2+lspet`` -> [("mpii", 2.0), ("lspet", 1.0)]. The path of a file may have + and : in it.

    Raises UsageError where the names cannot be meant, and where two files would have one name, or one pack.
    """
    parts = []
    for part in _divided(names):
        name, count = _weighed(part)
        times = 1.0 if count is None else _number(count)
        if not name or not 0 < times <= _MOST:
            raise UsageError(
                f"{names!r} does not name data sets.", "Write mpii, or mpii+lspet, or mpii:2+lspet:0.5, or mine.json:2."
            )
        parts.append((name, times))
    _check_apart([name for name, _ in parts])
    return parts


def _check_apart(names: list[str]) -> None:
    called: dict[str, str] = {}
    for name in names:
        other = called.setdefault(set_name(name), name)
        if other != name:
            sentence = f"The data set {set_name(name)} is named twice: by {other} and {name}."
            raise UsageError(sentence, "Two files of one name need to be renamed.")


def set_name(name: str) -> str:
    """What one set is called, also where a file is named."""
    return custom.set_name(name, KNOWN) if is_file(name) else name


def set_names(names: str) -> str:
    """The same sets by the names of their packs: ``people/mine.json:2+lspet`` -> ``mine:2+lspet``."""
    return "+".join(set_name(name) if times == 1 else f"{set_name(name)}:{times:.12g}" for name, times in parse(names))


def pack_path(home: Path, name: str, split: str) -> Path:
    """Where the pack of a split lies in a folder of data sets."""
    return home / f"{set_name(name)}-{split}.zip"


def _divided(names: str) -> list[str]:
    """At each +, but for those in the path of a file that is there."""
    pieces, parts = names.split("+"), []
    while pieces:
        whole = ("+".join(pieces[:count]) for count in range(len(pieces), 1, -1))
        part = next((text for text in whole if _is_whole(text.strip())), pieces[0])
        parts.append(part.strip())
        pieces = pieces[part.count("+") + 1 :]
    return parts


def _is_whole(part: str) -> bool:
    """Whether it is one file, with each + in its path and none behind it."""
    name, count = _weighed(part)
    return "+" not in (count or "") and isfile(name)


def _weighed(part: str) -> tuple[str, str | None]:
    """The name, and what stands behind its colon."""
    name, colon, count = part.rpartition(":")
    return (name, count) if colon and (_number(count) > 0 or not is_file(part)) else (part, None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
