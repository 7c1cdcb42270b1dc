"""posehg predict: images and videos to poses: the options, the run, what the options mean, frames and results."""

# ruff: noqa: RUF009 (``option`` is ``dataclasses.field`` with names for what it holds)

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Literal

from posehg.cli import completion, terminal
from posehg.cli import options as shared
from posehg.cli.options import argument, option
from posehg.errors import InputError, UsageError

if TYPE_CHECKING:
    from posehg.api import Model
    from posehg.cli.outputs import PredictRun
    from posehg.drawing import DrawOptions
    from posehg.geometry import Box
    from posehg.inference.estimator import Estimator
    from posehg.io.frames import Frame
    from posehg.io.sources import Source
    from posehg.poses import Pose, Result

MOST_WORKERS = 8
"""Images that are worked on at once, each by a thread of its own: faster than several threads for one network."""

_INPUT = 'Images, videos, folders, "patterns*.jpg", @list.txt, URLs, - (standard input), webcam.'
_OUT = """For one image .png, .jpg, .webp (drawn) or .json; for one video .mp4 or .webm (drawn); for any number of
inputs one .jsonl, .csv or .npz (keypoints); - is standard output; any other name is a folder."""
_SAVE = f"What a folder gets: image (the default), {', '.join(completion.FORMATS[1:])}."
_FORMATS = completion.words(*completion.FORMATS, between=",")
_SKIP = "Continue an earlier run: skip inputs whose results exist."
_BOX = "A person's bounding box in pixels, the same in all inputs (of a video: in its first frame). Repeatable."
_BOXES = "Bounding boxes per image or frame: COCO .json, posehg's .jsonl, or .csv."
_DETECTOR = "Find people with this detector: a model of train --task detect, or YOLOX or YOLOv8 and later as .onnx."
_PEOPLE = "one (the most prominent person), all, or scan (one, without the detector; slow)."
_RESCAN = "Search for new people every N frames (0: automatic, 10; 90 without a detector)."
_THRESHOLD = "Draw joints with at least this score (0 to 1)."
_LINE_WIDTH = "Line width in pixels (0: by the person's size and --style)."
_COLOR = "person or limb (default: person where several people are drawn, else limb)."
_LABELS = "Write the joints' names beside them and, of several people, each person's number or track id."
_BACKGROUND = "image, black, white or none (transparent)."
_HEATMAPS = "Draw heatmaps instead of skeletons: of these joints, or all."


@dataclass(frozen=True, kw_only=True)
class PredictOptions(shared.ModelOptions):
    """The options of posehg predict. None stands for an option that is not given."""

    inputs: list[str] = argument(_INPUT, metavar="INPUT")
    recursive: bool = option(False, "Input", "Include subfolders.", "--recursive", "-r")
    out: str | None = option(None, "Output", _OUT, "--out", "-o", metavar="PATH")
    save: str | None = option(None, "Output", _SAVE, metavar="FORMAT,..", autocompletion=_FORMATS)
    json: bool = option(False, "Output", "Print a JSON record for each image or frame.", "--json")
    overwrite: bool = option(False, "Output", "Replace existing files.", "--overwrite")
    skip_existing: bool = option(False, "Output", _SKIP, "--skip-existing")
    fail_if_empty: bool = option(False, "Output", "Exit with code 4 if nobody is found in an input.", "--fail-if-empty")
    people: Literal["one", "all", "scan"] = option("one", "People", _PEOPLE, metavar="NAME")
    box: list[str] | None = option(None, "People", _BOX, metavar="X,Y,W,H")
    boxes: Path | None = option(None, "People", _BOXES, metavar="FILE")
    detector: str = option("detector", "People", _DETECTOR, metavar="MODEL", autocompletion=completion.of_detector)
    whole: bool = option(False, "People", "One person fills the image: do not search.", "--whole")
    threshold: float = option(0.3, "Drawing", _THRESHOLD, "--threshold", "-t", metavar="SCORE", min=0, max=1)
    style: Literal["default", "thin", "bold", "lines"] = option(
        "default", "Drawing", "default, thin, bold or lines.", metavar="NAME"
    )
    line_width: float = option(0.0, "Drawing", _LINE_WIDTH, metavar="PIXELS", min=0, max=100)
    color: Literal["person", "limb"] | None = option(None, "Drawing", _COLOR, metavar="NAME")
    background: Literal["image", "black", "white", "none"] = option("image", "Drawing", _BACKGROUND, metavar="NAME")
    labels: bool = option(False, "Drawing", _LABELS, "--labels")
    side_by_side: bool = option(False, "Drawing", "Put the original image on the left.", "--side-by-side")
    heatmaps: str | None = option(None, "Drawing", _HEATMAPS, metavar="JOINT,..", autocompletion=completion.joints)
    start: str = option("0", "Video", "Start at this time: seconds or MM:SS.", metavar="TIME")
    end: str | None = option(None, "Video", "End at this time.", metavar="TIME")
    rescan: int = option(0, "Video", _RESCAN, metavar="N", min=0)
    smooth: Literal["none", "one-euro"] = option("none", "Video", "Smooth joints: none or one-euro.", metavar="NAME")
    batch: int = option(0, "Model", "Crops in one call of the network (0: automatic).", min=0)

    def given(self, *names: str) -> list[str]:
        """Those of these options that are not at their defaults, as they are written."""
        defaults = {field.name: field.default for field in fields(self)}
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) != defaults[name]]

    @property
    def of_one_image(self) -> bool:
        """Whether the results go to a table or a file of one image, which holds no animation."""
        from posehg.io.writers import IMAGE_FILES

        if self.out is None:
            return not self.json
        return Path(self.out).suffix.lower() in IMAGE_FILES and not os.path.isdir(self.out)


def predict(options: PredictOptions) -> None:
    """Find the poses of people in images and videos.

        posehg predict photo.jpg --out skeleton.png
        posehg predict photos/ --people all --out results/ --save image,json
        posehg predict walk.mp4 --out skeletons.mp4

    With neither --out nor --json it prints a table of joints and writes no file. People in videos are tracked and keep
    their ids. An unreadable image is reported and skipped; the rest are processed, and the exit code is 3.

    Several processes share the images: torchrun --nproc-per-node N -m posehg predict ...
    """
    from posehg import distributed
    from posehg.cli.outputs import PredictRun, plan
    from posehg.inference.engines import cores
    from posehg.io import boxes
    from posehg.io.frames import AHEAD, in_parallel, read_ahead
    from posehg.io.sources import expand

    # First all that is quick to check.
    if options.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing cannot be used together.")
    ways = _ways(options)
    start = _seconds("--start", options.start)
    end = math.inf if options.end is None else _seconds("--end", options.end)
    if end <= start:
        raise UsageError(f"--end {options.end} is not after --start {options.start}.")
    draw = _draw_options(options)
    first_boxes = [_first_box(text) for text in options.box] if options.box else None
    box_file = boxes.read(options.boxes, terminal.note) if options.boxes else None
    sources: Sequence[Source] = list(expand(options.inputs, options.recursive))
    if any(source.kind == "animation" for source in sources) and options.of_one_image:
        sources = [replace(source, kind="image") if source.kind == "animation" else source for source in sources]
    if box_file:
        box_file.check([source for source in sources if not source.problem])
    world = distributed.world()
    moving = [source.name for source in sources if source.kind != "image"]
    if world.size > 1 and (moving or len(sources) == 1):
        name = moving[0] if moving else sources[0].name
        raise UsageError(f"{name} cannot be shared by several processes.", "Start posehg without torchrun.")
    of_videos = options.given("start", "end", "rescan", "smooth")
    if of_videos and not moving and not any(source.problem for source in sources):
        raise UsageError(f"{of_videos[0]} has no effect: no input is a video.", f"Leave out {of_videos[0]}.")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="posehg-")))
        outputs = plan(options, sources, scratch)
        if outputs.folder is not None:
            sources = outputs.named(outputs.without_results(sources, options.inputs))
        outputs.check(sources, options)
        todo = outputs.left_to_do(sources) if options.skip_existing else sources
        run = PredictRun(options, outputs, draw, sources, todo)
        if not todo:
            return run.summarise(world.first)
        mine = distributed.share(todo, world)
        # Cameras, pipes and the web may take any time; a thread that waits for them would keep the program from ending.
        ahead = AHEAD if all(os.path.isfile(source.name) or source.problem for source in mine) else 0
        workers = 1
        if ahead and not moving and world.size == 1:
            workers = max(1, min(MOST_WORKERS, options.threads or cores(), len(mine)))
        frames = partial(_frames, start=start, end=end, abandoned=run.abandoned)
        if workers == 1:
            coming = stack.enter_context(read_ahead(frames(mine), ahead))
        model = _model(options, not ways, workers)
        for joint in draw.heatmaps:
            model.skeleton.index(joint)  # raises an error for an unknown joint, before any work
        if cameras := {source.name for source in mine if source.kind == "camera"}:
            stack.enter_context(_ends_on_interrupt(cameras, run.abandoned))
        where = box_file or first_boxes
        finder = partial(model.finder, people=options.people, where=where, whole=options.whole, every=options.rescan)
        if world.size > 1:
            stack.enter_context(distributed.joined(model.estimator.device))
            stack.enter_context(terminal.fail_together(world))
            distributed.wait()  # until all have checked that their files do not exist
        results = partial(_results, run, model.estimator, partial(finder, smooth=options.smooth))
        if workers == 1:  # a second thread runs the network while this one writes
            run.run(stack.enter_context(read_ahead(results(coming), ahead)), world)
        else:
            lists = in_parallel(lambda source: list(results(frames([source]))), mine, workers)
            run.run(chain.from_iterable(stack.enter_context(lists)), world)


@contextmanager
def _ends_on_interrupt(cameras: set[str], abandoned: set[str]) -> Iterator[None]:
    """The first Ctrl-C ends cameras, so that their files become complete; the second ends the run."""

    def end_cameras(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        abandoned.update(cameras)

    before = signal.signal(signal.SIGINT, end_cameras)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _draw_options(options: PredictOptions) -> DrawOptions:
    from posehg.drawing import STYLES, DrawOptions

    joints = () if options.heatmaps in (None, "all") else tuple(name.strip() for name in options.heatmaps.split(","))
    # A video of one person never needs colours by track; of more it does, even where a frame shows one person only.
    one = options.people != "all" and not options.boxes and len(options.box or ()) < 2
    colour = options.color or ("limb" if one else "auto")
    style = replace(STYLES[options.style], line_width=options.line_width, labels=options.labels, colour=colour)
    return DrawOptions(options.threshold, style, options.background, options.side_by_side, joints)


def _ways(options: PredictOptions) -> list[str]:
    """The options that say where people are. Raises UsageError if they exclude each other or a search."""
    ways = options.given("box", "boxes", "whole")
    searches = [*options.given("detector"), *([f"--people {options.people}"] if options.given("people") else [])]
    if len(ways) > 1 or (ways and searches):
        hint = "--box, --boxes and --whole say where people are: nobody is searched for." if searches else ""
        raise UsageError(f"{ways[0]} and {[*ways, *searches][1]} cannot be used together.", hint)
    if options.people == "scan" and options.given("detector"):
        raise UsageError("--detector and --people scan cannot be used together.")
    return ways


def _model(options: PredictOptions, searches: bool, callers: int) -> Model:
    """The model, with its detector if people are to be searched for. callers: threads that call it at the same time."""
    detector = options.detector if options.given("detector") else None
    model = options.load(detector=detector, callers=callers, batch=options.batch)
    if searches:
        model.detector_for(options.people)  # raises an error before any work
    return model


def _seconds(name: str, text: str) -> float:
    if not re.fullmatch(r"(\d{1,6}:){0,2}\d{1,9}(\.\d*)?", text, re.ASCII):
        raise UsageError(f"{name} {text} is not a time.", f"Write seconds, MM:SS or HH:MM:SS: {name} 1:30")
    return sum(float(part) * 60**place for place, part in enumerate(reversed(text.split(":"))))


def _first_box(text: str) -> Box:
    from posehg.geometry import Box

    with suppress(TypeError, ValueError):
        box = Box(*map(float, text.split(",")))
        if box.is_plausible:
            return box
    raise UsageError(
        f"--box {text} is not a box.", "Write four numbers in pixels, of which the last two are above 0: --box X,Y,W,H"
    )


def _frames(
    sources: Sequence[Source], start: float, end: float, abandoned: set[str]
) -> Generator[tuple[Source, Frame | InputError | MemoryError]]:
    """The frames of each source, and the error that ends them, if any. Abandoned sources end early."""
    from posehg.io.frames import frames

    for source in sources:
        try:
            with closing(frames(source, start, end, terminal.note)) as opened:
                for frame in opened:
                    yield source, frame
                    if source.name in abandoned:
                        break
        except (InputError, MemoryError) as error:
            yield source, error


def _results(
    run: PredictRun,
    estimator: Estimator,
    finder: Callable[[Source], Callable[[Frame], list[Pose]]],
    frames: Iterator[tuple[Source, Frame | InputError | MemoryError]],
) -> Generator[tuple[Source, Result]]:
    """The result of each frame; those of a source that failed say why."""
    from posehg.poses import Result

    for source, of_source in groupby(frames, lambda pair: pair[0]):
        find = finder(source)
        needs_heatmaps = any(output.writer.needs_heatmaps for output in (*run.outputs.run, *run.outputs.of(source)))
        for _, frame in of_source:
            result = Result(source.name, run.options.model, estimator.config.skeleton)
            try:
                if isinstance(frame, Exception):
                    raise frame
                result = replace(result, frame=frame.index, time=frame.time, fps=frame.fps)
                poses, size = find(frame), frame.image.shape[:2]
                heatmaps = estimator.heatmaps_of(frame.image, poses) if needs_heatmaps else ()
                result = replace(result, people=poses, image=frame.image, size=size, heatmaps=heatmaps)
            except (InputError, MemoryError) as error:
                result = replace(result, error=run.fail(source, error))
            yield source, result
