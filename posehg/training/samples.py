"""From a person to what the network trains on: one warp that crops, turns, scales, shifts and mirrors at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from posehg import images
from posehg.datasets.dataset import Dataset
from posehg.geometry import Affine, Box, Points
from posehg.images import Image
from posehg.network import STRIDE
from posehg.poses import Person
from posehg.training.config import TrainConfig

_NOWHERE = -1e4
"""Where the joints of a background crop lie: known, and off every map."""


@dataclass(frozen=True)
class RandomView:
    """How a crop is taken: the box it shows and the map from the photo to it."""

    box: Box
    to_crop: Affine
    mirrored: bool


def draw_view(person: Person, config: TrainConfig, rng: Generator) -> RandomView:
    """A random view of a person: rotation, scale and shift uniform within the configured limits, perhaps mirrored."""
    size = config.input_size
    zoom = 1 + rng.uniform(-config.scale, config.scale)
    rotation = rng.uniform(-config.rotation, config.rotation)
    shift_x, shift_y = rng.uniform(-config.translation, config.translation, 2)
    box = person.box.square(config.padding / zoom)
    box = Box(box.x + shift_x * box.w, box.y + shift_y * box.h, box.w, box.h)
    to_crop = Affine.crop(box, (size, size), rotation)
    mirrored = bool(rng.random() < config.flip)
    return RandomView(box, to_crop.then(Affine.mirror(size)) if mirrored else to_crop, mirrored)


def draw_gains(config: TrainConfig, rng: Generator) -> np.ndarray:
    """(3,) factors of the colour channels, uniform within 1 -+ ``colour``."""
    return rng.uniform(1 - config.colour, 1 + config.colour, 3)


def multiply(image: Image, gains: np.ndarray) -> Image:
    table = np.clip(np.arange(256)[:, None] * gains[None], 0, 255).astype(np.uint8)  # (256, 3)
    return np.asarray(cv2.LUT(image, table[:, None, :]), dtype=np.uint8)


def background_box(people: Sequence[Box], image: Image, rng: Generator) -> Box | None:
    """A random square of the picture that hardly touches the people on it; None where there is no room."""
    height, width = image.shape[:2]
    near = [box.square(1.1) for box in people]
    for _ in range(8):
        side = rng.uniform(0.25, 0.9) * min(height, width)
        box = Box(rng.uniform(0, width - side), rng.uniform(0, height - side), side, side)
        if all(box.intersection(other) < 0.02 * side * side for other in near):
            return box
    return None


def _memory() -> int:
    """The machine's memory in bytes; 8 GB where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 8_000_000_000


class CropCache:
    """Keeps, for each person, the part of the picture that any view can show, at the finest scale that one needs.

    Decoding a 1280 x 720 photo takes longer than everything else that happens to a sample, so it is done once. Memory
    is bounded: when ``limit`` bytes are full, further persons are decoded each time.
    """

    def __init__(self, data: Dataset, config: TrainConfig, limit: int) -> None:
        self._data, self._free = data, limit
        # The corner of a crop turned by any angle, shrunk and shifted as far as the configuration allows.
        reach = np.sqrt(2) if config.rotation > 0 else 1.0
        self._padding = config.padding / (1 - min(config.scale, 0.9)) * (reach + 2 * config.translation)
        zoomed_in = config.padding / (1 + config.scale)
        self._size = int(np.ceil(config.input_size * self._padding / zoomed_in))
        self._kept: dict[int, tuple[Image, Affine]] = {}

    def __call__(self, index: int) -> tuple[Image, Affine]:
        """The stored part and the map from the photo to it."""
        if index in self._kept:
            return self._kept[index]
        person = self._data.persons[index]
        image = self._data.read(person)
        entry = self._part(image, person.box.square(self._padding))
        if entry[0].nbytes <= self._free:
            self._free -= entry[0].nbytes
            self._kept[index] = entry
        return entry

    def _part(self, image: Image, box: Box) -> tuple[Image, Affine]:
        to_part = Affine.crop(box, (self._size, self._size))
        if to_part.scale < 1:
            return images.warp(image, to_part, (self._size, self._size)), to_part
        height, width = image.shape[:2]
        x0, y0 = max(0, int(box.x)), max(0, int(box.y))
        x1, y1 = min(width, int(np.ceil(box.x + box.w))), min(height, int(np.ceil(box.y + box.h)))
        if x1 <= x0 or y1 <= y0:
            return image, Affine.identity()
        return image[y0:y1, x0:x1].copy(), Affine.translation(-x0, -y0)


class Samples(TorchDataset[tuple[Tensor, Tensor]]):
    """Augmented crops. Sample i of epoch e with a seed is always the same, in whichever process it is made."""

    def __init__(self, data: Dataset, config: TrainConfig) -> None:
        self._data, self._config = data, config
        # Worker processes begin anew each epoch and meet each person once, so that nothing kept would be used.
        self._cache = CropCache(data, config, limit=0 if config.workers else _memory() // 4)
        self._flip = list(data.skeleton.flip)
        self._together = _people_by_picture(data) if config.background else {}

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """(epoch, index) -> crop (3, S, S) uint8 and points (J, 2) float32 in heatmap cells, NaN = not labelled."""
        epoch, index = key
        rng = default_rng((self._config.seed, epoch, index))
        if self._config.background and rng.random() < self._config.background:
            crop = self._background(index, rng)
            if crop is not None:
                return _to_tensor(crop), torch.full((len(self._flip), 2), _NOWHERE)
        person = self._data.persons[index]
        view, gains = draw_view(person, self._config, rng), draw_gains(self._config, rng)
        part, to_part = self._cache(index)
        size = (self._config.input_size, self._config.input_size)
        crop = images.warp(part, to_part.inverse().then(view.to_crop), size)
        return _to_tensor(multiply(crop, gains)), self._points(person.keypoints, view)

    def _points(self, keypoints: Points, view: RandomView) -> Tensor:
        points = view.to_crop.then(Affine.shrink(STRIDE))(keypoints)
        if view.mirrored:
            points = points[self._flip]
        return torch.from_numpy(points.astype(np.float32))

    def _background(self, index: int, rng: Generator) -> Image | None:
        person = self._data.persons[index]
        image = self._data.read(person)
        box = background_box(self._together[person.source, person.image], image, rng)
        if box is None:
            return None
        size = (self._config.input_size, self._config.input_size)
        to_crop = Affine.crop(box, size, rng.uniform(-self._config.rotation, self._config.rotation))
        return multiply(images.warp(image, to_crop, size), draw_gains(self._config, rng))


def _people_by_picture(data: Dataset) -> dict[tuple[str, Path], list[Box]]:
    together: dict[tuple[str, Path], list[Box]] = {}
    for person in data.persons:
        together.setdefault((person.source, person.image), []).append(person.box)
    return together


def _to_tensor(crop: Image) -> Tensor:
    return torch.from_numpy(crop).permute(2, 0, 1)


class Order(torch.utils.data.Sampler[list[tuple[int, int]]]):
    """The batches of one epoch, as lists of (epoch, index): shuffled by seed and epoch, the first ``done`` left out.

    The last batch is dropped when it is smaller than the others: BatchNorm would give its few samples more say.
    """

    def __init__(self, count: int, config: TrainConfig, epoch: int = 0, done: int = 0) -> None:
        self._count, self._config, self._epoch, self._done = count, config, epoch, done

    def __len__(self) -> int:
        return steps_per_epoch(self._count, self._config.batch) - self._done

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = default_rng((self._config.seed, self._epoch)).permutation(self._count)
        batch = min(self._config.batch, self._count)
        for step in range(self._done, steps_per_epoch(self._count, self._config.batch)):
            yield [(self._epoch, int(index)) for index in order[step * batch : (step + 1) * batch]]


def steps_per_epoch(count: int, batch: int) -> int:
    return max(1, count // batch)
