"""The course of posehg predict: results are written, printed and counted, and reported at the end."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from posehg import distributed
from posehg.cli import terminal
from posehg.cli.outputs import STDOUT, Outputs
from posehg.distributed import World
from posehg.drawing import DrawOptions
from posehg.errors import CheckFailed, InputError
from posehg.files import check_folder, is_full, make_folder
from posehg.io.background import write_behind
from posehg.io.sources import Source, too_large
from posehg.io.writers import Writer
from posehg.io.writers.json import line, record
from posehg.io.writers.table import joints_table
from posehg.poses import Result

if TYPE_CHECKING:
    from posehg.cli.predict import PredictOptions

MANY = 20
"""With more inputs only errors are reported for each of them; the rest is reported in total."""


class Run:
    """Writes, prints and counts the results of a run. One thread calls its methods, except ``fail``.

    sources: all, of which ``todo`` were not done by an earlier run.
    abandoned: the names of sources that are to be read no further.
    """

    def __init__(
        self,
        options: PredictOptions,
        outputs: Outputs,
        draw: DrawOptions,
        sources: Sequence[Source],
        todo: Sequence[Source],
    ) -> None:
        self._options, self._outputs, self._draw = options, outputs, draw
        self._sources, self._todo, self._many = sources, todo, len(sources) > MANY
        self._to_stdout = str(options.out) == STDOUT
        self._replace = options.overwrite or options.skip_existing
        self._run_writers: list[Writer] = []
        self._video_writers: list[Writer] = []
        self._video: Source | None = None  # the one that is being written
        self.abandoned: set[str] = set()
        self._errors: dict[str, str] = {}  # source -> its first error
        self._people: Counter[str] = Counter()  # source -> poses
        self._written = self._frames_written = 0

    def open(self, first: bool = True) -> None:
        """Make the folder and open the files of all sources together, which the first of several processes writes."""
        if self._outputs.folder is not None:
            make_folder(self._outputs.folder)
            check_folder(self._outputs.folder)  # an error now, instead of one for each of many images
        for output in self._outputs.run if first else ():
            make_folder(output.path().parent)
            self._run_writers.append(output.writer(output.path(), self._draw, self._replace))

    def fail(self, source: Source, error: InputError | MemoryError) -> str:
        """Report the first error of a source; returns the text of the error."""
        problem = too_large(source) if isinstance(error, MemoryError) else error
        if source.name not in self._errors:
            self._errors[source.name] = str(problem)
            terminal.report(problem)
        return str(problem)

    def take(self, source: Source, result: Result) -> Result:
        """Write the files of an image or frame. If they cannot be written, the result that is returned says why."""
        try:
            self._write(source, result)
        except (InputError, MemoryError) as error:
            if is_full(error):
                raise
            if source.kind != "image":
                self.abandoned.add(source.name)
            result = replace(result, poses=(), image=None, size=None, error=self.fail(source, error))
        self._people[source.name] += len(result.poses)
        return result

    def _write(self, source: Source, result: Result) -> None:
        files = self._outputs.of(source)
        whole = [file for file in files if source.kind != "image" and not file.frames]
        if source is not self._video and source.kind != "image" and result.image is not None:
            self._video = source
            for file in whole:
                if not (self._options.skip_existing and file.existing()):
                    make_folder(file.path().parent)
                    self._video_writers.append(file.writer(file.path(), self._draw, self._replace))
        for writer in self._video_writers:
            writer.add(result)
        for file in files if result.image is not None else []:
            path = file.path(result.frame)
            if file in whole or (self._options.skip_existing and not file.frames and path.exists()):
                continue
            make_folder(path.parent)
            with file.writer(path, self._draw, self._replace) as writer:
                writer.add(result)
            self._frames_written += len(writer.written) if file.frames else 0
            self._tell([] if file.frames else writer.written)

    def end(self, source: Source) -> None:
        """All frames of a source are written: complete the files of a video, and say if there was nobody."""
        writers, self._video_writers, self._video = self._video_writers, [], None
        frames, self._frames_written = self._frames_written, 0
        self._written += frames
        if frames and not self._many:
            terminal.note(f"Wrote {frames:,} files of {source.name} into {self._outputs.folder}")
        try:
            self._complete(writers)
        except InputError as error:
            if is_full(error):
                raise
            self.fail(source, error)
        if not self._people[source.name] and source.name not in self._errors and not self._many:
            what = f"{self._options.boxes} has no boxes for it" if self._options.boxes else "nobody was found"
            terminal.note(f"{source.name}: {what}.")

    def deliver(self, result: Result) -> None:
        """Print a result and add it to the files of all sources."""
        if self._options.json:
            print(line(record(result)), flush=True)
        elif self._outputs == Outputs() and result.poses:
            heading = f"{result.source}\n" if len(self._sources) > 1 else ""
            print(heading + terminal.rendered(joints_table(result.poses, self._draw.threshold)), end="", flush=True)
        for writer in self._run_writers:
            writer.add(result)

    def alone(self, results: Iterable[tuple[Source, Result | None]]) -> None:
        """The whole run by one process, which writes while the next results are computed."""

        def step(source: Source, result: Result | None) -> None:
            if result is None:
                self.end(source)
            else:
                self.deliver(self.take(source, result))

        name, count = ("", len(self._todo)) if len(self._todo) > 1 else (self._todo[0].name, None)
        self.open()
        try:
            with terminal.progress_bar(name, count) as advance, write_behind() as later:
                for source, result in results:
                    later(partial(step, source, result))
                    if (result is None) == (count is not None):
                        advance()
        except KeyboardInterrupt:
            if self._outputs.folder is not None and not self._outputs.run:
                terminal.note(f"{self._written:,} files are written; --skip-existing continues from there.")
            raise
        self.complete_run()
        self.summarise()

    def together(self, results: Iterable[tuple[Source, Result | None]], world: World) -> None:
        """The run by several processes: each writes the files of its images, the first prints all results in order."""

        def share() -> list[Result]:
            taken = []
            for source, result in results:
                if result is None:
                    self.end(source)
                else:
                    taken.append(replace(self.take(source, result), image=None, heatmaps=()))
            return taken

        def deliver(everything: list[Result]) -> None:
            with terminal.ignore_closed_stdout():
                for result in everything:
                    self.deliver(result)
            self.complete_run()

        distributed.alike(partial(self.open, world.first))
        everything = distributed.interleaved(distributed.agreed(share))
        distributed.alike(partial(deliver, everything if world.first else []))
        others = distributed.gather((self._people, self._errors, self._written))
        self._people = sum((people for people, _, _ in others), Counter())
        self._errors = {name: text for _, errors, _ in others for name, text in errors.items()}
        self._written = sum(written for _, _, written in others)
        self.summarise(world.first)

    def summarise(self, reports: bool = True) -> None:
        """Report the run as a whole and raise what its exit code needs. Of several processes the first reports."""
        failed = [source.name for source in self._todo if source.name in self._errors]
        empty = [s.name for s in self._todo if not self._people[s.name] and s.name not in self._errors]
        total, skipped = f"{len(self._sources):,} inputs", len(self._sources) - len(self._todo)
        notes = []
        if skipped:
            rest = "" if self._todo else "; there is nothing left to do"
            notes.append(f"{skipped:,} of {total} were done before{rest}.")
        if self._many and self._written and self._outputs.folder:
            notes.append(f"Wrote {self._written:,} files into {self._outputs.folder}.")
        if self._many and empty:
            notes.append(f"Nobody was found in {len(empty):,} of {total}.")
        if failed and len(self._sources) > 1:
            names = f": {', '.join(failed[:10])}{', ..' if failed[10:] else ''}" if self._many else ""
            notes.append(f"{len(failed):,} of {total} failed; the others are done{names}.")
        for text in notes if reports else []:
            terminal.note(text)
        if failed:
            raise typer.Exit(InputError.exit_code)
        if empty and self._options.fail_if_empty:
            raise CheckFailed(f"Nobody was found in {len(empty):,} of {total}.")

    def complete_run(self) -> None:
        """Complete the files of all sources; copy what was written for standard output."""
        writers, self._run_writers = self._run_writers, []
        self._complete(writers)
        if self._to_stdout:
            for output in (self._outputs.single, *self._outputs.run):
                if output and output.path().exists():  # not if the only image failed
                    with open(output.path(), "rb") as file:
                        shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """After an error, remove incomplete files."""
        for writer in (*self._video_writers, *self._run_writers):
            writer.discard()

    def _complete(self, writers: Sequence[Writer]) -> None:
        with ExitStack() as stack:  # if one cannot be completed, the others are discarded
            for writer in writers:
                stack.enter_context(writer)
        for writer in writers:
            self._tell(writer.written)

    def _tell(self, paths: Sequence[Path]) -> None:
        self._written += len(paths)
        if not self._to_stdout and (not self._many or self._outputs.folder is None):
            for path in paths:
                terminal.note(f"Wrote {path}")
