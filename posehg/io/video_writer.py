"""Videos from frames, by PyAV: H.264 and AAC in .mp4, VP9 and Opus in .webm.

    with video_writer.create(Path("out.mp4"), rate=25, sound_of=Path("in.mp4")) as add:
        for frame in ...:
            add(image, frame.time)

Each frame is shown at its own time. A frame with an odd side has its last row or column twice, as the codecs need even
sides, and a frame of another size than the first is fitted into that. The file appears when the block ends without an
error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from posehg.errors import InputError, UsageError
from posehg.files import atomic
from posehg.geometry import Affine, Box
from posehg.images import Image, warp

AddFrame = Callable[[Image, float | None], None]
"""Takes RGB uint8 (H, W, 3) and the frame's time in seconds; None: one frame after the last, by the rate."""

_CODECS = {
    ".mp4": ("libx264", {"crf": "20", "preset": "veryfast"}),
    ".webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}),
}
"""Encoders that every wheel of PyAV has, with settings that are fast beside a network and look like the source."""

_SOUND = {".mp4": ({"aac"}, "aac"), ".webm": ({"opus", "vorbis"}, "libopus")}
"""The sound that players expect, which is copied as it is, and the encoder for any other."""

SUFFIXES = tuple(_CODECS)

_RATES = (0.1, 1000.0)  # frames a second; a broken file may state anything
_SMALLEST = 16  # pixels a side: smaller videos can be written but not read
_TICKS = 90_000  # a second, as in broadcasting: all usual frame rates are whole numbers of them
_MIN_STEP = _TICKS // 1000  # between two frames: .webm counts milliseconds
_BT709 = 1  # FFmpeg's code of the colour space that players assume for HD


@contextmanager
def create(path: Path, rate: float, overwrite: bool = False, sound_of: Path | None = None) -> Iterator[AddFrame]:
    """A new video file, as a function that adds a frame to it.

    rate: frames a second. sound_of: a video whose sound is kept, from the time of the first frame to that of the last;
    without sound in it, or where it cannot be read, the new video has none.
    Raises UsageError for another suffix and as files.atomic does, InputError where the file cannot be written, where no
    frame was added, and for a rate outside 0.1 .. 1000.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: videos are written as {' or '.join(SUFFIXES)}.")
    if not _RATES[0] <= rate <= _RATES[1]:  # nor NaN
        raise InputError(f"{path} cannot be written: {rate:g} is not a frame rate.")
    with atomic(path, overwrite) as temporary:
        writer = _Writer(path, temporary, rate, sound_of)
        try:
            yield writer.add
            writer.finish()
        finally:
            with suppress(Exception):  # after an error the unfinished file is removed, whatever its encoder says
                writer.stack.close()


class _Writer:
    """The file, opened with the first frame. path: what errors call it."""

    def __init__(self, path: Path, temporary: Path, rate: float, sound_of: Path | None) -> None:
        self.stack = ExitStack()
        self._path, self._temporary, self._rate, self._sound_of = path, temporary, rate, sound_of
        self._container: Any = None
        self._count, self._start, self._last = 0, 0.0, -_MIN_STEP

    def add(self, image: Image, time: float | None = None) -> None:
        import av

        with self._named_errors():
            if self._container is None:
                self._open(image.shape[0], image.shape[1], time or 0.0)
            since_start = self._count / self._rate if time is None else time - self._start
            self._last = max(self._last + _MIN_STEP, round(since_start * _TICKS))
            self._count += 1
            frame = av.VideoFrame.from_ndarray(fitted(image, self._size), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))
            self._add_sound(until=self._last / _TICKS)

    def finish(self) -> None:
        if self._container is None:
            raise InputError(f"{self._path} is not written: there was no frame for it.")
        with self._named_errors():
            self._container.mux(self._stream.encode())
            self._add_sound(until=self._last / _TICKS + 1 / self._rate)
            self.stack.close()

    def _open(self, rows: int, columns: int, start: float) -> None:
        import av

        suffix = self._path.suffix.lower()
        codec, options = _CODECS[suffix]
        options_of_file = {"movflags": "+faststart"} if suffix == ".mp4" else {}  # plays while it is downloaded
        file = av.open(str(self._temporary), "w", format=suffix[1:], container_options=options_of_file)
        self._container = self.stack.enter_context(file)
        stream: Any = file.add_stream(codec, rate=Fraction(self._rate).limit_denominator(1001), options=options)
        self._size = tuple(max(_SMALLEST, side + side % 2) for side in (rows, columns))
        stream.height, stream.width = self._size
        stream.pix_fmt = "yuv420p"  # the only one that all players show
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1  # 16 .. 235, as in television
        self._stream, self._start = stream, start
        self._sound = self._open_sound(suffix)
        self._next_sound = next(self._sound, None)

    def _open_sound(self, suffix: str) -> Iterator[tuple[float, Any]]:
        """The sound's packets, each with the time in seconds at which it is heard in the new file."""
        import av

        try:
            source: Any = self.stack.enter_context(av.open(str(self._sound_of))) if self._sound_of else None
        except (av.FFmpegError, OSError):
            return iter(())
        stream = source.streams.best("audio") if source else None
        if stream is None:
            return iter(())
        start, video = self._start, source.streams.best("video")
        if video is not None and video.start_time is not None:
            start += float(video.start_time * video.time_base)  # frame times count from the first frame
        copied, encoder = _SOUND[suffix]
        if stream.codec_context.name in copied:
            return _copied(source, stream, self._container.add_stream_from_template(stream), start)
        rate = 48_000 if encoder == "libopus" else min(stream.codec_context.sample_rate, 48_000)
        target = self._container.add_stream(encoder, rate=rate)
        target.codec_context.layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        return _encoded(source, stream, target, start)

    def _add_sound(self, until: float) -> None:
        """Sound goes along with the frames, so that neither waits for the other in memory."""
        while self._next_sound is not None and self._next_sound[0] < until:
            self._container.mux(self._next_sound[1])
            self._next_sound = next(self._sound, None)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """An error of PyAV becomes an InputError that names the file; files.atomic does that for OSErrors."""
        import av

        try:
            yield
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise InputError(f"{self._path} cannot be written: {error}.") from None


def fitted(image: Image, size: tuple[int, ...]) -> Image:
    """The image with ``size`` = (rows, columns): its last row and column repeated if a few are missing, else warped."""
    rows, columns = size[0] - image.shape[0], size[1] - image.shape[1]
    if rows == columns == 0:
        return np.ascontiguousarray(image)
    if 0 <= rows < _SMALLEST and 0 <= columns < _SMALLEST:
        return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
    target = (size[0], size[1])
    return warp(image, Affine.crop(Box(0, 0, image.shape[1], image.shape[0]), target), target)


def _copied(source: Any, stream: Any, target: Any, start: float) -> Iterator[tuple[float, Any]]:
    tick = float(stream.time_base)
    shift = round(start / tick)
    for packet in _readable(source.demux(stream)):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        heard = packet.pts * tick
        if heard + (packet.duration or 0) * tick > 0:
            packet.stream = target
            yield heard, packet


def _encoded(source: Any, stream: Any, target: Any, start: float) -> Iterator[tuple[float, Any]]:
    samples = None  # so far: the times that files state for pieces of sound may overlap
    for frame in _readable(source.decode(stream)):
        heard = frame.time - start
        if heard < 0:
            continue
        samples = round(heard * frame.sample_rate) if samples is None else samples
        frame.pts, frame.time_base = samples, Fraction(1, frame.sample_rate)
        samples += frame.samples
        for packet in target.encode(frame):
            yield heard, packet
    for packet in target.encode():
        yield heard, packet


def _readable(items: Iterator[Any]) -> Iterator[Any]:
    """The items up to the first that cannot be read, as of a file that was cut short."""
    import av

    with suppress(av.FFmpegError):
        yield from items
