"""Data sets of annotated people: MPII, FLIC, LSP, LSPET, COCO, rendered people, and files of your own.

Wherever a data set is named, a .json, .csv or .yaml file can be named instead (see ``own``). A known set is one line of
``naming.MODULES``; its module has ``INFO``, by the set's name, and ``load(name, root, split)``.
"""

import os
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from posehg import images
from posehg.datasets import own
from posehg.datasets.dataset import Dataset, DatasetInfo, concat, of_file, on_skeleton, spread
from posehg.datasets.naming import FILES, MODULES, file_and_category, is_file, parse, set_names
from posehg.datasets.reading import missing_images, sound, why_empty
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton

__all__ = ["MODULES", "Dataset", "is_file", "on_skeleton", "parse", "set_names", "spread"]

RENDERED = {"synthetic"}  # sets without files
_NEEDS = (
    "A person needs a joint whose v is 1 or 2 (in a table: a joint with x and y), and a box or a second such joint."
)
TESTED = {"lsp", "flic", "flic-pc"}
"""Sets whose official test split is called val here; ``test`` is another name for it."""


def info(name: str) -> DatasetInfo:
    """What is known of a known set before its files are there.

    Raises UsageError, with a similar name if there is one, unless a known set has that name.
    """
    if is_file(name):
        raise UsageError(f"{name} is a file of your own.", f"See what is in it: posehg data check {name}")
    if name not in MODULES:
        close = get_close_matches(name, MODULES, n=1)
        listed = f"The data sets are: {', '.join(MODULES)}; or give a .json, .csv or .yaml file of your own."
        inside = sorted(Path(name).glob("*.yaml")) if os.path.isdir(name) else []
        meant = close[0] if close else inside[0] if inside else None
        raise UsageError(f"There is no data set {name!r}.", f"Did you mean {meant}? {listed}" if meant else listed)
    known: dict[str, DatasetInfo] = import_module(f"posehg.datasets.{MODULES[name]}").INFO
    return known[name]


def load_known(name: str, root: Path, split: str) -> Dataset:
    """One split of a known set, whose own folder is ``root``; images are not looked for.

    Raises UsageError for an unknown split, NotAvailable if a file is missing or broken.
    """
    split = "val" if split == "test" and name in TESTED else split
    splits = info(name).splits
    if split not in splits:
        raise UsageError(f"The data set {name} has no split {split!r}.", f"It has: {', '.join(splits)}.")
    dataset: Dataset = import_module(f"posehg.datasets.{MODULES[name]}").load(name, root, split)
    return dataset


def home(data: Path | None) -> Path:
    """The folder of the data sets: ``data``, else $POSEHG_DATA, else ./data."""
    return data if data is not None else Path(os.environ.get("POSEHG_DATA") or "data")


def load_one(
    name: str, data: Path | None, split: str, need_images: bool = True, boxes: bool = False, malformed: bool = False
) -> Dataset:
    """One split of one set, named by its name or its file.

    data: the folder that holds the set (DATA/NAME or DATA itself), by default $POSEHG_DATA, else ./data; for a file,
        the folder of its images. need_images: whether to check that all images are there. boxes: whether people
        need no joints. malformed: whether a file with entries that make no sense is read without them, to check it.
    Raises NotAvailable if the set or split is missing, broken or empty, UsageError for an unknown name or split, and
    InputError if labels need the sizes of images that cannot be read.
    """
    if is_file(name):
        dataset, hint = own.load(name, data, split, boxes)
    elif name in RENDERED:
        return load_known(name, Path(name), split)
    else:
        known = info(name)
        folders = [home(data) / known.folder, *([] if data is None else [data])]
        found = next((folder for folder in folders if folder.is_dir()), None)
        if found is None:
            if data is not None and data.is_file():
                hint = f"For your own annotations: --dataset {data}"
                raise UsageError(f"--data {data} is a file, not a folder.", hint)
            sentence = f"Neither {folders[0]} nor {data} exists." if data else f"{folders[0]} does not exist."
            raise NotAvailable(sentence, f"See posehg data list {name}, then give the folder with --data DIR.")
        hint = "Unpack the set's images there; the annotations name these files."
        dataset = load_known(name, found, split)
    if not malformed:
        sound(dataset)
    if is_file(name) and FILES[file_and_category(name)[0].suffix.lower()] == "yolo" and not (need_images or malformed):
        for image in {person.image for person in dataset.persons}:
            of_file(image, images.size)  # the labels are shares of it
    people = [*dataset.persons, *dataset.ignored] if boxes else dataset.persons
    if need_images and (missing := missing_images(people)):
        counts = f"{len(missing):,} of {len({person.image for person in people}):,} images of {dataset.name}"
        raise NotAvailable(f"{counts} are missing in {missing[0].parent}; the first is {missing[0].name}.", hint)
    if len(people) == 0 and not dataset.malformed:
        sentence = f"The data set {dataset.name} has no annotated people of the split {dataset.split}"
        raise NotAvailable(": ".join(filter(None, (sentence, why_empty(dataset)))) + ".", _NEEDS)
    return dataset


def load(names: str, data: Path | None, split: str, skeleton: Skeleton | None = None) -> Dataset:
    """One set or several: ``mpii``, ``mpii:2+lspet`` (MPII twice), ``mpii+synthetic:0.5`` (half of it).

    skeleton: the skeleton of all persons; by default MPII's if one of the sets has it, else that of the first.
    Raises what load_one and concat raise.
    """
    parts = parse(names)
    datasets = [load_one(name, data, split) for name, _ in parts]
    if skeleton is None:
        skeleton = MPII if any(data.skeleton is MPII for data in datasets) else datasets[0].skeleton
    weights = [weight for _, weight in parts]
    return on_skeleton(datasets[0], skeleton) if weights == [1] else concat(datasets, skeleton, weights)


def recognise(folder: Path) -> str:
    """The name of the data set in a folder: the folder's own name if that set is readable, else the one set that is.

    Raises UsageError if several can be read, NotAvailable if none can.
    """
    names, readable = [name for name in MODULES if name not in RENDERED], []
    for name in names:
        for split in info(name).splits:
            with suppress(NotAvailable, UsageError):
                if len(load_known(name, folder, split)):
                    readable.append(name)
                    break
    called = folder.resolve().name.lower()
    if called in readable or (called in names and not readable):
        return called  # if it cannot be read, its reader explains best what is wrong
    if len(readable) > 1:
        raise UsageError(f"{folder} can be read as {' or '.join(readable)}.", f"Say which: --dataset {readable[0]}")
    if not readable:
        below = sorted([*folder.glob("*"), *folder.glob("annotations/*")])
        inside = [path for path in below if path.name in names or path.suffix.lower() in FILES]
        hint = f"Check what it holds: posehg data check {inside[0]}" if inside else "See posehg data list for layouts."
        raise NotAvailable(f"{folder} holds no data set that posehg knows.", hint)
    return readable[0]
