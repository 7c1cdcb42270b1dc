"""The sound of one video in another: as it is where the new file can hold it, else encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

_HELD = {".mp4": ({"aac"}, "aac"), ".webm": ({"opus", "vorbis"}, "libopus")}
"""What players expect in a kind of file, and the encoder for other sound."""

Piece = tuple[float, Any]
"""A packet of PyAV's for the new file, and when it is heard, in seconds from the file's beginning."""


def library() -> Any:
    """PyAV, whose types say of a stream all that it might be."""
    import av

    return av


class Sound:
    """What is heard in a new file, handed to it as the pictures are, so that neither waits for the other in memory.

    source: the video that has the sound; one without, or that PyAV cannot read, gives none, and so does None.
    container: PyAV's, of the new file, which nothing has been written to. start: where in the source the file begins.
    """

    def __init__(self, source: Path | None, container: Any, suffix: str, start: float) -> None:
        self._container = container
        self._stack = ExitStack()
        self._pieces = self._opened(source, suffix, start) if source is not None else iter(())
        self._next: Piece | None = None
        self._begun = False

    def until(self, time: float) -> None:
        """Hand over all that is heard before that time, in seconds of the new file."""
        if not self._begun:
            self._begun, self._next = True, next(self._pieces, None)
        while self._next is not None and self._next[0] < time:
            self._container.mux(self._next[1])
            self._next = next(self._pieces, None)

    def close(self) -> None:
        self._stack.close()

    def _opened(self, path: Path, suffix: str, start: float) -> Iterator[Piece]:
        av = library()
        try:
            source = self._stack.enter_context(av.open(str(path)))
        except av.FFmpegError:
            return iter(())
        stream = source.streams.best("audio")
        if stream is None:
            return iter(())
        picture = source.streams.best("video")
        if picture is not None and picture.start_time is not None:
            start += picture.start_time * float(picture.time_base)  # the first frame has the time 0
        held, encoder = _HELD[suffix]
        if stream.codec_context.name in held:
            return _copied(source, stream, self._container.add_stream_from_template(stream), start)
        rate = stream.codec_context.sample_rate
        made = self._container.add_stream(encoder, rate=48_000 if encoder == "libopus" else min(rate, 48_000))
        made.codec_context.layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        return _encoded(source, stream, made, start)


def _copied(source: Any, stream: Any, made: Any, start: float) -> Iterator[Piece]:
    second = float(stream.time_base)
    ticks = round(start / second)
    for packet in _whole(source.demux(stream)):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        heard = packet.pts * second
        if heard + (packet.duration or 0) * second <= 0:
            continue
        packet.stream = made
        yield heard, packet


def _encoded(source: Any, stream: Any, made: Any, start: float) -> Iterator[Piece]:
    samples = None  # handed over so far: the times that files give for pieces of sound may overlap
    for frame in _whole(source.decode(stream)):
        heard = frame.time - start
        if heard < 0:
            continue
        samples = round(heard * frame.sample_rate) if samples is None else samples
        frame.pts, frame.time_base = samples, Fraction(1, frame.sample_rate)
        samples += frame.samples
        for packet in made.encode(frame):
            yield heard, packet
    for packet in made.encode():
        yield heard, packet


def _whole(items: Iterator[Any]) -> Iterator[Any]:
    """What can be read of a source that may be cut short or broken."""
    broken = library().FFmpegError
    try:
        yield from items
    except broken:
        return
