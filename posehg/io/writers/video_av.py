"""Videos by PyAV: H.264 in .mp4, VP9 in .webm, each frame at its own time, with the sound of another video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path

from posehg.errors import InputError
from posehg.images import Image
from posehg.io.writers.sound import Sound, library

_CODECS = {
    ".mp4": ("libx264", {"crf": "20", "preset": "veryfast"}),
    ".webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}),
}
"""Encoders that every wheel of PyAV has, in settings that are quick beside a network and look like the source."""

_TICKS = 90_000
"""A second's, as in broadcasting: all usual rates are whole numbers of them."""

_APART = _TICKS // 1000
"""The least between two frames: .webm counts milliseconds."""

_BT709 = 1
"""The code of the colours that players expect of HD; those of a smaller video they take from the file."""


class AvEncoder:
    """path: what errors call the file. size: (rows, columns). start: the first frame's time, at which sound begins."""

    def __init__(
        self,
        path: Path,
        temporary: Path,
        size: tuple[int, int],
        rate: float,
        sound_of: Path | None,
        start: float,
    ) -> None:
        suffix = path.suffix.lower()
        codec, options = _CODECS[suffix]
        self._path, self._rate, self._start = path, rate, start
        self._last, self._count = -_APART, 0
        with _told(path):
            movable = {"movflags": "+faststart"} if suffix == ".mp4" else {}  # plays while it is still downloaded
            self._container = library().open(str(temporary), "w", format=suffix[1:], container_options=movable)
            self._stream = self._container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
            self._stream.height, self._stream.width = size
            self._stream.pix_fmt = "yuv420p"  # what every player can show
            self._stream.options = options
            context = self._stream.codec_context
            context.time_base = Fraction(1, _TICKS)
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = 1  # of television: 16 .. 235
            self._sound = Sound(sound_of, self._container, suffix, start)

    def add(self, image: Image, time: float | None) -> None:
        shown = self._start + self._count / self._rate if time is None else time
        self._last = max(self._last + _APART, round((shown - self._start) * _TICKS))
        self._count += 1
        with _told(self._path):
            frame = library().VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))
            self._sound.until(self._last / _TICKS)

    def close(self) -> None:
        with _told(self._path), closing(self._sound), closing(self._container):
            self._container.mux(self._stream.encode())
            self._sound.until(self._last / _TICKS + 1 / self._rate)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What PyAV raises is told as an InputError; what the system refuses stays an OSError."""
    try:
        yield
    except library().FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise InputError(f"{path} cannot be written: {error}.") from None
