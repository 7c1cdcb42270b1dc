"""Data sets of annotated persons. A member is one file with ABOUT and ``load(root, split)``, and a name in ``naming``.

Wherever a set is named, a file of one's own may be, too: see ``custom``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from glob import escape
from importlib import import_module
from pathlib import Path
from types import ModuleType

from posehg.datasets import custom, folder, packed
from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset, read_picture, spread
from posehg.datasets.folder import TESTED
from posehg.datasets.joining import join, on_skeleton
from posehg.datasets.naming import KNOWN, is_file, pack_path, parse, set_names
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton

__all__ = [
    "LOADERS",
    "TESTED",
    "Dataset",
    "about",
    "check_name",
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


def _load(name: str, root: Path, split: str) -> Dataset:
    dataset: Dataset = _module(name).load(root, split)
    return dataset


LOADERS: dict[str, Callable[[Path, str], Dataset]] = {name: partial(_load, name) for name in KNOWN}
"""name -> load(root, split); the module of that name says in ABOUT where the set is to be had.

``root`` is the set's own folder; sets that are rendered do not look at it.
"""


def about(name: str) -> About:
    """What is known of one of LOADERS."""
    known: About = _module(name).ABOUT
    return known


RENDERED = {"synthetic"}
"""Sets without files."""

MPII_LIKE = {"mpii", "synthetic"}
"""Sets with all of MPII's joints: a joined set that has one of them is on MPII's skeleton."""


def load_one(name: str, data: Path | None, split: str, joined: bool = False) -> Dataset:
    """A set by its name, from its pack where there is one, else from its own files; a file is read itself.

    data: the folder that holds it (DATA/NAME-SPLIT.zip, DATA/NAME or DATA itself); None: $POSEHG_DATA, else ./data.
        Of a file it is the folder of its pictures.
    joined: whether it is one of several, which cannot all lie in DATA itself.
    """
    if is_file(name):
        return load_unpacked(name, data, split, joined)
    split = folder.own_name(name, split)
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
        return _with_persons(custom.load(name, data, split, KNOWN, pictures), Path(name))
    check_name(name)
    if name in RENDERED:
        return LOADERS[name](Path(name), split)
    known = about(name)
    root = folder.find(known.folder or name, data, known.hint(name), joined)
    dataset = _with_persons(LOADERS[name](root, split), root)
    if pictures:
        folder.check_pictures(name, dataset.persons)
    return dataset


def check_name(name: str) -> None:
    """Raises UsageError, with what may have been meant, where no known set has that name."""
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
            f"The data set {dataset.name} has no annotated persons of the split {dataset.split} in {root}.",
            f"--split {custom.ALL} takes everybody." if is_file(str(root)) else "",
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
