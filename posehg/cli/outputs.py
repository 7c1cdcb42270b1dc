"""The files of posehg predict: their names, which exist already, and how a run writes and reports them."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from posehg import distributed, files, images
from posehg.cli import hints, terminal
from posehg.cli.options import wrong_suffix
from posehg.distributed import World
from posehg.drawing import DrawOptions
from posehg.errors import CheckFailed, InputError, UsageError
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
"""With more inputs than this, inputs without people are counted, not named."""
_JPEG = (".jpg", ".jpeg")
_TEXT = (".json", ".jsonl", ".csv")


class Output(NamedTuple):
    """A file and its writer; of a video, perhaps a file for each frame, with its number in the name."""

    writer: type[Writer]
    path: Path
    of_frames: bool = False


@dataclass(frozen=True)
class Outputs:
    """What a run writes; nothing by default.

        OUT/walks/a.png                        --out OUT --save image     the folders of the inputs are kept below OUT
        OUT/image/walks/a.png                  --save image,openpose      several formats have a folder each
        OUT/openpose/walks/a_keypoints.json
        OUT/openpose/v_000000000012_keypoints.json                        frame 12 of the video v.mp4
        OUT/results.json                       --save coco                one file of all inputs

    folder, formats: every source has files of these formats below the folder. run: the files of all sources together,
    or of the only one. transparent: images of JPEGs are not JPEGs.
    """

    folder: Path | None = None
    formats: tuple[str, ...] = ()
    run: tuple[Output, ...] = ()
    transparent: bool = False

    def of(self, source: Source) -> list[Output]:
        """The files of a source."""
        if self.folder is None or source.problem:
            return []
        found, moving = [], source.kind != "image"
        for name in self.formats:
            form, folder = FORMATS[name], self.folder / name if len(self.formats) > 1 else self.folder
            if file := (moving and form.video) or form.image:
                writer, ending = file
                kept, is_jpeg = source.relative.suffix, source.relative.suffix.lower() in _JPEG
                if ending == ".png" and kept.lower() in images.SUFFIXES and not (is_jpeg and self.transparent):
                    ending = kept  # also because a .png of a photo is five times as large, and slow to write
                base = folder / source.relative.with_suffix("")
                of_frames = moving and not form.video
                found.append(Output(writer, base.with_name(f"{base.name}{ending}"), of_frames))
        return found

    def left_to_do(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources that --skip-existing leaves to do: all, if a file of all sources has to be written again."""
        left = []
        for source in sources:
            whole = [output.path for output in self.of(source) if not output.of_frames]  # these appear last
            if source.problem or not (whole or self.run) or not all(path.exists() for path in whole):
                left.append(source)
        again = self.run and (left or not all(output.path.exists() for output in self.run))
        return sources if again else left

    def without_results(self, sources: Sequence[Source], inputs: Sequence[str]) -> Sequence[Source]:
        """Leaves out what lies in the folder of the results, if that is below a folder given as an input."""
        folder = None if self.folder is None else Path(os.path.abspath(self.folder))
        if folder and any(os.path.isdir(text) and Path(os.path.abspath(text)) in folder.parents for text in inputs):
            return [one for one in sources if one.problem or folder not in Path(os.path.abspath(one.name)).parents]
        return sources

    def named(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources, renamed where two of their files would be one, also on a file system that ignores case.

        With --save json, a.jpg and a.png give a.json and a-2.json. A note names them; all others are kept.
        """
        named, renamed, numbers = list(sources), [], Counter[str]()
        wanted = [self._files_of(source) for source in sources]
        owners: dict[str, int] = {}
        for place, paths in enumerate(wanted):
            for path in paths:
                owners.setdefault(path, place)
        for place, paths in enumerate(wanted):
            if all(owners[path] == place for path in paths):
                continue
            source, own = sources[place], sources[place].relative
            stem = str(own.with_suffix("")).casefold()
            while not paths.isdisjoint(owners):
                numbers[stem] += 1  # from where it stopped, as thousands may have one name
                named[place] = replace(source, relative=own.with_name(f"{own.stem}-{numbers[stem] + 1}{own.suffix}"))
                paths = self._files_of(named[place])
            owners |= dict.fromkeys(paths, place)
            renamed.append(f"{source.name} becomes {named[place].relative.stem}")
        if renamed and distributed.world().first:
            shown = "; ".join(renamed[:3] + ["..."] * (len(renamed) > 3))
            terminal.note(f"Results that would have the name of another are numbered ({len(renamed):,}): {shown}.")
        return named

    def _files_of(self, source: Source) -> set[str]:
        """The paths of a source's files, equal if they are equal without regard to case."""
        return {f"{output.path} {output.of_frames}".casefold() for output in self.of(source)}

    def check(self, sources: Sequence[Source], options: PredictOptions) -> None:
        """Raises UsageError for a file that is an input or exists without leave, and for options without effect.

        Raises InputError for a read-only folder. The files of frames are checked when they are written.
        """
        outputs = [*self.run, *(output for source in sources for output in self.of(source))]
        drawn = [output for output in outputs if output.writer.draws]
        prints_table = not outputs and not options.json  # which shows joints below the threshold dim
        of_drawings = ("style", "color", "background", "labels", "side_by_side")
        idle = options.given(*of_drawings, *(() if prints_table else ["threshold"]))
        if idle and not drawn and (outputs or options.out is None):
            hint = f"Leave out {idle[0]}." if options.heatmaps else "Give --out FILE.png or --out FOLDER."
            raise UsageError(f"{idle[0]} has no effect: no skeleton is drawn.", hint)
        if options.background == "none" and any(one.path.suffix.lower() in (*_JPEG, *VIDEO_FILES) for one in drawn):
            hint = "Write .png or .webp, or use --background black or white."
            raise UsageError("--background none: JPEGs and videos cannot be transparent.", hint)
        existing = [output.path for output in outputs if not output.of_frames and output.path.exists()]
        originals = {os.path.realpath(source.name) for source in sources if existing and os.path.exists(source.name)}
        for path in existing:
            if os.path.realpath(path) in originals:
                hint = "Give another name." if self.folder is None else "Give another folder, such as --out poses"
                raise UsageError(f"{path} is an input, which is never replaced.", hint)
        may_exist = options.overwrite or options.skip_existing
        if existing and not may_exist:
            continues = "" if existing[0] in [one.path for one in self.run] else "; --skip-existing leaves them out"
            hint = f"--overwrite replaces existing files{continues}."
            raise UsageError(f"{existing[0]} already exists.", hint)
        of_all = [output.path for output in self.run if output.path.exists()]
        if options.skip_existing and of_all and len(outputs) == len(self.run) and (self.folder or len(sources) > 1):
            hint = "Give --overwrite, or --save with a file for each input, such as json."
            raise UsageError(f"--skip-existing cannot tell which inputs {of_all[0]} holds.", hint)
        if self.folder is not None:
            files.check_folder(self.folder)
        elif outputs:
            files.check(outputs[0].path, may_exist)


def plan(options: PredictOptions, sources: Sequence[Source], scratch: Path) -> Outputs:
    """What --out and --save mean for these sources. Raises UsageError for what does not go together.

    scratch: a folder for the file that ``--out -`` copies to standard output.
    """
    moving = any(source.kind != "image" for source in sources)
    formats = [] if options.save is None else [name.strip() for name in options.save.split(",")]
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UsageError(f"--save {unknown[0] or options.save} is not a known format.", f"Known: {', '.join(FORMATS)}.")
    chosen = tuple(dict.fromkeys([*formats, *(["heatmaps"] if options.heatmaps else [])]))
    if options.skip_existing and options.out in (None, STDOUT):
        raise UsageError("--skip-existing needs files to skip.", "Give --out FOLDER or --out FILE.")
    if options.out is None:
        if chosen:
            option = "--save" if formats else "--heatmaps"
            raise UsageError(f"{option} needs a folder.", f"Leave out {option}, or give --out FOLDER or a file.")
        if moving and not options.json:
            raise UsageError("The joints of a video are not printed.", "Give --out or --json.")
        return Outputs()
    chosen = chosen or ("image",)
    if options.out == STDOUT:
        return _to_stdout(options, chosen, sources, scratch)
    out = Path(options.out)
    known = {**IMAGE_FILES, **VIDEO_FILES, **RUN_FILES}
    if files.names_file(options.out) and (out.suffix.lower() in known or not formats):
        if formats:
            return _to_run_file(out, formats)
        return _to_file(out, options.heatmaps is not None, sources, moving)
    places = [(out / name if len(chosen) > 1 else out, FORMATS[name].run) for name in chosen]
    run = tuple(Output(file[0], place / file[1]) for place, file in places if file)
    return Outputs(out, chosen, run=run, transparent=options.background == "none")


def _to_run_file(out: Path, formats: Sequence[str]) -> Outputs:
    """--out FILE --save FORMAT: one file of all inputs."""
    form = FORMATS[formats[0]]
    writer, ending = form.run or form.video or (None, "")
    fits = writer is not None and writer.one_file and not writer.draws
    if len(formats) > 1 or writer is None or not fits or not ending.endswith(out.suffix.lower()):
        file = f" or FILE{Path(ending).suffix}" if form.run and len(formats) == 1 else ""
        hint = f"Give --out FOLDER{file}, or leave out --save."
        raise UsageError(f"--save {','.join(formats)} needs a folder, and --out {out} is a file.", hint)
    return Outputs(run=(Output(writer, out),))


def _to_file(out: Path, heatmaps: bool, sources: Sequence[Source], moving: bool) -> Outputs:
    """--out FILE"""
    suffix, many = out.suffix.lower(), len(sources) > 1
    if suffix in RUN_FILES and not heatmaps:
        return Outputs(run=(Output(RUN_FILES[suffix], out),))
    if heatmaps and (many or moving):
        raise UsageError(f"--out {out} cannot hold several sheets of heatmaps.", "Give --out FOLDER.")
    known = {} if many else VIDEO_FILES if moving else IMAGE_FILES
    if heatmaps:
        known = dict.fromkeys(images.SUFFIXES, HeatmapsWriter)
    if suffix not in known:
        endings = known if heatmaps else {**known, **RUN_FILES}
        what = f"{len(sources)} inputs" if many else "a video" if moving else "an image"
        raise wrong_suffix("--out", out, endings, f"These are for {what}. Or give --out FOLDER.")
    return Outputs(run=(Output(known[suffix], out),))


def _to_stdout(options: PredictOptions, chosen: Sequence[str], sources: Sequence[Source], scratch: Path) -> Outputs:
    """--out -: a file of all inputs, or the file of the only image."""
    if options.json:
        raise UsageError("--out - and --json cannot be used together.")
    form = FORMATS[chosen[0]]
    file = form.run or (form.video if form.video and not form.video[0].draws else None)  # which holds any number
    if file is None and [source.kind for source in sources] == ["image"]:
        file = form.image
    if len(chosen) > 1 or file is None or not file[0].one_file:
        hint = "Give --save json, csv, npz or coco, or --out FOLDER."
        raise UsageError("--out - writes only one file, and this would be several.", hint)
    writer, ending = file
    if Path(ending).suffix not in _TEXT and sys.stdout.isatty():
        raise UsageError(f"--out - would print binary {chosen[0]} data.", "Pipe it: posehg ... --out - > FILE")
    return Outputs(run=(Output(writer, scratch / f"stdout{ending}"),))


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
    _found: set[str] = field(default_factory=set)  # names of sources with people
    _written: int = 0  # files

    def run(self, results: Iterable[tuple[Source, Result]], world: World) -> None:
        """The whole run. Several processes write the files of their images; the first prints all results in order."""
        with closing(self._write(results, world)) as written:
            if world.size == 1:
                self._deliver(written)
            else:
                everything = distributed.collect(lambda: [replace(one, image=None, heatmaps=()) for one in written])
                distributed.alike(lambda: self._deliver(everything) if world.first else None)
        if world.size > 1:
            of_all = distributed.gather((self._failed, self._found, self._written))
            failed, found, written_by = zip(*of_all, strict=True)
            self._failed, self._found, self._written = set().union(*failed), set().union(*found), sum(written_by)
        self.summarise(world.first)

    def fail(self, source: Source, error: InputError | MemoryError) -> str:
        """Report the first error of a source; returns the text of the error. A full disk ends the run."""
        if files.is_full(error):
            raise error
        if isinstance(error, MemoryError):
            error = InputError(f"{source.name} needs more memory than is available.", "Make it smaller first.")
        is_missing = not os.path.exists(source.name) and "://" not in source.name
        if is_missing and (advice := hints.of_assignment(source.name)):
            error = InputError(str(error), advice)
        elif is_missing and self.options.inputs[1:][-1:] == [source.name] and self.options.out is None:
            error = InputError(str(error), f"Check the name, or did you mean --out {source.name}?")
        if source.name not in self._failed:
            self._failed.add(source.name)
            terminal.report(error)
        return str(error)

    def _write(self, results: Iterable[tuple[Source, Result]], world: World) -> Generator[Result]:
        """Writes each result to the files of its source and yields it, with an error if it cannot be written."""
        single = len(self.todo) == 1  # then frames are counted, otherwise sources
        name, total = (self.todo[0].name, None) if single else ("", len(self.todo))
        shown = world.size == 1 and not (single and self.todo[0].kind == "image")
        with terminal.counter(name, total, shown) as advance:
            for source, pairs in groupby(results, lambda pair: pair[0]):
                for result in self._write_files(source, (result for _, result in pairs)):
                    if result.people:
                        self._found.add(source.name)
                    yield result
                    advance(int(single))
                advance(int(not single))
                if source.name not in self._found | self._failed and len(self.sources) <= MANY:
                    what = "nobody was found. Give --box X,Y,W,H, or --whole if one person fills the image"
                    what = f"{self.options.boxes} has no boxes for it" if self.options.boxes else what
                    terminal.note(f"{source.name}: {what}.")

    def _write_files(self, source: Source, results: Iterable[Result]) -> Iterator[Result]:
        """The results of one source, of which each is written before it is yielded. An error leaves no file."""
        unsaid, kept = None, self.options.skip_existing
        try:
            with ExitStack() as stack:
                writers: list[Writer] = []
                for result in results:
                    unsaid = result
                    if not writers and result.image is not None:
                        outputs = self.outputs.of(source)
                        outputs = [file for file in outputs if file.of_frames or not (kept and file.path.exists())]
                        writers = [self._open(output, stack) for output in outputs]
                    for writer in writers:
                        writer.add(result)
                    yield result
                    unsaid = None
        except (InputError, MemoryError) as error:
            self.abandoned.add(source.name)
            text = self.fail(source, error)
            if unsaid:
                yield replace(unsaid, people=(), image=None, size=None, error=text)

    def _open(self, output: Output, stack: ExitStack) -> Writer:
        """A writer whose file is complete when the stack is closed, and counted and reported then."""

        def report() -> None:
            self._written += len(writer.written)
            for path in writer.written if self.outputs.folder is None and self.options.out != STDOUT else ():
                terminal.note(f"Wrote {path}")
            if writer.written and writer.remark:
                terminal.note(writer.remark)

        if self.outputs.folder is not None:
            files.make_folder(output.path.parent)
        writer = output.writer(output.path, self.draw, self.options.overwrite or self.options.skip_existing)
        stack.callback(report)
        return stack.enter_context(writer)

    def _deliver(self, results: Iterable[Result]) -> None:
        """Prints the results and adds them to the files of all sources. If nothing could be read there are no files."""
        any_read = False
        with ExitStack() as stack:
            writers = [self._open(output, stack) for output in self.outputs.run]
            for result in results:
                any_read |= result.size is not None
                if self.options.json:
                    # A reader of a pipe that has seen enough ends the run, but not where files are to be written.
                    with terminal.ignore_closed_stdout() if self.options.out else nullcontext():
                        print(line(record(result)), flush=True)
                elif self.options.out is None and result.people:
                    heading = f"{result.source}\n" if len(self.sources) > 1 else ""
                    table = terminal.rendered(joints_table(result.people, self.draw.threshold))
                    print(heading + table, end="", flush=True)
                for writer in writers:
                    writer.add(result)
            if not any_read:
                stack.__exit__(GeneratorExit, GeneratorExit(), None)  # as after an error: no file is kept
        if any_read and self.options.out == STDOUT:
            with open(self.outputs.run[0].path, "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()

    def summarise(self, reports: bool) -> None:
        """Report the run as a whole and raise what its exit code needs. Of several processes the first reports."""
        count, failed = len(self.sources), len(self._failed)
        without = [source.name for source in self.todo if source.name not in self._found | self._failed]
        empty, first = len(without), f", such as {without[0]}" if without and count > MANY else ""
        skipped, noun = count - len(self.todo), "file" if self._written == 1 else "files"
        nobody = f"Nobody was found in {empty:,} of {count:,} inputs{first}."
        if self.options.boxes:
            nobody = f"{self.options.boxes} has no boxes for {empty:,} of {count:,} inputs{first}."
        notes = {
            f"{skipped:,} of {count:,} inputs were already done.": skipped,
            f"Wrote {self._written:,} {noun} to {self.outputs.folder}": self._written and self.outputs.folder,
            nobody: empty and count > MANY and not self.options.fail_if_empty,
            f"{failed:,} of {count:,} inputs failed; the others are done.": 0 < failed < count,
        }
        for text, applies in notes.items():
            if applies and reports:
                terminal.note(text)
        if failed:
            raise terminal.Ended(InputError.exit_code)
        if empty and self.options.fail_if_empty:
            raise CheckFailed(nobody)
