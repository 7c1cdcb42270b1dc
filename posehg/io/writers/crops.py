"""Each person's part of the picture, without a skeleton: NAME_person1.jpg, NAME_person2.jpg and so on.

The people are in the order of the results; it is that of ``person`` in a .csv file, too.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from posehg import images
from posehg.files import atomic, naming
from posehg.geometry import Box
from posehg.images import Image
from posehg.io.writers.result import Result
from posehg.poses import Pose

_MARGIN = 0.15
"""Around the joints, as a share of the longer side: hair, hands and feet reach beyond them."""


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """NAME_person1.jpg .. of a path NAME.jpg, all of them or none; no file where there is nobody.

    The first appears last, so that where it is, all are. With ``overwrite`` further ones of an earlier run disappear.
    """
    with ExitStack() as stack:
        for number, pose in enumerate(result.found.poses, start=1):
            file = of_person(path, number)
            temporary = stack.enter_context(atomic(file, overwrite))
            images.save(temporary, crop(result.image, pose, result.look.threshold), file)
    if overwrite:
        _remove_from(path, len(result.found.poses) + 1)


def of_person(path: Path, number: int) -> Path:
    """The file of a person. path: as ``write`` has it. number: from 1 on."""
    return path.with_name(f"{path.stem}_person{number}{path.suffix}")


def crop(image: Image, pose: Pose, threshold: float) -> Image:
    """What the picture shows of somebody: around the joints with at least that score, else where the network looked."""
    height, width = image.shape[:2]
    box = Box.bounding(pose.keypoints[pose.scores >= threshold]) if (pose.scores >= threshold).sum() > 1 else None
    margin = _MARGIN * max(box.w, box.h) if box else 0.0
    box = box or pose.box
    left, right = _inside(box.x - margin, box.x + box.w + margin, width)
    top, bottom = _inside(box.y - margin, box.y + box.h + margin, height)
    return np.ascontiguousarray(image[top:bottom, left:right])


def _inside(low: float, high: float, length: int) -> tuple[int, int]:
    """Whole pixels of a side 0 .. length; at least one, however far off somebody is."""
    first = min(max(math.floor(low), 0), length - 1)
    return first, max(min(math.ceil(high), length), first + 1)


def _remove_from(path: Path, number: int) -> None:
    while (old := of_person(path, number)).is_file():
        with naming(old):
            old.unlink()
        number += 1
