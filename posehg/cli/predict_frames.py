"""The frames of posehg predict: read ahead of the network, and while it is being loaded."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import groupby

from posehg import distributed
from posehg.cli.predict_files import moving
from posehg.cli.predict_request import Request
from posehg.errors import InputError
from posehg.io import Frame, Source, ahead, each
from posehg.io.prefetch import AHEAD

_Items = Generator[tuple[Source, Frame | InputError]]


class Frames:
    """Frames of all sources, of which the first are read from the moment that this is made: as the model is loaded."""

    def __init__(self, request: Request) -> None:
        self._span = request.span
        alone = distributed.world().size == 1
        first = next(runs(request.todo), None) if alone else None
        self._begun = None if first is None or first[0].kind == "camera" else self._read(first)

    def of(self, together: Sequence[Source]) -> _Items:
        """Those of sources that are read as one; asked for in the order of all, from the first on."""
        begun, self._begun = self._begun, None
        return self._read(together) if begun is None else begun

    def close(self) -> None:
        if self._begun is not None:
            self._begun.close()

    def _read(self, together: Sequence[Source]) -> _Items:
        count = 1 if together[0].kind == "camera" else AHEAD  # what it sees now, not what it saw
        return ahead(each(together, self._span), count)


def runs(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Photos are read ahead across their ends; a video is by itself, so that one without end can be left."""
    for _, run in groupby(sources, key=lambda source: source if moving(source) else None):
        yield list(run)
