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
from posehg.errors import NotAvailable, UsageError
from posehg.poses import Person
from posehg.skeletons import COCO, Skeleton, of_joints

EXPECTED = "a COCO keypoints file with 'images', 'annotations' and 'categories'"
_PARTS = ("images", "annotations", "categories")
_FORMAT = "The format is described at https://cocodataset.org/#format-data"

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
    path = root / "annotations" / f"person_keypoints_{split}2017.json"
    if not path.is_file():
        raise NotAvailable(f"The data set {name} has no split {split} here: {path} does not exist.", INFO[name].hint)
    everyone = read(path, name)
    data = reading.part(everyone, split, root / f"{split}2017", set(everyone.images.values()))
    # The limbs of the file differ from those we draw: they connect ears and shoulders.
    return replace(data, skeleton=COCO) if data.skeleton.joints == COCO.joints else data


def read(path: Path, name: str, category: str = "", boxes: bool = False) -> Dataset:
    """Everyone who is annotated with joints, on images named as in the file.

    category: the name of the one to read; by default all if they have the same joints, else ``person``.
    boxes: read a category without joints too; its people have none.
    Raises NotAvailable, naming file and entry, for a broken file; UsageError if there is no such category.
    """
    content = reading.read_json(path, EXPECTED)
    parts: list[Any] = [content.get(key) if isinstance(content, dict) else None for key in _PARTS]
    if not all(isinstance(part, list) and all(isinstance(one, dict) for one in part) for part in parts):
        raise reading.unreadable(path, EXPECTED)
    entries, annotations, categories = parts
    chosen, note = _choose(path, categories, category, boxes)
    named = chosen[0]
    if len(chosen) > 1:  # many kinds of animals with the same joints
        named = {**named, "name": named.get("supercategory")}
    hint = "skeleton, flip_pairs and torso are pairs of joints, counted from 1 or named; sigmas are one a joint."
    with entry(path, f"category {named.get('name')!r}", hint):
        skeleton = _skeleton(named) if named.get("keypoints") else BOXES
    images, sizes, marks = _images(path, entries)
    ids = {str(one.get("id")) for one in chosen}
    people: dict[str, Person] = {}
    for number, one in enumerate((one for one in annotations if str(one.get("category_id")) in ids), start=1):
        id = str(one.get("id", f"number {number} of its category"))
        with entry(path, f"annotation {id}", _FORMAT):
            if "id" not in one:
                raise ValueError("it has no id")
            if id in people:
                raise ValueError("two annotations have this id")
            people[id] = _person(id, one, images, len(named.get("keypoints") or ()))
    return Dataset(name, "all", skeleton, [*people.values()], note=note, images=images, sizes=sizes, marks=marks)


def _choose(path: Path, categories: Sequence[Entry], name: str, boxes: bool) -> tuple[list[Entry], str]:
    """The categories to read, which have the same joints, and a note if others are left out."""
    usable = []
    for one in categories:
        with entry(path, f"category {one.get('name')!r}", _FORMAT):
            joints = one.get("keypoints") or []
            if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
                raise ValueError("keypoints must be a list of names")
            usable += [one] if joints or boxes else []
    if not usable:
        hint = "posehg reads files of keypoints: person_keypoints_val2017.json, not instances_val2017.json."
        raise NotAvailable(f"{path} has no category with keypoints.", hint)
    if not (name or boxes) and all(one["keypoints"] == usable[0]["keypoints"] for one in usable):
        return usable, ""
    listed = ", ".join(str(one.get("name")) for one in usable)
    chosen = [one for one in usable if str(one.get("name")) == (name or "person")]
    if not chosen:
        hint = f"Name one behind the file: {path}#{usable[0].get('name')}. It has: {listed}."
        raise UsageError(f"{path} has no category {name or 'person'!r} with keypoints.", hint)
    return chosen, "" if name else f"Of the categories {listed} only person was read."


def _skeleton(category: Entry) -> Skeleton:
    """The known skeleton if it is one, else one with the category's name."""
    joints, name = tuple(category["keypoints"]), str(category.get("name") or "unnamed")

    def pair(ends: Any) -> tuple[str, str]:
        a, b = (joints[end - 1] if isinstance(end, int) and end > 0 else joints[joints.index(end)] for end in ends)
        if a == b:
            raise ValueError("one joint is not a pair")
        return a, b

    readers: dict[str, Callable[[Any], Any]] = {
        "skeleton": lambda limbs: tuple({frozenset(limb): limb for limb in map(pair, limbs)}.values()),
        "flip_pairs": lambda pairs: tuple(map(pair, pairs)),
        "torso": pair,
        "sigmas": lambda sigmas: tuple(map(float, sigmas)),
    }
    changes: dict[str, Any] = {}
    for key, read in readers.items():
        value = category.get(key)
        if value or (key == "flip_pairs" and value is not None):  # []: no joints swap in a mirror
            try:
                changes["limbs" if key == "skeleton" else key] = read(value)
            except (TypeError, ValueError, LookupError, OverflowError):
                raise ValueError(f"its {key} cannot be understood") from None
    known = of_joints(name, joints)
    skeleton = replace(known, **changes)
    return known if skeleton == known else replace(skeleton, name=name)


def _images(
    path: Path, entries: Sequence[Entry]
) -> tuple[dict[str, Path], dict[Path, tuple[int, int]], dict[Path, str]]:
    """The images by their ids, the sizes that are given, and the splits that they are marked with."""
    images: dict[str, Path] = {}
    ids: dict[Path, str] = {}
    sizes, marks = {}, {}
    for one in entries:
        id = str(one.get("id"))
        with entry(path, f"image {id}", _FORMAT):
            if "id" not in one or not isinstance(one.get("file_name"), str):
                raise ValueError("it lacks its id or file_name")
            if id in images:
                raise ValueError("two images have this id")
            images[id] = reading.image_name(one["file_name"])
            if ids.setdefault(images[id], id) != id:
                raise ValueError(f"its file_name, {images[id]}, is also used by image {ids[images[id]]}")
        if isinstance(w := one.get("width"), int) and isinstance(h := one.get("height"), int):
            sizes[images[id]] = (w, h)
        if one.get("split"):
            marks[images[id]] = str(one["split"])
    unmarked = next((id for id, image in images.items() if image not in marks), None)
    if marks and unmarked is not None:
        raise NotAvailable(f"{path}, image {unmarked}: it has no split, and others have one.", "Give all images one.")
    return images, sizes, marks


def _person(id: str, one: Entry, images: Mapping[str, Path], joints: int) -> Person:
    image = images.get(str(one.get("image_id")))
    if image is None:
        raise ValueError(f"no image has the id {one.get('image_id')}")
    triples = np.zeros((joints, 3))  # an annotation without keypoints has no labelled joint
    if one.get("keypoints") is not None:
        triples = _numbers(one["keypoints"], 3 * joints, "keypoints").reshape(joints, 3)
    keypoints, visible = reading.keypoints_of(triples)
    box = None
    if one.get("bbox") is not None:
        box = reading.box_of(*_numbers(one["bbox"], 4, "bbox").tolist())
    head_size, area = (positive(one.get(key), key) for key in ("head_size", "area"))
    crowd = bool(one.get("iscrowd"))
    return Person(image, reading.extent(box, keypoints), keypoints, visible, head_size, id, area=area, crowd=crowd)


def _numbers(values: Any, count: int, what: str) -> NDArray[np.float64]:
    """``count`` numbers; null becomes NaN, as some tools write it for joints that are not labelled."""
    numeric = isinstance(values, list) and all(value is None or isinstance(value, int | float) for value in values)
    if not numeric or len(values) != count:
        raise ValueError(f"its {what} are not {count} numbers")
    return np.array(values, dtype=np.float64)
