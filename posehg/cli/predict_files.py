"""--out and --save: which files are to be written; what cannot work is refused before anything is computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from posehg import images
from posehg.errors import UsageError
from posehg.io import Source, video_writer
from posehg.io.writers import COLLECTORS, SAVES, WRITERS, Collect, heatmaps
from posehg.io.writers import files_of as files_named
from posehg.io.writers.plan import Files, OneFile, Plan, in_folder

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
    known = suffix in WRITERS or suffix in COLLECTORS or suffix in video_writer.SUFFIXES
    if out.is_dir() or (not known and (kinds or not suffix or len(sources) > 1)):
        if out.is_file():
            raise UsageError(f"--out {out} is a file, and a folder is needed.", "Name a folder.")
        return in_folder(out, _with_heatmaps(kinds) if only_heatmaps else kinds or ("image",), transparent)
    if kinds:
        raise UsageError(f"--save writes into a folder, and --out {out} is one file.", "Give one of them.")
    plan = _one_file(out, suffix, sources, only_heatmaps)
    if not out.parent.is_dir():
        file = next((path for path in out.parents if path.is_file()), None)
        if file:
            raise UsageError(f"--out {out}: {file} is a file, not a folder.")
        raise UsageError(f"There is no folder {out.parent}.", f"Make it first: mkdir -p {out.parent}")
    return plan


def _with_heatmaps(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*kinds, "heatmaps")))


def _one_file(out: Path, suffix: str, sources: Sequence[Source], only_heatmaps: bool) -> Plan:
    is_video = any(map(moving, sources))
    several = len(sources) > 1
    if only_heatmaps and (several or is_video or suffix not in images.SUFFIXES):
        hint = f"Of one picture write {', '.join(images.SUFFIXES)}; else name a folder."
        raise UsageError(f"--out {out}: heatmaps are shown on a picture.", hint)
    if suffix in COLLECTORS and (several or is_video or suffix not in WRITERS):
        return Plan(run=((out, COLLECTORS[suffix]),))
    if several:
        hint = f"Name a folder, or a file for the joints of all: {', '.join(COLLECTORS)}."
        raise UsageError(f"--out {out} is one file for {len(sources)} {named(sources)}.", hint)
    if is_video and suffix in video_writer.SUFFIXES:
        return Plan(film=out)
    if is_video:
        known = ", ".join((*video_writer.SUFFIXES, *COLLECTORS))
        raise UsageError(f"--out {out}: a video does not become that.", f"Known: {known}; or the name of a folder.")
    if suffix not in WRITERS:
        known = f"Known: {', '.join(dict.fromkeys((*WRITERS, *COLLECTORS)))}; or the name of a folder that exists."
        what = (
            "a photo does not become a video"
            if suffix in video_writer.SUFFIXES
            else "the suffix must say what is written"
        )
        raise UsageError(f"--out {out}: {what}.", known)
    kind, write = ("heatmaps", heatmaps.write) if only_heatmaps else ("image", WRITERS[suffix])
    return Plan(one=OneFile(kind, write, out))


def to_stdout(kinds: Sequence[str], sources: Sequence[Source], only_heatmaps: bool, folder: Path) -> Plan:
    """A file in a folder that its content is copied from: the picture of one picture, or one file of all."""
    kinds = _with_heatmaps(kinds) if only_heatmaps else kinds
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
        if moving(sources[0]) and kind == "image":
            raise UsageError(f"--out {STDOUT}: a video cannot go there.", "--save json, csv or npz can.")
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


def files_of(plan: Plan, source: Source) -> Files:
    """The files of a source; none of what is no source at all, as a folder without pictures."""
    return plan.of(source.relative, moving(source)) if source.relative.name else Files()


def check_free(plan: Plan, sources: Sequence[Source], may_exist: bool) -> None:
    """Raises UsageError where a file is there already, or is one of the sources."""
    originals = {identity for source in sources if (identity := _identity(source.name))}
    existing: list[Path] = [path for path, _ in plan.run if path.exists()]
    for source in sources:
        existing += existing_of(files_of(plan, source), source)
    for path in existing:
        if _identity(path) in originals:
            what = f"the {named(sources)} itself" if len(sources) == 1 else "one of the inputs"
            raise UsageError(f"{path} is {what}, which is never replaced.", "Write to another folder.")
    if existing and not may_exist:
        others = f", and so do {len(existing) - 1:,} more files" if len(existing) > 1 else ""
        hint = "Give --overwrite to replace it, or another name."
        if plan.folder is not None:
            hint = "--overwrite replaces what is there, --skip-existing goes on where an earlier run stopped."
        raise UsageError(f"{existing[0]} exists already{others}.", hint)


def existing_of(files: Files, source: Source) -> list[Path]:
    """What is there of a source's files; of a video's frames one."""
    if moving(source):
        pictures = [path for file in files.pictures if (path := file.of_any_frame())]
    else:
        every = [path for file in files.pictures for path in files_named(file.kind, file.path(), people=1)]
        pictures = [path for path in every if path.exists()]
    return pictures + [path for path in files.whole if path.exists()]


def _identity(path: str | Path) -> tuple[int, int] | None:
    """What is the same for the same file under any name; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino)


def results_in(out: Path, inputs: Sequence[str], sources: Sequence[Source]) -> set[Source]:
    """The sources that lie in the folder of the results, where that lies in a folder that was given as an input."""
    folder = out.absolute()
    given = [Path(text).absolute() for text in inputs if Path(text).is_dir()]
    if not folder.is_dir() or not any(path in folder.parents for path in given):
        return set()
    return {source for source in sources if source.problem is None and folder in Path(source.name).absolute().parents}
