"""The network's heatmaps over the image: a sheet with a cell for each joint, its name and best score under it.

A cell shows the part of the image that the network saw, around all people together.
"""

import math
from pathlib import Path

import cv2
import numpy as np

from posehg import drawing, images
from posehg.drawing import DrawOptions
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.io.writers.crops import inside
from posehg.io.writers.writer import ImageFileWriter
from posehg.poses import Result

_WIDTH = 1600  # of a sheet, in pixels, about
_CELL = 640  # the longest side of a cell, if few joints leave room for larger ones
_CAPTION = 120  # the least width of a cell, for the name of the joint


class HeatmapsWriter(ImageFileWriter):
    """One sheet, in the format of the path's suffix."""

    needs_heatmaps = True

    def write(self, result: Result, path: Path) -> None:
        images.write(path, sheet(result, self.draw), self.overwrite)
        self.written.append(path)


def sheet(result: Result, draw: DrawOptions) -> Image:
    """RGB uint8: a cell for each joint of ``draw.heatmaps``, or for all joints.

    Raises UsageError for a joint that the network does not have.
    """
    assert result.image is not None
    joints = draw.heatmaps or result.skeleton.joints
    columns = math.ceil(math.sqrt(len(joints)))
    boxes = [pose.crop for pose in result.people] or [Box(0, 0, result.image.shape[1], result.image.shape[0])]
    seen = Box.bounding([point for b in boxes for point in ((b.x, b.y), (b.x + b.w - 1, b.y + b.h - 1))])
    assert seen is not None
    rows, cols = inside(seen, result.image)
    window = Box(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
    scale = min(_CELL, _WIDTH // columns) / max(window.w, window.h)
    size = max(1, round(window.h * scale)), max(1, round(window.w * scale))
    to_cell = Affine.crop(window, size)
    shrink_or_grow = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = np.asarray(cv2.resize(result.image[rows, cols], size[::-1], interpolation=shrink_or_grow), dtype=np.uint8)
    cells, captions = [], []
    for joint in joints:
        channel = result.skeleton.index(joint)
        maps = [(person.maps[channel], person.to_image.then(to_cell)) for person in result.heatmaps]
        cells.append(drawing.heatmaps_overlay(part, maps))
        best = max((float(pose.scores[channel]) for pose in result.people), default=None)
        captions.append(joint.replace("_", " ") + ("" if best is None else f"  {best:.2f}"))
    return drawing.contact_sheet(cells, columns, (size[0], max(size[1], _CAPTION)), captions=captions)
