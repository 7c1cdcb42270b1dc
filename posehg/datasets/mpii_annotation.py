"""A person of MPII, whichever file it was read from, and J. Tompson's list, which says who belongs to which split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.annotated import check_near, square_around
from posehg.geometry import Box, Points
from posehg.skeletons import MPII

JOINTS = len(MPII.joints)
HEAD_SIZE = 0.6
"""PCKh's unit as a share of the head box's diagonal (the published evaluation's SC_BIAS)."""
PERSON_HEIGHT = 200.0
"""Pixels that MPII's ``scale`` is a multiple of."""
DOWNWARDS = 15.0
"""MPII's objpos lies too high for a crop of the whole body: its users move it by so many pixels, times the scale."""

Key = tuple[str, int]
"""A picture's name and the person's one-based place in its annorect."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """A person in zero-based pixels.

    keypoints: (16, 2), NaN = not labelled. visible: (16,).
    box: the square around the body; None where the file has no scale for this person.
    head_size: PCKh's unit in pixels; None where the file has no head box.
    """

    image: str
    index: int
    keypoints: Points
    visible: NDArray[np.bool_]
    box: Box | None
    head_size: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where a joint lies beyond all pictures."""
        check_near(self.keypoints)

    @property
    def key(self) -> Key:
        return self.image, self.index


def body_box(center: tuple[float, float], scale: float) -> Box | None:
    """The square of 200 * scale pixels around MPII's objpos (one-based), moved down; None without a scale.

    Raises ValueError where centre or scale cannot be.
    """
    if scale <= 0:
        return None
    x, y = center
    return square_around((x - 1, y - 1 + DOWNWARDS * scale), PERSON_HEIGHT * scale)


def head_size(x1: float, y1: float, x2: float, y2: float) -> float | None:
    """PCKh's unit from a head box; None where the box is a point."""
    return HEAD_SIZE * math.hypot(x2 - x1, y2 - y1) or None


def unlabelled() -> tuple[Points, NDArray[np.bool_]]:
    """The joints of somebody on a test picture, which nobody outside the benchmark knows."""
    return np.full((JOINTS, 2), np.nan), np.zeros(JOINTS, dtype=bool)


@cache
def validation() -> dict[Key, int]:
    """The 2,958 persons of J. Tompson's validation split (CVPR 2015) -> their rows in his files."""
    keys = [(image, index) for image, indices in validation_pictures().items() for index in indices]
    return {key: row for row, key in enumerate(keys)}


@cache
def validation_pictures() -> dict[str, tuple[int, ...]]:
    """The pictures of that split, in its order -> which persons of them are in it."""
    lines = files("posehg.datasets").joinpath("mpii_validation.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.partition(":") for line in lines if not line.startswith("#")]
    return {f"{picture}.jpg": tuple(map(int, (indices or "1").split(","))) for picture, _, indices in parts}


def belongs(key: Key, split: str) -> bool:
    """Whether somebody on a training picture is in ``train`` or ``val``: nobody on a validation picture is trained on.

    The other persons of validation pictures are in neither.
    """
    return key in validation() if split == "val" else key[0] not in validation_pictures()
