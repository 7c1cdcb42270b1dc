"""Tiny files in COCO's format, all values distinct."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posehg.skeletons import COCO
from tests.mpii_files import picture

FIVE = ("nose", "L_paw", "R_paw", "tail", "belly")
"""The joints of ``animals``."""


def make_coco(root: Path, split: str = "train", **changes: Any) -> None:
    """The official layout with four annotations: one is a crowd and one has no joints."""
    keypoints = np.arange(51.0).reshape(17, 3) + 0.5
    keypoints[:, 2] = 2
    keypoints[0] = 0
    keypoints[1, 2] = 1
    person = {"image_id": 7, "category_id": 1, "iscrowd": 0, "num_keypoints": 16, "bbox": [1.5, 2, 30, 40.25]}
    annotations = [
        {**person, "id": 11, "area": 700.5, "keypoints": keypoints.ravel().tolist(), **changes},
        {**person, "id": 12, "keypoints": keypoints.ravel().tolist(), "iscrowd": 1},
        {**person, "id": 13, "keypoints": [0] * 51, "num_keypoints": 0},
        {**person, "id": 14, "keypoints": keypoints.ravel().tolist(), "bbox": [3, 3, 0, 9]},
    ]
    content = {
        "images": [{"id": 7, "file_name": "000000000007.jpg"}, {"id": 8, "file_name": "nobody.jpg"}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.joints)}],
        "annotations": annotations,
    }
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / f"person_keypoints_{split}2017.json").write_text(json.dumps(content))
    picture(root / f"{split}2017/000000000007.jpg")


def annotation(number: int, joints: Sequence[str] = FIVE, **changes: Any) -> dict[str, Any]:
    """Of the animal with this number, the only one on the picture of the same number; all joints are visible."""
    keypoints = [[10.0 + 3 * number + 7 * joint, 20.0 + 2 * number + joint**2, 2] for joint in range(len(joints))]
    return {
        **{"id": 100 + number, "image_id": number, "category_id": 3, "iscrowd": 0, "area": 500.0 + number},
        **{"bbox": [5.0 + number, 6, 41, 43.5], "keypoints": [value for joint in keypoints for value in joint]},
        **changes,
    }


def animals(count: int = 11, **category: Any) -> dict[str, Any]:
    """A file's content: pictures a1.jpg, a2.jpg, ... with an animal on each."""
    return {
        "images": [{"id": number, "file_name": f"a{number}.jpg"} for number in range(1, count + 1)],
        "categories": [{"id": 3, "name": "animal", "keypoints": list(FIVE), **category}],
        "annotations": [annotation(number) for number in range(1, count + 1)],
    }


def write(path: Path, content: Any, pictures: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    if pictures:
        for image in content["images"]:
            picture(path.parent / image["file_name"])
    return path
