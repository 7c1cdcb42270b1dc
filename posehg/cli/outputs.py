"""--out and --save become files: which files a run writes, and the open writers of them."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from posehg import distributed, images
from posehg.cli import terminal
from posehg.distributed import World
from posehg.drawing import DrawOptions
from posehg.errors import CheckFailed, InputError, UsageError
from posehg.files import check_folder, is_full, make_folder
from posehg.io.background import write_behind
from posehg.io.sources import Source, coco_number, too_large
from posehg.io.writers import FORMATS, IMAGE_FILES, RUN_FILES, VIDEO_FILES, Writer
from posehg.io.writers.heatmaps import HeatmapsWriter
from posehg.io.writers.json import line, record
from posehg.io.writers.table import joints_table
from posehg.poses import Result

if TYPE_CHECKING:
    from posehg.cli.predict import PredictOptions

STDOUT = "-"

MANY = 20
"""With more inputs only errors are reported for each of them; the rest is reported in total."""

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
        if not moving and _LIKE_A_FRAME.search(stem.name) and coco_number(stem.name) is None:
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
        if self.folder is None or not self.folder.is_dir():
            return sources
        folder = self.folder.absolute()
        if not any(Path(text).is_dir() and Path(text).absolute() in folder.parents for text in inputs):
            return sources
        left = [source for source in sources if source.problem or folder not in Path(source.name).absolute().parents]
        if len(left) < len(sources):
            terminal.note(f"{len(sources) - len(left):,} inputs in {self.folder} are left out: results go there.")
        return left

    def check(self, sources: Sequence[Source], may_exist: bool) -> None:
        """Raises UsageError for a file that exists, unless it may, and for one that is an input."""
        originals = {identity for source in sources if (identity := _identity(source.name))}
        files = [*self.run, *(file for source in sources for file in self.of(source))]
        existing = [path for file in files if (path := file.existing())]
        for path in existing:
            if _identity(path) in originals:
                raise UsageError(f"{path} is an input, which is never replaced.", "Write to another folder.")
        if existing and not may_exist:
            others = f", and so do {len(existing) - 1:,} more files" if len(existing) > 1 else ""
            hint = "Give --overwrite to replace it, or another name."
            if self.folder is not None:
                hint = "--overwrite replaces existing files, --skip-existing continues an earlier run."
            raise UsageError(f"{existing[0]} exists already{others}.", hint)


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
        raise UsageError(f"There is no folder {out.parent} for --out {out}.", hint)
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
    if name == "crops" or form.image is None or len(sources) > 1 or sources[0].kind != "image":
        raise UsageError(f"--out - takes one file, but {name} of these inputs may be several.", "Name a folder.")
    return Outputs(single=Output(form.image[0], scratch / f"stdout{form.image[1]}"))


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

    def open(self, first: bool) -> None:
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
        """Write behind, while the next results are computed."""

        def step(source: Source, result: Result | None) -> None:
            if result is None:
                self.end(source)
            else:
                self.deliver(self.take(source, result))

        name, count = ("", len(self._todo)) if len(self._todo) > 1 else (self._todo[0].name, None)
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

    def together(self, results: Iterable[tuple[Source, Result | None]], world: World) -> None:
        """Of several processes each writes the files of its images; the first prints all results, in order."""

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
                for result in everything if world.first else ():
                    self.deliver(result)

        everything = distributed.interleaved(distributed.agreed(share))
        distributed.alike(partial(deliver, everything))

    def finish(self, first: bool) -> None:
        """Complete the files of all sources, report the run, and raise what its exit code needs.

        first: whether this is the one of several processes that reports.
        """
        distributed.alike(partial(self._complete, self._run_writers))
        everyone = distributed.gather((self._people, self._errors, self._written))
        people = sum((people for people, _, _ in everyone), Counter())
        errors = {name: text for _, errors, _ in everyone for name, text in errors.items()}
        failed = [source.name for source in self._todo if source.name in errors]
        empty = [source.name for source in self._todo if not people[source.name] and source.name not in errors]
        total, skipped = f"{len(self._sources):,} inputs", len(self._sources) - len(self._todo)
        if first:
            if skipped:
                nothing = "" if self._todo else "; there is nothing left to do"
                terminal.note(f"{skipped:,} of {total} were done before{nothing}.")
            if self._many and (written := sum(written for _, _, written in everyone)):
                terminal.note(f"Wrote {written:,} files into {self._outputs.folder}.")
            if self._many and empty:
                terminal.note(f"Nobody was found in {len(empty):,} of {total}.")
            if failed and len(self._sources) > 1:
                names = f": {', '.join(failed[:10])}{', ..' if failed[10:] else ''}" if self._many else ""
                terminal.note(f"{len(failed):,} of {total} failed; the others are done{names}.")
            if self._to_stdout:
                self._copy_to_stdout()
        if failed:
            raise typer.Exit(InputError.exit_code)
        if empty and self._options.fail_if_empty:
            raise CheckFailed(f"Nobody was found in {len(empty):,} of {total}.")

    def discard(self) -> None:
        """Remove incomplete files."""
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
        if not self._many and not self._to_stdout:
            for path in paths:
                terminal.note(f"Wrote {path}")

    def _copy_to_stdout(self) -> None:
        """Nothing, if the only image failed."""
        for output in (self._outputs.single, *self._outputs.run):
            if output and output.path().exists():
                with open(output.path(), "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Equal for the same file under any name; None for a file that does not exist."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
