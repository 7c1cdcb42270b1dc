"""The part of a picture that the views of one person can show: all that training needs of a large photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from posehg import images
from posehg.geometry import Affine, Box
from posehg.images import Image

_AS_IT_IS = 1 - 1e-6
"""A scale from here on is 1 and a rounding error: a part that is cut a second time is not warped again."""
_MARGIN = 4
"""Pixels beyond the reach on each side: a view interpolates, and averages up to this many and one."""


@dataclass(frozen=True)
class Reach:
    """How much of a picture the views of a person can show.

    padding: side of the square around the box's middle, as a multiple of the box's longer side.
    size: pixels of that square's side at the finest scale that a view needs.
    """

    padding: float
    size: int

    def covers(self, other: Reach) -> bool:
        """Whether parts of this reach show all that those of the other do, and as finely."""
        return self.padding >= other.padding * _AS_IT_IS and self._fineness >= other._fineness * _AS_IT_IS

    def joined(self, other: Reach) -> Reach:
        """The smallest reach that covers both."""
        padding = max(self.padding, other.padding)
        return Reach(padding, math.ceil(padding * max(self._fineness, other._fineness) * _AS_IT_IS))

    @property
    def _fineness(self) -> float:
        """Pixels along the longer side of the box."""
        return self.size / self.padding


def reach(
    input_size: int, padding: float, scale: float, rotation: float, translation: float, zoom: float = 1.0
) -> Reach:
    """The reach of views of ``input_size`` pixels a side, of the box enlarged ``padding`` times.

    scale, rotation, translation: the limits of the random views, as in TrainConfig.
    zoom: how many times a view may be enlarged beyond that: it asks for finer pixels, not for more of the picture.
    """
    # The corner of a crop turned by any angle, shrunk and shifted as far as the limits allow.
    corner = math.sqrt(2) if rotation > 0 else 1.0
    widest = padding / (1 - min(scale, 0.9)) * (corner + 2 * translation)
    closest = padding / (1 + scale) / zoom
    return Reach(widest, math.ceil(input_size * widest / closest))


def cut(image: Image, box: Box, reach: Reach) -> tuple[Image, Affine]:
    """The part around the person in ``box``, and the map from the photo to it; the photo's pixels are not enlarged.

    A person beside the picture gets one black pixel, as every view of somebody there is black.
    """
    side = reach.size + 2 * _MARGIN
    square = box.square(reach.padding * side / reach.size)
    to_part = Affine.crop(square, (side, side))
    if to_part.scale < _AS_IT_IS:
        return images.warp(image, to_part, (side, side)), to_part
    square = box.square(reach.padding)
    left, top = math.floor(square.x) - _MARGIN, math.floor(square.y) - _MARGIN
    right, bottom = math.ceil(square.x + square.w) + _MARGIN, math.ceil(square.y + square.h) + _MARGIN
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, right), min(height, bottom)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((1, 1, 3), dtype=np.uint8), Affine.translation(-left, -top)
    return image[y0:y1, x0:x1].copy(), Affine.translation(-x0, -y0)


def moved(box: Box, to_part: Affine) -> Box:
    """A photo's box in pixels of a part."""
    x, y = to_part(box.center)
    return Box.around((float(x), float(y)), box.w * to_part.scale, box.h * to_part.scale)
