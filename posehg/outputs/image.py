"""Skeletons drawn on the picture, or on another ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg import drawing, images
from posehg.outputs.result import Result


def render(result: Result) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), or RGBA (H, W, 4) where the background is ``none``."""
    shape = result.image.shape
    if result.background == "none":
        return drawing.cut_out(shape, result.poses, result.threshold, result.style)
    ground = result.image if result.background == "image" else drawing.blank(shape, result.background)
    return drawing.draw(ground, result.poses, result.threshold, result.style)


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """The file appears whole or not at all; its suffix is one of images.SUFFIXES."""
    images.write(path, render(result), overwrite)
