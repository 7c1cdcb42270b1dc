"""Data sets of your own: annotation files, given by their path in place of a data set's name.

    FILE.json           COCO's format with any joints, see coco; FILE.json#CATEGORY for one of several categories
    FILE.csv            a table, see csv
    people-{split}.json a file for each split: {split} becomes train, or val (valid, validation)

Images are looked for in --data DIR, if it is given, then in the file's folder, then in ``images`` in either of them.

The split of an image is that of the file, else the one that the file marks it with. Otherwise it follows from the
image's name: one in ten, always the same ones, is val. Mark the frames of a video, or they will be in both splits. The
split ``all`` is everyone.
"""

from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from os.path import isfile
from pathlib import Path

from posehg.datasets.dataset import Dataset
from posehg.datasets.naming import FILES, SPLIT, file_and_category, set_name
from posehg.datasets.reading import part
from posehg.errors import NotAvailable, UsageError

ALL = "all"
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation")}  # the names of each split in files
NO_SPLITS = "The file marks no splits: one image in ten, chosen by its name, is val, the others are train."
NO_SIDES = "Mirrored images keep their joints: no joint is named left or right, and the file has no flip_pairs."
ONE_SIDE = "Mirrored images lose these joints, whose other side is not annotated: {}."

_ONE_IN = 10


def load(name: str, data: Path | None, split: str, boxes: bool = False) -> tuple[Dataset, str]:
    """A split of the people in a file, and a hint on where images were looked for. data: their folder, or None.
    boxes: whether people need no joints.

    Raises NotAvailable if the file is missing or broken, UsageError for an unknown split or file type.
    """
    pattern, category = file_and_category(name)
    candidates = [Path(str(pattern).replace(SPLIT, spelling)) for spelling in SPLITS.get(split, (split,))]
    path = next(filter(isfile, candidates), None)
    if path is None:
        looked = " or ".join(dict.fromkeys(map(str, candidates)))
        raise NotAvailable(f"There is no file {looked}.", "A data set is a known name or a .json or .csv file.")
    if path.suffix.lower() not in FILES:
        raise UsageError(f"{path} is neither a .json nor a .csv file.", "posehg reads COCO's json and tables as CSV.")
    reader = import_module(f"posehg.datasets.{FILES[path.suffix.lower()]}")
    everyone: Dataset = reader.read(path, set_name(name), category, boxes)
    notes, skeleton = [everyone.note], everyone.skeleton
    if skeleton.unpaired:
        notes.append(ONE_SIDE.format(", ".join(skeleton.joints[channel] for channel in skeleton.unpaired)))
    elif skeleton.flip_pairs is None and skeleton.flip == tuple(range(len(skeleton.joints))):
        notes.append(NO_SIDES)
    marks = everyone.marks or {image: "val" if _is_held_out(image) else "train" for image in everyone.images.values()}
    kept = set(marks)
    if split != ALL and SPLIT not in str(pattern):
        kept = {image for image, mark in marks.items() if mark.lower() in SPLITS.get(split, (split.lower(),))}
        notes += [] if everyone.marks else [NO_SPLITS]
        if not kept:
            error, has = NotAvailable if split in SPLITS else UsageError, (*dict.fromkeys(marks.values()), ALL)
            raise error(f"{path} has no people in the split {split!r}.", f"It has: {', '.join(has)}.")
    homes = [path.parent] if data is None else [data, path.parent]
    folders = list(dict.fromkeys([*homes, *(home / "images" for home in homes)]))
    folder = next((folder for folder in folders if any(isfile(folder / image) for image in kept)), folders[0])
    dataset = part(replace(everyone, note=" ".join(filter(None, notes))), split, folder, kept)
    if split == ALL:
        dataset = replace(dataset, marks={folder / image: mark for image, mark in marks.items()})
    return dataset, f"posehg looked in {', '.join(map(str, folders))}. Give the folder of the images with --data DIR."


def _is_held_out(image: Path) -> bool:
    """By the name alone, so that adding or removing images moves no other image to another split."""
    digest = sha256(image.as_posix().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % _ONE_IN == 0
