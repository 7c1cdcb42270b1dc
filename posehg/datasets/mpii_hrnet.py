"""HRNet's and mmpose's annotation of MPII: train.json, valid.json, trainval.json and test.json.

A list of records: image, center (objpos), scale, joints (16 times x, y) and joints_vis; on test pictures only the first
three. Pixels are one-based, as in the release. Two things are lost in this format:

* joints_vis is 1 for every labelled joint, hidden ones as well, and 0 for the others, which are written as (-1, -1). So
  here all labelled joints count as visible.
* A record does not say which person of its picture it is. Those of the validation split are known from J. Tompson's
  list, whose order is that of the file. The others are numbered as they appear on their picture: where somebody before
  them was left out, that is not their place in annorect, and their ids differ from those that other files give.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.folder import read_json, unreadable
from posehg.datasets.mpii_annotation import JOINTS, Annotation, Key, body_box, unlabelled, validation_pictures
from posehg.geometry import Points

NOTE = (
    "HRNet's json says neither which joints are hidden (all labelled ones count as visible) nor, but for validation "
    "persons, which person of a picture is meant (they are numbered as they appear on it)."
)

_EXPECTED = "MPII's annotations as HRNet writes them, a json list of persons"
_BOTH = "trainval.json"


def read(path: Path, split: str) -> list[Annotation]:
    """The persons of a split. Nobody on a validation picture is trained on."""
    records = read_json(path, _EXPECTED)
    if not isinstance(records, list):
        raise unreadable(path, _EXPECTED)
    annotations = []
    seen: Counter[str] = Counter()
    for number, record in enumerate(records, start=1):
        try:
            image = str(record["image"])
            if _of_another_split(image, split, together=path.name == _BOTH):
                continue
            seen[image] += 1
            annotations.append(_annotation((image, _index(image, seen[image], split)), record, split))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise unreadable(path, _EXPECTED, f"record {number}: {type(error).__name__} {error}") from None
    if split == "val":
        _check_whole(path, seen)
    return annotations


def _of_another_split(image: str, split: str, together: bool) -> bool:
    """together: the file holds the persons of ``train`` and ``val``."""
    if split == "train":
        return image in validation_pictures()
    return split == "val" and together and image not in validation_pictures()


def _index(image: str, count: int, split: str) -> int:
    """The place in annorect of the ``count``-th person of a picture. Raises ValueError where the list has nobody."""
    if split != "val":
        return count
    listed = validation_pictures().get(image, ())
    if count > len(listed):
        raise ValueError(f"J. Tompson's validation split has {len(listed)} persons on {image}")
    return listed[count - 1]


def _check_whole(path: Path, seen: Counter[str]) -> None:
    """Somebody left out of a picture would give the others wrong numbers."""
    for image, count in seen.items():
        listed = len(validation_pictures()[image])
        if count < listed:
            detail = f"of the {listed} validation persons on {image} it has {count}"
            raise unreadable(path, _EXPECTED, detail)


def _annotation(key: Key, record: dict[str, Any], split: str) -> Annotation:
    x, y = map(float, record["center"])
    keypoints, visible = unlabelled() if split == "test" else _joints(record)
    return Annotation(*key, keypoints, visible, body_box((x, y), float(record["scale"])))


def _joints(record: dict[str, Any]) -> tuple[Points, NDArray[np.bool_]]:
    points = np.array(record["joints"], dtype=np.float64).reshape(JOINTS, 2)
    labelled = np.array(record["joints_vis"], dtype=np.float64).reshape(JOINTS) > 0
    return np.where(labelled[:, None], points - 1, np.nan), labelled
