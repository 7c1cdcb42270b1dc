"""Videos and cameras, frame by frame."""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from posehg.errors import InputError
from posehg.images import Image, unreadable
from posehg.io.source import Clip, Frame

_RATE = 25.0
"""Frames a second, where a video says neither that nor when each is shown."""

_QUIET = "-8"
"""FFmpeg's level for no messages at all: what is wrong with a video is told by posehg."""


class CutShort(InputError):
    """A video ended well before the time that it says it lasts. All frames before have been delivered."""


def frames(path: str, name: str) -> Iterator[Frame]:
    """The frames of a video file, one in memory at a time, upright as the camera was held, and when each is shown.

    ``name`` is what errors call it. Raises InputError where it cannot be read or has no frames, and CutShort at its
    end where that comes too early.
    """
    path = os.path.abspath(path)  # what looks like clip:1.mp4 would be a protocol to FFmpeg
    _check(path, name)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)
    # As bytes, since cv2 crashes on names that are not UTF-8. By FFmpeg: other readers see patterns in names.
    with _silence():
        capture = cv2.VideoCapture(os.fsencode(path), cv2.CAP_FFMPEG)  # type: ignore[call-overload]
    try:
        if not capture.isOpened():
            raise InputError(
                f"{name} is not a video that can be read, or was cut short.", "Copy it again, or convert it."
            )
        yield from _shown(capture, name)
    finally:
        capture.release()


def _check(path: str, name: str) -> None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{name} is not a file.", "A video is read from a file or from the web.")
        with open(path, "rb"):
            pass
    except OSError as error:
        raise unreadable(Path(name), error) from None


def _shown(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    clip = _clip(capture)
    step = 1 / (clip.fps or _RATE)
    number, shown = 0, -step
    while (image := _next(capture, name)) is not None:
        said = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        shown = said if said > shown else shown + step
        yield Frame(image, number, shown, clip)
        number += 1
    if not number:
        raise InputError(f"{name} has no frames.", "Copy it again, or convert it.")
    if clip.duration and clip.duration - (shown + step) > max(1.0, clip.duration / 20):
        # Less is not said: some containers give the sound's length, which may be a little longer.
        raise CutShort(
            f"{name} ends after {shown + step:.1f} of {clip.duration:.1f} seconds: it was cut short.",
            "What there was is done. Copy or download it again for the rest.",
        )


def _clip(capture: cv2.VideoCapture) -> Clip:
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if not (math.isfinite(fps) and fps > 0):
        return Clip(None, None)
    return Clip(fps, count / fps if count > 0 else None)


def _next(capture: cv2.VideoCapture, name: str) -> Image | None:
    try:
        read, image = capture.read()
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8) if read else None
    except cv2.error as error:
        raise InputError(f"{name} is broken ({error.err}).", "Copy it again, or convert it.") from None


def camera(number: int) -> Iterator[Frame]:
    """What a camera sees from now on, without end. Raises InputError where it is not there or goes away."""
    with _silence():
        capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            hint = f"webcam:1 is the second one. On Linux you must be allowed to read /dev/video{number}."
            raise InputError(f"Camera {number} is not there, or in use by another program.", hint)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what it sees now, not what it saw while the network was busy
        clip = Clip(_clip(capture).fps, None)
        begin = time.monotonic()
        number_of_frame = 0
        while (image := _next(capture, f"Camera {number}")) is not None:
            yield Frame(image, number_of_frame, time.monotonic() - begin, clip)
            number_of_frame += 1
        raise InputError(f"Camera {number} stopped after {number_of_frame} frames.", "Is it still plugged in?")
    finally:
        capture.release()


@contextmanager
def _silence() -> Iterator[None]:
    """cv2 itself would say, perhaps several times, that something cannot be opened."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
