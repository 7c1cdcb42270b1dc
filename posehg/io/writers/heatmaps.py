"""The network's heatmaps over the picture: a sheet with a cell for each joint, its name and best score under it.

A cell shows the part of the picture that the network looked at, around all people together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from posehg import drawing, images
from posehg.geometry import Affine
from posehg.images import Image
from posehg.io.writers.result import Result
from posehg.skeletons import Skeleton

_CAPTION = 120
"""The least width of a cell in pixels: for the joint's name."""
_WIDTH = 1600
"""About how wide a sheet is, in pixels."""
_CELL = 640
"""A cell's longest side, where few joints would leave room for larger ones."""


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """The file appears whole or not at all; its suffix is one of images.SUFFIXES.

    Raises UsageError for a joint that the network does not have.
    """
    images.write(path, sheet(result), overwrite)


def sheet(result: Result) -> Image:
    """RGB uint8: a cell for each joint of ``look.heatmaps``, or of the network."""
    found = result.found
    if len(result.heatmaps) != len(found.poses):
        raise ValueError(f"Heatmaps of {len(result.heatmaps)} people for {len(found.poses)} poses.")
    channels = joints(found.skeleton, result.look.heatmaps)
    columns = math.ceil(math.sqrt(len(channels)))
    picture, to_cell = _fitted(result.image, _region(result), min(_CELL, _WIDTH // columns))
    shown = [
        drawing.heatmaps_overlay(
            picture, [(person.maps[channel], person.to_image.then(to_cell)) for person in result.heatmaps]
        )
        for channel in channels
    ]
    captions = [_caption(result, channel) for channel in channels]
    return drawing.contact_sheet(shown, columns, (picture.shape[0], max(picture.shape[1], _CAPTION)), captions=captions)


def joints(skeleton: Skeleton, names: Sequence[str]) -> list[int]:
    """The channels of the joints named, of all where none is. Raises UsageError for a name that it does not have."""
    return [skeleton.index(name) for name in names or skeleton.joints]


def _region(result: Result) -> tuple[int, int, int, int]:
    """What is shown, in whole pixels from left and top to right and bottom: the squares around the people, as far as
    they lie on the picture; else the picture."""
    height, width = result.image.shape[:2]
    boxes = [pose.box for pose in result.found.poses]
    left = max(0, math.floor(min((box.x for box in boxes), default=0)))
    top = max(0, math.floor(min((box.y for box in boxes), default=0)))
    right = min(width, math.ceil(max((box.x + box.w for box in boxes), default=width)))
    bottom = min(height, math.ceil(max((box.y + box.h for box in boxes), default=height)))
    return (left, top, right, bottom) if right > left and bottom > top else (0, 0, width, height)


def _fitted(image: Image, region: tuple[int, int, int, int], cell: int) -> tuple[Image, Affine]:
    """The region as large as a cell has room for it, and the map to its pixels from the photo's."""
    left, top, right, bottom = region
    part = image[top:bottom, left:right]
    scale = cell / max(part.shape)
    rows, columns = (max(1, round(side * scale)) for side in part.shape[:2])
    resized = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = columns / (right - left), rows / (bottom - top)
    to_cell = Affine([[x, 0, (0.5 - left) * x - 0.5], [0, y, (0.5 - top) * y - 0.5], [0, 0, 1]])
    return np.asarray(resized, dtype=np.uint8), to_cell


def _caption(result: Result, channel: int) -> str:
    best = max((float(pose.scores[channel]) for pose in result.found.poses), default=None)
    name = result.found.skeleton.joints[channel].replace("_", " ")
    return name if best is None else f"{name}  {best:.2f}"
