"""Data sets of annotated persons. A member is one file with ``load(root, split)`` and one line in LOADERS.

Wherever a set is named, a file of one's own may be, too: see ``custom``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from difflib import get_close_matches
from glob import escape
from importlib import import_module
from os.path import isfile
from pathlib import Path
from types import ModuleType

from posehg.datasets import custom, folder, packed
from posehg.datasets.dataset import Dataset, read_picture, spread
from posehg.datasets.joining import join, on_skeleton
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton

__all__ = [
    "LOADERS",
    "Dataset",
    "is_file",
    "join",
    "load",
    "load_one",
    "load_unpacked",
    "on_skeleton",
    "pack_path",
    "parse",
    "read_picture",
    "set_names",
    "spread",
]


def _module(name: str) -> ModuleType:
    file = name.replace("-", "_")
    return import_module(f"posehg.datasets.{file}")  # only when it is asked for: some readers import much


LOADERS: dict[str, Callable[[Path, str], Dataset]] = {
    "mpii": lambda root, split: _module("mpii").load(root, split),
    "flic": lambda root, split: _module("flic").load(root, split),
    "flic-pc": lambda root, split: _module("flic-pc").load(root, split),
    "lsp": lambda root, split: _module("lsp").load(root, split),
    "lspet": lambda root, split: _module("lspet").load(root, split),
    "coco": lambda root, split: _module("coco").load(root, split),
    "synthetic": lambda root, split: _module("synthetic").load(root, split),
}
"""name -> load(root, split); the module of that name says in ABOUT where the set is to be had.

``root`` is the set's own folder; sets that are rendered do not look at it.
"""

RENDERED = {"synthetic"}
"""Sets without files."""

MPII_LIKE = {"mpii", "synthetic"}
"""Sets with all of MPII's joints: a joined set that has one of them is on MPII's skeleton."""


TESTED = {"lsp", "flic", "flic-pc"}
"""Sets whose official test split is posehg's val: of these test is another name for it."""


def load_one(name: str, data: Path | None, split: str, joined: bool = False) -> Dataset:
    """A set by its name, from its pack where there is one, else from its own files; a file is read itself.

    data: the folder that holds it (DATA/NAME-SPLIT.zip, DATA/NAME or DATA itself); None: $POSEHG_DATA, else ./data.
        Of a file it is the folder of its pictures.
    joined: whether it is one of several, which cannot all lie in DATA itself.
    """
    if is_file(name):
        return load_unpacked(name, data, split, joined)
    split = "val" if split == "test" and name in TESTED else split
    home = folder.home(data)
    pack = pack_path(home, name, split)
    if pack.exists():
        return _from_pack(pack, name, split)
    if name not in LOADERS and _packs_of(home, name):
        raise NotAvailable(f"The data set {name} has no split {split} in {home}: there is no {pack}.")
    try:
        return load_unpacked(name, data, split, joined)
    except NotAvailable:
        if (home / name).is_dir() or not any(_packs_of(home, known) for known in LOADERS):
            raise
        command = f"posehg data pack --dataset {name} --split {split} --out {shlex.quote(str(home))}"
        hint = f"Pack it, with --data for where it lies unpacked: {command}"
        raise NotAvailable(f"The data set {name} has no split {split} in {home}: there is no {pack}.", hint) from None


def load_unpacked(name: str, data: Path | None, split: str, joined: bool = False, pictures: bool = True) -> Dataset:
    """As load_one, from the set's own files, whatever packs there are.

    pictures: whether they will be read: they must all be there then.
    """
    if is_file(name):
        return _with_persons(custom.load(name, data, split, LOADERS, pictures), Path(name))
    _check_name(name)
    if name in RENDERED:
        return LOADERS[name](Path(name), split)
    about = _module(name).ABOUT
    root = folder.find(about.folder or name, data, about.hint(name), joined)
    dataset = _with_persons(LOADERS[name](root, split), root)
    if pictures:
        folder.check_pictures(name, dataset.persons)
    return dataset


def is_file(name: str) -> bool:
    """Whether it is a file of one's own, and no known set."""
    return name not in LOADERS and custom.is_file(name)


def set_names(names: str) -> str:
    """The same sets by the names of their packs: ``people/mine.json:2+lspet`` -> ``mine:2+lspet``."""
    return "+".join(
        f"{_set_name(name)}:{times:.12g}" if times != 1 else _set_name(name) for name, times in parse(names)
    )


def _set_name(name: str) -> str:
    return custom.set_name(name, LOADERS) if is_file(name) else name


def pack_path(home: Path, name: str, split: str) -> Path:
    """Where the pack of a split lies in a folder of data sets."""
    return home / f"{_set_name(name)}-{split}.zip"


def _check_name(name: str) -> None:
    if name not in LOADERS:
        close = get_close_matches(name, LOADERS, n=1)
        known = f"The data sets are: {', '.join(LOADERS)}; or give a .json or .csv file of your own."
        raise UsageError(f"There is no data set {name!r}.", f"Did you mean {close[0]}? {known}" if close else known)


def _from_pack(pack: Path, name: str, split: str) -> Dataset:
    dataset = packed.load(pack)
    if (dataset.name, dataset.split) != (name, split):
        hint = f"Its name was {dataset.name}-{dataset.split}.zip."
        raise NotAvailable(f"{pack} holds the split {dataset.split} of {dataset.name}.", hint)
    return _with_persons(dataset, pack)


def _packs_of(home: Path, name: str) -> bool:
    return any(home.glob(f"{escape(name)}-*.zip"))


def _with_persons(dataset: Dataset, root: Path) -> Dataset:
    if len(dataset) == 0:
        raise NotAvailable(
            f"The data set {dataset.name} has no annotated persons of the split {dataset.split} in {root}."
        )
    return dataset


def load(names: str, data: Path | None, split: str, skeleton: Skeleton | None = None) -> Dataset:
    """One set or several joined: ``mpii``, ``mpii:2+lspet`` (MPII twice), ``mpii+synthetic:0.5`` (half of it).

    skeleton: what all persons are put on. By default a single set keeps its own; joined ones get MPII's where MPII or
    the synthetic set is among them, else that of the first.
    """
    counts = parse(names)
    datasets = [load_one(name, data, split, joined=len(counts) > 1) for name, _ in counts]
    if skeleton is None:
        mpii_like = len(counts) > 1 and not MPII_LIKE.isdisjoint(name for name, _ in counts)
        skeleton = MPII if mpii_like else datasets[0].skeleton
    repeats = [count for _, count in counts]
    if repeats == [1]:
        return on_skeleton(datasets[0], skeleton)
    return join(datasets, skeleton, repeats)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def parse(names: str) -> list[tuple[str, float]]:
    """``mpii:2+lspet`` -> [("mpii", 2.0), ("lspet", 1.0)]. The path of a file may have + and : in it."""
    parts = []
    for part in _divided(names):
        name, count = _weighed(part)
        times = 1.0 if count is None else _number(count)
        if not name or not 0 < times <= 1000:
            raise UsageError(
                f"{names!r} does not name data sets.", "Write mpii, or mpii+lspet, or mpii:2+lspet:0.5, or mine.json:2."
            )
        parts.append((name, times))
    return parts


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
