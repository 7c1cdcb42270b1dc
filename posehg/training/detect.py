"""Training a detector of people: augmented scenes, the loss, and the average precision after an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from posehg import centers, drawing, images
from posehg.centers import FILL
from posehg.config import STRIDE
from posehg.datasets import scenes
from posehg.datasets.dataset import Dataset, evenly, spread
from posehg.datasets.scenes import Scene, Scenes
from posehg.detection_metrics import curve
from posehg.errors import InputError
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference import annotated
from posehg.inference.detector import Detector
from posehg.inference.engines import Engine
from posehg.network import StackedHourglass
from posehg.training.config import TrainConfig
from posehg.training.data import AnySamples, LeftOut, Sample
from posehg.training.report import SHEET_CELLS, Validation

MOST = 100
"""Boxes of one sample."""
TURNED = 0.1
"""Share of the scenes that are turned by a quarter or a half: people also lie, and hang upside down."""
_SEEN = 0.25
"""A person of whom less than this share is on the view is ignored."""
_SMALLEST = 8
"""A box with a longer side of less than this many input pixels is ignored."""


class SceneSamples(AnySamples):
    """Samples of scenes, or of four at a time.

    The points of a Sample are (MOST, 5) rows as ``centers.encode`` takes them, NaN where there are fewer boxes.
    """

    def __init__(self, data: Scenes, config: TrainConfig) -> None:
        super().__init__(data, config)
        self._data = data

    def sample(self, index: int, rng: Generator) -> Sample:
        config, size = self._config, self._config.input_size
        scene = self._data.load(index)
        if rng.random() >= config.mosaic:
            pixels, boxes = view(scene, (size, size), config, rng)
        else:
            pixels, boxes = self._mosaic(scene, rng)
        gains = rng.uniform(1 - config.colour, 1 + config.colour, 3)
        rows = np.full((MOST, 5), np.nan, dtype=np.float32)
        rows[: len(boxes)] = boxes[:MOST]
        return Sample(pixels, Affine.translation(0, 0), gains, rows)

    def _mosaic(self, scene: Scene, rng: Generator) -> tuple[Image, NDArray[np.float64]]:
        """The scene and three others, each in a corner."""
        size, step = self._config.input_size, STRIDE * 8
        others = [self._data.load(int(number)) for number in rng.integers(0, len(self._data), 3)]
        column, row = (step * int(rng.integers(size // (3 * step), 2 * size // (3 * step) + 1)) for _ in range(2))
        pixels, boxes = np.empty((size, size, 3), dtype=np.uint8), []
        corners = [(top, left) for top in ((0, row), (row, size)) for left in ((0, column), (column, size))]
        for one, ((top, bottom), (left, right)) in zip((scene, *others), corners, strict=True):
            part, found = view(one, (bottom - top, right - left), self._config, rng, fills=True)
            pixels[top:bottom, left:right] = part
            boxes.append(found + np.array([left / STRIDE, top / STRIDE, 0, 0, 0]))
        return pixels, np.concatenate(boxes)


def view(
    scene: Scene, size: tuple[int, int], config: TrainConfig, rng: Generator, fills: bool = False
) -> tuple[Image, NDArray[np.float64]]:
    """A random view of a scene, (rows, columns, 3), and the boxes on it, (N, 5) as ``centers.encode`` takes them.

    The scene fits into the view, or fills it. Then it is zoomed in by up to 1 / (1 - scale) or, much less, out, moved,
    turned and mirrored.
    """
    height, width = scene.image.shape[:2]
    most = abs(math.log(1 - config.scale))
    zoom = math.exp(rng.uniform(-most / 3, most))  # the grey beside a small scene teaches little
    if fills:
        shares = size[0] / height, size[1] / width
        zoom = max(1.0, zoom) * max(shares) / min(shares)
    room = abs(1 - 1 / zoom) / 2 + config.translation
    x, y = rng.uniform(-room, room, 2) * (width, height) + Box(0, 0, width, height).center
    turn = rng.uniform(-config.rotation, config.rotation)
    if config.rotation and rng.random() < TURNED:
        turn += 90 * int(rng.integers(1, 4))
    to_view = Affine.crop(Box.around((x, y), width / zoom, height / zoom), size, turn)
    if rng.random() < config.flip:
        to_view = to_view.then(Affine.mirror(size[1]))
    pixels = images.warp(scene.image, to_view, size, fill=FILL)
    rows = [_on_view(box, to_view, turn, size, 1.0) for box in scene.people]
    rows += [_on_view(box, to_view, turn, size, 0.0) for box in scene.ignored]
    return pixels, np.array([row for row in rows if row is not None]).reshape(-1, 5)


def _on_view(box: Box, to_view: Affine, turn: float, size: tuple[int, int], person: float) -> list[float] | None:
    """The row of a box; None if it is outside. The turned box is that of the ellipse in it: corners hold no people."""
    (x, y), scale = to_view(box.center), to_view.scale
    cos, sin = scale * math.cos(math.radians(turn)), scale * math.sin(math.radians(turn))
    whole = Box.around((x, y), math.hypot(box.w * cos, box.h * sin), math.hypot(box.w * sin, box.h * cos))
    shown = whole.clipped(Box(0, 0, size[1], size[0]))
    if shown is None:
        return None
    too_small = max(shown.w, shown.h) < _SMALLEST or shown.w * shown.h < _SEEN * whole.w * whole.h
    x, y = Affine.shrink(STRIDE)(shown.center)
    return [float(x), float(y), shown.w / STRIDE, shown.h / STRIDE, 0.0 if too_small else person]


def loss(outputs: Sequence[Tensor], boxes: Tensor, total: Tensor) -> Tensor:
    """The sum over the stacks of the mean loss of a box. boxes: (B, MOST, 5). total: how many the whole batch has."""
    rows, columns = outputs[0].shape[-2:]
    targets = centers.encode(boxes, (rows, columns))
    return torch.stack([centers.loss(output, targets) for output in outputs]).sum() / total.clamp_min(1)


def expect_nobody(network: StackedHourglass) -> None:
    """Lets a new network begin with low scores; otherwise empty cells fill the first epochs."""
    for number in range(len(network.stacks)):
        network.state_dict()[f"stacks.{number}.heatmaps.bias"][0] = centers.NOBODY


# ---- validation ------------------------------------------------------------------------------------------------------


def fewer(data: Dataset | Scenes, count: int) -> Dataset | Scenes:
    """At most ``count`` of the persons or scenes, evenly spread."""
    return scenes.spread(data, count) if isinstance(data, Scenes) else spread(data, count)


def readable(data: Dataset | Scenes, note: Callable[[str], None]) -> Dataset | Scenes:
    """The persons or scenes whose images can be read. Raises InputError if others are more than training leaves out."""
    left_out, chosen = LeftOut(data, note), []
    for index in range(len(data)):
        try:
            data.load(index) if isinstance(data, Scenes) else data.read(data.persons[index])
        except InputError as error:
            left_out.add(error)
        else:
            chosen.append(index)
    if isinstance(data, Scenes):
        return scenes.choose(data, chosen)
    return replace(data, persons=[data.persons[index] for index in chosen])


def validate(engine: Engine, data: Scenes) -> Validation:
    """Computes the average precision at an IoU of 0.5."""
    judged, cells, shown = [], [], set(evenly(len(data), SHEET_CELLS))
    for index, (scene, found) in enumerate(annotated.detected(Detector(engine, annotated.LOWEST), data)):
        judged.append(annotated.judged(scene, found))
        if index in shown:
            sure = [one.box for one in found if one.score >= centers.THRESHOLD]
            cells.append(drawing.draw_boxes(scene.image, sure, scene.people))
    score = 100 * curve(judged, 0.5).average_precision
    return Validation(data, score, "AP50", cells)
