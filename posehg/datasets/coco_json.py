"""COCO's json of keypoints, with any category and any joints: https://cocodataset.org/#format-data

    images       id, file_name; width, height; split (not COCO's: train, val or another)
    categories   id, and what coco_category reads
    annotations  id, image_id, category_id, keypoints [x, y, v, x, y, v, ..], bbox [x, y, w, h], area, iscrowd

Coordinates are zero-based; v = 0 not labelled, 1 labelled but hidden, 2 visible. Crowds and people without a labelled
joint are ignored, as COCO's own evaluation does. Who has joints and no box, or one without width or height as tools for
joints write it, has the extent of the joints as box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.annotated import Annotated, area_of, box_of, extent, keypoints_of, mark, picture_name, wrong
from posehg.datasets.coco_category import Category, joint_names, skeleton_of
from posehg.datasets.folder import read_json, unreadable
from posehg.errors import NotAvailable, UsageError
from posehg.poses import Person
from posehg.skeletons import Skeleton

EXPECTED = "a COCO keypoints file with 'images', 'annotations' and 'categories'"
_PARTS = ("images", "annotations", "categories")
_PERSON = "person"
_FORMAT = "What each entry has to have is said in https://cocodataset.org/#format-data"

Entry = Mapping[str, Any]


def read(path: Path, category: str = "") -> Annotated:
    """All that is annotated with joints.

    category: the name of the one to read; by default all where they have the same joints, else that of persons.
    Raises NotAvailable, naming file and entry, for what cannot be; UsageError where the category is not to be known.
    """
    content = read_json(path, EXPECTED)
    if not isinstance(content, dict) or not all(_are_entries(content.get(part)) for part in _PARTS):
        raise unreadable(path, EXPECTED)
    chosen, note = _choose(path, content["categories"], category)
    skeleton = _skeleton(path, chosen[0] if len(chosen) == 1 else {**chosen[0], "name": _common_name(chosen)})
    pictures, marks = _pictures(path, content["images"])
    ids = {str(entry.get("id")) for entry in chosen}
    mine = [entry for entry in content["annotations"] if str(entry.get("category_id")) in ids]
    people = _people(path, mine, pictures, len(skeleton.joints))
    annotated = Annotated.of(skeleton, people, pictures, marks, note)
    return replace(annotated, sizes=_sizes(pictures, content["images"]))


def _are_entries(part: Any) -> bool:
    return isinstance(part, list) and all(isinstance(entry, dict) for entry in part)


# ---- the category ------------------------------------------------------------------------------------------------


def _choose(path: Path, categories: Sequence[Category], name: str) -> tuple[list[Category], str]:
    """The categories to read, which have the same joints, and a note where others are left out."""
    joints = {number: _joints(path, entry) for number, entry in enumerate(categories)}
    usable = [entry for number, entry in enumerate(categories) if joints[number]]
    if not usable:
        hint = "posehg reads files of keypoints: person_keypoints_val2017.json, not instances_val2017.json."
        raise NotAvailable(f"{path} has no category with keypoints.", hint)
    names = [str(entry.get("name")) for entry in usable]
    if name:
        chosen = [entry for entry in usable if str(entry.get("name")) == name]
        if not chosen:
            raise UsageError(f"{path} has no category {name!r} with keypoints.", f"It has: {', '.join(names)}.")
        return chosen, ""
    if len({joints[number] for number in joints if joints[number]}) == 1:
        return usable, ""
    chosen = [entry for entry in usable if entry.get("name") == _PERSON]
    if not chosen:
        hint = f"Name one behind the file: {path}#{names[0]}. It has: {', '.join(names)}."
        raise UsageError(f"{path} has several categories with different joints.", hint)
    return chosen, f"Of the categories {', '.join(names)} only {_PERSON} was read."


def _common_name(categories: Sequence[Category]) -> str:
    """Of many kinds of animals with the same joints: animal."""
    above = {str(entry.get("supercategory") or "") for entry in categories}
    return above.pop() if len(above) == 1 else ""


def _joints(path: Path, category: Category) -> tuple[str, ...]:
    try:
        return joint_names(category)
    except ValueError as error:
        raise wrong(path, f"category {category.get('name')!r}", error, _FORMAT) from None


def _skeleton(path: Path, category: Category) -> Skeleton:
    try:
        return skeleton_of(category)
    except (ValueError, OverflowError, UsageError) as error:
        hint = "skeleton, flip_pairs and torso are pairs of joints, counted from 1 or named; sigmas are one a joint."
        raise wrong(path, f"category {category.get('name')!r}", error, hint) from None


# ---- pictures ----------------------------------------------------------------------------------------------------


def _pictures(path: Path, images: Sequence[Entry]) -> tuple[dict[str, Path], dict[Path, str]]:
    pictures: dict[str, Path] = {}
    marks: dict[Path, str] = {}
    for entry in images:
        id = str(entry.get("id"))
        if "id" not in entry or not isinstance(entry.get("file_name"), str):
            raise wrong(path, f"image {id}", "it lacks its id or file_name", _FORMAT)
        if id in pictures:
            raise wrong(path, f"image {id}", "two images have this id", _FORMAT)
        try:
            pictures[id] = picture_name(entry["file_name"])
            if entry.get("split"):
                mark(marks, pictures[id], str(entry["split"]))
        except ValueError as error:
            raise wrong(path, f"image {id}", error, _FORMAT) from None
    unmarked = [id for id, picture in pictures.items() if picture not in marks]
    if marks and unmarked:
        raise wrong(path, f"image {unmarked[0]}", "it has no split, and others have one", "Give all of them one.")
    return pictures, marks


def _sizes(pictures: Mapping[str, Path], images: Sequence[Entry]) -> dict[Path, tuple[int, int]]:
    """Of those that have both: nothing but a check of the pictures needs them."""
    sides = {str(entry["id"]): (entry.get("width"), entry.get("height")) for entry in images}
    return {pictures[id]: (w, h) for id, (w, h) in sides.items() if isinstance(w, int) and isinstance(h, int)}


# ---- persons -----------------------------------------------------------------------------------------------------


def _people(path: Path, annotations: Sequence[Entry], pictures: Mapping[str, Path], joints: int) -> list[Person]:
    people: dict[str, Person] = {}
    for number, entry in enumerate(annotations, start=1):
        if "id" not in entry:
            raise wrong(path, f"annotation number {number} of its category", "it has no id", _FORMAT)
        id = str(entry["id"])
        if id in people:
            raise wrong(path, f"annotation {id}", "two annotations have this id", _FORMAT)
        try:
            people[id] = _person(id, entry, pictures, joints)
        except (ValueError, OverflowError) as error:
            raise wrong(path, f"annotation {id}", error, _FORMAT) from None
    return list(people.values())


def _person(id: str, entry: Entry, pictures: Mapping[str, Path], joints: int) -> Person:
    picture = pictures.get(str(entry.get("image_id")))
    if picture is None:
        raise ValueError(f"no image has the id {entry.get('image_id')}")
    keypoints, visible = keypoints_of(_triples(entry.get("keypoints"), joints))
    box = entry.get("bbox")
    return Person(
        picture,
        extent(None if box is None else box_of(*_numbers(box, 4, "bbox [x, y, width, height]")), keypoints),
        keypoints,
        visible,
        id=id,
        area=area_of(entry.get("area")),
        crowd=bool(entry.get("iscrowd")),
    )


def _triples(values: Any, joints: int) -> NDArray[np.float64]:
    """(J, 3); without an entry no joint is labelled."""
    if values is None:
        return np.zeros((joints, 3))
    return np.array(_numbers(values, 3 * joints, f"keypoints of {joints} joints, x, y and v each")).reshape(joints, 3)


def _numbers(values: Any, count: int, what: str) -> list[float]:
    """null is NaN: what is not labelled lies nowhere."""
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} of them" if isinstance(values, list) else repr(values)
        raise ValueError(f"it must have {count} numbers as {what}, not {found}")
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise ValueError(f"its {what} are not numbers")
    return [math.nan if value is None else float(value) for value in values]
