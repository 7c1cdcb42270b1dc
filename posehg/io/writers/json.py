"""Results as JSON records, the same on standard output and in files.

    {"posehg": 1, "source": .., "frame": null, "time": null, "width": .., "height": .., "model": .., "joints": [..],
     "people": [{"id": .., "score": .., "bbox": [x, y, w, h], "crop": [x, y, w, h], "rotation": 0.0,
                 "keypoints": [[x, y, score], ..]}], "error": null}

Coordinates are pixels of the upright image; pixel centres are integers, and a box begins at a pixel's edge. ``bbox``
holds the found joints and the body around them; ``crop`` is the square that the network saw, turned by ``rotation``
degrees anticlockwise, and ``keypoints`` are where they are on the image in any case. ``frame``
(from 0) and ``time`` (seconds) are those of a video frame. ``error`` says why an image could not be processed; width
and height are null if it could not be read. The ``posehg`` number grows when a reader of older records could misread a
new one.

A .json file holds one record, a .jsonl file any number of them, one a line. A file name that is not UTF-8 has an escape
for each such byte; os.fsencode of what json.loads returns is the name.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from posehg.geometry import Box
from posehg.io.writers.writer import TextWriter
from posehg.poses import Pose, Result


class JsonWriter(TextWriter):
    """A record a line, one for each result, including those with an error."""

    def add(self, result: Result) -> None:
        self.write(line(record(result)) + "\n")


def record(result: Result) -> dict[str, Any]:
    """The record of a result, for ``line``."""
    rows, columns = result.size or (None, None)
    return {
        "posehg": 1,
        "source": result.source,
        "frame": result.frame,
        "time": None if result.time is None else rounded(result.time, 4),
        "width": columns,
        "height": rows,
        "model": result.model,
        "joints": list(result.skeleton.joints),
        "people": [
            {
                "id": pose.id,
                "score": rounded(pose.score, 4),
                "bbox": sides(pose.bbox),
                "crop": sides(pose.crop),
                "rotation": pose.rotation,
                "keypoints": triples(pose),
            }
            for pose in result.people
        ],
        "error": result.error,
    }


def sides(box: Box) -> list[float]:
    """x, y, width and height to a hundredth of a pixel."""
    return [rounded(number, 2) for number in box]


def triples(pose: Pose) -> list[list[float]]:
    """x and y to a hundredth of a pixel, and the score, of each joint."""
    joints = zip(pose.keypoints, pose.scores, strict=True)
    return [[rounded(x, 2), rounded(y, 2), rounded(score, 4)] for (x, y), score in joints]


def in_order(found: Mapping[str, Sequence[float]], joints: Iterable[str]) -> list[Sequence[float]]:
    """x, y and score of each joint of another skeleton, by name; three zeros for one that was not found."""
    return [found.get(joint, (0.0, 0.0, 0.0)) for joint in joints]


def line(content: Any) -> str:
    """Strict JSON in one line, without a line end. Raises ValueError for NaN and infinity."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    # A lone surrogate, from a file name that is not UTF-8, becomes the escape that JSON has for it.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def rounded(number: float, decimals: int) -> float:
    """A plain float, as files hold it."""
    return round(float(number), decimals) + 0.0  # not -0.0
