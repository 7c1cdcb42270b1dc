"""mpii_annotations.json: MPII's 25,204 usable persons as hourglass projects pass them on, plain or as .json.gz.

A list of records: img_paths, people_index (one-based), objpos, scale_provided (three decimals), joint_self (16 times
x, y, visible), isValidation, and what posehg has no use for. Pixels are one-based; a joint that is not labelled is
written as x = y = 0. There are no head boxes and no test pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.folder import read_json, unreadable
from posehg.datasets.mpii_annotation import JOINTS, Annotation, Key, belongs, body_box, validation

_EXPECTED = "MPII's annotations as a json list of persons"


def read(path: Path, split: str) -> list[Annotation]:
    """The persons of a split; only theirs are built, as most of the file is of others."""
    records = read_json(path, _EXPECTED)
    if not isinstance(records, list):
        raise unreadable(path, _EXPECTED)
    annotations = []
    for number, record in enumerate(records, start=1):
        try:
            key = _key(record)
            if belongs(key, split):
                annotations.append(_annotation(key, record))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise unreadable(path, _EXPECTED, f"record {number}: {type(error).__name__} {error}") from None
    return annotations


def _key(record: dict[str, Any]) -> Key:
    """Raises ValueError where the file marks other persons as validation than posehg does."""
    key = str(record["img_paths"]), int(record["people_index"])
    if bool(record["isValidation"]) != (key in validation()):
        raise ValueError("isValidation is not as in J. Tompson's list")
    return key


def _annotation(key: Key, record: dict[str, Any]) -> Annotation:
    joints = np.array(record["joint_self"], dtype=np.float64).reshape(JOINTS, 3)
    labelled = np.any(joints[:, :2] != 0, axis=1)
    x, y = map(float, record["objpos"])
    return Annotation(
        *key,
        keypoints=np.where(labelled[:, None], joints[:, :2] - 1, np.nan),
        visible=labelled & (joints[:, 2] > 0),
        box=body_box((x, y), float(record["scale_provided"])),
    )
