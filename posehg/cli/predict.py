"""posehg predict: images and videos to poses.

It reads from top to bottom: the options, the run (frames, poses, results, files), and what each part of it means.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posehg.cli import options as shared
from posehg.cli import terminal
from posehg.errors import InputError, UsageError
from posehg.files import naming

if TYPE_CHECKING:
    from posehg.cli.predict_run import Run
    from posehg.drawing import DrawOptions
    from posehg.geometry import Box
    from posehg.images import Image
    from posehg.inference.estimator import Estimator
    from posehg.io.boxes import BoxFile
    from posehg.io.sources import Frame, Source
    from posehg.poses import Pose, Result

    Finder = Callable[[Frame], list[Pose]]
    """Finds the poses on the frames of one source, which it is given in their order."""


def _option(panel: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


@dataclass(frozen=True)
class PredictOptions:
    """The options of posehg predict. ``""`` and None stand for an option that is not given."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help='Images, videos, folders, "patterns*.jpg", @list.txt, URLs, - (standard input), webcam.',
        ),
    ]
    recursive: Annotated[bool, _option("Input", "Include subfolders.", "--recursive", "-r")] = False
    out: Annotated[
        Path | None,
        _option(
            "Output",
            "For one image .png, .jpg, .webp (drawn) or .json; for one video .mp4 or .webm (drawn); for all inputs "
            ".jsonl, .csv, .npz (joints); - is standard output; any other name is a folder.",
            "--out",
            "-o",
            metavar="PATH",
        ),
    ] = None
    save: Annotated[
        str | None,
        _option(
            "Output",
            "What a folder gets: image (the default), json, csv, npz, coco, openpose, heatmaps, crops.",
            "--save",
            metavar="FORMAT,..",
        ),
    ] = None
    json: Annotated[bool, _option("Output", "Print a JSON record for each image or frame.", "--json")] = False
    overwrite: Annotated[bool, _option("Output", "Replace existing files.", "--overwrite")] = False
    skip_existing: Annotated[
        bool, _option("Output", "Continue an earlier run: skip inputs that have their files.", "--skip-existing")
    ] = False
    fail_if_empty: Annotated[bool, _option("Output", "Exit with 4 if an input shows nobody.", "--fail-if-empty")] = (
        False
    )
    people: Annotated[
        Literal["one", "all"], _option("People", "Find the most prominent person, or everyone.", "--people")
    ] = "one"
    box: Annotated[
        list[str] | None,
        _option(
            "People",
            "A person's bounding box in pixels (in a video: in its first frame). Repeatable.",
            "--box",
            metavar="X,Y,W,H",
        ),
    ] = None
    boxes: Annotated[
        Path | None,
        _option("People", "Boxes for each image: COCO .json, posehg's records, or .csv.", "--boxes", metavar="FILE"),
    ] = None
    detector: Annotated[
        Path | None,
        _option("People", "Find people with another network: YOLOX, YOLO.", "--detector", metavar="FILE.onnx"),
    ] = None
    whole: Annotated[bool, _option("People", "One person fills the image: do not search.", "--whole")] = False
    threshold: Annotated[
        float,
        _option("Drawing", "Least score of a joint that is drawn.", "--threshold", "-t", metavar="SCORE", min=0, max=1),
    ] = 0.3
    style: Annotated[
        Literal["default", "thin", "bold", "lines"],
        _option("Drawing", "default, thin, bold or lines.", "--style", metavar="NAME"),
    ] = "default"
    background: Annotated[
        Literal["image", "black", "white", "none"],
        _option("Drawing", "image, black, white or none (transparent).", "--background", metavar="NAME"),
    ] = "image"
    labels: Annotated[bool, _option("Drawing", "Write the joints' names beside them.", "--labels")] = False
    side_by_side: Annotated[bool, _option("Drawing", "Put the original image on the left.", "--side-by-side")] = False
    heatmaps: Annotated[
        str | None,
        _option("Drawing", "Draw the heatmaps of these joints, or of all, instead.", "--heatmaps", metavar="JOINT,.."),
    ] = None
    start: Annotated[str, _option("Video", "Start there: seconds or MM:SS.", "--start", metavar="TIME")] = "0"
    end: Annotated[str | None, _option("Video", "End there.", "--end", metavar="TIME")] = None
    rescan: Annotated[
        int, _option("Video", "Search for new people every N frames.", "--rescan", metavar="N", min=1)
    ] = 90
    smooth: Annotated[Literal["none", "one-euro"], _option("Video", "Smooth joints over time.", "--smooth")] = "none"
    model: shared.Model = "bundled"
    offline: shared.Offline = False
    flip: shared.Flip = True
    decoder: shared.Decoder = "subpixel"
    device: shared.Device = "auto"
    precision: shared.Precision = "fp32"
    batch: Annotated[int, _option("Run", "Crops in one call of the network (0: automatic).", "--batch", min=0)] = 0
    threads: shared.Threads = 0


@shared.from_dataclass(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Find the poses of people in images and videos.

        posehg predict photo.jpg --out skeleton.png
        posehg predict photos/ --people all --out results/ --save image,json
        posehg predict walk.mp4 --out skeletons.mp4

    Without --out and --json it prints a table of joints and writes nothing. People in videos are tracked and keep their
    ids. An unreadable image is reported and skipped; the rest are processed, and the exit code is 3.

    Several processes share the images: torchrun --nproc-per-node N -m posehg predict ...
    """
    from posehg import distributed
    from posehg.cli.outputs import plan
    from posehg.cli.predict_run import Run
    from posehg.inference.engines import Run as EngineOptions
    from posehg.inference.estimator import opened
    from posehg.io import boxes as box_files
    from posehg.io.background import AHEAD, read_ahead
    from posehg.io.sources import expand

    _check(options)
    span, draw = _span(options), _draw_options(options)
    boxes = box_files.read(options.boxes) if options.boxes else None
    finder_of = _people(options, boxes)
    sources: Sequence[Source] = list(expand(options.inputs, options.recursive))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="posehg-")))
        with naming(options.out or scratch):  # a name may be too long even to look for it
            outputs = plan(options, draw, sources, scratch)
            if outputs.folder is not None:
                sources = outputs.without_results(sources, options.inputs)
            outputs.check(sources, options.overwrite or options.skip_existing)
            todo = outputs.missing(sources) if options.skip_existing else sources
        run = Run(options, outputs, draw, sources, todo)
        world = distributed.world()
        if not todo:
            return run.summarise(world.first)
        mine = distributed.share(todo if world.size == 1 else [_for_one_of_several(source) for source in todo], world)
        ahead = 0 if any(map(_may_block, mine)) else AHEAD
        frames = stack.enter_context(read_ahead(_frames(mine, span, run.abandoned), ahead))
        estimator = opened(
            options.model,
            EngineOptions(options.device, options.threads, options.precision),
            options.flip,
            options.decoder,
            options.batch,
            options.offline,
            terminal.note,
        )
        for joint in draw.heatmaps:
            estimator.config.skeleton.index(joint)  # raises an error for an unknown joint, before any work
        if any(source.kind == "camera" for source in mine):
            stack.enter_context(_ctrl_c_ends_cameras(mine, run.abandoned))
        results = _results(options, run, estimator, frames, finder_of, outputs.need_heatmaps)
        if boxes and world.first:
            stack.callback(_note_unused, boxes, sources)
        stack.push(run.__exit__)
        if world.size == 1:
            run.alone(results)
        else:  # no process starts before all have checked that their files do not exist
            with distributed.joined(estimator.device), terminal.fail_together(world):
                run.together(results, world)


# ---- what the options mean -----------------------------------------------------------------------------------------


def _check(options: PredictOptions) -> None:
    if options.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing contradict each other: give one of them.")
    given = {"--box": options.box, "--boxes": options.boxes, "--detector": options.detector, "--whole": options.whole}
    ways = [name for name, value in {**given, "--people all": options.people == "all"}.items() if value]
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} are two ways to find people: give one of them.")


def _span(options: PredictOptions) -> tuple[float, float]:
    """Seconds of a video: from --start on and before --end."""
    times = []
    for name, text in (("--start", options.start), ("--end", options.end)):
        if text is not None and not re.fullmatch(r"(\d{1,6}:){0,2}\d{1,9}(\.\d*)?", text, re.ASCII):
            raise UsageError(f"{name} {text} is not a time.", f"Write seconds, MM:SS or HH:MM:SS: {name} 1:30")
        parts = reversed(text.split(":")) if text is not None else []
        times.append(sum(float(part) * 60**place for place, part in enumerate(parts)) if parts else math.inf)
    if times[1] <= times[0]:
        raise UsageError(f"--end {options.end} is not after --start {options.start}.")
    return times[0], times[1]


def _draw_options(options: PredictOptions) -> DrawOptions:
    from posehg.drawing import STYLES, DrawOptions

    joints = () if options.heatmaps in (None, "all") else tuple(name.strip() for name in options.heatmaps.split(","))
    style = replace(STYLES[options.style], labels=options.labels)
    return DrawOptions(options.threshold, style, options.background, options.side_by_side, joints)


def _people(options: PredictOptions, file: BoxFile | None) -> Callable[[Estimator, Source], Finder]:
    """How people are found, as a function that makes the finder for one source, which is called with its frames."""
    from posehg.inference import detector as detectors
    from posehg.inference.person_search import find
    from posehg.inference.smoothing import OneEuro
    from posehg.inference.tracking import Following, Tracker
    from posehg.io.sources import Frame

    boxes = [_box(text) for text in options.box] if options.box else None
    detector = detectors.load(options.detector) if options.detector else None

    def finder_of(estimator: Estimator, source: Source) -> Finder:
        def find_in(frame: Frame) -> list[Pose]:
            there = boxes
            if file:
                there = list(file.of(source, frame.index))
            elif detector:
                there = detector(frame.image)
            return find(estimator, frame.image, options.people, there, options.whole, source.name)

        if source.kind == "image":
            return find_in
        searches = count()

        def search(image: Image) -> list[Pose]:
            """Boxes are those of the first frame, and nobody comes later."""
            return find_in(Frame(image)) if boxes is None or next(searches) == 0 else []

        most = 1 if options.people == "one" and boxes is None else None
        tracker = Tracker(estimator, search, Following(every=options.rescan), most)
        smoother = OneEuro() if options.smooth == "one-euro" else None

        def track(frame: Frame) -> list[Pose]:
            time = frame.time or 0.0
            everywhere = file or detector or options.whole
            poses = tracker.identify(find_in(frame), time) if everywhere else tracker(frame.image, time)
            return smoother(poses, time) if smoother else poses

        return track

    return finder_of


def _box(text: str) -> Box:
    from posehg.geometry import Box

    try:
        box = Box(*[float(part) for part in text.split(",")])
    except (TypeError, ValueError):
        raise UsageError(f"--box {text} cannot be read.", "Write four numbers: --box X,Y,W,H") from None
    if not box.can_be:
        raise UsageError(f"--box {text} is not a box.", "Its numbers are pixels; width and height are above 0.")
    return box


def _note_unused(boxes: BoxFile, sources: Sequence[Source]) -> None:
    for source in sources:  # also those that another process, or an earlier run, has done
        with suppress(InputError):
            boxes.of(source, None if source.kind == "image" else 0)
    unused = boxes.unmatched()
    if unused.count:
        more = ", .." if unused.count > len(unused.names) else ""
        terminal.note(f"Boxes of {', '.join(unused.names)}{more} were not used: there are no such inputs.")


def _for_one_of_several(source: Source) -> Source:
    """Of several processes none can follow a video."""
    if source.kind == "image":
        return source
    problem = InputError(f"{source.name} is a video, which one process follows.", "Start posehg without torchrun.")
    return replace(source, kind="image", problem=source.problem or problem)


def _may_block(source: Source) -> bool:
    """Whether reading may take any time. The thread that reads ahead would then keep the program from ending."""
    with suppress(OSError, ValueError):  # a name that no file can have is reported when it is read
        return source.kind == "camera" or source.name == "-" or "://" in source.name or Path(source.name).is_fifo()
    return False


# ---- frames and results --------------------------------------------------------------------------------------------


def _frames(
    sources: Sequence[Source], span: tuple[float, float], abandoned: set[str]
) -> Iterator[tuple[Source, Frame | InputError | None]]:
    """The frames of each source, or the error that ends them; None at its end. Abandoned sources end early."""
    from posehg.io.sources import frames

    for source in sources:
        try:
            with closing(frames(source, *span)) as opened:
                for frame in opened:
                    yield source, frame
                    if source.name in abandoned:
                        break
        except InputError as error:
            yield source, error
        yield source, None


@contextmanager
def _ctrl_c_ends_cameras(sources: Sequence[Source], abandoned: set[str]) -> Iterator[None]:
    """The first Ctrl-C ends cameras, which have no end of their own, and completes their files."""
    cameras = {source.name for source in sources if source.kind == "camera"}

    def stop(number: int, frame: FrameType | None) -> None:
        if cameras <= abandoned:
            raise KeyboardInterrupt
        abandoned.update(cameras)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _results(
    options: PredictOptions,
    run: Run,
    estimator: Estimator,
    frames: Iterator[tuple[Source, Frame | InputError | None]],
    finder_of: Callable[[Estimator, Source], Finder],
    need_heatmaps: bool,
) -> Iterator[tuple[Source, Result | None]]:
    """The result of each frame; None at the end of a source."""
    from posehg.poses import Result

    find: Finder | None = None
    for source, frame in frames:
        result = Result(source.name, options.model, estimator.config.skeleton)
        if frame is None:
            find = None
            yield source, None
        elif isinstance(frame, InputError):
            yield source, replace(result, error=run.fail(source, frame))
        else:
            result = replace(result, frame=frame.index, time=frame.time, fps=frame.fps)
            find = find or finder_of(estimator, source)
            try:
                poses = find(frame)
                heatmaps = estimator.heatmaps_of(frame.image, poses) if need_heatmaps else ()
            except (InputError, MemoryError) as error:
                yield source, replace(result, error=run.fail(source, error))
                continue
            size = frame.image.shape[:2]
            yield source, replace(result, poses=poses, image=frame.image, size=size, heatmaps=heatmaps)
