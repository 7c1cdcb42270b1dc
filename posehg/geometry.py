"""Where a pixel goes: image <-> crop <-> heatmap, with the half-pixel rule.

Points are (x, y). A pixel's centre has integer coordinates; (0, 0) is the centre of the top-left pixel. A Box is
measured at pixel edges, as in COCO: ``Box(0, 0, W, H)`` is the whole image, so its left edge lies at x = -0.5.
Cell i of a heatmap of stride s covers the crop's pixels s*i .. s*i + s-1:

    crop pixel   | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |      point = box edge - 0.5
    heatmap cell |       0       |       1       |      cell centre = s*i + (s-1)/2

Elsewhere the rule is only applied to whole arrays: in ``heatmaps.inside``, inference/yolo.py, datasets/check.py and
exporters/common.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

FARTHEST, SMALLEST = 1e6, 1e-3
"""In pixels: a box farther away, or smaller, is a mistake in its file."""


@dataclass(frozen=True)
class Box:
    """A rectangle in image pixels: top-left pixel edge (x, y), width w and height h."""

    x: float
    y: float
    w: float
    h: float

    def __iter__(self) -> Iterator[float]:
        """For ``x, y, w, h = box``."""
        return iter((self.x, self.y, self.w, self.h))

    @property
    def center(self) -> tuple[float, float]:
        """The centre, as a point (pixel centres are integers)."""
        return self.x + self.w / 2 - 0.5, self.y + self.h / 2 - 0.5

    @classmethod
    def around(cls, center: tuple[float, float], width: float, height: float | None = None) -> Box:
        """The box of that size around the point ``center``; a square without ``height``."""
        height = width if height is None else height
        return cls(center[0] + 0.5 - width / 2, center[1] + 0.5 - height / 2, width, height)

    @classmethod
    def bounding(cls, points: ArrayLike) -> Box | None:
        """The smallest box that covers the pixels of the (N, 2) points; NaN is ignored, and no points give None."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) == 0:
            return None
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return cls(float(x0), float(y0), float(x1 - x0 + 1), float(y1 - y0 + 1))

    def corners(self) -> Points:
        """The top-left and the bottom-right corner, (2, 2) points."""
        return np.array([(self.x, self.y), (self.x + self.w, self.y + self.h)]) - 0.5

    @property
    def is_plausible(self) -> bool:
        """Whether a person on an image, or partly outside it, can have this box; never with NaN."""
        near = all(abs(number) <= FARTHEST for number in self)
        return near and self.w >= SMALLEST and self.h >= SMALLEST

    def moved(self, change: Affine) -> Box:
        """Where the box is on an image that was cropped, scaled or mirrored by ``change``."""
        x, y = change(self.center)
        return Box.around((float(x), float(y)), self.w * change.scale, self.h * change.scale)

    def square(self, padding: float = 1.0) -> Box:
        """The square with the same centre and side max(w, h) * padding."""
        return Box.around(self.center, max(self.w, self.h) * padding)

    def intersection(self, other: Box) -> float:
        """The shared area in square pixels."""
        width = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        height = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        return max(width, 0.0) * max(height, 0.0)

    def clipped(self, frame: Box) -> Box | None:
        """The part of the box inside ``frame``; None if there is none."""
        x, y = max(self.x, frame.x), max(self.y, frame.y)
        right, bottom = min(self.x + self.w, frame.x + frame.w), min(self.y + self.h, frame.y + frame.h)
        return Box(x, y, right - x, bottom - y) if x < right and y < bottom else None

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 .. 1."""
        shared = self.intersection(other)
        union = self.w * self.h + other.w * other.h - shared
        return shared / union if union > 0 else 0.0


class Affine:
    """An affine map of points: a (3, 3) float64 matrix that acts on (x, y, 1). Immutable: methods return new maps."""

    __slots__ = ("matrix",)

    def __init__(self, matrix: ArrayLike) -> None:
        self.matrix = np.array(matrix, dtype=np.float64).reshape(3, 3)
        self.matrix.setflags(write=False)

    def __repr__(self) -> str:
        return f"Affine({self.matrix.tolist()})"

    def __call__(self, points: ArrayLike) -> Points:
        """Map (..., 2) points; NaN stays NaN."""
        points = np.asarray(points, dtype=np.float64)
        return points @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def then(self, after: Affine) -> Affine:
        """This map followed by another one."""
        return Affine(after.matrix @ self.matrix)

    def inverse(self) -> Affine:
        return Affine(np.linalg.inv(self.matrix))

    @property
    def scale(self) -> float:
        """The factor by which lengths grow: the square root of the determinant's magnitude."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:2, :2]))))

    @classmethod
    def translation(cls, x: float, y: float) -> Affine:
        return cls([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    @classmethod
    def crop(cls, box: Box, size: tuple[int, int], rotation: float = 0.0) -> Affine:
        """From the image to a crop of ``size`` = (rows, columns) with the whole box at its centre.

        The aspect ratio is kept: if the box has another shape than the crop, the crop shows more than the box.
        rotation: degrees by which the content turns anticlockwise.
        """
        rows, columns = size
        scale = min(columns / box.w, rows / box.h)
        turn = math.radians(rotation)
        cos, sin = scale * math.cos(turn), scale * math.sin(turn)
        around = cls([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]])  # y points down, so anticlockwise has this sign
        x, y = box.center
        return cls.translation(-x, -y).then(around).then(cls.translation((columns - 1) / 2, (rows - 1) / 2))

    @classmethod
    def mirror(cls, columns: int) -> Affine:
        """Mirrors an image that is ``columns`` wide."""
        return cls([[-1, 0, columns - 1], [0, 1, 0], [0, 0, 1]])

    @classmethod
    def shrink(cls, factor: float) -> Affine:
        """From pixels to cells of ``factor`` x ``factor`` pixels: crop to heatmap, or an image to its reduction."""
        offset = (1 / factor - 1) / 2
        return cls([[1 / factor, 0, offset], [0, 1 / factor, offset], [0, 0, 1.0]])
