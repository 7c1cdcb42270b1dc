"""Reading inputs (images, videos, cameras, bounding boxes) and writing results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from posehg.errors import InputError
from posehg.io.prefetch import ahead
from posehg.io.sources import Frame, Source, expand, frames
from posehg.io.video import CutShort

__all__ = ["CutShort", "Frame", "Source", "ahead", "each", "expand", "frames"]


def each(
    sources: Iterable[Source], span: tuple[float, float] = (0.0, float("inf"))
) -> Iterator[tuple[Source, Frame | InputError]]:
    """The frames of all sources, one after the other; the error instead where one cannot be read."""
    for source in sources:
        try:
            for frame in frames(source, *span):
                yield source, frame
        except InputError as error:
            yield source, error
