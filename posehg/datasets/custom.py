"""Data sets of one's own: annotation files that are given by their path in place of a data set's name.

    FILE.json           COCO's format with any joints, see coco_json; FILE.json#CATEGORY for one of several categories
    FILE.csv            a table, see table
    people-{split}.json a file for each split: {split} becomes train, or val (valid, validation)

The set's name is the file's, without ``{split}`` and suffix. Its pictures are looked for from --data DIR on, where that
is given, then from the file's folder, then from ``images`` in the one and the other.

The split of a picture is that of the file, else what the file marks it with, else follows from its name: one in ten,
always the same ones, is val. Frames of one film are then in both: mark them. The split ``all`` is everybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from os.path import isfile  # which, unlike Path.is_file, is False for whatever cannot be a file
from pathlib import Path

from posehg.datasets import coco_json, table
from posehg.datasets.annotated import Annotated
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_pictures
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import Skeleton

SUFFIXES = (".json", ".csv")
ALL = "all"
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
"""What each is called in files."""
NO_SPLITS = "The file marks no splits: one picture in ten, chosen by its name, is val, the others are train."
NO_SIDES = "Mirrored pictures keep their joints: their names tell no left and right, and the file has no flip_pairs."
ONE_SIDE = "Mirrored pictures do without these joints, of which the other side is not annotated: {}."

_SPLIT = "{split}"
_ONE_IN = 10
_UNFIT = re.compile(r"[+:#/]|\.(?=(?:json|csv)$)", re.IGNORECASE)
"""What means something else where a set is named, or in the name of its pack."""


def is_file(name: str) -> bool:
    """Whether the name of a data set is that of a file: by its suffix, or because there is one."""
    path, _ = _parts(name)
    return path.suffix.lower() in SUFFIXES or (path.name != name and isfile(path))


def set_name(name: str, taken: Iterable[str] = ()) -> str:
    """What the set of a file is called. taken: names of other sets, which it does not get.

    >>> set_name("annotations/people-{split}.json")
    'people'
    """
    path, category = _parts(name)
    parts = (part.replace(_SPLIT, "").strip("-_. ") for part in (path.stem, *path.parts[-2::-1]))
    stem = next(filter(None, parts), "own")
    if stem in taken:
        stem += path.suffix.lower()
    whole = f"{stem}-{category}" if category else stem
    return _UNFIT.sub("-", whole)


def load(name: str, data: Path | None, split: str, taken: Iterable[str] = (), pictures: bool = True) -> Dataset:
    """A split of the file's persons.

    data: where its pictures are, or None. pictures: whether they will be read: they must all be there then.
    Raises NotAvailable where the file is not there or broken, UsageError for a split that cannot be.
    """
    pattern, category = _parts(name)
    path = _file(pattern, split)
    annotated = _read(path, category, set_name(name, taken))
    if _SPLIT not in str(pattern):
        annotated = _split(path, annotated, split)
    folders = _folders(path, data)
    dataset = annotated.within(_home(annotated, folders)).dataset(set_name(name, taken), split)
    if pictures:
        looked = ", ".join(map(str, folders))
        check_pictures(dataset.name, dataset.persons, f"They were looked for in {looked}; name their folder by --data.")
    return dataset


def _parts(name: str) -> tuple[Path, str]:
    """The file and the category that stands behind it."""
    file, mark, category = name.rpartition("#")
    if mark and Path(file).suffix.lower() in SUFFIXES and not isfile(name):
        return Path(file), category
    return Path(name), ""


def is_there(name: str, split: str) -> bool:
    """Whether there is the file of a split, whoever is in it."""
    return any(map(isfile, _candidates(_parts(name)[0], split)))


def _candidates(pattern: Path, split: str) -> list[Path]:
    return [Path(str(pattern).replace(_SPLIT, spelling)) for spelling in SPLITS.get(split, (split,))]


def _file(pattern: Path, split: str) -> Path:
    candidates = _candidates(pattern, split)
    found = next((path for path in candidates if isfile(path)), None)
    if found is None:
        looked = " or ".join(dict.fromkeys(str(path) for path in candidates))
        raise NotAvailable(f"There is no file {looked}.", "A data set is a known name or a .json or .csv file.")
    return found


def _read(path: Path, category: str, name: str) -> Annotated:
    readers: dict[str, Callable[[], Annotated]] = {
        ".json": lambda: coco_json.read(path, category),
        ".csv": lambda: table.read(path, name),
    }
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} is neither a .json nor a .csv file.", "posehg reads COCO's json and tables as CSV.")
    annotated = readers[path.suffix.lower()]()
    if not annotated.persons:
        raise NotAvailable(f"{path} has no people.", "Each needs a box, or two joints.")
    return annotated.noted(_of_sides(annotated.skeleton))


def _of_sides(skeleton: Skeleton) -> str:
    """What a mirror makes of the joints where that may not be what is wanted."""
    if skeleton.unpaired:
        return ONE_SIDE.format(", ".join(skeleton.joints[channel] for channel in skeleton.unpaired))
    if skeleton.flip_pairs is None and skeleton.flip == tuple(range(len(skeleton.joints))):
        return NO_SIDES
    return ""


# ---- splits ------------------------------------------------------------------------------------------------------


def _split(path: Path, annotated: Annotated, split: str) -> Annotated:
    if split == ALL:
        return annotated
    if annotated.marks:
        there = dict.fromkeys(annotated.marks.values())
        marked = {mark for mark in there if mark.lower() in SPLITS.get(split, (split.lower(),))}
        if split not in SPLITS and not marked:
            raise UsageError(f"{path} has no split {split!r}.", f"It has: {', '.join((*there, ALL))}.")
        if not marked:
            raise NotAvailable(f"{path} has nobody of the split {split!r}.", f"It has: {', '.join((*there, ALL))}.")
        return annotated.chosen(lambda picture: annotated.marks[picture] in marked)
    if split not in SPLITS:
        raise UsageError(f"{path} has no split {split!r}.", f"It has: {', '.join((*SPLITS, ALL))}.")
    return annotated.chosen(lambda picture: _is_validation(picture) == (split == "val")).noted(NO_SPLITS)


def _is_validation(picture: Path) -> bool:
    """By the name alone: pictures that are added or taken away change nothing for the others."""
    digest = sha256(picture.as_posix().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % _ONE_IN == 0


# ---- pictures ----------------------------------------------------------------------------------------------------


def _folders(path: Path, data: Path | None) -> list[Path]:
    homes = [path.parent] if data is None else [data, path.parent]
    return list(dict.fromkeys([*homes, *(home / "images" for home in homes)]))


def _home(annotated: Annotated, folders: list[Path]) -> Path:
    """The first folder that holds any of the pictures; the first where none does."""
    names = dict.fromkeys(person.image for person in annotated.persons)
    return next((folder for folder in folders if any(isfile(folder / name) for name in names)), folders[0])
