"""--out and --save: which files are to be written; what cannot work is refused before anything is computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from posehg import images
from posehg.errors import UsageError
from posehg.inputs import Source
from posehg.outputs import COLLECTORS, SAVES, WRITERS, Collect, heatmaps, is_done
from posehg.outputs import video as films
from posehg.outputs.plan import Files, OneFile, Plan, in_folder

STDOUT = "-"

_BYTES = ("image", "heatmaps", "npz")
"""Kinds that a terminal cannot show."""


def moving(source: Source) -> bool:
    return source.kind != "image"


def kinds_of(text: str | None) -> tuple[str, ...]:
    """--save KIND,KIND. Raises UsageError for one that there is not."""
    kinds = tuple(dict.fromkeys(kind.strip() for kind in (text or "").split(",") if kind.strip()))
    for kind in kinds:
        if kind not in SAVES:
            close = get_close_matches(kind, SAVES, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(SAVES)}."
            raise UsageError(f"--save {kind}: there is no such kind of files.", hint)
    if text is not None and not kinds:
        raise UsageError("--save names no kind of files.", f"Known: {', '.join(SAVES)}.")
    return kinds


def planned(
    out: Path | None,
    kinds: Sequence[str],
    sources: Sequence[Source],
    only_heatmaps: bool = False,
    json: bool = False,
    transparent: bool = False,
) -> Plan:
    """What --out (not ``-``) and --save mean for these sources.

    only_heatmaps: a single picture file shows the heatmaps and no skeleton. json: records are printed. transparent:
    skeletons have no ground.
    """
    videos = [source for source in sources if moving(source)]
    if out is None:
        if kinds or only_heatmaps:
            what = "--save" if kinds else "--heatmaps"
            raise UsageError(f"{what} says what is written, but not where.", "Name a folder: --out FOLDER")
        if videos and not json:
            hint = "For example --out skeletons.mp4, --out joints.csv, or --json for a line a frame."
            raise UsageError(f"{videos[0].name} has too many frames to be shown here: nothing says where to.", hint)
        return Plan()
    suffix = out.suffix.lower()
    known = suffix in WRITERS or suffix in COLLECTORS or suffix in films.SUFFIXES
    if out.is_dir() or (not known and (kinds or not suffix or len(sources) > 1)):
        if out.is_file():
            raise UsageError(f"--out {out} is a file, and a folder is needed.", "Name a folder.")
        return in_folder(out, _with_heatmaps(kinds) if only_heatmaps else kinds or ("image",), transparent)
    if kinds:
        raise UsageError(f"--save writes into a folder, and --out {out} is one file.", "Give one of them.")
    plan = _one_file(out, suffix, sources, only_heatmaps)
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}.", f"Make it first: mkdir -p {out.parent}")
    return plan


def _with_heatmaps(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*kinds, "heatmaps")))


def _one_file(out: Path, suffix: str, sources: Sequence[Source], only_heatmaps: bool) -> Plan:
    is_video = any(map(moving, sources))
    several = len(sources) > 1
    if suffix in COLLECTORS and (several or is_video or suffix not in WRITERS):
        return Plan(run=((out, COLLECTORS[suffix]),))
    if several:
        hint = f"Name a folder, or a file for the joints of all: {', '.join(COLLECTORS)}."
        raise UsageError(f"--out {out} is one file for {len(sources)} {named(sources)}.", hint)
    if is_video and suffix in films.SUFFIXES:
        return Plan(film=out)
    if is_video:
        known = ", ".join((*films.SUFFIXES, *COLLECTORS))
        raise UsageError(f"--out {out}: a video does not become that.", f"Known: {known}; or the name of a folder.")
    if suffix not in WRITERS:
        known = f"Known: {', '.join(WRITERS)}; or the name of a folder that exists."
        raise UsageError(f"--out {out}: the suffix must say what is to be written.", known)
    if not only_heatmaps:
        return Plan(one=OneFile("image", WRITERS[suffix], out))
    if suffix not in images.SUFFIXES:
        raise UsageError(f"--out {out}: heatmaps are shown on a picture.", f"Known: {', '.join(images.SUFFIXES)}.")
    return Plan(one=OneFile("heatmaps", heatmaps.write, out))


def to_stdout(kinds: Sequence[str], sources: Sequence[Source], folder: Path) -> Plan:
    """A file in a folder that its content is copied from: the picture of one picture, or one file of all."""
    if len(kinds) > 1:
        raise UsageError(f"--out {STDOUT} is one file, and --save names {len(kinds)} kinds.", "Name one.")
    kind = kinds[0] if kinds else "image"
    if kind in _BYTES and sys.stdout.isatty():
        raise UsageError(f"--out {STDOUT} would fill the terminal with bytes.", "Pipe it: posehg ... --out - > FILE")
    save = SAVES[kind]
    collected: tuple[str, Collect] | None = save.run or save.video
    if collected:
        return Plan(run=((folder / f"stdout{collected[0]}", collected[1]),))
    if kind == "crops" or save.picture is None or len(sources) > 1 or moving(sources[0]):
        of = f"{len(sources)} {named(sources)}" if len(sources) > 1 else sources[0].name
        raise UsageError(f"--out {STDOUT} is one file, and the {kind} of {of} may be several.", "Name a folder.")
    ending, write = save.picture
    return Plan(one=OneFile(kind, write, folder / f"stdout{ending}"))


def named(sources: Sequence[Source]) -> str:
    """What the sources are called together."""
    if any(map(moving, sources)):
        return "inputs" if len(sources) > 1 else "input"
    return "photos" if len(sources) > 1 else "photo"


def check_ground(background: str, out: Path | None, plan: Plan, sources: Sequence[Source]) -> None:
    """Raises UsageError where a picture without a ground would be written as something that has one."""
    if background != "none" or out is None:
        return
    if plan.one and plan.one.name.suffix.lower() in (".jpg", ".jpeg"):
        raise UsageError(f"--out {out}: a JPEG cannot be transparent.", "Write a .png or .webp.")
    if plan.film or ("image" in plan.kinds and any(map(moving, sources))):
        raise UsageError("--background none: a video cannot be transparent.", "Take black or white.")


def check_free(plan: Plan, sources: Sequence[Source], may_exist: bool) -> None:
    """Raises UsageError where a file is there already, or is the source itself."""
    existing: list[Path] = []
    for source in sources:
        files = plan.of(source.relative, moving(source))
        for path in paths(files, source):
            if path.exists() and os.path.exists(source.name) and path.samefile(source.name):
                hint = "Write to another folder."
                raise UsageError(f"{path} is the {named([source])} itself, which is never replaced.", hint)
        existing += [path for path in existing_of(files, source) if not may_exist]
    existing += [path for path, _ in plan.run if path.exists() and not may_exist]
    if existing:
        others = f", and so do {len(existing) - 1:,} more files" if len(existing) > 1 else ""
        hint = "Give --overwrite to replace it, or another name."
        if others:
            hint = "Give --overwrite to replace them, or --skip-existing to go on where an earlier run stopped."
        raise UsageError(f"{existing[0]} exists already{others}.", hint)


def paths(files: Files, source: Source) -> list[Path]:
    """Of a video's frames the first one's."""
    frame = 0 if moving(source) else None
    return [file.path(frame) for file in files.pictures] + files.whole


def existing_of(files: Files, source: Source) -> list[Path]:
    frame = 0 if moving(source) else None
    pictures = [file.path(frame) for file in files.pictures if is_done(file.kind, file.path(frame))]
    return pictures + [path for path in files.whole if path.exists()]
