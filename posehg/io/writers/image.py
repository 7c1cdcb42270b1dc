"""Skeletons drawn on the picture, or on another ground, with the picture beside them where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg import drawing, images
from posehg.io.writers.result import Result


def render(result: Result) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), or RGBA (H, W, 4) where the background is ``none``; 2 W wide where it is side by side."""
    drawn = _drawn(result)
    return drawing.side_by_side(result.image, drawn) if result.look.side_by_side else drawn


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """The file appears whole or not at all; its suffix is one of images.SUFFIXES."""
    images.write(path, render(result), overwrite)


def _drawn(result: Result) -> NDArray[np.uint8]:
    shape, poses, look = result.image.shape, result.found.poses, result.look
    if look.background == "none":
        return drawing.cut_out(shape, poses, look.threshold, look.style)
    ground = result.image if look.background == "image" else drawing.blank(shape, look.background)
    return drawing.draw(ground, poses, look.threshold, look.style)
