"""Data sets of annotated persons. A member is one file with ``load(root, split)`` and one line in LOADERS."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

from posehg.datasets import folder
from posehg.datasets.dataset import Dataset, read_picture, spread
from posehg.datasets.joining import join, on_skeleton
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton

__all__ = ["LOADERS", "Dataset", "join", "load", "load_one", "on_skeleton", "parse", "read_picture", "spread"]


def _module(name: str) -> ModuleType:
    return import_module(f"posehg.datasets.{name}")  # only when it is asked for: some readers import much


LOADERS: dict[str, Callable[[Path, str], Dataset]] = {
    "mpii": lambda root, split: _module("mpii").load(root, split),
    "lspet": lambda root, split: _module("lspet").load(root, split),
    "coco": lambda root, split: _module("coco").load(root, split),
    "synthetic": lambda root, split: _module("synthetic").load(root, split),
}
"""name -> load(root, split); the module of that name says in SOURCE where the set is to be had.

``root`` is the set's own folder; sets that are rendered do not look at it.
"""

RENDERED = {"synthetic"}
"""Sets without files."""

MPII_LIKE = {"mpii", "synthetic"}
"""Sets with all of MPII's joints: a joined set that has one of them is on MPII's skeleton."""


def load_one(name: str, data: Path | None, split: str, joined: bool = False) -> Dataset:
    """A set by its name.

    data: the folder that holds it (DATA/NAME or DATA itself); None: $POSEHG_DATA/NAME, else ./data/NAME.
    joined: whether it is one of several, which cannot all lie in DATA itself.
    """
    if name not in LOADERS:
        close = get_close_matches(name, LOADERS, n=1)
        known = f"The data sets are: {', '.join(LOADERS)}."
        raise UsageError(f"There is no data set {name!r}.", f"Did you mean {close[0]}? {known}" if close else known)
    root = Path(name) if name in RENDERED else folder.find(name, data, _module(name).SOURCE, joined)
    dataset = LOADERS[name](root, split)
    if len(dataset) == 0:
        raise NotAvailable(f"The data set {name} has no annotated persons of the split {split} in {root}.")
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
