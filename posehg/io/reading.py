"""Sources become frames."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from posehg import images
from posehg.errors import InputError
from posehg.images import Image
from posehg.io import download, stream, video
from posehg.io.source import ALL, STANDARD_INPUT, Frame, Source, Span

MAX_PICTURE = 256 << 20
MAX_VIDEO = 4 << 30
"""Bytes of what comes from the web or through a pipe."""


def frames(source: Source) -> Generator[Frame]:
    """One frame of a picture, those of a video as they are asked for.

    Raises InputError, naming the source, where it cannot be read; of a video perhaps after some frames.
    """
    if source.problem:
        raise source.problem
    if source.kind == "camera":
        yield from video.camera(int(source.name.partition(":")[2]))
    elif source.kind == "image":
        yield Frame(_picture(source.name))
    elif _is_address(source.name):
        with download.as_file(source.name, MAX_VIDEO) as path:
            yield from video.frames(path, source.name)
    else:
        yield from video.frames(source.name, source.name)


def each(sources: Iterable[Source], span: Span = ALL) -> Iterator[tuple[Source, Frame | InputError]]:
    """The frames of all sources, one after the other; where one cannot be read, the error instead, and on it goes.

    span: which part of videos; one that has no frame in it is an error.
    """
    for source in sources:
        try:
            for frame in _within(source, span):
                yield source, frame
        except InputError as error:
            yield source, error
        except MemoryError:
            yield source, too_large(source)


def too_large(source: Source) -> InputError:
    return InputError(f"{source.name} needs more memory than there is.", "Make it smaller first.")


def _within(source: Source, span: Span) -> Iterator[Frame]:
    start, end = span
    time = None
    nothing = True
    with closing(frames(source)) as every:
        for frame in every:
            time = frame.time
            if time is not None and time >= end:
                break
            if time is None or time >= start:
                nothing = False
                yield frame
    if nothing and time is not None:
        last = f"its last one is shown at {time:.2f}." if time < start else f"the next one is shown at {time:.2f}."
        until = f" and before {end:g}" if end < math.inf else ""
        raise InputError(f"{source.name} has no frame after {start:g}{until} seconds: {last}")


def _picture(name: str) -> Image:
    if name == STANDARD_INPUT:
        return images.read_bytes(stream.standard_input(MAX_PICTURE), "Standard input")
    if _is_address(name):
        return images.read_bytes(download.read(name, MAX_PICTURE), name)
    if _is_stream(name):
        return images.read_bytes(_streamed(name), name)
    return images.read(name)


def _is_address(name: str) -> bool:
    return name.lower().startswith(("http://", "https://"))


def _is_stream(path: str) -> bool:
    """Whether it is a pipe or device, as in posehg predict <(curl ..), in which Pillow could not go back."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False  # whoever opens it will say what is wrong
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _streamed(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return stream.read(file, path, MAX_PICTURE)
    except OSError as error:
        raise images.unreadable(Path(path), error) from None
