"""One picture as a JSON record, the same on standard output and in files.

    {"posehg": 1, "source": .., "frame": null, "time": null, "width": .., "height": .., "model": .., "joints": [..],
     "people": [{"id": .., "score": .., "bbox": [x, y, w, h], "keypoints": [[x, y, score], ..]}], "error": null}

Coordinates are pixels of the upright picture, pixel centres being integers; a bbox begins at a pixel's edge. ``frame``
(from 0 on) and ``time`` (seconds) are those of a video's frame. Of a picture that could not be read ``error`` says why,
and ``width`` and ``height`` are null. The ``posehg`` number grows when a reader of older records could misread a new
one.

A .json file holds one record, a .jsonl file any number of them, one a line. Both are read so:

    import json
    import numpy as np

    with open("run.jsonl", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    for record in records:
        people = np.array([person["keypoints"] for person in record["people"]])
        people = people.reshape(-1, len(record["joints"]), 3)  # (people, joints, 3): x, y, score

A file name that is not UTF-8 is written with an escape for each such byte, and json.loads gives back what Python itself
calls that file: os.fsencode makes the bytes of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posehg.files import atomic
from posehg.io.writers import growing
from posehg.io.writers.growing import Add
from posehg.io.writers.result import Found, Result
from posehg.poses import Pose

VERSION = 1

Record = dict[str, Any]


def record(found: Found) -> Record:
    """Raises ValueError for a number that is not finite."""
    height, width = found.shape[:2] if found.shape else (None, None)
    return {
        "posehg": VERSION,
        "source": found.source,
        "frame": found.frame,
        "time": None if found.time is None else seconds(found.time),
        "width": width,
        "height": height,
        "model": found.model,
        "joints": list(found.skeleton.joints),
        "people": [_person(pose) for pose in found.poses],
        "error": found.error,
    }


def line(content: Any) -> str:
    """Strict JSON in one line without the line's end, which UTF-8 can hold whatever names are in it.

    Raises ValueError for NaN and infinity.
    """
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode(
        "utf-8"
    )  # what it makes of half a character is JSON's escape


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """The file appears whole or not at all."""
    content = line(record(result.found))
    with atomic(path, overwrite) as temporary:
        temporary.write_text(content + "\n", encoding="utf-8")


@contextmanager
def lines(path: Path, overwrite: bool = False) -> Iterator[Add]:
    """A .jsonl file, which appears when the block ends without error."""
    with growing.text(path, overwrite) as write_text:
        yield lambda found: write_text(line(record(found)) + "\n")


def pixels(number: float) -> float:
    """As it stands in files: to a hundredth of a pixel. Raises ValueError for a number that is not finite."""
    return _rounded(number, 2)


def score(number: float) -> float:
    """Likewise, to four decimals."""
    return _rounded(number, 4)


def seconds(number: float) -> float:
    return _rounded(number, 4)


def _person(pose: Pose) -> Record:
    return {
        "id": pose.id,
        "score": score(pose.score),
        "bbox": [pixels(number) for number in pose.box.as_tuple()],
        "keypoints": [
            [pixels(x), pixels(y), score(sure)] for (x, y), sure in zip(pose.keypoints, pose.scores, strict=True)
        ],
    }


def _rounded(number: float, decimals: int) -> float:
    if not math.isfinite(number):
        raise ValueError(f"A record holds finite numbers only, not {number}.")
    return round(float(number), decimals) + 0.0  # not -0.0
