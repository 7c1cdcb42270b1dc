"""What all writers have in common."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from posehg.drawing import DrawOptions
from posehg.files import atomic, naming
from posehg.poses import Result


@dataclass(eq=False)
class Writer:
    """Writes results. Memory does not grow much with their number.

        with JsonWriter(path) as writer:
            for result in results:
                writer.add(result)

    Files appear when they are complete. After an error in the block there is no file.
    written: the files that are complete.
    All methods raise UsageError for a file that exists without ``overwrite``, and InputError, naming the file, where
    it cannot be written.
    draws: whether it draws skeletons, with the style and background of ``draw``. needs_heatmaps: of the results.
    one_file: ``path`` is all that it writes. remark: what the user should know of the file, once it is complete.
    """

    draws: ClassVar[bool] = False
    needs_heatmaps: ClassVar[bool] = False
    one_file: ClassVar[bool] = True

    path: Path
    draw: DrawOptions = field(default_factory=DrawOptions)
    overwrite: bool = False
    written: list[Path] = field(default_factory=list, init=False)
    remark: str = field(default="", init=False)

    def add(self, result: Result) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        pass


class ImageFileWriter(Writer):
    """A file of each image, or of each frame with its number before the last underscore: v_000000000012_person1.jpg."""

    def add(self, result: Result) -> None:
        path = self.path
        if result.frame is not None:
            head, _, tail = path.name.rpartition("_")
            path = path.with_name(f"{head}_{result.frame:012d}_{tail}")
        if result.image is not None:  # else it could not be read
            self.write(result, path)

    def write(self, result: Result, path: Path) -> None:
        raise NotImplementedError


@dataclass(eq=False)
class FileWriter(Writer):
    """A file of any number of results: a subclass writes to ``temporary``, which becomes ``path`` at the end.

    stack: what a subclass opens, to be closed before that.
    """

    def __post_init__(self) -> None:
        self.stack = ExitStack()
        self.temporary = self.stack.enter_context(atomic(self.path, self.overwrite))

    def finish(self) -> None:
        """Write what can be written at the end only."""

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                with naming(self.path):
                    self.finish()
                self.stack.close()
                self.written.append(self.path)
        finally:
            with suppress(Exception):  # closing writes what is buffered, perhaps to a full disk
                self.stack.__exit__(GeneratorExit, GeneratorExit(), None)  # as after an error, unless it is closed


class TextWriter(FileWriter):
    """A text file in UTF-8. A byte of a file name that is not UTF-8 is written as backslash, u, dc and the byte."""

    def __post_init__(self) -> None:
        super().__post_init__()
        with naming(self.path):
            file = open(self.temporary, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115
            self._file = self.stack.enter_context(file)

    def write(self, text: str) -> None:
        with naming(self.path):
            self._file.write(text)
