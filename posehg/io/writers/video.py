"""Videos out of frames: .mp4 and .webm files that play.

    with video.film(Path("out.mp4"), rate=25, sound_of=Path("in.mp4")) as add:
        for frame in ...:
            add(image.render(result), result.found.time)

Where PyAV is installed (the extra ``video``) an .mp4 is H.264, which plays everywhere, a .webm is VP9, each frame is
shown at its own time, and the sound of the source goes along. Without it cv2 writes MPEG-4 part 2 and VP8 at a constant
rate and without sound: ``keeps_sound`` tells which.

Both need even sides: a frame whose side is odd has its last row or column twice. A frame of another size than the first
is fitted into that. The file appears when the block ends, has been found to be readable then, and not at all where it
was left early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from posehg.errors import InputError, UsageError
from posehg.files import naming
from posehg.geometry import Affine, Box
from posehg.images import Image, warp
from posehg.io.writers import growing

SUFFIXES = (".mp4", ".webm")
"""What can be written, in small letters."""

AddFrame = Callable[[Image, float | None], None]
"""Takes RGB uint8 (H, W, 3), and the frame's time in seconds; None where the rate says it."""

_RATES = (0.1, 1000.0)
"""Frames a second that can be written; what a broken file says of itself may be anything."""
_LEAST = 16
"""A side in pixels: smaller videos are written and cannot be read."""


class Encoder(Protocol):
    """What makes a file out of frames of one size. Both methods raise OSError or InputError."""

    def add(self, image: Image, time: float | None) -> None: ...
    def close(self) -> None: ...


def keeps_sound() -> bool:
    """Whether PyAV is there, for sound, H.264 and each frame's own time."""
    return find_spec("av") is not None


def check(path: Path) -> None:
    """Raises UsageError for a suffix that is not written."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: videos are written as {' or '.join(SUFFIXES)}.")


@contextmanager
def film(path: Path, rate: float, overwrite: bool = False, sound_of: Path | None = None) -> Iterator[AddFrame]:
    """A video file as a function that adds a frame.

    rate: frames a second. sound_of: the video whose sound is kept, from the first frame's time to the last's; one
    without sound gives none, and neither does cv2.
    Raises UsageError for another suffix and as files.atomic does, InputError where the file cannot be written, where no
    frame was added, and for a rate that is none.
    """
    check(path)
    if not _RATES[0] <= rate <= _RATES[1]:  # NaN neither
        raise InputError(f"{path} cannot be written: {rate:g} frames a second are no rate of a video.")
    with growing.whole(path, overwrite) as temporary:
        _check_name(path, temporary)
        reel = _Reel(path, temporary, rate, sound_of)
        try:
            yield reel.add
            with naming(path):
                reel.close()
        finally:
            reel.abandon()
        _check_readable(path, temporary, reel.size)


class _Reel:
    """The file, begun with the first frame, whose size all have. path: what errors call it."""

    def __init__(self, path: Path, temporary: Path, rate: float, sound_of: Path | None) -> None:
        self.size = (0, 0)
        self._path, self._temporary, self._rate, self._sound_of = path, temporary, rate, sound_of
        self._encoder: Encoder | None = None

    def add(self, image: Image, time: float | None = None) -> None:
        with naming(self._path):
            if self._encoder is None:
                self.size = _even(image.shape[0]), _even(image.shape[1])
                self._encoder = self._opened(time)
            self._encoder.add(fitted(image, self.size), time)

    def close(self) -> None:
        if self._encoder is None:
            raise InputError(f"{self._path} is not written: there was no frame for it.")
        encoder, self._encoder = self._encoder, None
        encoder.close()

    def abandon(self) -> None:
        """Let go of a file that nobody will see."""
        if self._encoder is not None:
            with suppress(OSError, InputError):
                self._encoder.close()

    def _opened(self, time: float | None) -> Encoder:
        if keeps_sound():
            from posehg.io.writers.video_av import AvEncoder

            return AvEncoder(self._path, self._temporary, self.size, self._rate, self._sound_of, time or 0.0)
        from posehg.io.writers.video_cv2 import Cv2Encoder

        return Cv2Encoder(self._path, self._temporary, self.size, self._rate)


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """The image with (rows, columns) that are at most a few more than its own, its last row and column repeated; an
    image of another size altogether is fitted in whole."""
    rows, columns = size[0] - image.shape[0], size[1] - image.shape[1]
    if rows == columns == 0:
        return np.ascontiguousarray(image)
    if 0 <= rows < _LEAST and 0 <= columns < _LEAST:
        return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
    return warp(image, Affine.crop(Box(0, 0, image.shape[1], image.shape[0]), size), size)


def _even(side: int) -> int:
    return max(_LEAST, side + side % 2)


def _check_name(path: Path, temporary: Path) -> None:
    """Raises InputError for a name at which cv2 would crash."""
    try:
        str(temporary).encode()
    except UnicodeEncodeError:
        hint = "Choose another folder."
        raise InputError(f"{path} cannot be written: the name of its folder is not UTF-8.", hint) from None


def _check_readable(path: Path, temporary: Path, size: tuple[int, int]) -> None:
    """Raises InputError where what was written does not begin with a frame of that size."""
    capture = cv2.VideoCapture(str(temporary), cv2.CAP_FFMPEG)
    try:
        is_read, frame = capture.read()
    finally:
        capture.release()
    if not is_read or frame.shape[:2] != size:
        raise InputError(f"{path} cannot be written: what came out cannot be read.")
