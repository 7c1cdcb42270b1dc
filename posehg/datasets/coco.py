"""COCO keypoints: annotations/person_keypoints_{split}2017.json and {split}2017/*.jpg.

https://cocodataset.org/#format-data. Coordinates are zero-based; v = 0 not labelled, 1 labelled but hidden, 2 visible.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split, read_json, unreadable
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import COCO

ABOUT = About(
    title="COCO 2017 keypoints",
    paper="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
    url="https://cocodataset.org/#download",
    terms="annotation: CC BY 4.0; pictures: each its own",
    layout=("annotations/person_keypoints_{train,val}2017.json", "train2017/", "val2017/"),
    splits={"train": "149,813 persons", "val": "6,352 persons"},
)
SPLITS = ("train", "val")

_EXPECTED = "a COCO keypoints file with 'images', 'annotations' and 'categories'"


def load(root: Path, split: str) -> Dataset:
    check_split("coco", split, SPLITS)
    path = root / "annotations" / f"person_keypoints_{split}2017.json"
    if not path.is_file():
        raise NotAvailable(f"The data set coco has no split {split} here: there is no file {path}.", ABOUT.hint("coco"))
    folder = root / f"{split}2017"
    try:
        persons = _persons(path, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(path, _EXPECTED, f"{type(error).__name__}: {error}") from None
    return Dataset("coco", split, COCO, persons)


def _persons(path: Path, folder: Path) -> list[Person]:
    content = read_json(path, _EXPECTED)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise unreadable(path, _EXPECTED)
    person_category = _person_category(path, content["categories"])
    images = {image["id"]: folder / image["file_name"] for image in content["images"]}
    return [
        _person(annotation, images[annotation["image_id"]])
        for annotation in content["annotations"]
        if annotation["category_id"] == person_category and _usable(annotation)
    ]


def _person_category(path: Path, categories: list[dict[str, Any]]) -> int:
    """The id of the category that has COCO's 17 keypoints, in their order."""
    for category in categories:
        if tuple(category.get("keypoints", ())) == COCO.joints:
            return int(category["id"])
    raise NotAvailable(
        f"{path} has no category with COCO's 17 keypoints in their order.",
        "posehg reads person_keypoints files; another skeleton would be misread.",
    )


def _usable(annotation: dict[str, Any]) -> bool:
    width, height = annotation["bbox"][2:]
    labelled = any(annotation["keypoints"][2::3])  # what num_keypoints counts, where it is written
    return labelled and not annotation.get("iscrowd", 0) and width > 0 and height > 0


def _person(annotation: dict[str, Any], image: Path) -> Person:
    triples = np.array(annotation["keypoints"], dtype=np.float64).reshape(len(COCO.joints), 3)
    labels = triples[:, 2]
    keypoints = np.where(labels[:, None] > 0, triples[:, :2], np.nan)
    x, y, w, h = map(float, annotation["bbox"])
    return Person(image, Box(x, y, w, h), keypoints, labels > 1, id=str(annotation["id"]))
