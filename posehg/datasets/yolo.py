"""YOLO-pose data sets, as ultralytics trains on them and Roboflow, CVAT and Label Studio export them.

DATA.yaml describes the set:

    path                the folder of the set; it may be missing, or that of another machine
    train, val, test    each a folder of images, a .txt file that lists images, or several of these
    kpt_shape           [K, 2] or [K, 3]: the number of joints, and whether a joint has a v
    flip_idx            optional: for each joint the one that it becomes in a mirrored image
    kpt_names           optional: the names of the joints, for all classes or for each
    names               the names of the classes

The labels of .../images/NAME.jpg are in .../labels/NAME.txt (the last folder called images counts), or beside the image
if no folder is called images. Nobody is in an image without such a file. Each of its lines is a person:

    class, center x and y, width and height of the box, and for each joint x, y[, v]

in shares of the upright image's width and height: x times the width is a zero-based coordinate as COCO's. v is COCO's,
too: 0 not labelled, 1 hidden, 2 visible. Without it a joint at 0, 0 or at a negative place is not labelled. A line of
five numbers is a person without labelled joints.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from glob import escape, glob
from os.path import isdir, isfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import images
from posehg.datasets import coco, own
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import box_of, decoded, entry, expecting, extent, image_name, keypoints_of, opened, part
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.poses import Person
from posehg.skeletons import COCO

_EXPECTED = "the .yaml file of a YOLO-pose data set"
_FORMAT = "The format is described at https://docs.ultralytics.com/datasets/pose/"
_SPLITS = {*own.SPLITS["train"], *own.SPLITS["val"], "test"}

_AS_COCO = "The 17 joints have no names and are taken for COCO's, in COCO's order; kpt_names would tell."
_UNNAMED = "The joints have no names and are called joint_1 to joint_{}; kpt_names would name them."
NO_VAL = "The file has no val images: one image in ten, chosen by its name, is val, the others are train."
SAME = "train and val are the same images: scores on val do not tell how good the model is on others."

_NOT_READ = (1000, 1000)
"""The size of an image that is missing or broken. Whoever uses its people reads it, which is an error."""
_FARTHEST = 2.0  # image sizes: joints may lie outside their image, and pixels or percent are much larger

Content = Mapping[str, Any]


def load(path: Path, name: str, category: str, data: Path | None, split: str, boxes: bool) -> tuple[Dataset, str]:
    """A split of the set that a .yaml file describes, and a hint on where its images were looked for, as ``own.load``.

    category: the class to read, by default all that have labelled joints. boxes: also, the file needs no kpt_shape.
    Raises NotAvailable if a file is missing or broken, UsageError for an unknown split or class.
    """
    with opened(path, _EXPECTED) as file:
        import yaml

        content = yaml.safe_load(file.getvalue())
    with expecting(path, _EXPECTED), entry(path, "its keys", _FORMAT):
        splits, shape, classes = _splits(content), _shape(content, boxes), _class_names(content)
        named = image_name(str(content.get("path") or "."))
    there = [place for place in (path.parent / named, named) if isdir(place)][:1]
    moved = next(filter(isdir, _places(named, [path.parent])), path.parent)  # path is that of another machine
    homes = list(dict.fromkeys([*([] if data is None else [data]), *there, path.parent, moved]))
    hint = f"posehg looked in {' and '.join(map(str, homes))}. Give the folder of the set with --data DIR."
    files, marks, about_split = _images(path, splits, split, homes, hint)
    labels = {listed: _labels_of(image, listed, homes) for listed, image in files.items()}
    if not files:
        raise NotAvailable(f"{path}: there are no images of the split {split!r}. {about_split}".strip(), hint)
    if not any(labels.values()):
        sentence = f"none of the {len(files):,} images of the split {split!r} has a file of labels"
        raise NotAvailable(f"{path}: {sentence}, as {_beside(next(iter(files.values())))}.", _FORMAT)
    people: list[tuple[int, Person]] = []
    malformed: list[NotAvailable] = []
    for listed, file_of_labels in labels.items():
        if file_of_labels is not None:
            people += _people(files[listed], listed, file_of_labels, shape, classes, malformed)
    if not (people or malformed):
        raise NotAvailable(f"{path}: nobody is annotated in the split {split!r}.", "Its files of labels are empty.")
    with expecting(path, _EXPECTED):
        chosen, about_classes = _classes(path, content, people, shape[0], category, boxes)
    with entry(path, "its joints", _FORMAT):
        skeleton = coco.skeleton_of({**chosen[0], "name": name})
    numbers, notes = {one["id"] for one in chosen}, (about_classes, own.about_sides(skeleton), about_split)
    persons = [person for number, person in people if number in numbers]
    everyone = Dataset(name, "all", skeleton, persons, note=" ".join(filter(None, notes)), images=files)
    found = part(everyone, split, lambda image: image, set(files.values()))
    return replace(found, marks=marks if split == own.ALL else {}, malformed=malformed), hint


# ---- the .yaml file --------------------------------------------------------------------------------------------------


def _splits(content: Any) -> dict[str, list[Path]]:
    """The folders and lists of each split, which has the name that the file gives it."""
    if not isinstance(content, dict):
        raise ValueError("it has none")
    splits = {}
    for key, value in content.items():
        values = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]
        is_list = values and values[0].endswith(".txt") and key not in ("path", "names")
        if values and (str(key).lower() in _SPLITS or is_list):  # CVAT has splits of any name
            splits[str(key)] = list(map(image_name, values))
    if not splits:
        raise ValueError("it has no train, val or test")
    return splits


def _shape(content: Content, boxes: bool) -> tuple[int, int]:
    """The number of joints, and of numbers a joint, which is 2 or 3."""
    shape = content.get("kpt_shape")
    if shape is None and boxes:
        return 0, 3
    if shape is None:
        raise ValueError("it has no kpt_shape; if its labels have joints, add kpt_shape: [number of joints, 3]")
    are_two = isinstance(shape, list) and [type(number) for number in shape] == [int, int]
    if not are_two or shape[0] < 1 or shape[1] not in (2, 3):
        raise ValueError(f"kpt_shape is {shape}, not [number of joints, 2 or 3]")
    return shape[0], shape[1]


def _class_names(content: Content) -> dict[int, str]:
    names = content.get("names") or {}
    return {int(key): str(one) for key, one in (names.items() if isinstance(names, dict) else enumerate(names))}


def _classes(
    path: Path, content: Content, people: Sequence[tuple[int, Person]], joints: int, category: str, boxes: bool
) -> tuple[list[Content], str]:
    """The classes to read, which have the same joints, as COCO's categories, and a note on what is left out or odd."""
    names, used = _class_names(content), {number for number, _ in people}
    jointed = {number for number, person in people if np.isfinite(person.keypoints).any()}
    if people and not (jointed or boxes):
        raise NotAvailable(f"{path}: no joint is labelled in this split, only boxes.", _FORMAT)
    numbers = {*names, *used} if category or not jointed else jointed
    with entry(path, "its joints", _FORMAT):
        usable = [_category(content, one, names.get(one, str(one)), joints) for one in sorted(numbers or {0})]
    chosen, _ = coco.choose(path, usable, category, boxes and not jointed)
    left_out = used - {one["id"] for one in chosen} if not category else ()
    listed = ", ".join(sorted(names.get(number, str(number)) for number in left_out))
    notes = [f"Classes left out: {listed}."] if listed else []
    if joints and not _joints_of(content, chosen[0]["id"]):
        notes.append(_AS_COCO if tuple(chosen[0]["keypoints"]) == COCO.joints else _UNNAMED.format(joints))
    return chosen, " ".join(notes)


def _category(content: Content, number: int, name: str, count: int) -> Content:
    """A class as a category of COCO. count: of joints."""
    joints, flip = list(_joints_of(content, number)), content.get("flip_idx")
    if joints and len(joints) != count:
        raise ValueError(f"kpt_names has {len(joints)} names, and kpt_shape {count} joints")
    if not joints and count == len(COCO.joints) and flip in (None, list(COCO.flip)):
        joints, flip = list(COCO.joints), None
    elif not joints:  # nameless joints that none exchanges are as doubtful as without flip_idx
        joints, flip = [f"joint_{n}" for n in range(1, count + 1)], None if flip == list(range(count)) else flip
    return {"id": number, "name": name, "keypoints": joints, "flip_idx": flip}


def _joints_of(content: Content, number: int) -> tuple[str, ...]:
    """The names of a class's joints; () if they have none."""
    names = content.get("kpt_names") or ()
    if isinstance(names, dict):  # class -> names, or joint -> name
        names = list(names.values()) if all(isinstance(name, str) for name in names.values()) else names.get(number)
    return tuple(map(str, names or ()))


# ---- images and labels -----------------------------------------------------------------------------------------------


def _images(
    path: Path, splits: Mapping[str, Sequence[Path]], split: str, homes: Sequence[Path], hint: str
) -> tuple[dict[str, Path], dict[Path, str], str]:
    """The images of a split by their names in the set, the split that each is in, and a note.

    The name follows from the .yaml file alone, so that it is the same wherever the set is.
    """

    def keys_of(spellings: Sequence[str]) -> list[str]:
        return [key for key in splits if key.lower() in spellings]

    training, validation = (keys_of(own.SPLITS[one]) for one in ("train", "val"))
    keys = [*splits] if split == own.ALL else keys_of(own.SPLITS.get(split, (split.lower(),)))
    is_held_out, notes = None, []
    if split in own.SPLITS and not validation:
        keys, is_held_out, notes = training, split == "val", [NO_VAL]
    elif split in own.SPLITS and [splits[key] for key in training] == [splits[key] for key in validation]:
        notes = [SAME]
    if not keys:
        error = NotAvailable if split in own.SPLITS else UsageError
        raise error(f"{path} has no split {split!r}.", f"It has: {', '.join((*splits, own.ALL))}.")
    names: dict[Path, str] = {}
    marks: dict[Path, str] = {}
    for key in keys:
        try:
            parts = [_listed(path, value, homes, hint) for value in splits[key]]
        except NotAvailable as error:
            if len(keys) == 1:
                raise
            notes.append(f"The images of {key} are left out: {error}")
            continue
        notes += [about for _, about in parts if about]
        for name, image in (one for listed, _ in parts for one in listed):
            if is_held_out in (None, own.is_held_out(Path(name))):
                names.setdefault(image, name)
                marks.setdefault(image, key)
    return {name: image for image, name in names.items()}, marks, " ".join(notes)


def _listed(path: Path, named: Path, homes: Sequence[Path], hint: str) -> tuple[list[tuple[str, Path]], str]:
    """The images of a folder or of a list, each with the name that it has there, and a note on labels without image."""
    place = next((place for place in _places(named, homes) if isdir(place) or isfile(place)), None)
    if place is None:
        raise NotAvailable(f"{path}: there is no {named}.", hint)
    if place.is_dir():
        files = [file for file in _below(place) if file.suffix.lower() in images.READABLE]
        labels = _beside(place / "any.txt").parent
        known = {*map(_beside, files), labels / "classes.txt"}
        stray = [file for file in _below(labels) if file.suffix == ".txt" and file not in known and labels != place]
        note = f"Labels without an image in {place}: {len(stray):,}, the first of them {stray[0]}." if stray else ""
        return [("/".join(_names(named / file.relative_to(place))), file) for file in files], note
    with opened(place, "a list of images") as text:
        lines = decoded(place, text.getvalue(), []).splitlines()
        names = [image_name(line) for line in lines if line.strip()]
    folders = [place.parent, *homes, *(home / "images" for home in homes)]
    found, _ = own.find(place, list(dict.fromkeys(names)), folders)
    return [("/".join(_names(name)), image) for name, image in found.items()], ""


def _below(folder: Path) -> list[Path]:
    """All files in a folder, but hidden ones; it follows links, as Path.rglob does not."""
    return [Path(file) for file in sorted(glob(f"{escape(str(folder))}/**/*", recursive=True))]


def _names(named: Path) -> list[str]:
    """The parts of a path without what leads upwards or to the root."""
    return [part for part in PurePosixPath(named).parts if part not in ("..", "/")]


def _places(named: Path, homes: Sequence[Path]) -> Iterator[Path]:
    """Where a file or folder may be: where it is named, else with ever fewer of its first parts in one of ``homes``.

    These parts may be folders of another machine, or relative to another folder.
    """
    yield from (home / named for home in homes)
    names = _names(named)
    for first in range(len(names)):
        if names[first:] != ["images"]:  # too common: it may be that of another split
            yield from (place.joinpath(*names[first:]) for home in homes for place in (home, home / "images"))


def _beside(image: Path) -> Path:
    """Where the labels of an image are."""
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _labels_of(image: Path, listed: str, homes: Sequence[Path]) -> Path | None:
    """The file of an image's labels, or None. Those of images that are elsewhere are where the image is listed."""
    names = listed.split("/")
    last = len(names) - 1 - names[::-1].index("images") if "images" in names else 0
    elsewhere = (home.joinpath(*names[first:]) for first in range(last + 1) for home in homes)
    return next(filter(isfile, map(_beside, (image, *elsewhere))), None)


def _people(
    image: Path,
    listed: str,
    labels: Path,
    shape: tuple[int, int],
    classes: Mapping[int, str],
    malformed: list[NotAvailable],
) -> list[tuple[int, Person]]:
    """Each person on an image, with the class. Malformed lines, also those of unnamed classes, go to ``malformed``."""
    with opened(labels, "a file of labels") as text:
        lines = enumerate(decoded(labels, text.getvalue(), []).splitlines(), start=1)
    rows = [(number, cells) for number, line in lines if (cells := line.split())]
    width, height = _NOT_READ
    with suppress(InputError):
        width, height = images.size(image) if rows else _NOT_READ
    people: list[tuple[int, Person]] = []
    for number, cells in rows:
        with entry(labels, f"line {number}", _FORMAT, malformed):
            label, (x, y, w, h), triples = _values(cells, shape)
            if classes and label not in classes:
                raise ValueError(f"its class is {label}, and names has only {', '.join(map(str, sorted(classes)))}")
            box = box_of((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
            keypoints, visible = keypoints_of(triples * (width, height, 1))
            person = Person(image, extent(box, keypoints), keypoints, visible, id=f"{listed}:{number}")
            people.append((label, person))
    return people


def _values(cells: Sequence[str], shape: tuple[int, int]) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """The class, box (4,) and joints (J, 3) in a line. Raises ValueError if it has other values."""
    joints, numbers = shape
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        raise ValueError(f"it has other things than numbers: {' '.join(cells)[:40]}") from None
    if len(values) not in (5, 5 + joints * numbers):
        other = 5 - numbers
        hint = f"; is it [{joints}, {other}]?" if len(values) == 5 + joints * other else ""
        expected = f"kpt_shape [{joints}, {numbers}] needs {5 + joints * numbers}"
        raise ValueError(f"it has {len(values)} numbers, and {expected}{hint}")
    if not (values[0] >= 0 and values[0].is_integer()):
        raise ValueError(f"its class is {cells[0]}, not a whole number")
    rest = values[5:].reshape(-1, numbers)
    triples = np.zeros((joints, 3))
    triples[: len(rest), :numbers] = rest
    if numbers == 2:
        x, y = triples[:, 0], triples[:, 1]
        triples[:, 2] = np.where((x >= 0) & (y >= 0) & (x + y > 0), 2, 0)
    shares = np.concatenate([values[1:5], triples[triples[:, 2] > 0, :2].ravel()])
    if (far := shares[np.abs(shares) > _FARTHEST]).size:
        raise ValueError(f"{far[0]:g} is not a share of the image's width or height, 0 to 1")
    return int(values[0]), values[1:5], triples
