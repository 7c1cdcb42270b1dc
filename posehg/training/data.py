"""From annotated persons to batches of crops on the device. A sample follows from seed, epoch and person alone."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, default_convert
from torch.utils.data import Dataset as TorchDataset

from posehg import images
from posehg.config import STRIDE
from posehg.datasets.crops import crop_region
from posehg.datasets.dataset import Dataset, image_key, people_by_image
from posehg.datasets.scenes import Scenes
from posehg.distributed import ALONE, World
from posehg.errors import InputError, PosehgError
from posehg.geometry import Affine
from posehg.images import Image
from posehg.poses import Person
from posehg.training import augment
from posehg.training.config import TrainConfig

NOWHERE = -1e4
"""Coordinate of the joints of a background crop: labelled, and off every map."""

LEFT_OUT = 0.01
"""Share of the images that may be missing or broken: more are a mistake, or change what is learned."""

MOST_WORKERS = 16
MEMORY_SHARE = 0.25
"""Share of the memory that decoded parts may fill, over all processes. Workers keep none: each would keep all."""

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The file with the memory limit of a container."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample before its warp.

    pixels: (h, w, 3) uint8, what the crop is made of. to_crop: the map from them to the crop. gains: (3,) factors of
    the colour channels. points: (J, 2) float32 in heatmap cells, NaN = not labelled.
    """

    pixels: Image
    to_crop: Affine
    gains: np.ndarray
    points: np.ndarray

    def crop(self, size: int) -> Image:
        """Returns the finished crop, (size, size, 3) uint8; colours are rounded and clipped to 0 .. 255."""
        crop = images.interpolate(self.pixels, self.to_crop, (size, size))
        table = np.clip(np.rint(np.arange(256)[:, None] * self.gains), 0, 255).astype(np.uint8)  # (256, 3)
        return np.asarray(cv2.LUT(crop, table[:, None, :]), dtype=np.uint8)


class LeftOut:
    """The images of a data set that cannot be read, which training leaves out: 1 % of them, but always one.

    errors: by their messages, each of which names an image. note: is called for each image once.
    """

    def __init__(self, data: Dataset | Scenes, note: Callable[[str], object] | None = None) -> None:
        self._data, self._note = data, note
        self.errors: dict[str, InputError] = {}

    def add(self, error: InputError) -> None:
        """Raises InputError if too many images cannot be read."""
        if str(error) in self.errors:
            return
        self.errors[str(error)] = error
        data, found = self._data, len(self.errors)
        count = len(data) if isinstance(data, Scenes) else len({image_key(person) for person in data.persons})
        if found > max(1, LEFT_OUT * count) or found == count:
            most = f"training leaves out {100 * LEFT_OUT:g} % at most"
            message = f"{found:,} of the {count:,} images of {data.name} cannot be read so far; {most}."
            raise InputError(f"{message} The last: {error}", error.hint)
        if self._note is not None:
            self._note(f"An image is left out of {self._data.name} {self._data.split}: {error}")


class AnySamples(TorchDataset[Sample]):
    """Augmented samples of a data set; ``samples[epoch, index]`` is the same in every process.

    In the place of a sample whose image cannot be read is one of the next person or scene, always the same.
    """

    def __init__(self, data: Dataset | Scenes, config: TrainConfig, on_device: bool = False) -> None:
        self._count, self._config, self._on_device = len(data), config, on_device
        self._left_out, self._reported = LeftOut(data), 0

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int, rng: Generator) -> Sample:
        """Returns a sample of a person or scene. Raises InputError if its image cannot be read."""
        raise NotImplementedError

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        for number in range(index, index + self._count):
            try:
                return self.sample(number % self._count, default_rng((self._config.seed, epoch, index)))
            except InputError as error:
                self._left_out.add(error)
        raise InputError("No image can be read.", "See why: posehg data check")

    def __getitems__(self, keys: list[tuple[int, int]]) -> tuple[Crops | Parts | PosehgError, list[InputError]]:
        """Returns a batch, and why images were left out since the last one.

        A PosehgError is returned in place of a batch: raised in a worker, it would lose its hint.
        """
        try:
            batch = collate([self[key] for key in keys], self._config.input_size, self._on_device)
        except PosehgError as error:
            return error, []
        errors, self._reported = [*self._left_out.errors.values()][self._reported :], len(self._left_out.errors)
        return batch, errors


class Samples(AnySamples):
    """Samples of single persons.

    keep: share of the memory for parts of images. Decoding a 1280 x 720 image takes longer than all else that happens
        to a sample, so it is done once while there is room; further persons are decoded each time.
    on_device: whether batches are Parts, for a device that warps them itself.
    """

    def __init__(self, data: Dataset, config: TrainConfig, keep: float = MEMORY_SHARE, on_device: bool = False) -> None:
        super().__init__(data, config, on_device)
        self._data = data
        self._region, self._free = augment.widest_region(config), int(keep * memory())
        self._parts: dict[tuple[object, ...], tuple[Image, Affine]] = {}
        self._room = np.empty(0, dtype=np.uint8)
        self._flip, self._unpaired = list(data.skeleton.flip), list(data.skeleton.unpaired)
        self._people = people_by_image(data) if config.background else {}

    def sample(self, index: int, rng: Generator) -> Sample:
        config, person = self._config, self._data.persons[index]
        sets = config.background_sets  # those that annotate everyone on an image
        may_show_background = config.background and (not sets or (person.source or self._data.name) in sets)
        if may_show_background and rng.random() < config.background:
            sample = self._background(person, rng)
            if sample is not None:
                return sample
        part, to_part = self._part(person)
        frame = None
        if config.truncation and rng.random() < config.truncation:
            person, frame = augment.truncate(person, rng)
        elif config.half_body and rng.random() < config.half_body:
            person = augment.half_body(person, self._data.skeleton, rng)
        image_to_crop, mirrored = augment.random_crop(person, config, rng)
        gains = rng.uniform(1 - config.colour, 1 + config.colour, 3)
        size = (config.input_size, config.input_size)
        pixels, to_crop = images.shown(part, to_part.inverse().then(image_to_crop), size)
        if config.occlusion and pixels.size and rng.random() < config.occlusion:
            pixels = augment.occlude(pixels, to_crop, config.input_size, rng)
        if frame is not None:
            pixels = augment.black_beyond(frame.moved(image_to_crop.then(to_crop.inverse())), pixels)
        points = image_to_crop.then(Affine.shrink(STRIDE))(person.keypoints)
        if mirrored:
            points = points[self._flip]
            points[self._unpaired] = np.nan  # the mirror image of, say, a right ear is a left ear: no such joint here
        return Sample(pixels, to_crop, gains, points.astype(np.float32))

    def _part(self, person: Person) -> tuple[Image, Affine]:
        """Returns what any crop of the person can show, at the finest scale needed, and the map from image to it."""
        key = (person.source, person.image, person.id, person.box)  # a set that is repeated is kept once
        if key in self._parts:
            return self._parts[key]
        part, to_part = crop_region(self._data.read(person), person.box, self._region)
        if part.nbytes <= self._free:
            self._free -= part.nbytes
            self._parts[key] = self._kept(part), to_part
        return part, to_part

    def _kept(self, part: Image) -> Image:
        # In blocks: small arrays that stay leave holes between others, which the C library searches at each allocation.
        if part.size > self._room.size:
            self._room = np.empty(max(1 << 26, part.size), dtype=np.uint8)
        kept, self._room = self._room[: part.size].reshape(part.shape), self._room[part.size :]
        kept[...] = part
        return kept

    def _background(self, person: Person, rng: Generator) -> Sample | None:
        """Returns a crop of the person's image without people; None if there is no room for one."""
        config, image = self._config, self._data.read(person)
        box = augment.background_box([box for _, box in self._people[image_key(person)]], image, rng)
        if box is None:
            return None
        size = (config.input_size, config.input_size)
        to_crop = Affine.crop(box, size, rng.uniform(-config.rotation, config.rotation))
        pixels, to_crop = images.shown(image, to_crop, size)
        gains = rng.uniform(1 - config.colour, 1 + config.colour, 3)
        return Sample(pixels, to_crop, gains, np.full((len(self._flip), 2), NOWHERE, dtype=np.float32))


def memory() -> int:
    """Returns the bytes of memory of the machine or, if less, of the container; 8 GB if the system does not say."""
    try:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        limit = 8_000_000_000
    with suppress(OSError, ValueError):  # no such file, or "max": no limit
        limit = min(limit, int(CGROUP_LIMIT.read_text()))
    return limit


def without_augmentation(config: TrainConfig) -> TrainConfig:
    """Returns the configuration with every augmentation off: crops are those of prediction."""
    geometry = replace(config, rotation=0, scale=0, flip=0, translation=0, half_body=0, truncation=0)
    return replace(geometry, colour=0, occlusion=0, background=0)


def steps_per_epoch(count: int, batch: int) -> int:
    return max(1, -(-count // batch))


def batch_order(
    count: int, config: TrainConfig, epoch: int = 0, done: int = 0, world: World = ALONE
) -> Iterator[list[tuple[int, int]]]:
    """The remaining batches of a run as lists of (epoch, index), each epoch shuffled by seed and epoch.

    Each person comes once an epoch. Batches differ in size by at most one, so that no small batch gives its samples
    more weight in BatchNorm. Of several processes, each gets its share of every batch. done: steps of ``epoch``.
    """
    for number in range(epoch, config.epochs):
        shuffled = default_rng((config.seed, number)).permutation(count)
        for batch in np.array_split(shuffled, steps_per_epoch(count, config.batch))[done if number == epoch else 0 :]:
            yield [(number, int(index)) for index in batch[world.rank :: world.size]]


class Crops(NamedTuple):
    """B samples as the network takes them.

    images: (B, 3, S, S) uint8. points: (B, J, 2) float32 in heatmap cells, NaN = not labelled.
    """

    images: Tensor
    points: Tensor


class Parts(NamedTuple):
    """B samples before their warp, for a device that warps them itself.

    pixels: (B, P, Q, 3) uint8, each sample in the top left corner, black beyond it. from_crop: (B, 2, 3) float32, maps
    crop pixels to these. gains: (B, 3) factors of the colour channels. points: as in Crops.
    """

    pixels: Tensor
    from_crop: Tensor
    gains: Tensor
    points: Tensor


def collate(samples: Sequence[Sample], size: int, on_device: bool) -> Crops | Parts:
    """Makes a batch: Parts if the device warps, else finished Crops of ``size`` pixels."""
    points = torch.from_numpy(np.stack([sample.points for sample in samples]))
    if not on_device:
        crops = np.stack([sample.crop(size) for sample in samples])
        return Crops(torch.from_numpy(crops).permute(0, 3, 1, 2), points)
    rows, columns = (max(2, *(sample.pixels.shape[axis] for sample in samples)) for axis in (0, 1))
    pixels = np.zeros((len(samples), rows, columns, 3), dtype=np.uint8)
    for place, sample in zip(pixels, samples, strict=True):
        height, width = sample.pixels.shape[:2]
        place[:height, :width] = sample.pixels
    from_crop = np.stack([sample.to_crop.inverse().matrix[:2] for sample in samples]).astype(np.float32)
    gains = np.stack([sample.gains for sample in samples]).astype(np.float32)
    return Parts(torch.from_numpy(pixels), torch.from_numpy(from_crop), torch.from_numpy(gains), points)


def crops_on(device: torch.device, batch: Crops | Parts | PosehgError, size: int) -> Crops:
    """Returns the batch's crops on the device. Parts are warped there, within one grey level of ``Sample.crop``.

    Raises the error that a worker met.
    """
    if isinstance(batch, PosehgError):
        raise batch
    there = type(batch)(*(tensor.to(device, non_blocking=True) for tensor in batch))
    if isinstance(there, Crops):
        return there
    rows, columns = there.pixels.shape[1:3]
    steps = torch.arange(size, device=device, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    # Not a matrix product: TF32 would round it, and half a pixel matters.
    of_x, of_y, offset = (column[:, None, None] for column in there.from_crop.unbind(dim=-1))  # (B, 1, 1, 2)
    points = x[..., None] * of_x + y[..., None] * of_y + offset  # (B, S, S, 2), pixels of the part
    # Two scalar factors: a tensor of them would make a GPU wait for its copy.
    grid = torch.stack((points[..., 0] * (2 / (columns - 1)), points[..., 1] * (2 / (rows - 1))), dim=-1) - 1
    pixels = there.pixels.permute(0, 3, 1, 2).float()
    values = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    crops = (values * there.gains[:, :, None, None]).clamp_(0, 255).round_().to(torch.uint8)
    return Crops(crops, there.points)


def batches(
    data: Dataset | Scenes,
    config: TrainConfig,
    device: torch.device,
    epoch: int = 0,
    done: int = 0,
    world: World = ALONE,
    left_out: LeftOut | None = None,
) -> Iterator[Crops | Parts | PosehgError]:
    """Loads this process's share of the remaining batches, from step ``done`` of ``epoch`` on, for ``crops_on``.

    left_out: is told of images that cannot be read. One loader serves all epochs, so that no epoch starts with idle
    workers.
    """
    workers = workers_of(config, device)
    if workers:
        # Workers start as copies of this process without its threads, and would wait forever for those of OpenCV.
        cv2.setNumThreads(1)
    keep = 0 if workers else MEMORY_SHARE / world.size
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of more workers than cores, as was asked for
        loader: DataLoader[Any] = DataLoader(
            samples_of(data, config, keep, on_device=device.type != "cpu"),
            batch_sampler=batch_order(len(data), config, epoch, done, world),
            collate_fn=default_convert,
            num_workers=workers,
            worker_init_fn=_start_worker,
            pin_memory=device.type == "cuda",
        )
        loaded = iter(loader)
    return _batches_of(loaded, left_out or LeftOut(data))


def _batches_of(loaded: Iterator[Any], left_out: LeftOut) -> Iterator[Crops | Parts | PosehgError]:
    for batch, errors in loaded:
        for error in errors:
            left_out.add(error)
        yield batch


def samples_of(data: Dataset | Scenes, config: TrainConfig, keep: float, on_device: bool = False) -> AnySamples:
    """Returns the samples of the run's task."""
    if isinstance(data, Scenes):
        from posehg.training.detect import SceneSamples

        return SceneSamples(data, config)
    return Samples(data, config, keep, on_device)


def workers_of(config: TrainConfig, device: torch.device) -> int:
    """Returns how many processes prepare batches: as configured, else none on a CPU, and a share of the cores a GPU."""
    if config.workers >= 0:
        return config.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if device.type == "cpu" else min(MOST_WORKERS, max(1, cores // max(1, torch.cuda.device_count())))


def _start_worker(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal, and torchrun ends whole process groups. Only the training process
    # answers signals; it ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    cv2.setNumThreads(1)  # where workers are started afresh
