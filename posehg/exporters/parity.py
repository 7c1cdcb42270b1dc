"""Whether an exported network says what the network itself says, as torch runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import heatmaps
from posehg.checkpoints import Checkpoint
from posehg.config import STRIDE
from posehg.errors import CheckFailed
from posehg.exporters import pictures
from posehg.exporters.form import Form, Precision
from posehg.inference import engines
from posehg.inference.engines import Run, pytorch
from posehg.inference.engines.exported import Exported
from posehg.inference.estimator import Estimator

Crops = NDArray[np.uint8]
Maps = NDArray[np.float32]
Points = NDArray[np.floating]

BATCHES = (1, 2, 3, 5)
"""Crops in one call. Some programs make a constant of the batch that they first see."""
_PEOPLE = 8
"""Of the crops those that show somebody; the others are noise, in which networks see what no picture shows them."""


@dataclass(frozen=True)
class Limit:
    """How far a file may be off. maps: as a part of the highest value, at least of 1. joints: in crop pixels."""

    maps: float
    joints: float


LIMITS: dict[Precision, Limit] = {"fp32": Limit(1e-3, 0.05), "fp16": Limit(0.03, 0.25), "int8": Limit(0.5, STRIDE)}
"""Eight bits are coarse: what such a network is worth posehg eval says. Here it must see the joints where they are."""

_SEEN = 0.1
"""Joints of a lower score are nowhere on the crop, as far as the network can tell."""
_OWN = 0.01
"""Crop pixels between the joints that a graph reads off its own heatmaps and those that posehg reads off them."""


@dataclass(frozen=True)
class Parity:
    """The largest differences: maps in 0 .. 1, joints in crop pixels. counted: joints that were compared."""

    maps: float
    joints: float
    counted: int


def check(checkpoint: Checkpoint, file: Path, form: Form) -> Parity:
    """Run an exported file beside the network, on crops of people and on noise, in batches of several sizes.

    Raises CheckFailed, saying how far off the file is, and what opening or running it raises.
    """
    exact = Estimator(pytorch.of(checkpoint, Run("cpu")), flip=False)
    engine = engines.at(file, Run("cpu"))
    found, limit = Estimator(engine, flip=False), LIMITS[form.precision]
    worst = Parity(0, 0, 0)
    for crops in _batches(checkpoint, form):
        maps = _maps(found, crops)
        here = difference(_maps(exact, crops), maps, limit)
        if not (here.maps <= limit.maps and here.joints <= limit.joints):
            raise _failed(here, limit, crops)
        if form.decoder:
            assert isinstance(engine, Exported)
            _check_keypoints(engine.outputs(crops), maps, checkpoint.config.offset, form.decoder)
        worst = Parity(max(worst.maps, here.maps), max(worst.joints, here.joints), worst.counted + here.counted)
    return worst


def difference(exact: Maps, found: Maps, limit: Limit) -> Parity:
    """Between heatmaps (B, J, h, w).

    A joint counts where it is seen, and where its highest cell is so much higher than the next, and the peak so much
    sharper, than the two maps differ, that their difference can make no other cell the highest, nor move the joint
    within it by half of the limit. Of two cells that are equally high, rounding chooses.
    """
    if not np.isfinite(found).all():
        return Parity(np.inf, np.inf, 0)
    scale = max(1.0, float(abs(exact).max()))
    apart = abs(found - exact).max(axis=(-2, -1))  # (B, J)
    points, scores = heatmaps.decode(exact, "subpixel")
    others, _ = heatmaps.decode(found, "subpixel")
    sure = (scores >= _SEEN) & (_lead(exact) > 2 * apart) & (_sharpness(exact) * limit.joints > 4 * STRIDE * apart)
    distances = STRIDE * np.linalg.norm(others - points, axis=-1)
    return Parity(float(apart.max()) / scale, float(distances[sure].max(initial=0)), int(sure.sum()))


def _batches(checkpoint: Checkpoint, form: Form) -> Iterator[Crops]:
    config = checkpoint.config
    rows, columns = config.input_size
    sizes = [(rows, columns)]
    if form.dynamic_size:
        sizes.append((rows + config.network.multiple, columns + 2 * config.network.multiple))
    for size in sizes:
        crops = np.stack([*pictures.rendered(config, _PEOPLE, size), *pictures.noise(sum(BATCHES) - _PEOPLE, size)])
        yield from np.split(crops, np.cumsum(BATCHES)[:-1])


def _maps(estimator: Estimator, crops: Crops) -> Maps:
    maps: Any = estimator.maps(estimator.ask(crops))
    return np.asarray(maps)


def _lead(maps: Maps) -> Maps:
    """(B, J, h, w) -> (B, J): how much higher the highest cell is than the next highest."""
    highest = np.partition(maps.reshape(*maps.shape[:2], -1), -2)
    lead: Maps = highest[..., -1] - highest[..., -2]
    return lead


def _sharpness(maps: Maps) -> Maps:
    """(B, J, h, w) -> (B, J): how steeply a peak falls off, by the second differences of the flatter axis."""
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
    down = 2 * maps - padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]
    across = 2 * maps - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]
    flat = np.minimum(down, across).reshape(*maps.shape[:2], -1)
    highest = maps.reshape(*maps.shape[:2], -1).argmax(-1)
    sharpness: Maps = np.take_along_axis(flat, highest[..., None], -1)[..., 0]
    return sharpness


def _check_keypoints(outputs: Any, maps: Maps, offset: float, decoder: heatmaps.Decoder) -> None:
    """Raises CheckFailed where what a file reads off its heatmaps is not what posehg reads off them."""
    _, keypoints, scores = (np.asarray(output) for output in outputs)
    cells, expected = heatmaps.decode(maps, decoder)
    points = (cells + offset) * STRIDE + (STRIDE - 1) / 2
    off = float(abs(keypoints - points).max()) if keypoints.shape == points.shape else np.inf
    if not off <= _OWN or not np.allclose(scores, expected, atol=1e-4):
        raise CheckFailed(
            f"The file reads its own heatmaps wrongly: its keypoints are up to {off:.3g} px off.", _REPORT
        )


_REPORT = "No file was written. Please report it with the version of torch; --no-check writes the file all the same."


def _failed(here: Parity, limit: Limit, crops: Crops) -> CheckFailed:
    size = f"{crops.shape[2]} x {crops.shape[1]}"
    joints = f"joints up to {here.joints:.3g} px off, with {limit.joints:g} allowed"
    maps = f"heatmaps up to {here.maps:.2g}, with {limit.maps:g} allowed"
    what = f"The file gives other joints than the network: of {len(crops)} crops of {size} pixels {joints}; {maps}."
    return CheckFailed(what, _REPORT)
