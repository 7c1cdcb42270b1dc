"""The options of posehg predict become a request; what cannot be meant is refused before anything is computed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from posehg import drawing
from posehg.cli import predict_files as files
from posehg.cli import terminal
from posehg.cli.predict_people import Who
from posehg.cli.predict_results import Shown
from posehg.errors import UsageError
from posehg.files import naming
from posehg.geometry import Box
from posehg.inference import detector as detectors
from posehg.inference.finding import How
from posehg.inference.tracking import Following
from posehg.io import Source, boxes, expand
from posehg.io.writers import Look
from posehg.io.writers.plan import Plan

_FEW = 20
"""So many inputs have a line each on stderr; of more the run is told as a whole."""


Span = tuple[float, float]


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


@dataclass(frozen=True)
class Request:
    """sources: all, of which ``todo`` are not done yet. span: seconds of videos, from the first to before the last."""

    sources: Sequence[Source]
    todo: Sequence[Source]
    plan: Plan
    who: Who
    shown: Shown
    span: Span
    fail_if_empty: bool = False


def prepared(
    inputs: Sequence[str],
    recursive: bool,
    output: Output,
    whom: Whom,
    drawn: Drawing,
    video: Video,
    model: str,
    scratch: Path,
) -> Request:
    """The request. scratch: a folder for what is to go to standard output.

    Raises UsageError, or InputError for a file of boxes.
    """
    if output.overwrite and output.skip_existing:
        raise UsageError("--overwrite replaces what is there, and --skip-existing leaves it: give one of them.")
    who, span, kinds = _who(whom, video), _span(video), files.kinds_of(output.save)
    sources = list(expand(inputs, recursive))
    if output.out is not None and not output.out.name:
        raise UsageError("--out is empty.", "Is a variable not set?")
    with naming(output.out or scratch):  # a name may be too long even to look for it
        plan = _planned(output, kinds, sources, drawn, scratch)
    if plan.folder is not None and (results := files.results_in(plan.folder, inputs, sources)):
        terminal.note(f"{len(results):,} pictures and videos in {plan.folder} are left out: results go there.")
        sources = [source for source in sources if source not in results]
    files.check_ground(drawn.background, output.out, plan, sources)
    with naming(output.out or scratch):
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
        nobody=f"{whom.boxes} has no boxes for it" if whom.boxes else "nobody was found",
    )
    todo = _todo(plan, sources) if output.skip_existing else sources
    return Request(sources, todo, plan, who, shown, span, output.fail_if_empty)


def _todo(plan: Plan, sources: Sequence[Source]) -> Sequence[Source]:
    """What an earlier run has left. For a file of all every source is needed, unless there is nothing to do at all."""
    left = [source for source in sources if source.problem or not _is_done(plan, source)]
    missing = [path for path, _ in plan.run if not path.exists()]
    return sources if missing or (left and plan.run) else left


def _is_done(plan: Plan, source: Source) -> bool:
    own = files.files_of(plan, source)
    has_files = bool(own.pictures or own.whole)
    return own.are_done(files.moving(source)) if has_files else bool(plan.run)


def _planned(output: Output, kinds: Sequence[str], sources: Sequence[Source], drawn: Drawing, scratch: Path) -> Plan:
    only_heatmaps = drawn.heatmaps is not None
    if str(output.out) != files.STDOUT:
        transparent = drawn.background == "none"
        return files.planned(output.out, kinds, sources, only_heatmaps, output.json, transparent)
    if output.json:
        raise UsageError(f"--json and --out {files.STDOUT} both want standard output: give one of them.")
    return files.to_stdout(kinds, sources, only_heatmaps, scratch)


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
    box = Box(x, y, w, h)
    if not box.can_be:
        raise UsageError(f"--box {text} is no box in a photo: its numbers are pixels, width and height above 0.")
    return box


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
