"""The options of posehg predict become a request; what cannot be meant is refused before anything is computed."""

from __future__ import annotations

import math
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from posehg import checkpoints, drawing
from posehg.cli import predict_files as files
from posehg.cli.predict_people import Who
from posehg.cli.predict_results import Shown
from posehg.cli.predict_run import Request
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.inference import detector as detectors
from posehg.inference import devices
from posehg.inference.estimator import Estimator
from posehg.inference.finding import How
from posehg.inference.tracking import Following
from posehg.inputs import Source, boxes, expand
from posehg.inputs.source import Span
from posehg.outputs import Look
from posehg.outputs.plan import Plan

_FEW = 20
"""So many inputs have a line each on stderr; of more the run is told as a whole."""


@dataclass(frozen=True)
class Output:
    out: Path | None
    save: str | None
    json: bool
    overwrite: bool
    skip_existing: bool
    fail_if_empty: bool


@dataclass(frozen=True)
class Whom:
    people: Literal["one", "all"]
    box: tuple[str, ...]
    boxes: Path | None
    detector: Path | None
    whole: bool


@dataclass(frozen=True)
class Drawing:
    threshold: float
    style: str
    background: str
    labels: bool
    side_by_side: bool
    heatmaps: str | None


@dataclass(frozen=True)
class Video:
    start: str
    end: str | None
    rescan: int | None
    smooth: bool


def estimator(
    model: str, device: str, flip: bool, decoder: Literal["quarter", "subpixel"], batch: int, threads: int
) -> Estimator:
    if threads:
        devices.use_threads(threads)
    return Estimator(checkpoints.load(checkpoints.find(model)), device, flip, decoder, batch)


@contextmanager
def prepared(
    inputs: Sequence[str],
    recursive: bool,
    output: Output,
    whom: Whom,
    drawn: Drawing,
    video: Video,
    model: str,
) -> Iterator[Request]:
    """The request, to be run in the block. Raises UsageError, or InputError for a file of boxes."""
    if output.overwrite and output.skip_existing:
        raise UsageError("--overwrite replaces what is there, and --skip-existing leaves it: give one of them.")
    who = _who(whom, video)
    span = _span(video)
    kinds = files.kinds_of(output.save)
    sources = list(expand(inputs, recursive))
    with _planned(output, kinds, sources, drawn) as plan:
        files.check_ground(drawn.background, output.out, plan, sources)
        files.check_free(plan, sources, output.overwrite or output.skip_existing)
        shown = Shown(
            _look(drawn),
            model,
            output.json,
            headings=len(sources) > 1,
            quiet=len(sources) > _FEW,
            overwrite=output.overwrite,
            skip_existing=output.skip_existing,
            to_stdout=str(output.out) == files.STDOUT,
        )
        todo = _todo(plan, sources) if output.skip_existing else sources
        yield Request(sources, todo, plan, who, shown, span, output.fail_if_empty)


def _todo(plan: Plan, sources: Sequence[Source]) -> Sequence[Source]:
    """What an earlier run has left. A file of all is complete, or every source is needed for it."""
    if plan.run:
        return [] if all(path.exists() for path, _ in plan.run) else sources
    return [source for source in sources if not plan.of(source.relative, files.moving(source)).are_done()]


@contextmanager
def _planned(output: Output, kinds: Sequence[str], sources: Sequence[Source], drawn: Drawing) -> Iterator[Plan]:
    """The plan; the folder is made, and when the block ends well, what is meant for standard output goes there."""
    if str(output.out) != files.STDOUT:
        transparent = drawn.background == "none"
        plan = files.planned(output.out, kinds, sources, drawn.heatmaps is not None, output.json, transparent)
        yield plan
        return
    if output.json:
        raise UsageError(f"--json and --out {files.STDOUT} both want standard output: give one of them.")
    with tempfile.TemporaryDirectory(prefix="posehg-") as folder:
        plan = files.to_stdout(kinds, sources, Path(folder))
        yield plan
        for path in [plan.one.name] if plan.one else [path for path, _ in plan.run]:
            with open(path, "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _who(whom: Whom, video: Video) -> Who:
    given = {
        "--box": bool(whom.box),
        "--boxes": whom.boxes is not None,
        "--detector": whom.detector is not None,
        "--whole": whom.whole,
        "--people all": whom.people == "all",
    }
    ways = [option for option, is_given in given.items() if is_given]
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} are two ways to say where people are: give one of them.")
    rescan = Following().every if video.rescan is None else video.rescan
    how = How(whom.people, [_box(text) for text in whom.box] or None, whom.whole)
    file = boxes.read(whom.boxes) if whom.boxes else None
    detector = detectors.load(whom.detector) if whom.detector else None
    return Who(how, file, detector, rescan, video.smooth)


def _box(text: str) -> Box:
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--box {text} cannot be read.", "Write four numbers: --box X,Y,W,H") from None
    if w <= 0 or h <= 0:
        raise UsageError(f"--box {text} is not a box: its width and height must be above 0.")
    if not all(abs(number) < 1e6 for number in (x, y, w, h)):
        raise UsageError(f"--box {text} is not a box in a photo: its numbers are pixels.")
    return Box(x, y, w, h)


def _span(video: Video) -> Span:
    start = _seconds("--start", video.start)
    end = math.inf if video.end is None else _seconds("--end", video.end)
    if end <= start:
        raise UsageError(f"--end {video.end} is not after --start {video.start}.")
    return start, end


def _seconds(option: str, text: str) -> float:
    """Seconds, MM:SS or HH:MM:SS, with decimals."""
    if not re.fullmatch(r"(\d{1,6}:){0,2}\d{1,9}(\.\d*)?", text, re.ASCII):
        raise UsageError(f"{option} {text} is no time in a video.", f"Write seconds or MM:SS: {option} 1:30")
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _look(drawn: Drawing) -> Look:
    style = replace(drawing.STYLES[drawn.style], labels=drawn.labels)
    joints = () if drawn.heatmaps in (None, "all") else tuple(name.strip() for name in drawn.heatmaps.split(","))
    return Look(drawn.threshold, style, drawn.background, drawn.side_by_side, joints)
