"""The network's heatmaps over the image: a sheet with a cell for each joint, its name and best score under it.

A cell shows the part of the image that the network saw, around all people together.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from posehg import drawing, images
from posehg.drawing import DrawOptions
from posehg.geometry import Affine
from posehg.images import Image
from posehg.io.writers.writer import Writer
from posehg.poses import Result

_CAPTION = 120
"""The least width of a cell in pixels, for the name of the joint."""
_WIDTH = 1600
"""About how wide a sheet is, in pixels."""
_CELL = 640
"""The longest side of a cell, if few joints leave room for larger ones."""


class HeatmapsWriter(Writer):
    """One sheet, in the format of the path's suffix. The results need their heatmaps."""

    def add(self, result: Result) -> None:
        images.write(self.path, sheet(result, self.draw), self.overwrite)
        self.written.append(self.path)


def sheet(result: Result, draw: DrawOptions) -> Image:
    """RGB uint8: a cell for each joint of ``draw.heatmaps``, or for all joints.

    Raises UsageError for a joint that the network does not have.
    """
    assert result.image is not None
    if len(result.heatmaps) != len(result.poses):
        raise ValueError(f"Heatmaps of {len(result.heatmaps)} people for {len(result.poses)} poses.")
    joints = draw.heatmaps or result.skeleton.joints
    columns = math.ceil(math.sqrt(len(joints)))
    part, to_cell = _fitted(result.image, _region(result), min(_CELL, _WIDTH // columns))
    cells, captions = [], []
    for joint in joints:
        channel = result.skeleton.index(joint)
        maps = [(person.maps[channel], person.to_image.then(to_cell)) for person in result.heatmaps]
        cells.append(drawing.heatmaps_overlay(part, maps))
        best = max((float(pose.scores[channel]) for pose in result.poses), default=None)
        captions.append(joint.replace("_", " ") + ("" if best is None else f"  {best:.2f}"))
    return drawing.contact_sheet(cells, columns, (part.shape[0], max(part.shape[1], _CAPTION)), captions=captions)


def _region(result: Result) -> tuple[int, int, int, int]:
    """What is shown, in whole pixels (left, top, right, bottom): the boxes of all people, or else the image."""
    assert result.image is not None
    height, width = result.image.shape[:2]
    boxes = [pose.box for pose in result.poses]
    left = max(0, math.floor(min((box.x for box in boxes), default=0)))
    top = max(0, math.floor(min((box.y for box in boxes), default=0)))
    right = min(width, math.ceil(max((box.x + box.w for box in boxes), default=width)))
    bottom = min(height, math.ceil(max((box.y + box.h for box in boxes), default=height)))
    return (left, top, right, bottom) if right > left and bottom > top else (0, 0, width, height)


def _fitted(image: Image, region: tuple[int, int, int, int], cell: int) -> tuple[Image, Affine]:
    """The region with ``cell`` pixels on its longer side, and the map from image pixels to its own."""
    left, top, right, bottom = region
    part = image[top:bottom, left:right]
    scale = cell / max(part.shape)
    rows, columns = (max(1, round(side * scale)) for side in part.shape[:2])
    resized = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = columns / (right - left), rows / (bottom - top)
    to_cell = Affine([[x, 0, (0.5 - left) * x - 0.5], [0, y, (0.5 - top) * y - 0.5], [0, 0, 1]])
    return np.asarray(resized, dtype=np.uint8), to_cell
