"""Each person's part of the image, without a skeleton: NAME_person1.jpg, NAME_person2.jpg and so on.

The people are in the order of the results, as ``person`` in a .csv file.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from itertools import count

import numpy as np

from posehg import images
from posehg.files import atomic, naming
from posehg.geometry import Box
from posehg.images import Image
from posehg.io.writers.writer import Writer
from posehg.poses import Pose, Result

_MARGIN = 0.15
"""Around the joints, as a share of the longer side: hair, hands and feet reach beyond them."""


class CropsWriter(Writer):
    """Writes all people of an image, or none. The path is that of the first: NAME_person1.jpg."""

    def add(self, result: Result) -> None:
        assert result.image is not None
        name = self.path.stem.removesuffix("1")
        paths = (self.path.with_name(f"{name}{number}{self.path.suffix}") for number in count(1))
        with ExitStack() as stack:  # it renames in reverse order: if the first file exists, all do
            for pose, path in zip(result.poses, paths, strict=False):
                temporary = stack.enter_context(atomic(path, self.overwrite))
                images.save(temporary, crop(result.image, pose, self.draw.threshold), path)
                self.written.append(path)
        for number in count(len(self.written) + 1) if self.overwrite else ():
            old = self.path.with_name(f"{name}{number}{self.path.suffix}")
            if not old.is_file():
                break
            with naming(old):
                old.unlink()  # a person of an earlier run


def crop(image: Image, pose: Pose, threshold: float) -> Image:
    """The image around the joints with at least that score, or the network's crop if there are fewer than two."""
    height, width = image.shape[:2]
    box = Box.bounding(pose.keypoints[pose.scores >= threshold]) if (pose.scores >= threshold).sum() > 1 else None
    margin = _MARGIN * max(box.w, box.h) if box else 0.0
    box = box or pose.box
    left, right = _inside(box.x - margin, box.x + box.w + margin, width)
    top, bottom = _inside(box.y - margin, box.y + box.h + margin, height)
    return np.ascontiguousarray(image[top:bottom, left:right])


def _inside(low: float, high: float, length: int) -> tuple[int, int]:
    """Whole pixels within 0 .. length; at least one, however far outside the person is."""
    first = min(max(math.floor(low), 0), length - 1)
    return first, max(min(math.ceil(high), length), first + 1)
