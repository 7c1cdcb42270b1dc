"""Data sets of annotated persons. A member is one file with ``load(root, split)`` and one line in LOADERS."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

from posehg.datasets import folder, packed
from posehg.datasets.dataset import Dataset, read_picture, spread
from posehg.datasets.joining import join, on_skeleton
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton

__all__ = [
    "LOADERS",
    "Dataset",
    "join",
    "load",
    "load_one",
    "load_unpacked",
    "on_skeleton",
    "pack_path",
    "parse",
    "read_picture",
    "spread",
]


def _module(name: str) -> ModuleType:
    return import_module(f"posehg.datasets.{name}")  # only when it is asked for: some readers import much


LOADERS: dict[str, Callable[[Path, str], Dataset]] = {
    "mpii": lambda root, split: _module("mpii").load(root, split),
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


def load_one(name: str, data: Path | None, split: str, joined: bool = False) -> Dataset:
    """A set by its name, from its pack where there is one, else from its own files.

    data: the folder that holds it (DATA/NAME-SPLIT.zip, DATA/NAME or DATA itself); None: $POSEHG_DATA, else ./data.
    joined: whether it is one of several, which cannot all lie in DATA itself.
    """
    _check_name(name)
    home = folder.home(data)
    pack = pack_path(home, name, split)
    if pack.exists():
        return _from_pack(pack, name, split)
    try:
        return load_unpacked(name, data, split, joined)
    except NotAvailable:
        if (home / name).is_dir() or not _holds_packs(home):
            raise
        command = f"posehg data pack --dataset {name} --split {split} --out {shlex.quote(str(home))}"
        hint = f"Pack it, with --data for where it lies unpacked: {command}"
        raise NotAvailable(f"The data set {name} has no split {split} in {home}: there is no {pack}.", hint) from None


def load_unpacked(name: str, data: Path | None, split: str, joined: bool = False, pictures: bool = True) -> Dataset:
    """As load_one, from the set's own files, whatever packs there are.

    pictures: whether they will be read: they must all be there then.
    """
    _check_name(name)
    if name in RENDERED:
        return LOADERS[name](Path(name), split)
    root = folder.find(name, data, _module(name).ABOUT.hint(name), joined)
    dataset = _with_persons(LOADERS[name](root, split), root)
    if pictures:
        folder.check_pictures(name, dataset.persons)
    return dataset


def pack_path(home: Path, name: str, split: str) -> Path:
    """Where the pack of a split lies in a folder of data sets."""
    return home / f"{name}-{split}.zip"


def _check_name(name: str) -> None:
    if name not in LOADERS:
        close = get_close_matches(name, LOADERS, n=1)
        known = f"The data sets are: {', '.join(LOADERS)}."
        raise UsageError(f"There is no data set {name!r}.", f"Did you mean {close[0]}? {known}" if close else known)


def _from_pack(pack: Path, name: str, split: str) -> Dataset:
    dataset = packed.load(pack)
    if (dataset.name, dataset.split) != (name, split):
        hint = f"Its name was {dataset.name}-{dataset.split}.zip."
        raise NotAvailable(f"{pack} holds the split {dataset.split} of {dataset.name}.", hint)
    return _with_persons(dataset, pack)


def _holds_packs(home: Path) -> bool:
    return any(next(home.glob(f"{name}-*.zip"), None) for name in LOADERS)


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
    """``mpii:2+lspet`` -> [("mpii", 2.0), ("lspet", 1.0)]."""
    parts = []
    for part in names.split("+"):
        name, colon, count = part.strip().partition(":")
        times = _number(count) if colon else 1.0
        if not name or not 0 < times <= 1000:
            raise UsageError(f"{names!r} does not name data sets.", "Write mpii, or mpii+lspet, or mpii:2+lspet:0.5.")
        parts.append((name, times))
    return parts
