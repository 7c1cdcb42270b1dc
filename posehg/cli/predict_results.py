"""What becomes of a result: its files, its lines on standard output, and its place in the account of the run."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from posehg.cli import guard
from posehg.cli.predict_files import moving
from posehg.errors import InputError
from posehg.files import check, make_folder
from posehg.inputs import Frame, Source
from posehg.outputs import Add, Found, Look, Result, image, is_done
from posehg.outputs import json as records
from posehg.outputs import video as films
from posehg.outputs.plan import Files, Plan
from posehg.outputs.table import joints_table

_RATE = 25.0
"""Frames a second of a video that does not say it."""


@dataclass(frozen=True)
class Shown:
    """How results are shown.

    json: a record on standard output for each. headings: whose a table of joints is. quiet: the sources are many, and
    only what goes wrong is told of each. overwrite, skip_existing: what becomes of files that are there. to_stdout: the
    file is copied from later and needs no mention.
    """

    look: Look
    model: str
    json: bool = False
    headings: bool = False
    quiet: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    to_stdout: bool = False


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


@dataclass
class Account:
    """Of a run. failed: names of sources. empty: sources without anybody."""

    failed: list[str] = field(default_factory=list)
    empty: int = 0
    written: int = 0

    def add(self, outcome: Outcome) -> None:
        if outcome.failed and outcome.source not in self.failed[-1:]:
            self.failed.append(outcome.source)
        self.empty += outcome.empty
        self.written += outcome.written


class Results:
    """Takes one result after the other; a context manager, as files of a run or a video appear when they have ended.

    first: whether this is the one of several processes that prints and collects.
    """

    def __init__(self, plan: Plan, shown: Shown, first: bool = True) -> None:
        self._plan, self._shown, self._first = plan, shown, first
        self._run, self._adds = ExitStack(), list[Add]()
        self._video: _Video | None = None

    def __enter__(self) -> Self:
        folder = self._plan.folder
        if folder is not None:
            make_folder(folder)
            check(folder / "posehg", overwrite=True)  # rather now than once for each of ten thousand pictures
        with ExitStack() as stack:
            for path, collect in self._plan.run if self._first else ():
                make_folder(path.parent)
                self._adds.append(stack.enter_context(collect(path, self._shown.overwrite)))
            self._run = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._video:
            self._video.stack.__exit__(kind, error, at)
        self._run.__exit__(kind, error, at)
        if kind is None:
            for path, _ in self._plan.run if self._first else ():
                self._tell(path)

    def write(self, source: Source, result: Result, frame: Frame) -> Outcome:
        """The files of a picture or frame."""
        found = result.found
        try:
            written = self._frame(source, result, frame) if moving(source) else self._picture(source, result)
        except InputError as error:
            if _is_full(error):
                raise
            return self.failed(source, replace(found, shape=None, poses=[]), error)
        empty = not found.poses and not moving(source)
        if empty and not self._shown.quiet:
            guard.note(f"{found.source}: nobody was found.")
        return Outcome(found.source, self._text(found), self._kept(found), written, empty=empty)

    def failed(self, source: Source, found: Found, error: InputError) -> Outcome:
        """What could not be read or written. It is told of each source once."""
        video = self._video
        if video is None or not video.failed:
            guard.tell(error)
        if video is not None:
            video.failed = True
        found = replace(found, error=str(error))
        text = f"{records.line(records.record(found))}\n" if self._shown.json else ""
        return Outcome(found.source, text, self._kept(found), failed=True)

    def end(self, source: Source) -> Outcome:
        """Of a source; of a video its files appear."""
        video, self._video = self._video, None
        if video is None:
            return Outcome(source.name, ended=True)
        try:
            video.stack.close()
        except InputError as error:
            if _is_full(error):
                raise
            guard.tell(error)
            return Outcome(source.name, failed=True, ended=True)
        for path in video.files.whole:
            self._tell(path)
        if not video.anybody and not self._shown.quiet:
            guard.note(f"{source.name}: nobody was found.")
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
        for file in self._plan.of(source.relative, False).pictures:
            if self._shown.skip_existing and is_done(file.kind, file.path()):
                continue
            make_folder(file.path().parent)
            file.write(file.path(), result, self._shown.overwrite)
            self._tell(file.path())
            written += 1
        return written

    def _frame(self, source: Source, result: Result, frame: Frame) -> int:
        if self._video is None:
            self._video = _Video(source, self._plan.of(source.relative, True), frame, self._shown.overwrite)
        video = self._video
        video.add(result)
        number, replaced = result.found.frame, self._shown.overwrite or self._shown.skip_existing
        for file in video.files.pictures:
            make_folder(file.path(number).parent)
            file.write(file.path(number), result, replaced)
        return len(video.files.pictures)

    def _text(self, found: Found) -> str:
        if self._shown.json:
            return f"{records.line(records.record(found))}\n"
        if self._plan != Plan() or not found.poses:
            return ""
        heading = f"{found.source}\n" if self._shown.headings else ""
        return heading + guard.drawn(joints_table(found.poses, self._shown.look.threshold))

    def _kept(self, found: Found) -> Found | None:
        return found if self._plan.run else None

    def _tell(self, path: Path) -> None:
        if not self._shown.quiet and not self._shown.to_stdout:
            guard.note(f"Wrote {path}")


class _Video:
    """The files of a video under way."""

    def __init__(self, source: Source, files: Files, frame: Frame, overwrite: bool) -> None:
        self.files, self.failed, self.anybody = files, False, False
        self.adds: list[Add] = []
        self.film: films.AddFrame | None = None
        clip = frame.clip
        with ExitStack() as stack:
            for path in files.whole:
                make_folder(path.parent)
            for path, collect in files.streams:
                self.adds.append(stack.enter_context(collect(path, overwrite)))
            if files.film:
                rate = clip.fps if clip and clip.fps else _RATE
                sound = Path(source.name) if source.kind == "video" and Path(source.name).is_file() else None
                self.film = stack.enter_context(films.film(files.film, rate, overwrite, sound))
            self.stack = stack.pop_all()

    def add(self, result: Result) -> None:
        found = result.found
        self.anybody = self.anybody or bool(found.poses)
        for add in self.adds:
            add(found)
        if self.film:
            self.film(image.render(result), found.time)


def _is_full(error: InputError) -> bool:
    """Whether there is no room left: then no other file can be written either."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
