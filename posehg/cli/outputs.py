"""--out and --save become files: which files a run writes, and which of them exist."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from posehg import images
from posehg.cli import terminal
from posehg.drawing import DrawOptions
from posehg.errors import UsageError
from posehg.io.sources import Source, coco_number
from posehg.io.writers import FORMATS, IMAGE_FILES, RUN_FILES, VIDEO_FILES, Writer
from posehg.io.writers.heatmaps import HeatmapsWriter

if TYPE_CHECKING:
    from posehg.cli.predict import PredictOptions

STDOUT = "-"

_FILES = {**IMAGE_FILES, **VIDEO_FILES, **RUN_FILES}
_BINARY = ("image", "heatmaps", "npz")
_LIKE_A_FRAME = re.compile(r"_00[0-9]{10}~*$", re.ASCII)


@dataclass(frozen=True)
class Output:
    """A kind of file of one source. frames: each frame of a video has its own, with its number in the name."""

    writer: type[Writer]
    base: Path
    ending: str = ""
    frames: bool = False

    def path(self, frame: int | None = None) -> Path:
        number = "" if frame is None else f"_{frame:012d}"
        return self.base.with_name(f"{self.base.name}{number}{self.ending}")

    def existing(self) -> Path | None:
        """The file, if it exists; of the files of frames any."""
        if not self.frames:
            return self.path() if self.path().exists() else None
        pattern = f"{glob.escape(self.base.name)}_{'[0-9]' * 12}{glob.escape(self.ending)}"
        return next(self.base.parent.glob(pattern), None)


@dataclass(frozen=True)
class Outputs:
    """What a run writes; nothing by default.

        OUT/walks/a.png                        --out OUT --save image     the folders of the inputs are kept below OUT
        OUT/image/walks/a.png                  --save image,openpose      several formats have a folder each
        OUT/openpose/walks/a_keypoints.json
        OUT/openpose/v_000000000012_keypoints.json                        frame 12 of the video v.mp4
        OUT/results.json                       --save coco                one file of all inputs

    folder, formats: every source has files of these formats below the folder. single: the file of the only source.
    run: the files of all sources together.
    """

    folder: Path | None = None
    formats: tuple[str, ...] = ()
    single: Output | None = None
    run: tuple[Output, ...] = ()
    transparent: bool = False

    @property
    def need_heatmaps(self) -> bool:
        return "heatmaps" in self.formats or (self.single is not None and self.single.writer is HeatmapsWriter)

    def of(self, source: Source) -> list[Output]:
        """The files of a source. Sources that differ, other than in their suffix, never share one."""
        if self.folder is None or not source.relative.name:  # without a name there is nothing to read either
            return [self.single] if self.single and source.relative.name else []
        stem, moving = source.relative.with_suffix(""), source.kind != "image"
        if _LIKE_A_FRAME.search(stem.name) and coco_number(stem.name) is None:
            stem = stem.with_name(f"{stem.name}~")
        found = []
        for name in self.formats:
            form = FORMATS[name]
            base = (self.folder / name if len(self.formats) > 1 else self.folder) / stem
            if moving and form.video:
                found.append(Output(form.video[0], base, form.video[1]))
            elif form.image:
                writer, ending = form.image
                if name == "image" and source.relative.suffix.lower() in (".jpg", ".jpeg") and not self.transparent:
                    ending = ".jpg"  # a .png of a photo is five times as large, and slow to write
                found.append(Output(writer, base, ending, frames=moving))
        return found

    def done(self, source: Source) -> bool:
        """Whether an earlier run has written all files of a source.

        The files of a whole video appear after those of its frames; a video without one may be incomplete.
        """
        files = self.of(source)
        if not files:
            return bool(self.run)
        if source.kind == "image":
            return all(file.existing() for file in files)
        needed = [file for file in files if not file.ending.startswith("_person")]  # there may be no people
        return any(not file.frames for file in files) and all(file.existing() for file in needed)

    def missing(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources that --skip-existing leaves to do: all, if a file of all sources has to be written again."""
        left = [source for source in sources if source.problem or not self.done(source)]
        again = self.run and (left or not all(file.existing() for file in self.run))
        return sources if again else left

    def without_results(self, sources: Sequence[Source], inputs: Sequence[str]) -> Sequence[Source]:
        """Leaves out sources in the folder of the results if that lies in a folder given as an input."""
        folder = self.folder.absolute() if self.folder else Path()
        if not folder.is_dir() or not any(
            Path(text).is_dir() and Path(text).absolute() in folder.parents for text in inputs
        ):
            return sources
        left = [source for source in sources if source.problem or folder not in Path(source.name).absolute().parents]
        if len(left) < len(sources):
            terminal.note(f"{len(sources) - len(left):,} inputs in {self.folder} are left out: results go there.")
        return left

    def check(self, sources: Sequence[Source], may_exist: bool) -> None:
        """Raises UsageError for a file that exists, unless it may, and for one that is an input."""
        files = [*self.run, *(file for source in sources for file in self.of(source))]
        existing = [path for file in files if (path := file.existing())]
        originals = {identity for source in sources if existing and (identity := _identity(source.name))}
        for path in existing:
            if _identity(path) in originals:
                raise UsageError(f"{path} is an input, which is never replaced.", "Write to another folder.")
        if existing and not may_exist:
            others = f", and so do {len(existing) - 1:,} more files" if len(existing) > 1 else ""
            hint = "Give --overwrite to replace it, or another name."
            if self.folder is not None:
                hint = "--overwrite replaces existing files, --skip-existing continues an earlier run."
            raise UsageError(f"{existing[0]} already exists{others}.", hint)


def plan(options: PredictOptions, draw: DrawOptions, sources: Sequence[Source], scratch: Path) -> Outputs:
    """What --out and --save mean for these sources. Raises UsageError for what does not go together.

    scratch: a folder for the file that ``--out -`` copies to standard output.
    """
    out, formats, moving = options.out, _formats(options.save), any(source.kind != "image" for source in sources)
    suffix, heatmaps = out.suffix.lower() if out else "", options.heatmaps is not None
    if out is None:
        if formats or heatmaps:
            raise UsageError(f"{'--save' if formats else '--heatmaps'} needs a folder.", "Add --out FOLDER")
        if moving and not options.json:
            raise UsageError("The joints of a video are not printed.", "Give --out FILE, --out FOLDER or --json.")
        return Outputs()
    if not out.name:
        raise UsageError("--out is empty.", "Is a variable not set?")
    if str(out) == STDOUT:
        if options.json:
            raise UsageError("--json and --out - both print to standard output: give one of them.")
        outputs = _to_stdout((*formats, *(["heatmaps"] if heatmaps else [])), sources, scratch)
    elif out.is_dir() or (suffix not in _FILES and (formats or not suffix or len(sources) > 1)):
        if out.is_file():
            raise UsageError(f"--out {out} is a file, but several files need a folder.", "Name a folder.")
        chosen = tuple(dict.fromkeys((*formats, "heatmaps") if heatmaps else formats or ("image",)))
        places = [(out / name if len(chosen) > 1 else out, FORMATS[name].run) for name in chosen]
        run = tuple(Output(form[0], place / form[1]) for place, form in places if form)
        outputs = Outputs(out, chosen, run=run, transparent=draw.background == "none")
    elif formats:
        raise UsageError(f"--save needs a folder, and --out {out} is one file.", "Give either of them.")
    else:
        outputs = _one_file(out, heatmaps, sources)
    if draw.background == "none" and suffix in (".jpg", ".jpeg"):
        raise UsageError(f"--out {out}: a JPEG cannot be transparent.", "Write a .png or .webp.")
    if draw.background == "none" and moving and ("image" in outputs.formats or suffix in VIDEO_FILES):
        raise UsageError("--background none: a video cannot be transparent.", "Use black or white.")
    return outputs


def _formats(save: str | None) -> tuple[str, ...]:
    """--save FORMAT,FORMAT"""
    formats = tuple(dict.fromkeys(name.strip() for name in (save or "").split(",") if name.strip()))
    for name in formats:
        if name not in FORMATS:
            close = get_close_matches(name, FORMATS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(FORMATS)}."
            raise UsageError(f"--save {name} is not a known format.", hint)
    if save is not None and not formats:
        raise UsageError("--save names no format.", f"Known: {', '.join(FORMATS)}.")
    return formats


def _one_file(out: Path, heatmaps: bool, sources: Sequence[Source]) -> Outputs:
    """--out FILE"""
    suffix, moving = out.suffix.lower(), any(source.kind != "image" for source in sources)
    if heatmaps and (len(sources) > 1 or moving or suffix not in images.SUFFIXES):
        hint = f"For one image write {', '.join(images.SUFFIXES)}; otherwise name a folder."
        raise UsageError(f"--out {out}: --heatmaps writes images.", hint)
    if len(sources) > 1 and suffix not in RUN_FILES:
        hint = f"Name a folder, or a file for the joints of all: {', '.join(RUN_FILES)}."
        raise UsageError(f"--out {out} is one file for {len(sources)} inputs.", hint)
    known = {**(VIDEO_FILES if moving else IMAGE_FILES), **RUN_FILES}
    if suffix not in known:
        what = f"a video as {suffix}" if moving else f"an image as {suffix}"
        raise UsageError(f"--out {out}: posehg cannot write {what}.", f"Known: {', '.join(known)}; or name a folder.")
    if not out.parent.is_dir():
        file = next((path for path in out.parents if path.is_file()), None)
        hint = f"{file} is a file, not a folder." if file else f"Make it first: mkdir -p {out.parent}"
        raise UsageError(f"The folder {out.parent} of --out {out} does not exist.", hint)
    if suffix in RUN_FILES:
        return Outputs(run=(Output(RUN_FILES[suffix], out),))
    return Outputs(single=Output(HeatmapsWriter if heatmaps else known[suffix], out))


def _to_stdout(formats: Sequence[str], sources: Sequence[Source], scratch: Path) -> Outputs:
    """--out -: the file of the only image, or the file of all inputs."""
    if len(set(formats)) > 1:
        raise UsageError(f"--out - is one file, but --save names {len(formats)} formats.", "Give one.")
    name = formats[0] if formats else "image"
    if name in _BINARY and sys.stdout.isatty():
        raise UsageError(f"--out - would print binary {name} data.", "Pipe it: posehg ... --out - > FILE")
    form = FORMATS[name]
    if all_inputs := form.run or (form.video if name != "image" else None):
        return Outputs(run=(Output(all_inputs[0], scratch / f"stdout{all_inputs[1]}"),))
    if name == "image" and sources[0].kind != "image":
        raise UsageError("--out - cannot take a video.", "Print its keypoints: --save json, csv or npz.")
    if name == "crops" or form.image is None or len(sources) > 1 or sources[0].kind != "image":
        raise UsageError(f"--out - takes one file, but --save {name} writes several here.", "Name a folder.")
    return Outputs(single=Output(form.image[0], scratch / f"stdout{form.image[1]}"))


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Equal for the same file under any name; None for a file that does not exist."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
