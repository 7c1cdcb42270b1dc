"""The frames of an image or animation (by Pillow), a video (PyAV) or a camera (OpenCV); reading ahead, side by side."""

import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from PIL import Image as PillowImage

from posehg import images
from posehg.errors import InputError, reason
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


def frames(
    source: Source, start: float = 0.0, end: float = math.inf, note: Callable[[str], object] = lambda _: None
) -> Generator[Frame]:
    """The one frame of an image, or the frames of a video or camera from ``start`` on and before ``end``, in seconds.

    note: is called with what the user should know of the source, such as how many frames are lost.
    Raises InputError, naming the source, where it cannot be read (for a video perhaps after some frames), or where a
    video has no frame in that span.
    """
    if source.problem:
        raise source.problem
    time, found = None, False
    with closing(_opened(source, note)) as opened:
        for frame in opened:
            time = frame.time
            if time is not None and time >= end:
                break
            if time is None or time >= start:
                found = True
                yield frame
    if not found and time is not None:
        if time < start:
            raise InputError(f"{source.name} ends at {time:.2f} seconds, before the start, {start:g} seconds.")
        raise InputError(f"{source.name} has no frame between {start:g} and {end:g} seconds.")


def _opened(source: Source, note: Callable[[str], object]) -> Generator[Frame]:
    name, is_stdin = source.name, source.name == content.STANDARD_INPUT
    if source.kind == "camera":
        yield from camera(int(name.partition(":")[2]))
    elif source.kind == "image":
        if os.path.isfile(name) and not is_stdin:
            image, others = images.read(name), images.others(name)
        else:  # from the web or a pipe, in which Pillow cannot seek
            found = content.read_bytes(name, MAX_IMAGE)
            name = "Standard input" if is_stdin else name
            image, others = images.read_bytes(found, name), images.others(BytesIO(found))
        if others:
            note(f"{name}: {others}")
        yield Frame(image)
    elif content.is_url(name):
        with tempfile.TemporaryFile() as file:
            content.download(name, file, MAX_VIDEO)
            file.seek(0)
            yield from video(file, name, note)
    elif os.path.exists(name) and not os.path.isfile(name):
        raise InputError(f"{name} is not a file.", "Videos are read from files and from the web.")
    else:
        try:
            opened = open(name, "rb")  # noqa: SIM115
        except OSError as error:
            raise images.unreadable(Path(name), error) from None
        with opened:
            yield from animation(opened, name) if source.kind == "animation" else video(opened, name, note)


def video(file: IO[bytes], name: str, note: Callable[[str], object] = lambda _: None) -> Iterator[Frame]:
    """The frames of a video, upright; ``name`` is what errors call it.

    Frame times start at 0 and increase; where the file states none, or one that does not increase, the frame rate
    fills in. Frames that cannot be read leave a hole in the numbers and times of the others, and are noted. Raises
    InputError where the file cannot be read or has no frames, and at its end where that comes too early or more than a
    third of the frames cannot be read.
    """
    import av

    try:  # not by its name, which FFmpeg could take for a protocol or pattern
        container: Any = av.open(file, metadata_errors="ignore")
    except (av.FFmpegError, OSError):  # OSError for an empty file
        raise InputError(f"{name} is not a readable video, or was cut short.", _HINT) from None
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            raise InputError(f"{name} has no video in it that can be decoded here.", _HINT)
        reading, fps = _Reading(container, stream), float(stream.average_rate or 0) or None
        try:
            for frame in reading.frames():
                yield Frame(_upright(frame, stream.sample_aspect_ratio, name), reading.index, reading.time, fps)
        finally:  # also where the consumer needs no more frames
            if lost := reading.lost:
                of = f"{name}: {lost:,} of {reading.index + 1 + reading.tail:,} frames could not be read"
                note(f"{of}; others near them may look damaged.")
        reading.check(name)


class _Reading:
    """Decodes a video, numbers its frames as they lie in it, and counts those that cannot be read.

    index, time: number and time of the latest frame, in seconds from the start. lost: frames that could not be read, of
    which ``tail`` come after the latest one.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        import av

        self._container, self._stream, self._format = container, stream, container.format.name
        # Frames in several threads at once would be faster, but FFmpeg gives up those after a damaged one at the end.
        stream.thread_type = "SLICE"
        fps, codec = float(stream.average_rate or 0), stream.codec_context.codec
        self._step = 1 / (fps or 25)
        own = float((stream.duration or 0) * stream.time_base)
        self._duration, self._is_own = own or (container.duration or 0) / 1e6, own > 0
        # FFmpeg shortens the duration of an AVI to what is there; an MP4 may have more frames than are to be shown.
        if self._format == "avi" and fps:
            self._duration = stream.frames / fps
        if container.format.flags & av.format.Flags.no_timestamps.value:  # FFmpeg guesses the duration by the size
            self._duration = 0.0
        self._start = float((stream.start_time or 0) * stream.time_base)
        self._end = 0.0  # of the packets, of all streams if the duration is theirs: sound may outlast the frames
        self.index, self.time, self.lost, self.tail, self._given = -1, -self._step, 0, 0, 0
        # A packet that gives no frame is lost in these codecs; in others it may hold half a frame, or a hidden one.
        self._damaged = codec.intra_only or codec.canonical_name in ("av1", "vp9")
        self._skips = False  # whether the container has lost packets
        self._resumed = 0.0  # when it went on after the last of them
        self._counted = -math.inf  # time up to which such packets are counted as lost
        self._failed = 0  # packets since the latest frame that could not be decoded
        self._needs_key: float | None = None  # timestamp from which frames build upon one that is lost
        # Broadcasts may begin between two keyframes, and what comes before the first one is no part of the video.
        self._begun = self._format in ("avi", "flv", "matroska,webm") or "mp4" in self._format
        self._first: int | None = None  # timestamp
        self._delay: int | None = None
        self._waiting: list[int] = []  # timestamps of packets, as a heap, of which no frame has come yet
        self._missed: set[int] = set()  # timestamps of those that did not come in time

    def frames(self) -> Iterator[Any]:
        """PyAV's frames, without those that are damaged."""
        import av

        for packet in self._packets():
            try:
                decoded = self._stream.decode(packet)
            except av.FFmpegError:
                decoded = []
                if packet is not None and packet.size and self._begun:
                    self._failed, self._damaged = self._failed + 1, True
                    if packet.is_keyframe:
                        self._needs_key = packet.pts or 0
            for frame in decoded:
                stamp = self._stamp(frame)
                if stamp in self._missed:
                    continue  # the decoder gives it too late
                hole = self._hole_before(frame, stamp)
                if hole > self._failed + 1:
                    self._needs_key = -math.inf  # the decoder left out frames because of it
                self.index, self.lost, self._failed = self.index + 1 + hole, self.lost + hole, 0
                stated = -1.0 if stamp is None else self._seconds(stamp)
                self.time = stated if stated > self.time else self.time + (hole + 1) * self._step
                if self._is_whole(frame):
                    self._given += 1
                    yield frame
                else:
                    self.lost, self._damaged = self.lost + 1, True
        self.tail = (len(self._waiting) or self._failed) if self._damaged else 0
        if self._skips and not self.tail:  # sound goes on without the frames
            self.tail = max(0, int((self._resumed - self._start - self.time) / self._step) - 1)
        self.lost += self.tail

    def _packets(self) -> Iterator[Any]:
        """The packets of the video up to what cannot be read, as in a file that was cut short; then None."""
        import av

        place = math.inf  # the byte after the latest packet
        with suppress(av.FFmpegError):
            for packet in self._container.demux():
                if packet.pts is not None and (packet.stream is self._stream or not self._is_own):
                    end = packet.pts + (packet.duration or 0)
                    self._end = max(self._end, float(end * packet.time_base))
                # These say nothing of packets that they cannot read, but have few bytes between those that they can.
                unread = self._format in ("matroska,webm", "flv") and (packet.pos or 0) > place + 100
                if packet.is_corrupt or unread:
                    self._skips = self._damaged = True
                    self._resumed = self._end
                place = packet.pos + packet.size if packet.pos else math.inf
                if packet.stream is not self._stream:
                    continue
                if not packet.size and self._duration - self._end > 0.9 * self._step:
                    self._skips = True  # a file that was cut may lack frames before the last ones that it has
                self._begun = self._begun or packet.is_keyframe
                stamp = packet.dts if self._format == "avi" else packet.pts
                if packet.size and stamp is not None and not packet.is_discard and self._begun:
                    self._first = stamp if self._first is None else self._first
                    if stamp >= self._first:
                        heappush(self._waiting, stamp)
                yield packet
        yield None  # gives the frames that the decoder has kept back

    def _stamp(self, frame: Any) -> int | None:
        """The timestamp by which the packet of a frame is waited for."""
        if self._format != "avi":
            return frame.pts
        if frame.dts is None:
            return None
        # AVI states an order of decoding only, of which frames come out later by as many as the decoder keeps back.
        if self._delay is None:
            self._delay = self._stream.codec_context.has_b_frames if self._failed else frame.dts - (self._first or 0)
        return frame.dts - self._delay

    def _seconds(self, timestamp: int) -> float:
        return float(timestamp * self._stream.time_base) - self._start

    def _hole_before(self, frame: Any, stamp: int | None) -> int:
        """How many frames between the latest one and this could not be read."""
        if stamp is None:
            return self._failed
        missed = []
        while self._waiting and self._waiting[0] <= stamp and (first := heappop(self._waiting)) != stamp:
            missed += [first] if self._seconds(first) > self._counted else []
        if not self._damaged and not self._skips:
            return 0
        self._missed.update(missed)
        step = self.time / self.index if self.index > 0 else self._step
        by_time = round((self._seconds(stamp) - self.time) / step) - 1
        hole = len(missed)
        if frame.interlaced_frame:  # which may have two packets
            hole = min(hole, max(0, by_time))
        if self._skips and self._given and by_time > hole:
            hole, self._counted = by_time, self._seconds(stamp)
        return hole

    def _is_whole(self, frame: Any) -> bool:
        """Whether a frame is neither damaged itself nor builds upon one that is lost."""
        builds = self._needs_key is not None and (frame.pts is None or frame.pts >= self._needs_key)
        if frame.is_corrupt and frame.key_frame:
            self._needs_key = frame.pts or 0
        elif frame.key_frame and builds:
            self._needs_key, builds = None, False
        return not frame.is_corrupt and not builds

    def check(self, name: str) -> None:
        """Raises InputError if too little could be read."""
        if not self._given:
            raise InputError(f"{name} has no frames that can be read.", _HINT)
        here = self.time + self._step
        missing = self._duration - max(self._end, self._start + here)
        tolerance = max(0.75, min(10.0, self._duration / 20))
        # Containers round their duration, but one that ends within a frame was cut.
        if self.tail * self._step > tolerance or missing > (1.5 * self._step if self.tail else tolerance):
            hint = "The part that is there is done. Copy or download it again for the rest."
            whole = max(self._duration, here + self.tail * self._step)
            raise InputError(f"{name} was cut short: it ends after {here:.1f} of {whole:.1f} seconds.", hint)
        if self.lost > (self.lost + self._given) / 3:
            raise InputError(f"{name} is damaged: more than a third of its frames cannot be read.", _HINT)


def _upright(frame: Any, pixel_aspect: Any, name: str) -> Image:
    """PyAV's frame as RGB uint8 (H, W, 3), with square pixels, turned and mirrored as its display matrix says."""
    from av.sidedata.sidedata import Type

    width = max(1, round(frame.width * (pixel_aspect or 1)))
    images.check_size((width, frame.height), name)
    if any(component.is_alpha for component in frame.format.components):
        rgba = frame.to_ndarray(format="rgba", width=width, height=frame.height)
        image = images.from_pillow(PillowImage.fromarray(rgba))
    else:
        image = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is not None:
        # shown x = a x + c y, shown y = b x + d y; players turn by the nearest quarter
        a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].astype(float)
        if abs(b) + abs(c) > abs(a) + abs(d):
            image, a, d = image.swapaxes(0, 1), c, b
        image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


def animation(file: str | IO[bytes], name: str) -> Iterator[Frame]:
    """The frames of an animated GIF, PNG, WebP or AVIF, each at its time; ``name`` is what errors call it.

    Raises InputError where it cannot be read, perhaps after some frames.
    """
    time, fps = 0.0, None
    try:
        with PillowImage.open(file) as image:
            first = int(bool(image.info.get("default_image")))  # what is shown where animations are not supported
            for index in range(first, getattr(image, "n_frames", 1)):
                image.seek(index)
                pixels = images.from_pillow(image, name)
                duration = float(image.info.get("duration") or 0) / 1000
                duration = duration if duration > 0.01 else 0.1  # as all browsers show it
                fps = fps or 1 / duration
                yield Frame(pixels, index - first, time, fps)
                time += duration
    except images.BROKEN as error:
        raise InputError(f"{name} is broken or cut short ({reason(error)}).", _HINT) from None


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
