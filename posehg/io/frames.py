"""The frames of an image, a video (which PyAV reads) or a camera (by OpenCV); reading ahead and work in parallel."""

import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from posehg import images
from posehg.errors import InputError
from posehg.images import Image
from posehg.io import content
from posehg.io.sources import Source

MAX_IMAGE, MAX_VIDEO = 256 << 20, 4 << 30
"""Largest download or piped input, in bytes."""

AHEAD = 2
"""Frames that are read before they are asked for, and results that wait to be written."""

_HINT = "Copy or download it again, or convert it."

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Frame:
    """An image, or one frame of a video.

    image: RGB uint8 (H, W, 3), upright.
    index: number of the frame in its video, from 0. time: seconds from the start of the video, increasing from frame
    to frame. fps: the average rate that the video states, or None. All are None for an image.
    """

    image: Image
    index: int | None = None
    time: float | None = None
    fps: float | None = None


def frames(source: Source, start: float = 0.0, end: float = math.inf) -> Generator[Frame]:
    """The one frame of an image, or the frames of a video or camera from ``start`` on and before ``end``, in seconds.

    Raises InputError, naming the source, where it cannot be read (for a video perhaps after some frames), or where a
    video has no frame in that span.
    """
    if source.problem:
        raise source.problem
    time, found = None, False
    with closing(_opened(source)) as opened:
        for frame in opened:
            time = frame.time
            if time is not None and time >= end:
                break
            if time is None or time >= start:
                found = True
                yield frame
    if not found and time is not None:
        if time < start:
            raise InputError(f"{source.name} ends at {time:.2f} seconds, before --start {start:g}.")
        raise InputError(f"{source.name} has no frame between --start {start:g} and --end {end:g} seconds.")


def _opened(source: Source) -> Generator[Frame]:
    name, is_stdin = source.name, source.name == content.STANDARD_INPUT
    if source.kind == "camera":
        yield from camera(int(name.partition(":")[2]))
    elif source.kind == "image" and os.path.isfile(name) and not is_stdin:
        yield Frame(images.read(name))
    elif source.kind == "image":  # from the web or a pipe, in which Pillow cannot seek
        yield Frame(images.read_bytes(content.read_bytes(name, MAX_IMAGE), "Standard input" if is_stdin else name))
    elif content.is_url(name):
        with tempfile.TemporaryFile() as file:
            content.download(name, file, MAX_VIDEO)
            file.seek(0)
            yield from video(file, name)
    elif os.path.exists(name) and not os.path.isfile(name):
        raise InputError(f"{name} is not a file.", "Videos are read from files and from the web.")
    else:
        try:
            opened = open(name, "rb")  # noqa: SIM115
        except OSError as error:
            raise images.unreadable(Path(name), error) from None
        with opened:
            yield from video(opened, name)


def video(file: IO[bytes], name: str) -> Iterator[Frame]:
    """The frames of a video, upright; ``name`` is what errors call it.

    Frame times start at 0 and increase; where the file states none, or one that does not increase, the frame rate
    fills in. Damaged frames are left out and not counted. Raises InputError where the file cannot be read or has no
    frames, and at its end where that comes too early or frames were damaged.
    """
    import av

    try:  # not by its name, which FFmpeg could take for a protocol or pattern
        container: Any = av.open(file, metadata_errors="ignore")
    except av.FFmpegError:
        raise InputError(f"{name} is not a readable video, or was cut short.", _HINT) from None
    with container, suppress(av.FFmpegError):  # up to what cannot be read, as in a file that was cut short
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            raise InputError(f"{name} has no video in it that can be decoded here.", _HINT)
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or 0) or None
        duration = stream.frames / fps if stream.frames and fps else (container.duration or 0) / av.time_base
        start = float((stream.start_time or 0) * stream.time_base)
        step = 1 / (fps or 25)  # where frames state no time
        index, is_damaged, shown, end = 0, False, -step, 0.0
        for packet in container.demux():
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is not stream:
                continue  # sound and subtitles only tell how long the video lasts
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                is_damaged = True
                continue
            for frame in decoded:
                stated = -1.0 if frame.time is None else frame.time - start
                shown = stated if stated > shown else shown + step
                yield Frame(_upright(frame, stream.sample_aspect_ratio), index, shown, fps)
                index += 1
    if not index:
        raise InputError(f"{name} has no frames that can be read.", _HINT)
    if duration - max(end, start + shown + step) > max(1.0, duration / 20):  # containers round their duration
        hint = "The part that is there is done. Copy or download it again for the rest."
        raise InputError(f"{name} was cut short: it ends after {shown + step:.1f} of {duration:.1f} seconds.", hint)
    if is_damaged:
        raise InputError(f"{name} has damaged frames, which are left out.", _HINT)


def _upright(frame: Any, pixel_aspect: Any) -> Image:
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

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would report a missing camera itself
    capture = cv2.VideoCapture(number)
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


@contextmanager
def read_ahead(items: Generator[T], count: int = AHEAD) -> Iterator[Iterator[T]]:
    """The items, in order; from now on a thread prepares the next ``count`` before they are asked for.

    What preparing an item raises is raised in its place. With a count of 0 items are prepared when they are asked for.
    Leaving the block waits for the item in preparation.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        pending: deque[Future[T]] = deque(pool.submit(next, items, end) for _ in range(count))

        def ahead() -> Iterator[T]:
            while (item := pending.popleft().result()) is not end:
                pending.append(pool.submit(next, items, end))
                yield item

        try:
            yield ahead() if count else items
        finally:
            pool.shutdown(cancel_futures=True)
            items.close()


@contextmanager
def in_parallel(function: Callable[[S], T], items: Iterable[S], count: int) -> Iterator[Iterator[T]]:
    """What ``function`` returns for each item, in order; ``count`` threads call it, and few results wait to be used.

    What it raises is raised in its place. Leaving the block waits for the calls that have begun.
    """
    with ThreadPoolExecutor(count, "in-parallel") as pool:

        def results() -> Iterator[T]:
            pending: deque[Future[T]] = deque()
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) == count + AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)
