"""Files that results are added to one by one, so that a run of any length needs no more memory than a short one.

    with csv.table(path) as add:
        for found in ...:
            add(found)

The file appears under its name when the block ends, and only then: of a run that was stopped (Ctrl-C, a full disk, a
crash) nothing is left, whole or half. So a file that is there is complete; and such a run begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from posehg.files import atomic, naming
from posehg.io.writers.result import Found, Result

Add = Callable[[Found], None]

Collect = Callable[[Path, bool], AbstractContextManager[Add]]
"""Called with the path and whether it may be overwritten; raises as files.atomic does, InputError from ``add`` too."""


@contextmanager
def whole(path: Path, overwrite: bool) -> Iterator[Path]:
    """files.atomic around a block that does much else: an OSError of that is raised as it is, not as this file's."""
    try:
        with atomic(path, overwrite) as temporary:
            try:
                yield temporary
            except OSError as error:
                raise _Elsewhere(error) from None
    except _Elsewhere as passing:
        raise passing.error from None


@contextmanager
def text(path: Path, overwrite: bool) -> Iterator[Callable[[str], None]]:
    """A UTF-8 file as a function that writes more text to it.

    What UTF-8 cannot hold is written as an escape: backslash, u, dc and the byte of a file name that is not UTF-8.
    """
    with whole(path, overwrite) as temporary:
        with naming(path):
            file = open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115

        def write(content: str) -> None:
            with naming(path):
                file.write(content)

        try:
            yield write
            with naming(path):
                file.flush()
        finally:
            with suppress(OSError):  # what could not be written has been told by now
                file.close()


class _Elsewhere(Exception):
    """Carries an OSError past what would name the wrong file."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


def one(collect: Collect) -> Callable[[Path, Result, bool], None]:
    """The writer of such a file with a single result in it."""

    def write(path: Path, result: Result, overwrite: bool = False) -> None:
        with collect(path, overwrite) as add:
            add(result.found)

    return write
