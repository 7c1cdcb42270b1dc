"""COCO keypoints: the official data set, and the json format for any category and any joints.

The set is annotations/person_keypoints_{split}2017.json and {split}2017/*.jpg. The format of the json, which is
described at https://cocodataset.org/#format-data:

    images       id, file_name; width, height; split (not COCO's: train, val or another)
    categories   id, name, keypoints [names], skeleton [[joint, joint], ..]: the limbs
                 not COCO's: flip_pairs [[joint, joint], ..] swap in a mirror, else the names tell left and right;
                 torso [joint, joint], whose distance is the unit of PCK; sigmas [number, ..] of OKS, one a joint
    annotations  id, image_id, category_id, keypoints [x, y, v, x, y, v, ..], bbox [x, y, w, h], area, iscrowd;
                 head_size (not COCO's): the unit of PCKh, in pixels

Coordinates are zero-based; v = 0 not labelled, 1 labelled but hidden, 2 visible. In pairs, joints are counted from 1 or
named. Crowds and people without a labelled joint are ignored, as COCO's own evaluation does. A person with joints but
without a box, or with one without width or height as joint annotation tools write it, gets the extent of the joints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.annotated import Annotated, area_of, box_of, extent, image_name, keypoints_of, mark, positive
from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.reading import check_split, read_json, unreadable, wrong
from posehg.errors import NotAvailable, UsageError
from posehg.poses import Person
from posehg.skeletons import COCO, Skeleton, of_joints

EXPECTED = "a COCO keypoints file with 'images', 'annotations' and 'categories'"
_PARTS = ("images", "annotations", "categories")
_PERSON = "person"
_FORMAT = "The format is described at https://cocodataset.org/#format-data"

INFO = {
    "coco": DatasetInfo(
        title="COCO 2017 keypoints",
        paper="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        url="https://cocodataset.org/#download",
        terms="annotation: CC BY 4.0; images: each its own",
        layout=("annotations/person_keypoints_{train,val}2017.json", "train2017/", "val2017/"),
        splits={"train": "149,813 persons", "val": "6,352 persons"},
        skeleton=COCO,
    )
}

Entry = Mapping[str, Any]


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train`` or ``val``. Raises NotAvailable if its file is missing or broken."""
    check_split(name, split, ("train", "val"))
    path = root / "annotations" / f"person_keypoints_{split}2017.json"
    if not path.is_file():
        raise NotAvailable(
            f"The data set coco has no split {split} here: there is no file {path}.", INFO[name].hint(name)
        )
    annotated = read(path).within(root / f"{split}2017")
    skeleton = annotated.skeleton
    if skeleton.joints == COCO.joints:  # the file's limbs differ from those we draw: they connect ears and shoulders
        skeleton = replace(skeleton, name=COCO.name, limbs=COCO.limbs)
        skeleton = COCO if skeleton == COCO else skeleton
    return replace(annotated.dataset(name, split), skeleton=skeleton)


def read(path: Path, category: str = "") -> Annotated:
    """Everyone who is annotated with joints.

    category: the name of the one to read; by default all if they have the same joints, else ``person``.
    Raises NotAvailable, naming file and entry, for a broken file; UsageError if the category is not clear.
    """
    content = read_json(path, EXPECTED)
    if not isinstance(content, dict) or not all(
        isinstance(part, list) and all(isinstance(entry, dict) for entry in part)
        for part in (content.get(name) for name in _PARTS)
    ):
        raise unreadable(path, EXPECTED)
    chosen, note = _choose(path, content["categories"], category)
    named = chosen[0]
    if len(chosen) > 1:  # many kinds of animals with the same joints are called by what they have in common
        above = {str(entry.get("supercategory") or "") for entry in chosen}
        named = {**named, "name": above.pop() if len(above) == 1 else ""}
    try:
        skeleton = _skeleton(named)
    except (ValueError, OverflowError, UsageError) as error:
        hint = "skeleton, flip_pairs and torso are pairs of joints, counted from 1 or named; sigmas are one a joint."
        raise wrong(path, f"category {named.get('name')!r}", error, hint) from None
    images, marks = _images(path, content["images"])
    ids = {str(entry.get("id")) for entry in chosen}
    entries = [entry for entry in content["annotations"] if str(entry.get("category_id")) in ids]
    people = _people(path, entries, images, len(skeleton.joints))
    sides = {str(entry["id"]): (entry.get("width"), entry.get("height")) for entry in content["images"]}
    sizes = {images[id]: (w, h) for id, (w, h) in sides.items() if isinstance(w, int) and isinstance(h, int)}
    return replace(Annotated.of(skeleton, people, images, marks, note), sizes=sizes)


# ---- the category ------------------------------------------------------------------------------------------------


def _choose(path: Path, categories: Sequence[Entry], name: str) -> tuple[list[Entry], str]:
    """The categories to read, which have the same joints, and a note if others are left out."""
    usable: dict[int, tuple[str, ...]] = {}
    for number, entry in enumerate(categories):
        try:
            joints = _joint_names(entry)
        except ValueError as error:
            raise wrong(path, f"category {entry.get('name')!r}", error, _FORMAT) from None
        if joints:
            usable[number] = joints
    if not usable:
        hint = "posehg reads files of keypoints: person_keypoints_val2017.json, not instances_val2017.json."
        raise NotAvailable(f"{path} has no category with keypoints.", hint)
    entries = [categories[number] for number in usable]
    names = [str(entry.get("name")) for entry in entries]
    if name:
        chosen = [entry for entry in entries if str(entry.get("name")) == name]
        if not chosen:
            raise UsageError(f"{path} has no category {name!r} with keypoints.", f"It has: {', '.join(names)}.")
        return chosen, ""
    if len(set(usable.values())) == 1:
        return entries, ""
    chosen = [entry for entry in entries if entry.get("name") == _PERSON]
    if not chosen:
        hint = f"Name one behind the file: {path}#{names[0]}. It has: {', '.join(names)}."
        raise UsageError(f"{path} has several categories with different joints.", hint)
    return chosen, f"Of the categories {', '.join(names)} only {_PERSON} was read."


def _joint_names(category: Entry) -> tuple[str, ...]:
    joints = category.get("keypoints") or []
    if not isinstance(joints, list) or not all(isinstance(joint, str) and joint.strip() for joint in joints):
        raise ValueError("keypoints must be a list of names")
    return tuple(joint.strip() for joint in joints)


def _skeleton(category: Entry) -> Skeleton:
    """The known skeleton if it is one, else one with the category's name.

    Raises ValueError, or UsageError as Skeleton does, for an impossible one.
    """
    joints, name = _joint_names(category), str(category.get("name") or "unnamed")
    known = of_joints(name, joints)
    changes: dict[str, Any] = {}
    if category.get("skeleton"):
        limbs = _pairs(category["skeleton"], joints, "skeleton")
        changes["limbs"] = tuple({frozenset(limb): limb for limb in limbs}.values())
    if category.get("flip_pairs") is not None:
        changes["flip_pairs"] = _pairs(category["flip_pairs"], joints, "flip_pairs")
    if category.get("torso"):
        (changes["torso"],) = _pairs([category["torso"]], joints, "torso")
    if sigmas := category.get("sigmas"):
        if not isinstance(sigmas, list) or not all(isinstance(sigma, int | float) for sigma in sigmas):
            raise ValueError("sigmas must be numbers")
        changes["sigmas"] = tuple(float(sigma) for sigma in sigmas)
    skeleton = replace(known, **changes)
    return known if skeleton == known else replace(skeleton, name=name)


def _pairs(values: Any, joints: Sequence[str], what: str) -> tuple[tuple[str, str], ...]:
    def joint(value: Any) -> str:
        if isinstance(value, str) and value.strip() in joints:
            return value.strip()
        if isinstance(value, int) and 1 <= value <= len(joints):
            return joints[value - 1]
        raise ValueError(f"{what} has the joint {value!r}, and joints are counted from 1 to {len(joints)}")

    if not isinstance(values, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in values):
        raise ValueError(f"{what} must be pairs of joints")
    pairs = tuple((joint(a), joint(b)) for a, b in values)
    if any(a == b for a, b in pairs):
        raise ValueError(f"{what} pairs a joint with itself")
    return pairs


# ---- images and people -------------------------------------------------------------------------------------------


def _images(path: Path, entries: Sequence[Entry]) -> tuple[dict[str, Path], dict[Path, str]]:
    """The images by their ids, and the splits that they are marked with."""
    images: dict[str, Path] = {}
    marks: dict[Path, str] = {}
    for entry in entries:
        id = str(entry.get("id"))
        try:
            if "id" not in entry or not isinstance(entry.get("file_name"), str):
                raise ValueError("it lacks its id or file_name")
            if id in images:
                raise ValueError("two images have this id")
            images[id] = image_name(entry["file_name"])
            if entry.get("split"):
                mark(marks, images[id], str(entry["split"]))
        except ValueError as error:
            raise wrong(path, f"image {id}", error, _FORMAT) from None
    unmarked = [id for id, image in images.items() if image not in marks]
    if marks and unmarked:
        raise wrong(path, f"image {unmarked[0]}", "it has no split, and others have one", "Give all of them one.")
    return images, marks


def _people(path: Path, entries: Sequence[Entry], images: Mapping[str, Path], joints: int) -> list[Person]:
    people: dict[str, Person] = {}
    for number, entry in enumerate(entries, start=1):
        if "id" not in entry:
            raise wrong(path, f"annotation number {number} of its category", "it has no id", _FORMAT)
        id = str(entry["id"])
        try:
            if id in people:
                raise ValueError("two annotations have this id")
            people[id] = _person(id, entry, images, joints)
        except (ValueError, OverflowError) as error:
            raise wrong(path, f"annotation {id}", error, _FORMAT) from None
    return list(people.values())


def _person(id: str, entry: Entry, images: Mapping[str, Path], joints: int) -> Person:
    image = images.get(str(entry.get("image_id")))
    if image is None:
        raise ValueError(f"no image has the id {entry.get('image_id')}")
    triples = np.zeros((joints, 3))  # an annotation without keypoints has no labelled joint
    if entry.get("keypoints") is not None:
        what = f"keypoints of {joints} joints, x, y and v each"
        triples = _numbers(entry["keypoints"], 3 * joints, what).reshape(joints, 3)
    keypoints, visible = keypoints_of(triples)
    box = None
    if entry.get("bbox") is not None:
        box = box_of(*_numbers(entry["bbox"], 4, "bbox [x, y, width, height]").tolist())
    return Person(
        image,
        extent(box, keypoints),
        keypoints,
        visible,
        head_size=positive(entry.get("head_size"), "head_size"),
        id=id,
        area=area_of(entry.get("area")),
        crowd=bool(entry.get("iscrowd")),
    )


def _numbers(values: Any, count: int, what: str) -> NDArray[np.float64]:
    """``count`` numbers; null becomes NaN, as some tools write it for joints that are not labelled."""
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} of them" if isinstance(values, list) else repr(values)
        raise ValueError(f"it must have {count} numbers as {what}, not {found}")
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise ValueError(f"its {what} are not numbers")
    return np.array([math.nan if value is None else float(value) for value in values])
