"""Data sets of annotated persons: MPII, FLIC, LSP, LSPET, COCO, rendered people, and files of your own.

Wherever a data set is named, a .json or .csv file can be named instead (see ``own``). A known set is one entry of
``DATASETS``; its module has ``INFO`` and ``load(root, split)``, by the set's name if it holds several.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from posehg.datasets import own, reading
from posehg.datasets.concat import concat, on_skeleton
from posehg.datasets.dataset import Dataset, DatasetInfo, read_image, spread
from posehg.datasets.naming import KNOWN, SUFFIXES, is_file, parse, set_names
from posehg.datasets.reading import TESTED
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton

__all__ = [
    "LOADERS",
    "RENDERED",
    "TESTED",
    "Dataset",
    "DatasetInfo",
    "check_name",
    "concat",
    "info",
    "is_file",
    "load",
    "load_one",
    "on_skeleton",
    "parse",
    "read_image",
    "recognise",
    "set_names",
    "spread",
]

_MODULES = {
    "mpii": "mpii",
    "flic": "flic",
    "flic-pc": "flic",
    "lsp": "lsp",
    "lspet": "lsp",
    "coco": "coco",
    "synthetic": "synthetic",
}
"""Each known data set and the module that reads it, with ``INFO`` by name and ``load(name, root, split)``."""

RENDERED = {"synthetic"}
"""Sets without files."""

_MPII_LIKE = {"mpii", "synthetic"}
"""Sets with all of MPII's joints: several sets with one of them are put on MPII's skeleton."""


def _loader(name: str) -> Callable[[Path, str], Dataset]:
    def load(root: Path, split: str) -> Dataset:
        dataset: Dataset = import_module(f"posehg.datasets.{_MODULES[name]}").load(name, root, split)
        return dataset

    return load


LOADERS: dict[str, Callable[[Path, str], Dataset]] = {name: _loader(name) for name in KNOWN}
"""name -> load(root, split), where ``root`` is the set's own folder; its module is imported when it is called."""


def info(name: str) -> DatasetInfo:
    """What is known of a known set before its files are there."""
    known: dict[str, DatasetInfo] = import_module(f"posehg.datasets.{_MODULES[name]}").INFO
    return known[name]


def check_name(name: str) -> None:
    """Raises UsageError, with a similar name if there is one, unless a known set has that name."""
    if name not in LOADERS:
        close = get_close_matches(name, LOADERS, n=1)
        known = f"The data sets are: {', '.join(LOADERS)}; or give a .json or .csv file of your own."
        raise UsageError(f"There is no data set {name!r}.", f"Did you mean {close[0]}? {known}" if close else known)


def load_one(name: str, data: Path | None, split: str, joined: bool = False, need_images: bool = True) -> Dataset:
    """One split of one set, named by its name or its file.

    data: the folder that holds the set (DATA/NAME or DATA itself), by default $POSEHG_DATA, else ./data; for a file,
        the folder of its images. joined: the set is one of several, so DATA itself cannot be its folder.
    need_images: whether to check that all images are there.
    Raises NotAvailable if the set or split is missing, broken or empty, UsageError for an unknown name or split.
    """
    if is_file(name):
        dataset = own.load(name, data, split, need_images)
        place, hint = Path(name), f"--split {own.ALL} takes everyone."
    else:
        check_name(name)
        if name in RENDERED:
            return LOADERS[name](Path(name), split)
        known = info(name)
        place = reading.find(known.folder or name, data, known.hint(name), joined)
        dataset, hint = LOADERS[name](place, split), ""
    if len(dataset) == 0:
        sentence = f"The data set {dataset.name} has no annotated persons of the split {dataset.split} in {place}."
        raise NotAvailable(sentence, hint)
    if need_images and not is_file(name):
        reading.check_images(name, dataset.persons)
    return dataset


def recognise(folder: Path) -> str:
    """The name of the data set in a folder: the folder's own name if that set can be read, else the one that can.

    Raises UsageError if several can be read, NotAvailable if none can.
    """
    names = [name for name in LOADERS if name not in RENDERED]
    called = folder.resolve().name.lower()

    def is_read(name: str) -> bool:
        for split in info(name).splits:
            try:
                if len(LOADERS[name](folder, split)):
                    return True
            except (NotAvailable, UsageError):
                continue
        return False

    if called in names and is_read(called):
        return called
    readable = [name for name in names if is_read(name)]
    if len(readable) > 1:
        hint = f"Say which of them it is: --dataset {readable[0]}"
        raise UsageError(f"{folder} may be {' or '.join(readable)}.", hint)
    if readable or called in names:
        return readable[0] if readable else called  # the reader of that name explains best what is wrong
    inside = [name for name in names if (folder / name).is_dir()]
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    hint = "See posehg data list for what posehg knows and how it is laid out."
    if inside:
        hint = f"It holds {', '.join(inside)}: check one of them, as posehg data check {folder / inside[0]}"
    elif files:
        hint = f"For a file of your own: posehg data check {files[0]}"
    raise NotAvailable(f"{folder} holds no data set that posehg knows.", hint)


def load(names: str, data: Path | None, split: str, skeleton: Skeleton | None = None) -> Dataset:
    """One set or several: ``mpii``, ``mpii:2+lspet`` (MPII twice), ``mpii+synthetic:0.5`` (half of it).

    skeleton: the skeleton of all persons. By default a single set keeps its own; several get MPII's if MPII or the
    synthetic set is among them, else that of the first.
    Raises what load_one raises.
    """
    weights = parse(names)
    datasets = [load_one(name, data, split, joined=len(weights) > 1) for name, _ in weights]
    if skeleton is None:
        mpii_like = len(weights) > 1 and not _MPII_LIKE.isdisjoint(name for name, _ in weights)
        skeleton = MPII if mpii_like else datasets[0].skeleton
    times = [weight for _, weight in weights]
    if times == [1]:
        return on_skeleton(datasets[0], skeleton)
    return concat(datasets, skeleton, times)
