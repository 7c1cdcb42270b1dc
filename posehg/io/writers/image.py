"""Images and videos with skeletons drawn on them, or on another background, and the input beside them if asked for."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import drawing, images
from posehg.drawing import DrawOptions
from posehg.errors import InputError
from posehg.files import naming
from posehg.io.writers.writer import FileWriter, ImageFileWriter
from posehg.poses import Result

_CODECS = {
    ".mp4": ("libx264", {"crf": "20", "preset": "veryfast"}, "aac"),
    ".webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}, "libopus"),
}
"""Encoders that every wheel of PyAV has, with settings that are fast beside a network and look like the source."""

_RATE = 25.0  # frames a second of a video that does not state its rate, or an impossible one
_SMALLEST = 16  # pixels a side: smaller videos can be written but not read
_TICKS = 90_000  # a second, as in broadcasting: all usual frame rates are whole numbers of them
_MIN_STEP = _TICKS // 1000  # between two frames: .webm counts milliseconds
_BT709 = 1  # FFmpeg's code of the colour space that players assume for HD


class ImageWriter(ImageFileWriter):
    """One image, in the format of the path's suffix: one of images.SUFFIXES."""

    draws = True

    def write(self, result: Result, path: Path) -> None:
        images.write(path, render(result, self.draw), self.overwrite)
        self.written.append(path)


def render(result: Result, draw: DrawOptions) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), or RGBA (H, W, 4) if the background is ``none``; (H, 2 W, ...) if side by side."""
    image = result.image
    assert image is not None
    if draw.background == "none":
        drawn = drawing.cut_out(image, result.people, draw.threshold, draw.style)
    else:
        ground = image if draw.background == "image" else np.full_like(image, 255 * (draw.background == "white"))
        drawn = drawing.draw(ground, result.people, draw.threshold, draw.style)
    return drawing.side_by_side(image, drawn) if draw.side_by_side else drawn


class VideoWriter(FileWriter):
    """A video, .mp4 (H.264, AAC) or .webm (VP9, Opus), with the sound of the source if that is a file.

    Each frame is shown at its own time. A frame with an odd side has its last row or column twice, as the codecs need
    even sides, and a frame of another size than the first is stretched to that.
    """

    draws = True
    _container: Any = None

    def _open(self, shape: tuple[int, ...], result: Result) -> None:
        import av

        suffix = self.path.suffix.lower()
        codec, options, sound = _CODECS[suffix]
        options_of_file = {"movflags": "+faststart"} if suffix == ".mp4" else {}  # plays while it is downloaded
        file: Any = av.open(str(self.temporary), "w", format=suffix[1:], container_options=options_of_file)
        self._container = self.stack.enter_context(file)
        self._start, self._last = result.time or 0.0, -_MIN_STEP
        self._rate = result.fps if result.fps and 0.1 <= result.fps <= 1000 else _RATE
        self._stream = file.add_stream(codec, rate=Fraction(self._rate).limit_denominator(1001), options=options)
        rows, columns = (max(_SMALLEST, side + side % 2) for side in shape[:2])
        self._stream.height, self._stream.width = rows, columns
        self._padding = (0, rows - shape[0]), (0, columns - shape[1]), (0, 0)
        self._stream.pix_fmt = "yuv420p"  # the only one that all players show
        context = self._stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1  # 16 .. 235, as in television
        self._sound = _sound(result.source, file, sound, self._start)
        self._next_sound = next(self._sound, None)

    def add(self, result: Result) -> None:
        import av

        if result.image is None:
            return  # a frame that could not be processed
        image = render(result, self.draw)
        with naming(self.path, av.FFmpegError):
            if self._container is None:
                self._open(image.shape, result)
            self._last = max(self._last + _MIN_STEP, round(((result.time or 0.0) - self._start) * _TICKS))
            frame = av.VideoFrame.from_ndarray(np.pad(image, self._padding, mode="edge"), format="rgb24")
            size = self._stream.width, self._stream.height
            frame = frame.reformat(*size, format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))
            self._add_sound(until=self._last / _TICKS)

    def finish(self) -> None:
        import av

        if self._container is None:
            raise InputError(f"{self.path} is not written: there was no frame for it.")
        with naming(self.path, av.FFmpegError):
            self._container.mux(self._stream.encode())
            self._add_sound(until=self._last / _TICKS + 1 / self._rate)
            self._container.close()

    def _add_sound(self, until: float) -> None:
        """Sound goes along with the frames, so that neither waits for the other in memory."""
        while self._next_sound is not None and self._next_sound[0] < until:
            self._container.mux(self._next_sound[1])
            self._next_sound = next(self._sound, None)


def _sound(path: str, target: Any, codec: str, start: float) -> Iterator[tuple[float, Any]]:
    """The sound of a video from ``start`` on, as packets for ``target``, each with the time at which it is heard there.

    Times are seconds. Where the sound begins later, has a gap or cannot be decoded, there is silence. There are no
    packets where the file has no sound or cannot be read.
    """
    import av

    with suppress(OSError, av.FFmpegError), open(path, "rb") as file, av.open(file, metadata_errors="ignore") as opened:
        source: Any = opened
        stream, video = source.streams.best("audio"), source.streams.best("video")
        if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
            return
        if video is not None and video.start_time is not None:
            start += float(video.start_time * video.time_base)  # frame times count from the first frame
        rate = 48_000 if codec == "libopus" else min(stream.codec_context.sample_rate, 48_000)
        output = target.add_stream(codec, rate=rate)
        output.codec_context.layout = layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        channels, done, form = 1 if layout == "mono" else 2, 0, None
        resampler: Any = None
        for piece in _decoded(source, stream):
            if piece.time is None or piece.time < start:
                continue
            pieces, gap = [], round((piece.time - start) * rate) - done
            if done == 0 or gap > rate / 10:  # smaller differences are rounded times
                silence = np.zeros((1, channels * max(gap, 0)), np.int16)
                pieces = [av.AudioFrame.from_ndarray(silence, "s16", layout)] if gap > 0 else []
            if form != (form := (piece.format.name, piece.layout.name, piece.sample_rate)):
                resampler = av.AudioResampler("s16", layout, rate)
            piece.pts = None  # times of pieces may overlap: samples are counted instead
            for samples in pieces + resampler.resample(piece):
                samples.sample_rate, samples.pts, samples.time_base = rate, done, Fraction(1, rate)
                done += samples.samples
                yield from ((float(packet.pts * packet.time_base), packet) for packet in output.encode(samples))
        yield from ((float(packet.pts * packet.time_base), packet) for packet in output.encode())


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream, without those that cannot be decoded."""
    import av

    for packet in container.demux(stream):
        with suppress(av.FFmpegError):
            yield from packet.decode()
