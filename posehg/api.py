"""posehg as a library: a model that is called with images and returns who is in them, and the other commands.

    model = posehg.load()
    result = model("photo.jpg")                  # the most prominent person; people="all" finds everyone
    for person in result.people:
        x, y = person["left_wrist"]              # pixels of the upright image; pixel centres are integers
    result.save("skeleton.png")

    for result in model.stream("walk.mp4"):      # people keep their ids
        print(result.time, [person.id for person in result.people])

An image is a file's path, a web address, a Pillow image of any mode, or a numpy array of uint8: RGB (H, W, 3), gray
(H, W) or RGBA (H, W, 4). EXIF orientation is applied, and transparency is laid on white. Of an animation or a TIFF of
several pages a call takes the first. (OpenCV uses BGR: give ``image[..., ::-1]``.)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from posehg import checkpoints
from posehg.checkpoints import Note
from posehg.checkpoints.format import BEST
from posehg.errors import InputError, UnknownName, UsageError
from posehg.geometry import Box
from posehg.heatmaps import Decoder
from posehg.inference.detector import Detect, open_detector
from posehg.inference.engines import EngineOptions, Library, Precision, open_engine
from posehg.inference.estimator import Estimator
from posehg.inference.person_search import People, find
from posehg.io.boxes import BoxFile
from posehg.io.frames import AHEAD, Frame, frames, read_ahead
from posehg.io.sources import Source, expand
from posehg.poses import Heatmaps, Pose
from posehg.skeletons import Skeleton
from posehg.values import BoxLike, ImageLike, Result, boxes_of, check_names, image_of

if TYPE_CHECKING:
    from posehg.inference.tracking import Smoothing


def load(
    model: str | os.PathLike[str] = "bundled",
    *,
    device: str = "auto",
    precision: Precision = "fp32",
    threads: int = 0,
    flip: bool = True,
    decoder: Decoder = "subpixel",
    batch: int = 0,
    engine: Library = "auto",
    offline: bool = False,
    detector: str | os.PathLike[str] | None = None,
    callers: int = 1,
    note: Note | None = None,
) -> Model:
    """Loads a trained network, downloading it first if needed.

    model: ``bundled``, the weights that come with posehg; ``small``, which also do and are faster; a file, or the
    folder of a model or a training run; ``user/repo[@revision]`` on the Hub; a URL with a hash; or a name from
    ``posehg models list``.
    device: auto, cpu, cuda, cuda:N or mps.
    precision: the network's number format, ``fp32``, ``bf16`` or ``fp16``; an exported model has its own.
    threads: CPU threads of the network; 0: automatic. Other uses of torch in the process are not affected.
    flip: average with the mirrored image: more accurate, half the speed.
    decoder: how keypoints are read from heatmaps, ``subpixel`` or ``quarter``.
    batch: crops in one call of the network; 0: automatic.
    engine: what runs the network, ``torch``, ``onnxruntime`` or ``openvino``; ``auto`` is the fastest that it allows.
    offline: never download anything.
    detector: what finds the people: by default the network that comes with posehg; or another that posehg trained with
    ``--task detect``, or an .onnx file of YOLOX or of YOLOv8 and later. It is loaded when it is first needed.
    callers: how many threads will call the model at the same time; they share the CPU threads.
    note: takes sentences on what happens, such as a download.
    Raises NotAvailable for a missing or broken model, DeviceError for a device that is not available, UsageError for
    an unknown option.
    """
    known = {"decoder": (decoder, Decoder), "precision": (precision, Precision), "engine": (engine, Library)}
    check_names(**{name: (value, get_args(kind)) for name, (value, kind) in known.items()})
    if not isinstance(device, str):
        raise TypeError(f"device is a name such as cpu or cuda:0, not {device!r}.")
    if threads < 0 or batch < 0 or callers < 1:
        raise UsageError("threads and batch must be at least 0, and callers at least 1.")
    options = EngineOptions(device, threads, precision, engine, callers)
    opened = open_engine(checkpoints.find(os.fspath(model), offline, note), options, note)
    if note is not None and (doubtful := opened.config.skeleton.doubtful):
        named = ", ".join(" and ".join(pair) for pair in doubtful)
        note(f"This model does not exchange left and right of these joints in mirrored images: {named}.")

    def detect() -> Detect:
        return open_detector(checkpoints.find(os.fspath(detector or "detector"), offline, note), options, note)

    return Model(Estimator(opened, flip, decoder, batch), detect, os.fspath(model), detector is not None)


class Model:
    """A loaded network that finds people on images and estimates their poses. Threads may share it.

    detector: opens the detector, when people have to be found. name: of the model, in results. always: use the detector
    even for a skeleton that is not human.
    """

    def __init__(
        self, estimator: Estimator, detector: Callable[[], Detect], name: str = "", always: bool = False
    ) -> None:
        self.estimator, self.name = estimator, name
        self._detector, self._always = cache(detector), always

    @property
    def skeleton(self) -> Skeleton:
        return self.estimator.config.skeleton

    @property
    def joints(self) -> tuple[str, ...]:
        """The J joint names, in the order of every pose's keypoints."""
        return self.skeleton.joints

    def __reduce__(self) -> str:
        raise TypeError("A Model cannot be pickled for another process: call posehg.load there.")

    def __repr__(self) -> str:
        return f"Model({len(self.joints)} joints of {self.skeleton.name!r}, on {self.estimator.device})"

    @overload
    def __call__(
        self,
        image: ImageLike,
        boxes: BoxLike | Iterable[BoxLike] | None = ...,
        people: People | None = ...,
        whole: bool = ...,
    ) -> Result: ...
    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        boxes: None = ...,
        people: People | None = ...,
        whole: bool = ...,
    ) -> list[Result]: ...
    def __call__(
        self,
        image: ImageLike | list[Any] | tuple[Any, ...],
        boxes: BoxLike | Iterable[BoxLike] | None = None,
        people: People | None = None,
        whole: bool = False,
    ) -> Result | list[Result]:
        """The people in an image, in its pixels; of a list of images, a list of results.

        boxes: the people's bounding boxes, each a Box or (x, y, w, h) without padding; returns one pose per box, in
            their order. [] means that there are no people.
        people: without boxes, search for ``one``, the most prominent person, as by default; ``all``, the most prominent
            first; or ``scan`` for one without the detector, as is always done for a skeleton that is not human.
        whole: one person fills the image, so do not search.
        Raises InputError for a file that cannot be read or a box outside the image, TypeError and UsageError for
        anything that is not an image or box and for options that exclude each other.
        """
        if isinstance(image, list | tuple):
            if boxes is not None:
                raise UsageError("boxes are those of one image.", "Call the model once for each image.")
            return [self(one, None, people, whole) for one in image]
        given = self._where(boxes, people, whole)
        name = os.fspath(image) if isinstance(image, str | os.PathLike) else ""
        frame = Frame(image_of(image))
        find_in = self.finder(Source(name or "the image", "image", Path()), people or "one", given, whole)
        return self._result(name, frame, find_in(frame))

    def stream(
        self,
        source: str | os.PathLike[str] | Iterable[ImageLike],
        *,
        people: People | None = None,
        boxes: BoxLike | Iterable[BoxLike] | None = None,
        whole: bool = False,
        track: bool = True,
        smooth: Smoothing = "none",
        start: float = 0.0,
        end: float = math.inf,
        fps: float = 25.0,
    ) -> Generator[Result]:
        """The results of a video, a webcam, a folder, several of these, or the frames of a video, as they are reached.

        source: as posehg predict takes it: "walk.mp4", "webcam", a folder, "photos/*.jpg", a web address; a list of
            such; or images from any iterable, which are the frames of one video at ``fps`` frames a second.
        people, boxes, whole: as in a call; boxes are those of the first frame.
        track: people of videos keep their ids. smooth: their joints, by the ``one-euro`` filter.
        start, end: the part of each video, in seconds.
        Memory does not grow with the number of frames. What cannot be read has a result with ``error``; if it is all
        that there is, it is raised as InputError.
        """
        from posehg.inference.tracking import Smoothing

        given = self._where(boxes, people, whole)
        check_names(smooth=(smooth, get_args(Smoothing)))
        if end <= start or fps <= 0:
            raise UsageError(f"end ({end:g}) must be after start ({start:g}), and fps ({fps:g}) above 0.")
        if getattr(source, "ndim", 4) < 4:
            raise UsageError(
                "A stream is of several images.", "One image: model(image). Its rows would be taken for images."
            )
        if smooth != "none" and not track:
            raise UsageError("smooth needs track.", "Leave smooth out.")

        def finder(one: Source) -> Callable[[Frame], list[Pose]]:
            return self.finder(one, people or "one", given, whole, track, 0, smooth)

        names = [source] if isinstance(source, str | os.PathLike) else source
        if isinstance(names, list | tuple) and all(isinstance(name, str | os.PathLike) for name in names):
            sources = list(expand([os.fspath(name) for name in names]))
        else:
            sources = [Source("", "video", Path())]
            images_of_video = (Frame(image_of(one), n, n / fps, fps) for n, one in enumerate(names))
        for one in sources:
            found = finder(one)
            coming = frames(one, start, end) if one.name else images_of_video
            ahead = AHEAD if os.path.isfile(one.name) else 0
            try:
                with closing(coming), read_ahead(coming, ahead) as ready:
                    for frame in ready:
                        yield self._result(one.name, frame, found(frame))
            except InputError as error:
                if len(sources) == 1:
                    raise
                yield Result(one.name, self.name, self.skeleton, error=str(error))

    def finder(
        self,
        source: Source,
        people: People,
        where: BoxFile | Sequence[Box] | None = None,
        whole: bool = False,
        track: bool = True,
        every: int = 0,
        smooth: Smoothing = "none",
    ) -> Callable[[Frame], list[Pose]]:
        """Called with the frames of a source in turn, it returns the people on each: of a video, with track ids.

        where: their bounding boxes; a list is that of the first frame. every: frames from one search for people to the
        next; 0: automatic. For the others see ``stream``.
        """
        detect = None if whole or where is not None else self.detector_for(people)

        def find_in(frame: Frame, known: Sequence[Pose] = ()) -> list[Pose]:
            boxes = where.of(source, frame.index) if isinstance(where, BoxFile) else where
            return find(self.estimator, frame.image, people, boxes, whole, source.name, detect, known)

        if source.kind == "image" or not track:
            return find_in
        from posehg.inference.tracking import Following, follow  # images do not need it

        following = Following() if detect else Following(every=90, patience=10, pause=30)  # which takes a while
        following = replace(following, every=every or following.every)
        if where is not None:  # a cut would end the people of the first frame for good
            following = replace(following, cut=math.inf)
        given: Literal["each", "first", "nowhere"] = "nowhere" if where is None else "first"
        if whole or isinstance(where, BoxFile):
            given = "each"
        most = 1 if people != "all" and where is None else None
        return follow(self.estimator, find_in, following, most, given, smooth)

    def detector_for(self, people: People) -> Detect | None:
        """The detector, opened now if it was not yet; None where windows are searched instead."""
        is_needed = people != "scan" and (self._always or self.skeleton.is_human)  # ours knows humans only
        return self._detector() if is_needed else None

    def heatmaps(self, image: ImageLike, pose: Pose) -> Heatmaps:
        """The network's heatmaps where a pose was found in an image.

        Its ``maps`` are (J, h, w), 0 .. 1, in the order of ``joints``; its ``to_image`` maps their (column, row) to
        image pixels.
        """
        [heatmaps] = self.estimator.heatmaps_of(image_of(image), [pose])
        return heatmaps

    def _where(self, boxes: BoxLike | Iterable[BoxLike] | None, people: People | None, whole: bool) -> list[Box] | None:
        """The boxes. Raises UsageError for options that exclude each other."""
        options = {"boxes": boxes is not None, "people": people is not None, "whole": whole}
        if len(given := [name for name, is_given in options.items() if is_given]) > 1:
            raise UsageError(f"{given[0]} and {given[1]} exclude each other.", "Give one of them.")
        check_names(people=(people or "one", get_args(People)))
        return None if boxes is None else boxes_of(boxes)

    def _result(self, name: str, frame: Frame, people: Sequence[Pose]) -> Result:
        size, of_video = frame.image.shape[:2], (frame.index, frame.time, frame.fps)
        return Result(name, self.name, self.skeleton, people, frame.image, size, *of_video)


def evaluate(
    model: str | os.PathLike[str] = "bundled",
    dataset: str = "mpii",
    *,
    data: str | os.PathLike[str] | None = None,
    split: str = "val",
    limit: int = 0,
    metric: Literal["auto", "pckh", "pck", "oks"] = "auto",
    thresholds: Sequence[float] = (),
    bootstrap: int = 1000,
    breakdown: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Scores a model on annotated people, as ``posehg eval`` does, and returns the report that --report writes.

    data: the folder of the data sets. limit: take so many people only, evenly spread. metric, thresholds, bootstrap,
    breakdown: see posehg eval --help. options: those of ``load``.
    Raises NotAvailable for a missing model or data set, UsageError for options that do not go together.
    """
    from posehg import datasets
    from posehg.evaluation import predictions, report, score

    whole = datasets.load_one(dataset, None if data is None else Path(data), split)
    people = datasets.spread(whole, limit) if limit else whole
    score.measures(people, metric)
    estimator, offline = load(model, **options).estimator, options.get("offline", False)
    place = checkpoints.find(os.fspath(model), offline)
    about = predictions.made_by(os.fspath(model), place, estimator, options.get("precision", "fp32"))
    found = predictions.estimate(estimator, people, about)
    scores = score.score(people, found, metric, tuple(thresholds), bootstrap, breakdown)
    report_of: dict[str, Any] = predictions.plain(report.content(people, scores, about))
    return report_of


@dataclass(frozen=True)
class TrainedRun:
    """A run of ``train``.

    model: the best weights, for ``load``. history: a row of figures for each epoch, as in metrics.csv: epochs trained,
    loss, validation scores, learning rate, and seconds of training so far.
    """

    model: Path
    history: Sequence[dict[str, float]]


def train(
    dataset: str = "mpii",
    out: str | os.PathLike[str] = "runs/posehg",
    *,
    data: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    note: Note | None = print,
    **options: Any,
) -> TrainedRun:
    """Trains a network, as ``posehg train`` does, and writes its files into the folder ``out``.

    data: the folder of the data sets. resume: continue the run in ``out``. overwrite: replace it. note: takes a line of
    text after each epoch, and other notes. options: the others of posehg train, such as epochs=5, init="bundled" or
    input_size=128; help(posehg.TrainConfig) lists them.
    Raises UnknownName, a KeyError, for an unknown option, UsageError for options that do not go together or a finished
    run that is to be resumed, NotAvailable for a missing data set or model, InputError for a folder that cannot be
    written to.
    """
    from posehg.training import builder, report, state, trainer
    from posehg.training.config import TrainConfig

    if unknown := options.keys() - {field.name for field in fields(TrainConfig)}:
        raise UnknownName(f"There is no option {min(unknown)!r}.", "help(posehg.TrainConfig) lists the options.")
    folder, listener = Path(out), report.Notes(note)
    config, given, source = TrainConfig(dataset=dataset, **options), options.keys() | {"dataset"}, None
    resumed = state.load(folder / state.STATE) if resume else None
    if resumed is not None:
        config = builder.resumed_options(set(options), config, resumed)
    elif config.init:
        config, source = builder.options_of_model(config, set(given), note)
    trainer.run(config, folder, None if data is None else Path(data), listener, resumed, overwrite, source)
    return TrainedRun(folder / BEST, state.load(folder / state.STATE).progress.history)


def export(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    format: Literal["safetensors", "onnx", "torchscript", "pt2", "openvino"] | None = None,
    precision: Literal["fp32", "fp16"] = "fp32",
    decode: bool = False,
    decoder: Decoder = "subpixel",
    dynamic_size: bool = False,
    check: bool = True,
    overwrite: bool = False,
    offline: bool = False,
) -> Path:
    """Exports a model, as ``posehg export`` does, to a file, or for safetensors and openvino to a folder.

    The options are like those of the command; returns ``out``. Raises UsageError for what a format does not support
    and for a file that exists without ``overwrite``, CheckFailed if the export differs from the network, NotAvailable
    for a missing model.
    """
    from posehg.checkpoints import card
    from posehg.exporters import ExportOptions, choose, common

    name = os.fspath(model)
    exporter = choose(format, Path(out))
    path = exporter.target(os.fspath(out), overwrite)
    exporter.check([precision, *(["--decode"] if decode else []), *(["--dynamic-size"] if dynamic_size else [])])
    checkpoint = common.load_to_export(name, checkpoints.find(name, offline), decode)
    contents = ExportOptions(precision, decoder if decode else None, dynamic_size)
    common.write(checkpoint, exporter, path, contents, overwrite, check)
    if exporter.name == "safetensors":
        card.write(path, path.resolve().name)
    return path
