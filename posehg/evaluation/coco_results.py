"""COCO's results files: people found on pictures, any number of them on each.

    [{"image_id": 785, "category_id": 1, "keypoints": [x, y, v, ..], "score": 0.9}, ..]

https://cocodataset.org/#format-results; image_id may also be the name of a file, as ``posehg predict`` writes it for
pictures that are not named as COCO's are. Coordinates are photo pixels counted from 0; the v's are not looked at when
results are scored: many programs write the joints' scores there.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import opened, unreadable
from posehg.errors import NotAvailable
from posehg.evaluation.prediction_formats.matching import numbers
from posehg.evaluation.prediction_formats.pictures import all_of, by_id
from posehg.evaluation.prediction_formats.run import Detection

PERSON = 1
"""COCO's category of people."""

_EXPECTED = "a list of COCO results"


def is_results(path: Path) -> bool:
    """Whether a file is a JSON list; posehg's own predictions are an object. False where it cannot be read."""
    if path.suffix.lower() != ".json":
        return False
    try:
        with open(path, "rb") as file:
            return file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["
    except OSError:
        return False


def read_results(path: Path, data: Dataset, category: int | None = None) -> list[Detection]:
    """The people of a results file, in its order, on the pictures of a set, their joints those of its skeleton.

    category: that of the set's persons; None where it is not known.
    Raises NotAvailable where the file cannot be read, is none of that kind, is of several categories or another, or
    names pictures that the set does not have.
    """
    with opened(path, _EXPECTED) as file:
        records = json.load(file)
        _check_records(path, records, category)
        ids = {str(record["image_id"]) for record in records}
        pictures = by_id(data, ids)
        unknown = sorted(ids - pictures.keys())
        if unknown:
            raise NotAvailable(
                f"{len(unknown):,} pictures in {path} are not among the {len(all_of(data)):,} of "
                f"{data.name} {data.split}, as {unknown[0]}.",
                "Score results on the split that they were made for.",
            )
        return [
            _detection(path, number, record, pictures, len(data.skeleton.joints))
            for number, record in enumerate(records, start=1)
        ]


def _check_records(path: Path, records: Any, category: int | None) -> None:
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise unreadable(path, _EXPECTED)
    categories = {record["category_id"] for record in records}
    if len(categories) > 1:
        hint = "Leave the results of one category in the file."
        raise NotAvailable(f"{path} holds results of {len(categories)} categories; people are one.", hint)
    if category is not None and categories - {category}:
        told = f"{path} holds results of category {categories.pop()}, and the set's persons are category {category}."
        raise NotAvailable(told, "Score results on the data set that they were made for.")


def _detection(path: Path, number: int, record: dict[str, Any], pictures: Mapping[str, Path], joints: int) -> Detection:
    triples, score = numbers(record["keypoints"]), float(record["score"])
    if triples.shape != (3 * joints,):
        raise NotAvailable(
            f"Result {number:,} in {path} has {triples.size} numbers, where {joints} joints have {3 * joints}.",
            "Score results on a data set with the same joints.",
        )
    if not np.isfinite(triples).all() or not math.isfinite(score):
        raise ValueError(f"a number of result {number} is not finite")
    triples = triples.reshape(joints, 3)
    return Detection(pictures[str(record["image_id"])], triples[:, :2], triples[:, 2], score)
