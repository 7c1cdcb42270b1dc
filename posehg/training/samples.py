"""From persons to samples, and in which order: everything random follows from the seed, the epoch and the person."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator, default_rng
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from posehg import images
from posehg.config import STRIDE
from posehg.datasets import crops
from posehg.datasets.dataset import Dataset, image_key, people_by_image
from posehg.distributed import World
from posehg.geometry import Affine, Points
from posehg.images import Image
from posehg.poses import Person
from posehg.training.batches import Sample
from posehg.training.config import TrainConfig
from posehg.training.corruption import draw_gains, occluded
from posehg.training.views import background_box, draw_view, half_of, reach_of

NOWHERE = -1e4
"""Where the joints of a background crop lie: known, and off every map."""

ALONE = World()


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
        self._reach = reach_of(config)
        self._kept: dict[tuple[object, ...], tuple[Image, Affine]] = {}

    def __call__(self, person: Person) -> tuple[Image, Affine]:
        """The stored part and the map from the photo to it."""
        key = (person.source, person.image, person.id, person.box)  # a set that is repeated is kept once
        if key in self._kept:
            return self._kept[key]
        entry = crops.crop_region(self._data.read(person), person.box, self._reach)
        if entry[0].nbytes <= self._free:
            self._free -= entry[0].nbytes
            self._kept[key] = entry
        return entry


class Samples(TorchDataset[Sample]):
    """Augmented samples. That of person i in epoch e with a seed is always the same, in whichever process it is made.

    keep: how much of the machine's memory decoded parts may fill.
    """

    def __init__(self, data: Dataset, config: TrainConfig, keep: float = 0.25) -> None:
        self._data, self._config = data, config
        self._cache = CropCache(data, config, limit=int(keep * _memory()))
        self._flip, self._unpaired = list(data.skeleton.flip), list(data.skeleton.unpaired)
        self._together = people_by_image(data) if config.background else {}
        self._background_sets = set_list(config.background_from)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """(epoch, index) -> the sample."""
        epoch, index = key
        config, rng = self._config, default_rng((self._config.seed, epoch, index))
        person = self._data.persons[index]
        if self._gives_background(person) and rng.random() < config.background:
            sample = self._background(index, rng)
            if sample is not None:
                return sample
        part, to_part = self._cache(person)
        if config.half_body and rng.random() < config.half_body:
            person = half_of(person, self._data.skeleton, rng)
        view, gains = draw_view(person, config, rng), draw_gains(config, rng)
        size = (config.input_size, config.input_size)
        pixels, to_crop = images.shown(part, to_part.inverse().then(view.to_crop), size)
        if config.occlusion and pixels.size and rng.random() < config.occlusion:
            pixels = occluded(pixels, to_crop, config.input_size, rng)
        points = self._points(person.keypoints, view.to_crop, view.mirrored)
        return Sample(pixels, to_crop, gains, points, index, view.mirrored)

    def _points(self, keypoints: Points, to_crop: Affine, mirrored: bool) -> np.ndarray:
        points = to_crop.then(Affine.shrink(STRIDE))(keypoints)
        if mirrored:
            points = points[self._flip]
            points[self._unpaired] = np.nan  # where the right ear is, of which the mirror made a left one, is not known
        return points.astype(np.float32)

    def _gives_background(self, person: Person) -> bool:
        """Whether crops with nobody may come from this person's set: one that annotates everybody on its pictures."""
        sets = self._background_sets
        return self._config.background > 0 and (not sets or (person.source or self._data.name) in sets)

    def _background(self, index: int, rng: Generator) -> Sample | None:
        person, config = self._data.persons[index], self._config
        image = self._data.read(person)
        people = [box for _, box in self._together[image_key(person)]]
        box = background_box(people, image, rng)
        if box is None:
            return None
        size = (config.input_size, config.input_size)
        to_crop = Affine.crop(box, size, rng.uniform(-config.rotation, config.rotation))
        pixels, to_crop = images.shown(image, to_crop, size)
        nobody = np.full((len(self._flip), 2), NOWHERE, dtype=np.float32)
        return Sample(pixels, to_crop, draw_gains(config, rng), nobody, index, False)


def set_list(names: str) -> set[str]:
    """``mpii+lspet`` -> {"mpii", "lspet"}"""
    return set(filter(None, (name.strip() for name in names.split("+"))))


def unchanged(config: TrainConfig) -> TrainConfig:
    """The configuration without any augmentation: crops as prediction sees them."""
    nothing = dict.fromkeys(("rotation", "scale", "flip", "colour", "translation"), 0.0)
    return replace(config, **nothing, **dict.fromkeys(("occlusion", "half_body", "background"), 0.0))  # type: ignore[arg-type]


class Order(Sampler[list[tuple[int, int]]]):
    """The batches of the rest of a run, as lists of (epoch, index): each epoch shuffled by seed and epoch.

    Every person comes once an epoch. The batches of an epoch differ in size by one at most, so that none is so small
    that BatchNorm would give its few samples more say. Of several processes each gets its own part of every batch.
    """

    def __init__(self, count: int, config: TrainConfig, epoch: int = 0, done: int = 0, world: World = ALONE) -> None:
        self._count, self._config, self._world = count, config, world
        self._epoch, self._done = epoch, done

    def __len__(self) -> int:
        return (self._config.epochs - self._epoch) * steps_per_epoch(self._count, self._config.batch) - self._done

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self._epoch, self._config.epochs):
            for batch in self._batches(epoch)[self._done if epoch == self._epoch else 0 :]:
                yield [(epoch, int(index)) for index in batch[self._world.rank :: self._world.size]]

    def _batches(self, epoch: int) -> list[np.ndarray]:
        order = default_rng((self._config.seed, epoch)).permutation(self._count)
        return np.array_split(order, steps_per_epoch(self._count, self._config.batch))


def steps_per_epoch(count: int, batch: int) -> int:
    return max(1, -(-count // batch))


def smallest_share(count: int, config: TrainConfig, world: World = ALONE) -> int:
    """The fewest samples that a process has of a batch and sends through the network at once."""
    return count // steps_per_epoch(count, config.batch) // world.size // config.accumulate
