"""How long predict takes for a picture, part by part, and what the machine would allow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from posehg import images
from posehg.config import ModelConfig
from posehg.datasets import synthetic
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference.devices import wait
from posehg.inference.engines import Engine
from posehg.inference.estimator import Estimator, Maps, View
from posehg.inference.everybody import Scan
from posehg.inference.finding import How, find
from posehg.inference.likeness import THRESHOLD
from posehg.inference.machine import Spread, check_alone, clocked, count_flop, name_of, product_rate
from posehg.inference.people import Search, windows_of
from posehg.inference.speed_figures import PARTS, Choice, Finding, Folder, Setting, Speed, Times, Way
from posehg.io.prefetch import AHEAD, ahead
from posehg.io.writers import Found, Look, Result
from posehg.io.writers import image as pictures
from posehg.io.writers.behind import behind
from posehg.io.writers.plan import in_folder
from posehg.network import StackedHourglass, parameters
from posehg.poses import Pose

ROUNDS = 5
"""The time for a folder is cut into so many, so that whatever disturbs the machine hits all ways alike."""

_LEAST = 3
"""Of what is measured there are at least so many, however long one takes."""
_SOMEBODY = 3
"""The seed of a person who stands with raised arms."""

T = TypeVar("T")


def measure(
    engine: Engine,
    choice: Choice,
    photo: Path | None,
    folder: Path,
    seconds: float,
    note: Callable[[str], None],
) -> Speed:
    """The speed of predict with these choices on this photo, or on one that is rendered.

    folder: for temporary files. seconds: how long each measurement lasts. note: is told what is being done.
    """
    check_alone()
    estimator = Estimator(engine, choice.flip, choice.decoder, choice.batch)
    if photo is None:
        note("Rendering a picture")
        photo = _rendered(folder / "rendered.jpg")
    [file] = in_folder(folder, ["image"]).of(Path(f"drawn{photo.suffix}"), moving=False).pictures
    work = _Work(estimator, choice.model, photo, file.path())
    image = work.read()
    note("Warming up")
    _warm_up(work, image)
    note("Measuring the parts")
    rounds = _for(seconds, lambda: _round(work))
    note(f"Measuring a folder in {ROUNDS} rounds")
    folder_speed = _folder(work, image, seconds / ROUNDS)
    findings = []
    for way in ("whole", "one", "all"):
        note(f"Measuring how people are found: {way}")
        findings.append(_finding(work, image, way, seconds))
    note("Measuring matrix products")
    return Speed(
        setting=_setting(choice, estimator, image),
        rounds=len(rounds),
        parts={name: Times.of(values) for name, values in zip(PARTS, zip(*rounds, strict=True), strict=True)},
        together=Times.of([sum(laps) for laps in rounds]),
        flop=_flop(estimator.config) * (2 if estimator.flip else 1),
        products=product_rate(torch.device(engine.device), choice.precision, seconds),
        findings=findings,
        folder=folder_speed,
    )


def _rendered(path: Path) -> Path:
    """Somebody in the middle of a picture of 1280 x 960 pixels, in a JPEG file."""
    square = synthetic.render(_SOMEBODY, 480)[0]  # about as large as pictures are rendered
    wide = np.pad(square, ((0, 0), (80, 80), (0, 0)), "reflect")
    height, width = wide.shape[:2]
    size = (2 * height, 2 * width)
    images.write(path, images.warp(wide, Affine.crop(Box(0, 0, width, height), size), size))
    return path


def _flop(config: ModelConfig) -> int:
    with torch.device("meta"):
        return count_flop(StackedHourglass(config.network), torch.empty(1, 3, *config.input_size))


def _setting(choice: Choice, estimator: Estimator, image: Image) -> Setting:
    config, engine = estimator.config, estimator.engine
    return Setting(
        model=choice.model,
        parameters=parameters(config.network),
        crop=config.input_size,
        flip=estimator.flip,
        decoder=estimator.decoder,
        batch=estimator.batch,
        device=engine.device,
        hardware=name_of(torch.device(engine.device)),
        precision=choice.precision,
        threads=torch.get_num_threads(),
        engine=engine.name,
        picture=(image.shape[0], image.shape[1]),
    )


# ---- the parts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Work:
    """What predict does with a photo whose whole is one crop."""

    estimator: Estimator
    model: str
    photo: Path
    target: Path

    @property
    def device(self) -> torch.device:
        return torch.device(self.estimator.device)

    def read(self) -> Image:
        return images.read(self.photo)

    def find(self, image: Image) -> list[Pose]:
        return find(self.estimator, image, How(whole=True))

    def draw(self, image: Image, poses: Sequence[Pose]) -> NDArray[np.uint8]:
        found = Found(str(self.photo), image.shape, poses, self.model, self.estimator.config.skeleton)
        return pictures.render(Result(found, image, Look(THRESHOLD)))

    def write(self, drawn: NDArray[np.uint8]) -> None:
        images.write(self.target, drawn, overwrite=True)

    def finish(self, image: Image, poses: Sequence[Pose]) -> None:
        self.write(self.draw(image, poses))


def _warm_up(work: _Work, image: Image) -> None:
    """Whatever is made for a size of batch that comes for the first time."""
    for _ in range(_LEAST):
        _round(work)
    estimator = work.estimator.unflipped()
    list(estimator([_all_of(image)] * estimator.batch))


def _all_of(image: Image) -> View:
    height, width = image.shape[:2]
    return View(image, Box(0, 0, width, height).square())


def _round(work: _Work) -> list[float]:
    """The seconds of each of PARTS, one after the other without a gap."""
    estimator, marks = work.estimator, [_now(work.device)]

    def done(result: T) -> T:
        marks.append(_now(work.device))
        return result

    image = done(work.read())
    views = [_all_of(image)]
    crops: NDArray[np.uint8] = done(estimator.crops(views))
    output: Maps = done(estimator.ask(crops))
    poses = done(list(estimator.poses(views, estimator.maps(output))))
    drawn = done(work.draw(image, poses))
    work.write(drawn)
    done(None)
    return [end - begin for begin, end in itertools.pairwise(marks)]


def _now(device: torch.device) -> float:
    wait(device)
    return time.perf_counter()


def _for(seconds: float, one: Callable[[], T]) -> list[T]:
    results: list[T] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(results) < _LEAST:
        results.append(one())
    return results


# ---- finding people ----------------------------------------------------------------------------------------------


class _Counting(Engine):
    """Another engine, and how many crops it was asked about."""

    def __init__(self, engine: Engine) -> None:
        self.config, self.device, self.name = engine.config, engine.device, engine.name
        self._engine, self.crops = engine, 0

    def __call__(self, crops: NDArray[np.uint8]) -> Maps:
        self.crops += len(crops)
        return self._engine(crops)

    def ran_out(self, error: Exception) -> bool:
        return self._engine.ran_out(error)


def _finding(work: _Work, image: Image, way: Way, seconds: float) -> Finding:
    how = How(whole=True) if way == "whole" else How(people=way)
    counting = _Counting(work.estimator.engine)
    estimator = Estimator(counting, work.estimator.flip, work.estimator.decoder, work.estimator.batch)
    people: list[int] = []

    def once() -> int:
        people.append(len(find(estimator, image, how)))
        return 1

    clock = clocked(work.device, once, seconds)
    crops = counting.crops // len(people)
    return Finding(way, _windows(image, way), crops, people[-1], clock.seconds / clock.batches)


def _windows(image: Image, way: Way) -> int:
    if way == "whole":
        return 1
    search = Search() if way == "one" else Scan()
    return sum(1 for _ in windows_of(image, search.scales, search.overlap))


# ---- a folder ----------------------------------------------------------------------------------------------------


def _folder(work: _Work, image: Image, seconds: float) -> Folder:
    """seconds: how long each way is measured in a round."""
    rounds = [
        (_in_turn(work, seconds), _overlapped(work, seconds), _estimator(work, image, seconds)) for _ in range(ROUNDS)
    ]
    in_turn, overlapped, estimator = (Spread.of(rates) for rates in zip(*rounds, strict=True))
    return Folder(in_turn, overlapped, estimator, Spread.of([together / alone for _, together, alone in rounds]))


def _in_turn(work: _Work, seconds: float) -> float:
    def once() -> int:
        image = work.read()
        work.finish(image, work.find(image))
        return 1

    return clocked(work.device, once, seconds).rate


def _estimator(work: _Work, image: Image, seconds: float) -> float:
    return clocked(work.device, lambda: len(work.find(image)), seconds).rate


def _overlapped(work: _Work, seconds: float) -> float:
    """Counted from the first file that is written to the last one that is, while others are under way."""
    written: list[float] = []

    def finish(image: Image, poses: Sequence[Pose]) -> None:
        work.finish(image, poses)
        written.append(time.perf_counter())

    end = time.perf_counter() + seconds
    frames = ahead((work.read() for _ in itertools.count()), AHEAD)
    with closing(frames), behind() as later:
        while time.perf_counter() < end or len(written) < _LEAST:
            image = next(frames)
            later(partial(finish, image, work.find(image)))
        files = tuple(written)
    return (len(files) - 1) / (files[-1] - files[0])
