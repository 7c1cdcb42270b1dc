"""Each person's part of the image, without a skeleton: NAME_person1.jpg, NAME_person2.jpg and so on.

The people are in the order of the results, as ``person`` in a .csv file.
"""

from itertools import count, takewhile
from pathlib import Path

import numpy as np

from posehg import images
from posehg.files import naming
from posehg.geometry import Box
from posehg.images import Image
from posehg.io.writers.writer import ImageFileWriter
from posehg.poses import Pose, Result

_MARGIN = 0.15
"""Around the joints, as a share of the longer side: hair, hands and feet reach beyond them."""


class CropsWriter(ImageFileWriter):
    """All people of an image. The path is that of the first: NAME_person1.jpg."""

    one_file = False

    def write(self, result: Result, path: Path) -> None:
        assert result.image is not None
        name = path.stem.removesuffix("1")
        paths = (path.with_name(f"{name}{number}{path.suffix}") for number in count(1))
        found = list(zip(result.people, paths, strict=False))
        for pose, own in reversed(found):  # if the first exists, all do
            images.write(own, crop(result.image, pose, self.draw.threshold), self.overwrite)
        self.written += [own for _, own in found]
        for old in takewhile(Path.is_file, paths) if self.overwrite else ():
            with naming(old):
                old.unlink()  # a person of an earlier run


def crop(image: Image, pose: Pose, threshold: float) -> Image:
    """The image around the joints with at least that score, or the network's crop if there are fewer than two."""
    sure = pose.scores >= threshold
    box = Box.bounding(pose.keypoints[sure]) if sure.sum() > 1 else None
    margin = _MARGIN * max(box.w, box.h) if box else 0.0
    box = box or pose.crop
    rows, columns = inside(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), image)
    return np.ascontiguousarray(image[rows, columns])


def inside(box: Box, image: Image) -> tuple[slice, slice]:
    """The rows and columns of the image that a box covers; at least one of each, however far outside it is."""
    sides = np.array(image.shape[:2])
    first = np.clip(np.floor((box.y, box.x)), 0, sides - 1).astype(int).tolist()
    last = np.clip(np.ceil((box.y + box.h, box.x + box.w)), np.add(first, 1), sides).astype(int).tolist()
    return slice(first[0], last[0]), slice(first[1], last[1])
