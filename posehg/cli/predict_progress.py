"""How far predict has come, on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from posehg.io import Frame, Source


class PredictProgress:
    """A bar for the pictures, or for the frames of the video that is under way.

    There is none where stderr is no terminal, nor where stdout is one, too, and results are printed there.
    """

    def __init__(self, pictures: int, stop: float, prints: bool) -> None:
        """pictures: sources to come. stop: seconds of a video after which it is not looked at."""
        console = Console(stderr=True, soft_wrap=True)  # a path in a note is to be copied in one piece
        description = TextColumn("{task.description}", markup=False)
        columns = (description, BarColumn(), _Count(), _Speed(), TimeRemainingColumn())
        in_the_way = prints and sys.stdout.isatty()
        # What is printed is for a pipe or a file: the bar's own console would take it to stderr.
        self._bar = Progress(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=False,
            disable=in_the_way or not console.is_terminal,
        )
        self._stop = stop
        self._all = self._bar.add_task("", total=pictures, unit="photos", visible=pictures > 1)
        self._video = self._bar.add_task("", total=None, unit="fps", visible=False)
        self._name = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def frame(self, source: Source, frame: Frame) -> None:
        if frame.index is None:
            return
        if self._name != source.name:
            self._name = source.name
            self._bar.reset(self._video, description=source.name, total=self._frames(frame), visible=True)
        self._bar.advance(self._video)

    def source(self, source: Source) -> None:
        """One is done; perhaps the next is under way already."""
        if self._name == source.name:
            self._bar.update(self._video, visible=False)
        self._bar.advance(self._all)

    def _frames(self, frame: Frame) -> int | None:
        if not frame.fps or not frame.duration:
            return None
        return max(1, round(frame.fps * (min(frame.duration, self._stop) - (frame.time or 0.0))))


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f"/{task.total:.0f}"
        return Text(f"{task.completed:.0f}{total}")


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = "fps" if task.fields["unit"] == "fps" else "a second"
        return Text("" if task.speed is None else f"{task.speed:.1f} {unit}")
