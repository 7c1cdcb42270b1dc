"""The files of posehg predict: their names, which exist already, and how a run writes and reports them."""

from __future__ import annotations

import os
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
from posehg.cli.options import wrong_suffix
from posehg.distributed import World
from posehg.drawing import DrawOptions
from posehg.errors import CheckFailed, InputError, UsageError
from posehg.io.background import write_behind
from posehg.io.sources import Source
from posehg.io.writers import FORMATS, IMAGE_FILES, RUN_FILES, VIDEO_FILES
from posehg.io.writers.csv import joints_table
from posehg.io.writers.heatmaps import HeatmapsWriter
from posehg.io.writers.json import line, record
from posehg.io.writers.writer import Writer
from posehg.poses import Result

if TYPE_CHECKING:
    from posehg.cli.predict import PredictOptions

STDOUT = "-"
MANY = 20
"""With more inputs than this, only errors are reported one by one; the rest is summed up."""


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

    @property
    def needs_heatmaps(self) -> bool:
        return "heatmaps" in self.formats or (self.single is not None and self.single.writer is HeatmapsWriter)

    def of(self, source: Source) -> list[Output]:
        """The files of a source."""
        if self.folder is None or source.problem:
            return [self.single] if self.single else []
        found, moving = [], source.kind != "image"
        for name in self.formats:
            form = FORMATS[name]
            base = (self.folder / name if len(self.formats) > 1 else self.folder) / source.relative.with_suffix("")
            if moving and form.video:
                found.append(Output(form.video.writer, base, form.video.ending))
            elif form.image:
                writer, ending = form.image
                if name == "image" and source.relative.suffix.lower() in (".jpg", ".jpeg") and not self.transparent:
                    ending = ".jpg"  # a .png of a photo is five times as large, and slow to write
                found.append(Output(writer, base, ending, frames=moving))
        return found

    def missing(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources that --skip-existing leaves to do: all, if a file of all sources has to be written again."""

        def is_left(source: Source) -> bool:
            whole = [output.path() for output in self.of(source) if not output.frames]  # these appear last
            return bool(source.problem) or not (whole or self.run) or not all(path.exists() for path in whole)

        left = [source for source in sources if is_left(source)]
        again = self.run and (left or not all(output.path().exists() for output in self.run))
        return sources if again else left

    def without_results(self, sources: Sequence[Source], inputs: Sequence[str]) -> Sequence[Source]:
        """Leaves out what lies in the folder of the results, if that is below a folder given as an input."""
        folder = Path(self.folder or "").absolute()
        if not any(Path(text).absolute() in folder.parents and os.path.isdir(text) for text in inputs):
            return sources
        return [source for source in sources if source.problem or folder not in Path(source.name).absolute().parents]

    def check(self, sources: Sequence[Source], may_exist: bool) -> None:
        """Raises UsageError for a file that is an input or exists without leave, InputError for a read-only folder.

        The files of frames are checked when they are written.
        """
        outputs = [*self.run, *(output for source in sources for output in self.of(source) if not output.frames)]
        existing = [path for output in outputs if (path := output.path()).exists()]
        originals = {os.path.realpath(source.name) for source in sources if existing and os.path.exists(source.name)}
        for path in existing:
            if os.path.realpath(path) in originals:
                raise UsageError(f"{path} is an input, which is never replaced.", "Write to another folder.")
        if existing and not may_exist:
            hint = "--overwrite replaces existing files, --skip-existing continues an earlier run."
            raise UsageError(f"{existing[0]} already exists.", hint)
        if self.folder is not None:
            files.check_folder(self.folder)
        elif outputs:
            files.check(outputs[0].path(), may_exist)


def plan(options: PredictOptions, draw: DrawOptions, sources: Sequence[Source], scratch: Path) -> Outputs:
    """What --out and --save mean for these sources. Raises UsageError for what does not go together.

    scratch: a folder for the file that ``--out -`` copies to standard output.
    """
    moving = any(source.kind != "image" for source in sources)
    formats = [] if options.save is None else [name.strip() for name in options.save.split(",")]
    for name in formats:
        if name not in FORMATS:
            close = get_close_matches(name, FORMATS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(FORMATS)}."
            raise UsageError(f"--save {name or options.save} is not a known format.", hint)
    chosen = tuple(dict.fromkeys([*formats, *(["heatmaps"] if options.heatmaps else [])]))
    if options.skip_existing and options.out in (None, STDOUT):
        raise UsageError("--skip-existing needs files to skip.", "Give --out FOLDER or --out FILE.")
    if options.out is None:
        if chosen:
            option = "--save" if formats else "--heatmaps"
            raise UsageError(f"{option} needs a folder.", f"Leave out {option}, or give --out FOLDER.")
        if moving and not options.json:
            raise UsageError("The joints of a video are not printed.", "Give --out or --json.")
        return Outputs()
    if not options.out:
        raise UsageError("--out is empty.", "Is a variable not set?")
    chosen = chosen or ("image",)
    out, suffix = Path(options.out), Path(options.out).suffix.lower()
    is_file = suffix in {**IMAGE_FILES, **VIDEO_FILES, **RUN_FILES} or (suffix and not formats and len(sources) == 1)
    if options.out == STDOUT:
        outputs = _to_stdout(options, chosen, sources, scratch)
    elif is_file and not out.is_dir():
        if formats:
            raise UsageError(
                f"--save needs a folder, and --out {out} is a file.", "Leave out --save, or give --out FOLDER."
            )
        outputs = _to_file(out, chosen[0], sources, moving)
    else:
        places = [(out / name if len(chosen) > 1 else out, FORMATS[name].run) for name in chosen]
        run = tuple(Output(form.writer, place / form.ending) for place, form in places if form)
        outputs = Outputs(out, chosen, run=run, transparent=draw.background == "none")
    opaque = suffix in (".jpg", ".jpeg", *VIDEO_FILES) or (moving and "image" in outputs.formats)
    if draw.background == "none" and opaque:
        hint = "Write .png or .webp, or use --background black or white."
        raise UsageError("--background none: JPEGs and videos cannot be transparent.", hint)
    return outputs


def _to_file(out: Path, name: str, sources: Sequence[Source], moving: bool) -> Outputs:
    """--out FILE"""
    suffix = out.suffix.lower()
    if suffix in RUN_FILES and name == "image":
        return Outputs(run=(Output(RUN_FILES[suffix], out),))
    many = len(sources) > 1
    known = {} if many else VIDEO_FILES if moving else IMAGE_FILES
    if name == "heatmaps":
        known = {} if many or moving else dict.fromkeys(images.SUFFIXES, HeatmapsWriter)
    if suffix not in known:
        what = f"{len(sources)} inputs" if many else "a video" if moving else "an image"
        what = f"heatmaps of {what}" if name == "heatmaps" else what
        if name == "heatmaps" and not known:
            raise UsageError(f"--out {out} cannot hold {what}.", "Give --out FOLDER.")
        endings = (*known, *(RUN_FILES if name == "image" else {}))
        raise wrong_suffix("--out", out, endings, f"For {what}; or give --out FOLDER.")
    return Outputs(single=Output(known[suffix], out))


def _to_stdout(options: PredictOptions, chosen: Sequence[str], sources: Sequence[Source], scratch: Path) -> Outputs:
    """--out -: the file of the only image, or the file of all inputs."""
    name, form = chosen[0], FORMATS[chosen[0]]
    of_all = form.run or (form.video if name != "image" else None)
    single = form.image if name != "crops" and [source.kind for source in sources] == ["image"] else None
    if options.json or len(chosen) > 1 or not (of_all or single):
        if options.json:
            raise UsageError("--out - writes only one file: give --json or --out -, not both.")
        hint = "Give --save json, csv, npz or coco, or --out FOLDER."
        raise UsageError("--out - writes only one file, and this would be several.", hint)
    if name in ("image", "heatmaps", "npz") and sys.stdout.isatty():
        raise UsageError(f"--out - would print binary {name} data.", "Pipe it: posehg ... --out - > FILE")
    if of_all:
        return Outputs(run=(Output(of_all.writer, scratch / f"stdout{of_all.ending}"),))
    assert single is not None
    return Outputs(single=Output(single.writer, scratch / f"stdout{single.ending}"))


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
    _failed: set[str] = field(default_factory=set)  # names of sources
    _people: Counter[str] = field(default_factory=Counter)  # source -> poses
    _written: int = 0  # files
    _files: ExitStack = field(default_factory=ExitStack)  # of the source that is being written
    _run_files: ExitStack = field(default_factory=ExitStack)
    _writers: list[Writer] = field(default_factory=list)  # of these
    _run_writers: list[Writer] = field(default_factory=list)

    def run_alone(self, results: Iterable[tuple[Source, Result | None]]) -> None:
        """The whole run by one process, which writes while the next results are computed."""

        def step(source: Source, result: Result | None) -> None:
            if taken := self._take(source, result):
                self._deliver(taken)

        name, count = ("", len(self.todo)) if len(self.todo) > 1 else (self.todo[0].name, None)
        self._run_writers = [self._open(output, self._run_files) for output in self.outputs.run]
        with terminal.bar() as bar, write_behind() as later:
            task = bar.add_task(name, total=count)
            for source, result in results:
                later(partial(step, source, result))
                if (result is None) == (count is not None):
                    bar.advance(task)
        self._complete()
        self.summarise()

    def run_shared(self, results: Iterable[tuple[Source, Result | None]], world: World) -> None:
        """The run by several processes: each writes the files of its images, the first prints all results in order."""

        def share() -> list[Result]:
            taken = (self._take(source, result) for source, result in results)
            return [replace(result, image=None, heatmaps=()) for result in taken if result]

        def deliver() -> None:
            self._run_writers = [self._open(output, self._run_files) for output in self.outputs.run]
            with terminal.ignore_closed_stdout():
                for result in everything:
                    self._deliver(result)
            self._complete()

        everything = distributed.collect(share)
        counts = distributed.gather((self._people, self._failed, self._written))
        self._people, self._failed, self._written = Counter(), set(), 0
        for people, failed, written in counts:
            self._people.update(people)
            self._failed |= failed
            self._written += written
        distributed.alike(deliver if world.first else lambda: None)
        self.summarise(world.first)

    def fail(self, source: Source, error: InputError | MemoryError) -> str:
        """Report the first error of a source; returns the text of the error. A full disk ends the run."""
        if files.is_full(error):
            raise error
        if isinstance(error, MemoryError):
            error = InputError(f"{source.name} needs more memory than is available.", "Make it smaller first.")
        if source.name not in self._failed:
            self._failed.add(source.name)
            terminal.report(error)
        return str(error)

    def _open(self, output: Output, stack: ExitStack, frame: int | None = None) -> Writer:
        """A writer whose file is complete when the stack is closed, and reported then."""
        path = output.path(frame)
        if self.outputs.folder is not None:
            files.make_folder(path.parent)
        writer = output.writer(path, self.draw, self.options.overwrite or self.options.skip_existing)
        stack.callback(self._report, writer)
        return stack.enter_context(writer)

    def _report(self, writer: Writer) -> None:
        self._written += len(writer.written)
        for path in writer.written if self.outputs.folder is None and self.options.out != STDOUT else ():
            terminal.note(f"Wrote {path}")

    def _take(self, source: Source, result: Result | None) -> Result | None:
        """Write an image or frame to the files of its source. If that fails, the result that is returned says why.

        None stands for the end of a source: its files become complete.
        """
        try:
            if result is None:
                self._writers = []
                self._files.close()
            else:
                outputs = self.outputs.of(source) if result.image is not None else []
                for output in outputs if not self._writers else ():
                    if not output.frames and not (self.options.skip_existing and output.path().exists()):
                        self._writers.append(self._open(output, self._files))
                with ExitStack() as stack:
                    of_frame = [self._open(output, stack, result.frame) for output in outputs if output.frames]
                    for writer in (*self._writers, *of_frame):
                        writer.add(result)
        except (InputError, MemoryError) as error:
            if source.kind != "image":
                self.abandoned.add(source.name)
            text = self.fail(source, error)
            result = replace(result, poses=(), image=None, size=None, error=text) if result else None
        if result is not None and result.size is not None:
            self._people[source.name] += len(result.poses)
        if result is None and self._is_empty(source) and len(self.sources) <= MANY:
            what = f"{self.options.boxes} has no boxes for it" if self.options.boxes else "nobody was found"
            terminal.note(f"{source.name}: {what}.")
        return result

    def _deliver(self, result: Result) -> None:
        """Print a result and add it to the files of all sources."""
        if self.options.json:
            print(line(record(result)), flush=True)
        elif self.options.out is None and result.poses:
            heading = f"{result.source}\n" if len(self.sources) > 1 else ""
            print(heading + terminal.rendered(joints_table(result.poses, self.draw.threshold)), end="", flush=True)
        for writer in self._run_writers:
            writer.add(result)

    def _complete(self) -> None:
        """Complete the files of all sources; copy what was written for standard output."""
        if not self._people:
            return self.discard()  # nothing could be read: no file without content
        self._run_files.close()
        if self.options.out == STDOUT:
            for output in filter(None, (self.outputs.single, *self.outputs.run)):
                with suppress(FileNotFoundError), open(output.path(), "rb") as file:  # not if the only image failed
                    shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()

    def discard(self) -> None:
        """Remove incomplete files."""
        for stack in (self._files, self._run_files):
            stack.__exit__(GeneratorExit, GeneratorExit(), None)

    def _is_empty(self, source: Source) -> bool:
        return not self._people[source.name] and source.name not in self._failed

    def summarise(self, reports: bool = True) -> None:
        """Report the run as a whole and raise what its exit code needs. Of several processes the first reports."""
        count, empty, failed = len(self.sources), sum(map(self._is_empty, self.todo)), len(self._failed)
        skipped, noun = count - len(self.todo), "file" if self._written == 1 else "files"
        nobody = f"Nobody was found in {empty:,} of {count:,} inputs."
        notes = {
            f"{skipped:,} of {count:,} inputs were already done.": skipped,
            f"Wrote {self._written:,} {noun} to {self.outputs.folder}.": self._written and self.outputs.folder,
            nobody: empty and count > MANY and not self.options.fail_if_empty,
            f"{failed:,} of {count:,} inputs failed; the others are done.": failed and count > 1,
        }
        for text, applies in notes.items():
            if applies and reports:
                terminal.note(text)
        if failed:
            raise typer.Exit(InputError.exit_code)
        if empty and self.options.fail_if_empty:
            raise CheckFailed(nobody)
