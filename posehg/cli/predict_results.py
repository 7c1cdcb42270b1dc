"""What becomes of a result: its files, its lines on standard output, and its place in the account of the run."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from posehg.cli import terminal
from posehg.cli.predict_files import files_of, moving
from posehg.errors import InputError
from posehg.files import check_folder, is_full, make_folder
from posehg.io import Frame, Source, video_writer
from posehg.io.sources import too_large
from posehg.io.writers import Add, Found, Look, Result, image, is_done
from posehg.io.writers import files_of as files_named
from posehg.io.writers import json as records
from posehg.io.writers.plan import Files, Plan
from posehg.io.writers.table import joints_table

_RATE = 25.0
"""Frames a second of a video that does not say it."""


@dataclass(frozen=True)
class Shown:
    """How results are shown.

    json: a record on standard output for each. headings: whose a table of joints is. quiet: the sources are many, and
    only what goes wrong is told of each. overwrite, skip_existing: what becomes of files that are there. to_stdout: the
    file's content goes to standard output at the end. nobody: what is said of a source without people.
    """

    look: Look
    model: str
    json: bool = False
    headings: bool = False
    quiet: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    to_stdout: bool = False
    nobody: str = "nobody was found"


@dataclass(frozen=True)
class Outcome:
    """What came of a frame, or of a source when it has ended. text: for standard output. found: for files of a run."""

    source: str
    text: str = ""
    found: Found | None = None
    written: int = 0
    failed: bool = False
    empty: bool = False
    ended: bool = False

    @property
    def is_only_the_end(self) -> bool:
        return self.ended and not (self.text or self.found or self.written or self.failed or self.empty)


class Results:
    """Takes one result after the other; a context manager, as files of a run or a video appear when they have ended.

    first: whether this is the one of several processes that prints and collects.
    given_up: the name of a video whose files cannot be written, so that the rest of it is of no use.
    """

    def __init__(self, plan: Plan, shown: Shown, first: bool = True) -> None:
        self._plan, self._shown, self._first = plan, shown, first
        self._run, self._adds = ExitStack(), list[Add]()
        self._video: _Video | None = None
        self._told: str | None = None
        self.given_up: str | None = None

    def __enter__(self) -> Self:
        if self._plan.folder is not None:
            make_folder(self._plan.folder)
            check_folder(self._plan.folder)  # rather now than once for each of ten thousand pictures
        with ExitStack() as stack:
            for path, collect in self._plan.run if self._first else ():
                make_folder(path.parent)
                # An incomplete file of all is made anew when an earlier run is taken up again.
                anew = self._shown.overwrite or self._shown.skip_existing
                self._adds.append(stack.enter_context(collect(path, anew)))
            self._run = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._video:
            self._video.stack.__exit__(kind, error, at)
        self._run.__exit__(kind, error, at)
        if kind is None and self._first:
            for path, _ in self._plan.run:
                self._tell(path)
            if self._shown.to_stdout:
                self._copy()

    def write(self, source: Source, result: Result, frame: Frame) -> Outcome:
        """The files of a picture or frame."""
        found = result.found
        try:
            written = self._frame(source, result, frame) if moving(source) else self._picture(source, result)
        except (InputError, MemoryError) as error:
            if is_full(error):
                raise
            if moving(source):
                self.given_up = source.name
            told = error if isinstance(error, InputError) else too_large(source)
            return self.failed(source, replace(found, shape=None, poses=[]), told)
        empty = not found.poses and not moving(source)
        if empty and not self._shown.quiet:
            terminal.note(f"{found.source}: {self._shown.nobody}.")
        return Outcome(found.source, self._text(found), self._kept(found), written, empty=empty)

    def failed(self, source: Source, found: Found, error: InputError) -> Outcome:
        """What could not be read or written. It is told of each source once."""
        if self._told != source.name:
            self._told = source.name
            terminal.report(error)
        found = replace(found, error=str(error))
        with suppress(InputError):  # a file that cannot be written has been told
            for add in self._video.adds if self._video else ():
                add(found)
        text = f"{records.line(records.record(found))}\n" if self._shown.json else ""
        return Outcome(found.source, text, self._kept(found), failed=True)

    def end(self, source: Source, nothing: Found) -> Outcome:
        """Of a source; of a video its files appear. nothing: what a record holds where that fails."""
        video, self._video = self._video, None
        if video is None:
            return Outcome(source.name, ended=True)
        try:
            video.stack.close()
        except InputError as error:
            if is_full(error):
                raise
            return replace(self.failed(source, nothing, error), ended=True)
        for path in video.files.whole:
            self._tell(path)
        for file in video.files.pictures if not self._shown.quiet else ():
            terminal.note(f"Wrote {video.frames:,} files of {source.name} into {file.folder}")
        if not video.anybody and not self._shown.quiet:
            terminal.note(f"{source.name}: {self._shown.nobody}.")
        return Outcome(source.name, written=len(video.files.whole), empty=not video.anybody, ended=True)

    def deliver(self, outcome: Outcome) -> None:
        """To standard output and to the files of the run."""
        if outcome.text:
            print(outcome.text, end="", flush=True)
        if outcome.found:
            for add in self._adds:
                add(outcome.found)

    def _picture(self, source: Source, result: Result) -> int:
        written = 0
        for file in files_of(self._plan, source).pictures:
            if self._shown.skip_existing and is_done(file.kind, file.path()):
                continue
            make_folder(file.path().parent)
            file.write(file.path(), result, self._shown.overwrite)
            for path in files_named(file.kind, file.path(), len(result.found.poses)):
                self._tell(path)
                written += 1
        return written

    def _frame(self, source: Source, result: Result, frame: Frame) -> int:
        if self._video is None:
            self._video = _Video(source, files_of(self._plan, source), frame, self._shown)
        video = self._video
        video.add(result)
        number, replaced = result.found.frame, self._shown.overwrite or self._shown.skip_existing
        for file in video.files.pictures:
            make_folder(file.path(number).parent)
            file.write(file.path(number), result, replaced)
        video.frames += 1
        return len(video.files.pictures)

    def _text(self, found: Found) -> str:
        if self._shown.json:
            return f"{records.line(records.record(found))}\n"
        if self._plan != Plan() or not found.poses:
            return ""
        heading = f"{found.source}\n" if self._shown.headings else ""
        return heading + terminal.rendered(joints_table(found.poses, self._shown.look.threshold))

    def _kept(self, found: Found) -> Found | None:
        return found if self._plan.run else None

    def _tell(self, path: Path) -> None:
        if not self._shown.quiet and not self._shown.to_stdout:
            terminal.note(f"Wrote {path}")

    def _copy(self) -> None:
        """What was written to standard output; nothing where the only picture failed."""
        for path in [self._plan.one.name] if self._plan.one else [path for path, _ in self._plan.run]:
            if path.exists():
                with open(path, "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


class _Video:
    """The files of a video under way. Where an earlier run is taken up again, what is there of them stays."""

    def __init__(self, source: Source, files: Files, frame: Frame, shown: Shown) -> None:
        self.anybody, self.frames = False, 0
        self.adds: list[Add] = []
        self.film: video_writer.AddFrame | None = None
        kept = shown.skip_existing
        streams = tuple((path, collect) for path, collect in files.streams if not (kept and path.exists()))
        film = None if kept and files.film and files.film.exists() else files.film
        self.files = Files(files.pictures, streams, film)
        with ExitStack() as stack:
            for path in self.files.whole:
                make_folder(path.parent)
            for path, collect in streams:
                self.adds.append(stack.enter_context(collect(path, shown.overwrite)))
            if film:
                video = video_writer.create(film, frame.fps or _RATE, shown.overwrite, _sound_of(source))
                self.film = stack.enter_context(video)
            self.stack = stack.pop_all()

    def add(self, result: Result) -> None:
        found = result.found
        self.anybody = self.anybody or bool(found.poses)
        for add in self.adds:
            add(found)
        if self.film:
            self.film(image.render(result), found.time)


def _sound_of(source: Source) -> Path | None:
    """The file that a video's sound is taken from."""
    if source.kind != "video":
        return None
    if Path(source.name).is_file():
        return Path(source.name)
    terminal.note(f"{source.name}: the sound is left out. Download the video to keep it.")
    return None
