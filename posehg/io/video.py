"""Videos, read by PyAV, and cameras, read by OpenCV, frame by frame."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posehg.errors import InputError
from posehg.images import unreadable
from posehg.io.sources import Frame

_DEFAULT_RATE = 25.0
"""Frames a second, where a video states neither a rate nor when its frames are shown."""

_HINT = "Copy or download it again, or convert it."


class CutShort(InputError):
    """A video ended well before its stated duration. All frames before that have been delivered."""


def frames(path: str, name: str) -> Iterator[Frame]:
    """The frames of a video file, upright, one in memory at a time; sound is ignored. ``name`` is what errors call it.

    Frame times start at 0 and increase; where the file states none, or one that does not increase, the frame rate
    fills in. Raises InputError where the file cannot be read or has no frames, and CutShort at its end where that
    comes too early.
    """
    import av

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{name} is not a file.", "Videos are read from files and from the web.")
        file = open(path, "rb")  # noqa: SIM115  # FFmpeg itself would take some names for protocols or patterns
    except OSError as error:
        raise unreadable(Path(name), error) from None
    with file:
        try:
            container = av.open(file, metadata_errors="ignore")
        except av.FFmpegError:
            raise InputError(f"{name} is not a readable video, or was cut short.", _HINT) from None
        with container:
            yield from _decoded(container, name)


def _decoded(container: Any, name: str) -> Iterator[Frame]:
    import av

    stream = container.streams.best("video")
    if stream is None:
        raise InputError(f"{name} has no video in it.", _HINT)
    if stream.codec_context is None:
        raise InputError(f"{name} is in a format that cannot be decoded here.", "Convert it to H.264 or AV1.")
    stream.thread_type = "AUTO"
    fps = float(stream.average_rate or 0) or None
    if stream.frames and fps:
        duration = stream.frames / fps
    elif stream.duration:
        duration = float(stream.duration * stream.time_base)
    else:
        duration = (container.duration or 0) / av.time_base
    start = float((stream.start_time or 0) * stream.time_base)
    step = 1 / (fps or _DEFAULT_RATE)
    index, shown = 0, -step
    for frame in _readable_frames(container, stream):
        stated = -1.0 if frame.time is None else frame.time - start
        shown = stated if stated > shown else shown + step
        image = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)  # phones store them turned
        yield Frame(np.ascontiguousarray(image), index, shown, fps, duration or None)
        index += 1
    if not index:
        raise InputError(f"{name} has no frames.", _HINT)
    # A smaller difference is normal: some containers state the length of the sound, which may be longer.
    if duration - (shown + step) > max(1.0, duration / 20):
        raise CutShort(
            f"{name} ends after {shown + step:.1f} of {duration:.1f} seconds: it was cut short.",
            "The part that is there is done. Copy or download it again for the rest.",
        )


def _readable_frames(container: Any, stream: Any) -> Iterator[Any]:
    """PyAV's frames of a stream; damaged packets are skipped, and what follows an unreadable place is left out."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            continue
        yield from decoded


def camera(number: int) -> Iterator[Frame]:
    """What a camera sees from now on, without end. Raises InputError where there is no such camera or it stops."""
    import cv2

    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would report missing cameras itself
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            hint = f"webcam:1 is the second one. On Linux you need permission to read /dev/video{number}."
            raise InputError(f"Camera {number} is not there, or in use by another program.", hint)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # show the present, not what was seen while the network was busy
        fps = capture.get(cv2.CAP_PROP_FPS)
        begin, index = time.monotonic(), 0
        while (answer := capture.read())[0]:
            image = np.asarray(cv2.cvtColor(answer[1], cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield Frame(image, index, time.monotonic() - begin, fps if 0 < fps < np.inf else None)
            index += 1
        raise InputError(f"Camera {number} stopped after {index} frames.", "Is it still plugged in?")
    finally:
        capture.release()
