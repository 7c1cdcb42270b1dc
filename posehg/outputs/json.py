"""One picture as a JSON record, the same on standard output and in files.

    {"posehg": 1, "source": .., "frame": null, "time": null, "width": .., "height": .., "model": .., "joints": [..],
     "people": [{"id": .., "score": .., "bbox": [x, y, w, h], "keypoints": [[x, y, score], ..]}], "error": null}

Coordinates are pixels of the upright picture, pixel centres being integers; a bbox begins at a pixel's edge. The
``posehg`` number grows when a reader of older records could misread a new one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posehg.files import atomic
from posehg.outputs.result import Result
from posehg.poses import Pose
from posehg.skeletons import Skeleton

VERSION = 1

Record = dict[str, Any]


def record(
    source: str,
    image_shape: tuple[int, ...] | None,
    poses: Sequence[Pose],
    model: str,
    skeleton: Skeleton,
    error: str | None = None,
    frame: int | None = None,
    time: float | None = None,
) -> Record:
    """The record of one picture, or of a frame (its number and time in seconds) of a video.

    image_shape: (rows, columns, ...), or None where the picture could not be read; ``error`` then says why.
    Raises ValueError for a number that is not finite.
    """
    height, width = image_shape[:2] if image_shape else (None, None)
    return {
        "posehg": VERSION,
        "source": source,
        "frame": frame,
        "time": None if time is None else _rounded(time, 4),
        "width": width,
        "height": height,
        "model": model,
        "joints": list(skeleton.joints),
        "people": [_person(pose) for pose in poses],
        "error": error,
    }


def line(record: Record) -> str:
    """The record as one line of strict JSON, without the line's end. Raises ValueError for NaN and infinity."""
    return json.dumps(record, allow_nan=False, ensure_ascii=False)


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """The file appears whole or not at all."""
    content = line(record(result.source, result.image.shape, result.poses, result.model, result.skeleton))
    with atomic(path, overwrite) as temporary:
        temporary.write_text(content + "\n", encoding="utf-8", errors="backslashreplace")


def _person(pose: Pose) -> Record:
    return {
        "id": pose.id,
        "score": _rounded(pose.score, 4),
        "bbox": [_rounded(number, 2) for number in pose.box.as_tuple()],
        "keypoints": [
            [_rounded(x, 2), _rounded(y, 2), _rounded(score, 4)]
            for (x, y), score in zip(pose.keypoints, pose.scores, strict=True)
        ],
    }


def _rounded(number: float, decimals: int) -> float:
    if not math.isfinite(number):
        raise ValueError(f"A record holds finite numbers only, not {number}.")
    return round(float(number), decimals) + 0.0  # not -0.0
