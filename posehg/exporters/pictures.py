"""Crops of people: what an exported network is tried with, and what int8 learns its ranges from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from posehg import images
from posehg import io as inputs
from posehg.config import ModelConfig
from posehg.datasets import synthetic
from posehg.errors import InputError
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, View
from posehg.inference.finding import find
from posehg.io import Source

ENOUGH = 64
"""Pictures for calibration; more of them change the ranges no more."""

Watch = Callable[[list[Source]], Iterable[Source]]


def rendered(config: ModelConfig, count: int, size: tuple[int, int] | None = None) -> list[Image]:
    """Crops as large as the network's, or as ``size``, with somebody on each whom posehg rendered."""
    size = size or config.input_size
    made = []
    for seed in range(count):
        image, person = synthetic.render(seed)
        made.append(images.warp(image, Affine.crop(person.box.square(config.padding), size), size))
    return made


def noise(count: int, size: tuple[int, int]) -> list[Image]:
    return list(np.random.default_rng(7).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def of_folder(folder: Path, estimator: Estimator, watch: Watch = iter) -> list[Image]:
    """Of each picture the most prominent person as the network sees it; where nobody is found, all of the picture.

    watch: sees the pictures come, for a progress bar. Raises InputError where one cannot be read, or there is none.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Calibration wants a folder of photos of people.")
    sources = [source for source in inputs.expand([str(folder)], recursive=True) if source.kind == "image"]
    if not sources:
        raise InputError(f"There is no picture in {folder}.", "Calibration wants photos of people.")
    some = np.linspace(0, len(sources) - 1, min(len(sources), ENOUGH)).astype(int)
    return [_somebody(estimator, source) for source in watch([sources[index] for index in some])]


def _somebody(estimator: Estimator, source: Source) -> Image:
    [frame] = inputs.frames(source)
    height, width = frame.image.shape[:2]
    poses = find(estimator, frame.image)
    view = View(frame.image, poses[0].box, poses[0].rotation) if poses else None
    crops = estimator.crops([view or View(frame.image, Box(0, 0, width, height).square())])
    crop: Image = crops[0]
    return crop
