"""Videos, read by PyAV, and cameras, read by OpenCV, frame by frame."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

from posehg.errors import InputError
from posehg.images import Image, unreadable
from posehg.io.sources import Frame

_DEFAULT_RATE = 25.0
"""Frames a second, where a video states neither a rate nor when its frames are shown."""

_HINT = "Copy or download it again, or convert it."


class CutShort(InputError):
    """A video ended well before its stated duration. All frames before that have been delivered."""


def frames(path: str, name: str) -> Iterator[Frame]:
    """The frames of a video file, upright, one in memory at a time; sound is ignored. ``name`` is what errors call it.

    Frame times start at 0 and increase; where the file states none, or one that does not increase, the frame rate
    fills in. Damaged frames are left out, but counted by ``Frame.index``. Raises InputError where the file cannot be
    read or has no frames; at its end CutShort where that comes too early, InputError where frames were damaged.
    """
    import av

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{name} is not a file.", "Videos are read from files and from the web.")
        file = open(path, "rb")  # noqa: SIM115  # FFmpeg itself would take some names for protocols or patterns
    except OSError as error:
        raise unreadable(Path(name), error) from None
    except ValueError:  # a NUL in its name
        raise InputError(f"There is no file {name!r}.") from None
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
    duration = stream.frames / fps if stream.frames and fps else (container.duration or 0) / av.time_base
    start = float((stream.start_time or 0) * stream.time_base)
    step = 1 / (fps or _DEFAULT_RATE)
    index, damaged, is_damaged, shown, end = 0, 0, False, -step, 0.0
    waiting: list[int] = []  # when the frames of the packets so far are due, in the stream's ticks
    for packet in _until_unreadable(container.demux()):
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is not stream:
            continue  # sound and subtitles only tell how long the video lasts
        if packet.pts is not None:
            heappush(waiting, packet.pts)
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            is_damaged = True
            continue
        for frame in decoded:
            lost = 0
            while frame.pts is not None and waiting and heappop(waiting) < frame.pts:
                lost += 1
            if is_damaged and lost:  # otherwise the packets had no frame to show, as some of VP8 have none
                index, damaged, is_damaged = index + lost, damaged + lost, False
            stated = -1.0 if frame.time is None else frame.time - start
            shown = stated if stated > shown else shown + step
            yield Frame(_upright(frame, stream.sample_aspect_ratio), index, shown, fps, duration or None)
            index += 1
    if not index:
        raise InputError(f"{name} has no frames that can be read.", _HINT)
    if duration - max(end, start + shown + step) > max(1.0, duration / 20):  # containers round their duration
        raise CutShort(
            f"{name} ends after {shown + step:.1f} of {duration:.1f} seconds: it was cut short.",
            "The part that is there is done. Copy or download it again for the rest.",
        )
    if damaged:
        raise InputError(f"{name} has {damaged} damaged frames, which are left out.", _HINT)


def _until_unreadable(packets: Iterator[Any]) -> Iterator[Any]:
    import av

    with suppress(av.FFmpegError):
        yield from packets


def _upright(frame: Any, pixel_aspect: Fraction | None) -> Image:
    """PyAV's frame as RGB uint8 (H, W, 3), with square pixels, turned and mirrored as its display matrix says."""
    from av.sidedata.sidedata import Type

    width = max(1, round(frame.width * (pixel_aspect or 1)))
    image = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5]  # shown x = a x + c y, shown y = b x + d y
        if a == d == 0:
            image, a, d = image.swapaxes(0, 1), c, b
        image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


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
