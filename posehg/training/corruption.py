"""What spoils a crop, so that the network learns to do without: other colours, and things in front of people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from posehg.geometry import Affine
from posehg.images import Image
from posehg.training.config import TrainConfig

_OCCLUDER_SIDES = (0.1, 0.4)
"""The shortest and the longest side of an occluder, as a share of the crop's."""


def draw_gains(config: TrainConfig, rng: Generator) -> np.ndarray:
    """(3,) factors of the colour channels, uniform within 1 -+ ``colour``."""
    return rng.uniform(1 - config.colour, 1 + config.colour, 3)


def multiply(image: Image, gains: np.ndarray) -> Image:
    table = np.clip(np.rint(np.arange(256)[:, None] * gains[None]), 0, 255).astype(np.uint8)  # (256, 3)
    return np.asarray(cv2.LUT(image, table[:, None, :]), dtype=np.uint8)


def occluded(part: Image, to_crop: Affine, size: int, rng: Generator) -> Image:
    """The pixels of a crop with a rectangle of them covered: by pixels from elsewhere on them, or by one colour.

    to_crop: the map from the pixels to the crop, whose side is ``size``. The joints behind it keep their labels.
    """
    height, width = part.shape[:2]
    side = size / to_crop.scale
    h, w = (max(1, int(side * rng.uniform(*_OCCLUDER_SIDES))) for _ in range(2))
    h, w = min(h, height), min(w, width)
    middle = to_crop.inverse()(rng.uniform(0.15, 0.85, 2) * size)
    top, left = _within(middle[1] - h / 2, height - h), _within(middle[0] - w / 2, width - w)
    covered = part.copy()
    if rng.random() < 0.5:
        covered[top : top + h, left : left + w] = rng.integers(0, 256, 3, dtype=np.uint8)
    else:
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        covered[top : top + h, left : left + w] = part[y : y + h, x : x + w][:, ::-1]
    return covered


def _within(value: float, last: int) -> int:
    return int(np.clip(value, 0, last))
