"""What all writers have in common."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from posehg.drawing import DrawOptions
from posehg.files import atomic, naming
from posehg.poses import Result

_DEFAULT = DrawOptions()


class Writer:
    """Writes results: ``add`` each of them, then ``close``. Memory does not grow with the number of results.

        with JsonWriter(path) as writer:
            for result in results:
                writer.add(result)

    Files appear when they are complete. After an error in the block, or ``discard``, there is no file.
    written: the files that are complete.
    All methods raise UsageError for a file that exists without ``overwrite``, and InputError, naming the file, where
    it cannot be written.
    """

    def __init__(self, path: Path, draw: DrawOptions = _DEFAULT, overwrite: bool = False) -> None:
        self.path, self.draw, self.overwrite = path, draw, overwrite
        self.written: list[Path] = []
        self.begin()

    def begin(self) -> None:
        pass

    def add(self, result: Result) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def discard(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class FileWriter(Writer):
    """A file of any number of results: a subclass writes to ``temporary``, which becomes ``path`` at the end."""

    def begin(self) -> None:
        self._atomic = atomic(self.path, self.overwrite)
        self.temporary = self._atomic.__enter__()

    def finish(self) -> None:
        """Write what can be written at the end only."""

    def close(self) -> None:
        try:
            with naming(self.path):
                self.finish()
        except BaseException:
            self.discard()
            raise
        self._atomic.__exit__(None, None, None)
        self.written.append(self.path)

    def discard(self) -> None:
        stop = GeneratorExit()  # anything but an OSError, which atomic would take for an error of this file
        self._atomic.__exit__(GeneratorExit, stop, None)


class TextWriter(FileWriter):
    """A text file in UTF-8. A byte of a file name that is not UTF-8 is written as backslash, u, dc and the byte."""

    def begin(self) -> None:
        super().begin()
        with naming(self.path):
            self._file = open(self.temporary, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115

    def write(self, text: str) -> None:
        with naming(self.path):
            self._file.write(text)

    def finish(self) -> None:
        self._file.close()

    def discard(self) -> None:
        with suppress(OSError):  # closing writes what is buffered, perhaps to a full disk
            self._file.close()
        super().discard()
