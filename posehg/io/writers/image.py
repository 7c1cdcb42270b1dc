"""Images and videos with skeletons drawn on them, or on another background, and the input beside them if asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import drawing, images
from posehg.drawing import DrawOptions
from posehg.io import video_writer
from posehg.io.writers.writer import Writer
from posehg.poses import Result

_RATE = 25.0
"""Frames a second of a video that does not state its rate."""


class ImageWriter(Writer):
    """One image, in the format of the path's suffix: one of images.SUFFIXES."""

    def add(self, result: Result) -> None:
        images.write(self.path, render(result, self.draw), self.overwrite)
        self.written.append(self.path)


class VideoWriter(Writer):
    """A video, .mp4 or .webm, with the sound of the source if that is a file."""

    _video: AbstractContextManager[video_writer.AddFrame] | None = None

    def add(self, result: Result) -> None:
        if result.image is None:
            return  # a frame that could not be processed
        if self._video is None:
            sound = Path(result.source) if Path(result.source).is_file() else None
            self._video = video_writer.create(self.path, result.fps or _RATE, self.overwrite, sound)
            self._add = self._video.__enter__()
        self._add(render(result, self.draw), result.time)

    def close(self) -> None:
        if self._video is not None:
            self._video.__exit__(None, None, None)
            self.written.append(self.path)

    def discard(self) -> None:
        if self._video is not None:
            stop: Any = GeneratorExit()
            self._video.__exit__(GeneratorExit, stop, None)


def render(result: Result, draw: DrawOptions) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), or RGBA (H, W, 4) if the background is ``none``; (H, 2 W, ...) if side by side."""
    image = result.image
    assert image is not None
    if draw.background == "none":
        drawn = drawing.cut_out(image.shape, result.poses, draw.threshold, draw.style)
    else:
        ground = image if draw.background == "image" else drawing.blank(image.shape, draw.background)
        drawn = drawing.draw(ground, result.poses, draw.threshold, draw.style)
    return drawing.side_by_side(image, drawn) if draw.side_by_side else drawn
