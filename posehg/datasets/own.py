"""Data sets of your own: annotation files, given by their path in place of a data set's name.

    FILE.json           COCO's format with any joints, see coco; FILE.json#CATEGORY for one of several categories
    FILE.csv            a table, see csv
    DATA.yaml           a YOLO-pose data set, see yolo; DATA.yaml#CLASS for one of several classes
    people-{split}.json a file for each split: {split} becomes train, or val (valid, validation)

Images are looked for in --data DIR, if it is given, then in the file's folder and, if this is ``annotations``, in the
folder around it; then in ``images`` in each of them, and in the folder there that is called like the end of the file's
name, as train2017 of person_keypoints_train2017.json. An image that is not there by its whole name, because it was
annotated on another machine or lay in another folder, is found by the trailing parts of its name.

The split of an image is that of the file, else the one that the file marks it with. Otherwise it follows from the
image's name: one in ten, always the same ones, is val. Mark the frames of a video, or they will be in both splits. The
split ``all`` is everyone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from os.path import isdir, isfile
from pathlib import Path

from posehg.datasets.dataset import Dataset
from posehg.datasets.naming import FILES, SPLIT, file_and_category, set_name
from posehg.datasets.reading import lister, part
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import Skeleton

ALL = "all"
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation")}  # the names of each split in files
NO_SPLITS = "The file marks no splits: one image in ten, chosen by its name, is val, the others are train."
NO_SIDES = (
    "No joints are exchanged in mirrored images: no joint is named left or right, and the file pairs none. If there "
    "are left and right ones, give flip_pairs, or train with --flip 0."
)
ONE_SIDE = "These joints have no label in mirrored images, as those of the other side are not annotated: {}."
DOUBTFUL = (
    "Joints whose names may mean left and right are not exchanged in mirrored images: {}. If they are pairs, give "
    "flip_pairs or flip_idx."
)

_ONE_IN = 10
_UNPACK = "Unpack it, and name the .json, .csv or .yaml file in it."
_EXPORT_AS = {
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"), _UNPACK),
    ".xml": "In CVAT, export the task as COCO Keypoints 1.0 or as Ultralytics YOLO Pose 1.0, which posehg reads.",
}
"""What to do about files of other kinds, by suffix."""


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
        hint = "A data set is a known name or a .json, .csv or .yaml file."
        if split == ALL and SPLIT in str(pattern):
            hint = "There is a file for each split: give --split train or val."
        raise NotAvailable(f"There is no file {looked}.", hint)
    suffix = path.suffix.lower()
    if suffix not in FILES:
        hint = _EXPORT_AS.get(suffix, "posehg reads COCO's .json, tables as .csv, and YOLO's data.yaml.")
        raise UsageError(f"{path} is neither a .json nor a .csv nor a .yaml file.", hint)
    reader = import_module(f"posehg.datasets.{FILES[suffix]}")
    if FILES[suffix] == "yolo":  # it names folders of images and not, as the others, images
        found: tuple[Dataset, str] = reader.load(path, set_name(name), category, data, split, boxes)
        return found
    everyone: Dataset = reader.read(path, set_name(name), category, boxes)
    notes = [everyone.note, about_sides(everyone.skeleton)]
    marks = everyone.marks or {image: "val" if is_held_out(image) else "train" for image in everyone.images.values()}
    kept = set(marks)
    if split != ALL and SPLIT not in str(pattern):
        kept = {image for image, mark in marks.items() if mark.lower() in SPLITS.get(split, (split.lower(),))}
        notes += [] if everyone.marks else [NO_SPLITS]
        if not kept and not everyone.malformed:
            error, has = NotAvailable if split in SPLITS else UsageError, (*dict.fromkeys(marks.values()), ALL)
            raise error(f"{path} has no people in the split {split!r}.", f"It has: {', '.join(has)}.")
    folders = _folders(path, data)
    files, note = find(path, sorted(kept), folders)
    notes.append(note)
    dataset = part(replace(everyone, note=" ".join(filter(None, notes))), split, files.__getitem__, kept)
    if split == ALL:
        dataset = replace(dataset, marks={files[image]: mark for image, mark in marks.items()})
    return dataset, f"posehg looked in {', '.join(map(str, folders))}. Give the folder of the images with --data DIR."


def about_sides(skeleton: Skeleton) -> str:
    """A note on joints that are lost or doubtful in mirrored images; "" if there are none."""
    notes = []
    if skeleton.unpaired:
        notes.append(ONE_SIDE.format(", ".join(skeleton.joints[channel] for channel in skeleton.unpaired)))
    if skeleton.doubtful:
        notes.append(DOUBTFUL.format(", ".join(" and ".join(pair) for pair in skeleton.doubtful)))
    elif skeleton.flip_pairs is None and not notes and skeleton.flip == tuple(range(len(skeleton.joints))):
        notes.append(NO_SIDES)
    return " ".join(notes)


def _folders(path: Path, data: Path | None) -> list[Path]:
    """Where images may be, the first choice first. path: the annotation file. data: the folder that the user gave."""
    homes = [path.parent] if data is None else [data, path.parent]
    if path.absolute().parent.name.lower() == "annotations":
        homes.append(path.absolute().parent.parent)
    folders = [*homes, *(home / "images" for home in homes)]
    named = [folder / path.stem.rpartition("_")[2] for folder in folders]
    return list(dict.fromkeys([*folders, *filter(isdir, named)]))


def find(path: Path, images: Sequence[Path], folders: Sequence[Path]) -> tuple[dict[Path, Path], str]:
    """The file of each image that the file ``path`` names, and a note if leading folders of the names are not there.

    The most trailing parts of a name that are found in one of the folders count. A missing image is expected, by its
    whole name, where others are. Raises NotAvailable if one file may be that of two images.
    """
    names_in = lister()

    @cache
    def places(parent: Path) -> list[tuple[Path, Path]]:
        """The folders that images of this folder may be in, each with the one of ``folders`` that it is in."""
        tails = [Path(*parent.parts[first:]) for first in range(len(parent.parts) + 1)]
        return [(folder / tail, folder) for tail in tails for folder in folders if isdir(folder / tail)]

    found: dict[Path, tuple[Path, Path]] = {}
    for image in images:
        place = next((pair for pair in places(image.parent) if image.name in names_in(pair[0])), None)
        if place is not None:
            found[image] = (place[0] / image.name, place[1])
    if twice := [file for file, count in Counter(file for file, _ in found.values()).items() if count > 1]:
        one, other = [image for image, (file, _) in found.items() if file == twice[0]][:2]
        hint = "Give the folder that their folders are in with --data DIR."
        raise NotAvailable(f"{twice[0]} matches {one} and {other} of {path}.", hint)
    home = next((folder for _, folder in found.values()), folders[0])
    files = {image: found[image][0] if image in found else home / image for image in images}
    moved = next((image for image, (file, folder) in found.items() if file != folder / image), None)
    note = f"Images are found by the trailing parts of their names: {moved} is {files[moved]}." if moved else ""
    return files, note


def is_held_out(image: Path) -> bool:
    """Whether an image is val if its file marks no splits.

    By the name alone, so that adding or removing images moves no other image to another split.
    """
    digest = sha256(image.as_posix().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % _ONE_IN == 0
