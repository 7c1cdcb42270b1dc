"""COCO keypoints: the official data set, and the json format for any category and any joints.

The set is annotations/person_keypoints_{split}2017.json and {split}2017/*.jpg. The format of the json, which is
described at https://cocodataset.org/#format-data:

    images       id, file_name; width, height; split (not COCO's: train, val or another)
    categories   id, name, keypoints [names], skeleton [[joint, joint], ..]: the limbs
                 not COCO's: flip_pairs [[joint, joint], ..] swap in a mirror, or flip_idx, YOLO's list of what each
                 joint becomes, counted from 0; else the names tell left and right;
                 torso [joint, joint], whose distance is the unit of PCK; sigmas [number, ..] of OKS, one a joint
    annotations  id, image_id, category_id, keypoints [x, y, v, x, y, v, ..], bbox [x, y, w, h], area, iscrowd;
                 head_size (not COCO's): the unit of PCKh, in pixels

Coordinates are zero-based; v = 0 not labelled, 1 labelled but hidden, 2 visible. In pairs, joints are counted from 1 or
named; limbs that have a joint 0 are counted from 0. Crowds and people without a labelled joint are ignored, as COCO's
own evaluation does. A person with joints but without a box, or with one without width or height as joint annotation
tools write it, gets the extent of the joints.

Also read is what tools write otherwise: numbers and ids as text or floats, null, [] or "" for what is missing,
keypoints as [[x, y, v], ..], sizes of images that are 0 or -1 for unknown ones, and text that is not UTF-8.
"""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.centers import SKELETON as BOXES
from posehg.datasets import reading
from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.reading import entry, positive
from posehg.errors import NotAvailable, UsageError, printable
from posehg.files import as_number, id_text
from posehg.poses import Person
from posehg.skeletons import COCO, Skeleton, of_joints

EXPECTED = "a COCO keypoints file with 'images', 'annotations' and 'categories'"
_PARTS = ("images", "annotations", "categories")
_FORMAT = "The format is described at https://cocodataset.org/#format-data"
_NAMED = 'Name the joints in the file: "categories": [{"id": 1, "name": "person", "keypoints": ["nose", ..]}]'
_TABLE = "or write a CSV table with the columns image and, for each joint, JOINT_x and JOINT_y"
_LABEL_STUDIO = ("Label Studio's own export", f"In Label Studio, export as COCO, {_TABLE}")
_VIA = ("VGG Image Annotator's own file", f"Convert it to COCO keypoints, {_TABLE}")
_OTHERS = {
    "posehg_report": ("a report of posehg eval", "Give a file of annotations"),
    "shapes": ("LabelMe's own file of an image", f"Convert the folder to COCO keypoints, {_TABLE}"),
    **{"data": _LABEL_STUDIO, "annotation_id": _LABEL_STUDIO, "regions": _VIA, "_via_img_metadata": _VIA},
    "items": ("Datumaro's own file", "Export as COCO keypoints, from Datumaro or CVAT"),
    "score": ("a file of results", "Label with posehg predict --save csv-wide"),
    "posehg": ("a file of posehg predict", "Give a file of annotations"),
}
"""Other formats by a key that only they have: what the file is, and what to do."""

INFO = {
    "coco": DatasetInfo(
        folder="coco",
        title="COCO 2017 keypoints",
        paper="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        url="https://cocodataset.org/#download",
        terms="annotation: CC BY 4.0; images: each its own",
        layout=("annotations/person_keypoints_{train,val}2017.json", "train2017/", "val2017/"),
        splits={"train": "149,813 people", "val": "6,352 people"},
        skeleton=COCO,
    )
}

Entry = Mapping[str, Any]


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train`` or ``val``. Raises NotAvailable if its file is missing or broken."""
    path, folder = root / "annotations" / f"person_keypoints_{split}2017.json", root / f"{split}2017"
    if not path.is_file():
        raise NotAvailable(f"The data set {name} has no split {split} here: {path} does not exist.", INFO[name].hint)
    everyone = read(path, name)
    data = reading.part(everyone, split, folder.joinpath, set(everyone.images.values()))
    # The limbs of the file differ from those we draw: they connect ears and shoulders.
    return replace(data, skeleton=COCO) if data.skeleton.joints == COCO.joints else data


def read(path: Path, name: str, category: str = "", boxes: bool = False) -> Dataset:
    """Everyone who is annotated with joints, on images named as in the file.

    category: the name of the one to read; by default all if they have the same joints, else ``person``.
    boxes: read a category without joints too; its people have none.
    Images and annotations that make no sense are left out, and in ``malformed``. Raises NotAvailable for a file of
    another kind or without people; UsageError if there is no such category.
    """
    notes: list[str] = []
    malformed: list[NotAvailable] = []
    entries, annotations, categories = _parts(path, reading.read_json(path, EXPECTED, notes))
    chosen, note = choose(path, categories, category, boxes)
    named = chosen[0]
    if len(chosen) > 1:  # many kinds of animals with the same joints
        named = {**named, "name": named.get("supercategory")}
    hint = "skeleton, flip_pairs and torso are pairs of joints, counted from 1 or named; sigmas are one per joint."
    with entry(path, f"category {named.get('name')!r}", hint):
        skeleton = skeleton_of(named)
    images, sizes, marks = _images(path, entries, malformed)
    lost = {id_text(one.get("id")) for one in entries} - images.keys()  # each is in ``malformed`` already
    ids = {id_text(one.get("id")) for one in chosen}
    others = {id_text(one.get("id")) for one in categories} - ids
    people: dict[str, Person] = {}
    for number, one in enumerate(annotations, start=1):
        if id_text(one.get("category_id")) in others or id_text(one.get("image_id")) in lost:
            continue
        with entry(path, _place("annotation", one, number), _FORMAT, malformed):
            id, kind = _id(one), _id(one, "category_id")
            if kind not in ids:
                listed = ", ".join(f"{one.get('id')} is {one.get('name')}" for one in categories)
                raise ValueError(f"its category_id is {kind}, but of the categories {listed}")
            if id in people:
                raise ValueError("two annotations have this id")
            people[id] = _person(id, one, images, len(named.get("keypoints") or ()))
    if not people and not malformed:
        which = f"none of its {len(annotations):,} annotations is" if annotations else "no annotation is"
        raise NotAvailable(f"{path} has no people: {which} of the category {_name(named)}.", _FORMAT)
    read = Dataset(name, "all", skeleton, [*people.values()], note=" ".join(filter(None, (*notes, note))))
    return replace(read, images=images, sizes=sizes, marks=marks, malformed=malformed)


def _parts(path: Path, content: Any) -> list[list[Entry]]:
    """Images, annotations and categories. Raises NotAvailable for a file of another kind, which is named if known."""
    parts: list[Any] = [content.get(key) if isinstance(content, dict) else None for key in _PARTS]
    if all(isinstance(part, list) and all(isinstance(one, dict) for one in part) for part in parts):
        return parts
    inner = [*(content.values() if isinstance(content, dict) else content if isinstance(content, list) else ())][:1]
    known = (_OTHERS[key] for one in (content, *inner) if isinstance(one, dict) for key in _OTHERS if key in one)
    if other := next(known, None):
        raise NotAvailable(f"{path} is {other[0]}, not COCO's annotations.", f"{other[1]}. {_FORMAT}")
    if isinstance(content, dict) and (lacks := [key for key in _PARTS if key not in content]) and len(lacks) < 3:
        hint = _NAMED if lacks == ["categories"] else _FORMAT
        raise NotAvailable(f"{path} is not {EXPECTED}: it has no {' and no '.join(lacks)}.", hint)
    raise NotAvailable(f"{path} is not {EXPECTED}.", _FORMAT)


def choose(path: Path, categories: Sequence[Entry], name: str, boxes: bool) -> tuple[list[Entry], str]:
    """The categories to read, which have the same joints, and a note if others are left out."""
    usable = []
    for one in categories:
        with entry(path, f"category {one.get('name')!r}", _FORMAT):
            joints = one.get("keypoints") or []
            if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
                raise ValueError("keypoints must be a list of names")
            usable += [one] if joints or boxes else []
    if not usable:
        hint = f"Of COCO's own files, this is person_keypoints_val2017.json, not instances_val2017.json. {_NAMED}"
        raise NotAvailable(f"{path} has no category with keypoints, the names of the joints.", hint)
    if not (name or boxes) and all(one["keypoints"] == usable[0]["keypoints"] for one in usable):
        return usable, ""
    listed = ", ".join(map(_name, usable))
    chosen = [one for one in usable if str(one.get("name")).lower() == (name or "person").lower()]
    if len(usable) == 1 and not name:
        return usable, ""
    if not chosen:
        hint = f"Name one behind the file: {path}#{usable[0].get('name')}. It has: {listed}."
        raise UsageError(f"{path} has no category {name or 'person'!r} with keypoints.", hint)
    return chosen, "" if name else f"Of the categories {listed} only person was read."


def skeleton_of(category: Entry) -> Skeleton:
    """The known skeleton if it is one, else one with the category's name; ``centers``' own without joints."""
    joints, name = tuple(category.get("keypoints") or ()), str(category.get("name") or "unnamed")
    if not joints:
        return BOXES

    def pair(ends: Any, first: int = 1) -> tuple[str, str]:
        a, b = (end if end in joints else joints[range(first, first + len(joints)).index(_whole(end))] for end in ends)
        if a == b:
            raise ValueError("one joint is not a pair")
        return a, b

    def limbs(pairs: Any) -> tuple[tuple[str, str], ...]:
        first = 0 if any(end not in joints and _whole(end) == 0 for ends in pairs for end in ends) else 1
        return tuple({frozenset(limb): limb for limb in (pair(ends, first) for ends in pairs)}.values())

    def mirrored(order: Any) -> tuple[tuple[str, str], ...]:
        order = list(map(_whole, order))
        if sorted(order) != list(range(len(joints))) or any(order[end] != joint for joint, end in enumerate(order)):
            raise ValueError("mirrored twice, joints are others")
        return tuple((joints[joint], joints[end]) for joint, end in enumerate(order) if joint < end)

    fields = {"skeleton": "limbs", "flip_idx": "flip_pairs"}
    readers: dict[str, Callable[[Any], Any]] = {
        "flip_idx": mirrored,
        "skeleton": limbs,
        "flip_pairs": lambda pairs: tuple(map(pair, pairs)),
        "torso": pair,
        "sigmas": lambda sigmas: tuple(map(float, sigmas)),
    }
    changes: dict[str, Any] = {}
    for key, read in readers.items():
        value = category.get(key)
        if value or (key == "flip_pairs" and value is not None):  # []: no joints swap in a mirror
            try:
                changes[fields.get(key, key)] = read(value)
            except (TypeError, ValueError, LookupError, OverflowError):
                raise ValueError(f"its {key} cannot be {reprlib.repr(value)}") from None
    known = of_joints(name, joints)
    skeleton = replace(known, **changes)
    return known if skeleton == known else replace(skeleton, name=name)


def _images(
    path: Path, entries: Sequence[Entry], malformed: list[NotAvailable]
) -> tuple[dict[str, Path], dict[Path, tuple[int, int]], dict[Path, str]]:
    """The images by their ids, the sizes that are given, and the splits that they are marked with."""
    images: dict[str, Path] = {}
    ids: dict[Path, str] = {}
    sizes, marks = {}, {}
    for number, one in enumerate(entries, start=1):
        with entry(path, _place("image", one, number), _FORMAT, malformed):
            id = _id(one)
            if not isinstance(one.get("file_name"), str):
                raise ValueError("it has no file_name")
            image = reading.image_name(one["file_name"])
            w, h = (as_number(_given(one, side), side) for side in ("width", "height"))
            if not isinstance(split := one.get("split") or "", str):
                raise ValueError(f"its split cannot be {reprlib.repr(split)}")
            if id in images:
                raise ValueError("two images have this id")
            if image in ids:
                raise ValueError(f"its file_name, {image}, is also used by image {ids[image]}")
            if w > 0 and h > 0:
                sizes[image] = (round(w), round(h))
            if split:
                marks[image] = split
            images[id], ids[image] = image, id
    unmarked = next((id for id, image in images.items() if image not in marks), None)
    if marks and unmarked is not None:
        with entry(path, f"image {unmarked}", "Give all images one.", malformed):
            raise ValueError("it has no split, and others have one")
    return images, sizes, marks


def _person(id: str, one: Entry, images: Mapping[str, Path], joints: int) -> Person:
    image = images.get(_id(one, "image_id"))
    if image is None:
        raise ValueError(f"no image has the id {one['image_id']}")
    triples = np.zeros((joints, 3))  # an annotation without keypoints has no labelled joint
    if (values := _given(one, "keypoints")) is not None:
        if isinstance(values, list) and all(isinstance(triple, list) and len(triple) == 3 for triple in values):
            values = [value for triple in values for value in triple]
        triples = _numbers(values, 3 * joints, "keypoints").reshape(joints, 3)
    keypoints, visible = reading.keypoints_of(triples)
    box = None
    if (values := _given(one, "bbox")) is not None:
        box = reading.box_of(*_numbers(values, 4, "bbox").tolist())
    head_size, area = (positive(_given(one, key), key) for key in ("head_size", "area"))
    crowd = _given(one, "iscrowd")
    if crowd is not None and not isinstance(crowd, bool) and as_number(crowd, "iscrowd") not in (0, 1):
        raise ValueError(f"its iscrowd is {crowd}, not 0 or 1")
    crowd = crowd is not None and float(crowd) == 1
    return Person(image, reading.extent(box, keypoints), keypoints, visible, head_size, id, area=area, crowd=crowd)


def _name(category: Entry) -> str:
    return printable(str(category.get("name")))


def _place(kind: str, one: Entry, number: int) -> str:
    return f"{kind} {printable(str(one.get('id', f'number {number}')))}"


def _id(one: Entry, key: str = "id") -> str:
    value = one.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise ValueError(f"it has no {key}" if value is None else f"its {key} cannot be {reprlib.repr(value)}")
    return id_text(value)


def _whole(value: Any) -> int:
    number = as_number(value, "joint")
    if number != int(number):
        raise ValueError(f"{number:g} is no joint")
    return int(number)


def _given(one: Entry, key: str) -> Any:
    """An optional value; None also for the other ways to write that it is missing."""
    value = one.get(key)
    return None if value in ([], "") else value


def _numbers(values: Any, count: int, what: str) -> NDArray[np.float64]:
    """``count`` numbers; null becomes NaN."""
    if not isinstance(values, list) or len(values) != count:
        has = f"has {len(values)} values" if isinstance(values, list) else f"is {reprlib.repr(values)}"
        raise ValueError(f"its {what} {has}, not {count} numbers")
    if not all(type(value) in (int, float) for value in values):  # most are, and this is much faster
        values = [as_number(value, what) for value in values]
    return np.array(values, dtype=np.float64)
