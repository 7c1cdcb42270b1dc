"""The files that posehg predict writes: which they are, which of them exist, and how a run writes and reports them."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from posehg import distributed, files, images
from posehg.cli import terminal
from posehg.distributed import World
from posehg.drawing import DrawOptions
from posehg.errors import CheckFailed, InputError, UsageError
from posehg.io.background import write_behind
from posehg.io.frames import too_large
from posehg.io.sources import Source
from posehg.io.writers import FORMATS, IMAGE_FILES, RUN_FILES, VIDEO_FILES
from posehg.io.writers.crops import CropsWriter
from posehg.io.writers.csv import joints_table
from posehg.io.writers.heatmaps import HeatmapsWriter
from posehg.io.writers.json import line, record
from posehg.io.writers.writer import Writer
from posehg.poses import Result

if TYPE_CHECKING:
    from posehg.cli.predict import PredictOptions

STDOUT = "-"
MANY = 20
"""With more inputs only errors are reported for each of them; the rest is reported in total."""

_FILES = {**IMAGE_FILES, **VIDEO_FILES, **RUN_FILES}


@dataclass(frozen=True)
class Output:
    """A kind of file of one source. frames: each frame of a video has its own, with its number in the name."""

    writer: type[Writer]
    base: Path
    ending: str = ""
    frames: bool = False

    def path(self, frame: int | None = None) -> Path:
        number = f"_{frame:012d}" if self.frames and frame is not None else ""
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
    run: the files of all sources together. transparent: images of JPEGs are not JPEGs.
    """

    folder: Path | None = None
    formats: tuple[str, ...] = ()
    single: Output | None = None
    run: tuple[Output, ...] = ()
    transparent: bool = False

    def of(self, source: Source) -> list[Output]:
        """The files of a source."""
        if self.folder is None or not source.relative.name:  # without a name there is nothing to read either
            return [self.single] if self.single and source.relative.name else []
        found, moving = [], source.kind != "image"
        for name in self.formats:
            form = FORMATS[name]
            base = (self.folder / name if len(self.formats) > 1 else self.folder) / source.relative.with_suffix("")
            if moving and form.video:
                found.append(Output(form.video[0], base, form.video[1]))
            elif form.image:
                writer, ending = form.image
                if name == "image" and source.relative.suffix.lower() in (".jpg", ".jpeg") and not self.transparent:
                    ending = ".jpg"  # a .png of a photo is five times as large, and slow to write
                found.append(Output(writer, base, ending, frames=moving))
        return found

    def missing(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources that --skip-existing leaves to do: all, if a file of all sources has to be written again."""

        def done(source: Source) -> bool:
            outputs = self.of(source)
            if source.kind == "image" or not outputs:
                return bool(outputs or self.run) and all(output.existing() for output in outputs)
            # The files of a whole video appear after those of its frames; without any it may be incomplete. There may
            # be no people to crop.
            needed = [output for output in outputs if output.writer is not CropsWriter]
            return any(not output.frames for output in outputs) and all(output.existing() for output in needed)

        left = [source for source in sources if source.problem or not done(source)]
        again = self.run and (left or not all(output.existing() for output in self.run))
        return sources if again else left

    def without_results(self, sources: Sequence[Source], inputs: Sequence[str]) -> Sequence[Source]:
        """Leaves out sources in the folder of the results if that lies in a folder given as an input."""
        folder = Path(self.folder or "").absolute()
        if not any(Path(text).absolute() in folder.parents and os.path.isdir(text) for text in inputs):
            return sources
        left = [source for source in sources if source.problem or folder not in Path(source.name).absolute().parents]
        if len(left) < len(sources):
            terminal.note(f"{len(sources) - len(left):,} inputs in {self.folder} are left out: results go there.")
        return left

    def check(self, sources: Sequence[Source], may_exist: bool) -> None:
        """Raises UsageError for a file that exists, unless it may, that is an input, or that two sources would write.

        Raises InputError for a folder that cannot be written to.
        """
        outputs = [*self.run, *(output for source in sources for output in self.of(source))]
        existing = [path for output in outputs if (path := output.existing())]
        originals = {os.path.realpath(source.name) for source in sources if existing and os.path.exists(source.name)}
        for path in existing:
            if os.path.realpath(path) in originals:
                raise UsageError(f"{path} is an input, which is never replaced.", "Write to another folder.")
        if existing and not may_exist:
            others = f", and so do {len(existing) - 1:,} more files" if len(existing) > 1 else ""
            hint = "--overwrite replaces existing files, --skip-existing continues an earlier run."
            raise UsageError(f"{existing[0]} already exists{others}.", hint)
        of_frames = {(str(output.base), output.ending) for output in outputs if output.frames}
        for output in outputs if of_frames else ():
            named = re.fullmatch("(.+)_[0-9]{12}", str(output.base), re.DOTALL)
            if named and not output.frames and (named[1], output.ending) in of_frames:
                raise UsageError(f"{output.path()} would also be the file of a video's frame.", "Rename the image.")
        if self.folder is not None:
            files.check_folder(self.folder)
        elif outputs:
            files.check(outputs[0].path(), may_exist)


def plan(options: PredictOptions, draw: DrawOptions, sources: Sequence[Source], scratch: Path) -> Outputs:
    """What --out and --save mean for these sources. Raises UsageError for what does not go together.

    scratch: a folder for the file that ``--out -`` copies to standard output.
    """
    moving, heatmaps = any(source.kind != "image" for source in sources), ("heatmaps",) if options.heatmaps else ()
    formats = () if options.save is None else tuple(dict.fromkeys(name.strip() for name in options.save.split(",")))
    for name in formats:
        if name not in FORMATS:
            close = get_close_matches(name, FORMATS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(FORMATS)}."
            raise UsageError(f"--save {name or options.save} is not a known format.", hint)
    if options.out is None:
        if formats or heatmaps:
            raise UsageError(f"{'--save' if formats else '--heatmaps'} needs a folder.", "Add --out FOLDER")
        if moving and not options.json:
            raise UsageError("The joints of a video are not printed.", "Give --out FILE, --out FOLDER or --json.")
        return Outputs()
    if not options.out:
        raise UsageError("--out is empty.", "Is a variable not set?")
    out, suffix = Path(options.out), Path(options.out).suffix.lower()
    chosen = tuple(dict.fromkeys((*formats, *heatmaps))) or ("image",)
    if options.out == STDOUT:
        outputs = _to_stdout(options, chosen, sources, scratch)
    elif out.is_dir() or (suffix not in _FILES and (formats or not suffix or len(sources) > 1)):
        if out.is_file():
            raise UsageError(f"--out {out} is a file, but several files need a folder.", "Name a folder.")
        places = [(out / name if len(chosen) > 1 else out, FORMATS[name].run) for name in chosen]
        run = tuple(Output(form[0], place / form[1]) for place, form in places if form)
        outputs = Outputs(out, chosen, run=run, transparent=draw.background == "none")
    elif formats:
        raise UsageError(f"--save needs a folder, and --out {out} is one file.", "Give either of them.")
    else:
        outputs = _to_file(out, chosen[0], sources)
    opaque = suffix in (".jpg", ".jpeg", *VIDEO_FILES) or (moving and "image" in outputs.formats)
    if draw.background == "none" and opaque:
        hint = "Write .png or .webp, or use --background black or white."
        raise UsageError("--background none: JPEGs and videos cannot be transparent.", hint)
    return outputs


def _to_file(out: Path, name: str, sources: Sequence[Source]) -> Outputs:
    """--out FILE"""
    suffix, moving = out.suffix.lower(), any(source.kind != "image" for source in sources)
    if suffix in RUN_FILES and name == "image":
        return Outputs(run=(Output(RUN_FILES[suffix], out),))
    if len(sources) > 1:
        hint = f"Name a folder, or a file for the joints of all: {', '.join(RUN_FILES)}."
        raise UsageError(f"--out {out} is one file for {len(sources)} inputs.", hint)
    what, known = ("a video", VIDEO_FILES) if moving else ("an image", IMAGE_FILES)
    if name == "heatmaps":
        what, known = f"--heatmaps of {what}", {} if moving else dict.fromkeys(images.SUFFIXES, HeatmapsWriter)
    if suffix not in known:
        hint = f"Known: {', '.join((*known, *RUN_FILES))}; or name a folder."
        raise UsageError(f"--out {out}: posehg cannot write {what} as {suffix}.", hint)
    return Outputs(single=Output(known[suffix], out))


def _to_stdout(options: PredictOptions, chosen: Sequence[str], sources: Sequence[Source], scratch: Path) -> Outputs:
    """--out -: the file of the only image, or the file of all inputs."""
    name, form = chosen[0], FORMATS[chosen[0]]
    if options.json or len(chosen) > 1:
        others = "--json" if options.json else f"--save {options.save}"
        raise UsageError(f"{others} and --out - do not go together: standard output takes one file.")
    if name in ("image", "heatmaps", "npz") and sys.stdout.isatty():
        raise UsageError(f"--out - would print binary {name} data.", "Pipe it: posehg ... --out - > FILE")
    if of_all := form.run or (form.video if name != "image" else None):
        return Outputs(run=(Output(of_all[0], scratch / f"stdout{of_all[1]}"),))
    if name == "crops" or form.image is None or len(sources) > 1 or sources[0].kind != "image":
        hint = "Name a folder, or print keypoints: --save json, csv or npz."
        raise UsageError(f"--out - takes one file, but --save {name} writes a video or several files here.", hint)
    return Outputs(single=Output(form.image[0], scratch / f"stdout{form.image[1]}"))


@dataclass
class PredictRun:
    """Writes, prints and counts the results of a run. One thread calls its methods, except ``fail``.

    sources: all, of which ``todo`` were not done by an earlier run.
    abandoned: the names of sources that are to be read no further.
    """

    options: PredictOptions
    outputs: Outputs
    draw: DrawOptions
    sources: Sequence[Source]
    todo: Sequence[Source]
    abandoned: set[str] = field(default_factory=set)
    _errors: dict[str, str] = field(default_factory=dict)  # source -> its first error
    _people: Counter[str] = field(default_factory=Counter)  # source -> poses
    _writers: list[Writer] = field(default_factory=list)  # of the source that is being written
    _run_writers: list[Writer] = field(default_factory=list)
    _written: int = 0  # files
    _named: int = 0  # of these were reported by name

    def alone(self, results: Iterable[tuple[Source, Result | None]]) -> None:
        """The whole run by one process, which writes while the next results are computed."""

        def step(source: Source, result: Result | None) -> None:
            if taken := self._take(source, result):
                self._deliver(taken)

        name, count = ("", len(self.todo)) if len(self.todo) > 1 else (self.todo[0].name, None)
        self._run_writers = [self._open(output) for output in self.outputs.run]
        try:
            with terminal.bar() as bar, write_behind() as later:
                task = bar.add_task(name, total=count)
                for source, result in results:
                    later(partial(step, source, result))
                    if (result is None) == (count is not None):
                        bar.advance(task)
        except KeyboardInterrupt:
            if self.outputs.folder is not None and not self.outputs.run:
                terminal.note(f"{self._written:,} files are written; --skip-existing continues from there.")
            raise
        self._complete_run()
        self.summarise()

    def together(self, results: Iterable[tuple[Source, Result | None]], world: World) -> None:
        """The run by several processes: each writes the files of its images, the first prints all results in order."""

        def share() -> list[Result]:
            taken = (self._take(source, result) for source, result in results)
            return [replace(result, image=None, heatmaps=()) for result in taken if result]

        def deliver() -> None:
            self._run_writers = [self._open(output) for output in self.outputs.run]
            with terminal.ignore_closed_stdout():
                for result in everything:
                    self._deliver(result)
            self._complete_run()

        everything = distributed.collect(share)
        counts = distributed.gather((self._people, self._errors, self._written, self._named))
        self._people, self._errors = Counter(), {}
        for people, errors, _, _ in counts:
            self._people.update(people)
            self._errors |= errors
        self._written, self._named = (sum(numbers) for numbers in list(zip(*counts, strict=True))[2:])
        distributed.alike(deliver if world.first else lambda: None)
        self.summarise(world.first)

    def fail(self, source: Source, error: InputError | MemoryError) -> str:
        """Report the first error of a source; returns the text of the error. A full disk ends the run."""
        if files.is_full(error):
            raise error
        problem = too_large(source) if isinstance(error, MemoryError) else error
        if source.name not in self._errors:
            self._errors[source.name] = str(problem)
            terminal.report(problem)
        return str(problem)

    def _open(self, output: Output, frame: int | None = None) -> Writer:
        path = output.path(frame)
        if self.outputs.folder is not None:
            files.make_folder(path.parent)
        return output.writer(path, self.draw, self.options.overwrite or self.options.skip_existing)

    def _take(self, source: Source, result: Result | None) -> Result | None:
        """Write an image or frame to the files of its source. If that fails, the result that is returned says why."""
        if result is None:
            self._end(source)
            return None
        outputs = self.outputs.of(source) if result.image is not None else []
        try:
            for output in outputs if not self._writers else ():
                if not output.frames and not (self.options.skip_existing and output.existing()):
                    self._writers.append(self._open(output))
            for writer in self._writers:
                writer.add(result)
            for output in outputs:
                if output.frames:
                    with self._open(output, result.frame) as writer:
                        writer.add(result)
                    self._written += len(writer.written)
        except (InputError, MemoryError) as error:
            if source.kind != "image":
                self.abandoned.add(source.name)
            result = replace(result, poses=(), image=None, size=None, error=self.fail(source, error))
        if result.size is not None:
            self._people[source.name] += len(result.poses)
        return result

    def _end(self, source: Source) -> None:
        """All frames of a source are written: complete its files, and say if there was nobody."""
        writers, self._writers = self._writers, []
        try:
            self._complete(writers)
        except (InputError, MemoryError) as error:
            self.fail(source, error)
        if not self._people[source.name] and source.name not in self._errors and len(self.sources) <= MANY:
            what = f"{self.options.boxes} has no boxes for it" if self.options.boxes else "nobody was found"
            terminal.note(f"{source.name}: {what}.")

    def _complete(self, writers: Sequence[Writer]) -> None:
        with ExitStack() as stack:  # if one cannot be completed, the others are discarded
            for writer in writers:
                stack.enter_context(writer)
        paths = [path for writer in writers for path in writer.written]
        self._written += len(paths)
        if self.options.out != STDOUT and (len(self.sources) <= MANY or self.outputs.folder is None):
            for path in paths:
                terminal.note(f"Wrote {path}")
            self._named += len(paths)

    def _deliver(self, result: Result) -> None:
        """Print a result and add it to the files of all sources."""
        if self.options.json:
            print(line(record(result)), flush=True)
        elif self.options.out is None and result.poses:
            heading = f"{result.source}\n" if len(self.sources) > 1 else ""
            print(heading + terminal.rendered(joints_table(result.poses, self.draw.threshold)), end="", flush=True)
        for writer in self._run_writers:
            writer.add(result)

    def _complete_run(self) -> None:
        """Complete the files of all sources; copy what was written for standard output."""
        if not self._people:
            return self.discard()  # nothing could be read: no file without content
        writers, self._run_writers = self._run_writers, []
        self._complete(writers)
        if self.options.out == STDOUT:
            for output in filter(None, (self.outputs.single, *self.outputs.run)):
                with suppress(FileNotFoundError), open(output.path(), "rb") as file:  # not if the only image failed
                    shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()

    def discard(self) -> None:
        """Remove incomplete files."""
        for writer in (*self._writers, *self._run_writers):
            writer.discard()
        self._writers, self._run_writers = [], []

    def summarise(self, reports: bool = True) -> None:
        """Report the run as a whole and raise what its exit code needs. Of several processes the first reports."""
        failed = [source.name for source in self.todo if source.name in self._errors]
        empty = [s.name for s in self.todo if not self._people[s.name] and s.name not in self._errors]
        total, skipped = f"{len(self.sources):,} inputs", len(self.sources) - len(self.todo)
        many, unnamed = len(self.sources) > MANY, self._written - self._named
        names = f": {', '.join(failed[:10])}{', ..' if failed[10:] else ''}" if many else ""
        notes = {
            f"{skipped:,} of {total} were done before.": skipped,
            f"Wrote {unnamed:,} files into {self.outputs.folder}.": unnamed and self.outputs.folder,
            f"Nobody was found in {len(empty):,} of {total}.": many and empty,
            f"{len(failed):,} of {total} failed; the others are done{names}.": failed and len(self.sources) > 1,
        }
        for text, applies in notes.items():
            if applies and reports:
                terminal.note(text)
        if failed:
            raise typer.Exit(InputError.exit_code)
        if empty and self.options.fail_if_empty:
            raise CheckFailed(f"Nobody was found in {len(empty):,} of {total}.")
