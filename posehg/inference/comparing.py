"""How fast the engines of one network are, side by side, and whether they find the same joints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posehg import checkpoints
from posehg.checkpoints import Checkpoint
from posehg.config import STRIDE
from posehg.inference import devices
from posehg.inference.apart import Apart
from posehg.inference.engines import Engine, Run
from posehg.inference.engines.pytorch import short_version
from posehg.inference.estimator import Estimator, View

ROUNDS = 5
"""Each engine is measured so often, in turn, so that whatever disturbs the machine hits all of them alike."""

_LEAST = 2
_SURE = 0.1
"""A joint with a lower score may be anywhere, and is at another place for the smallest difference."""

Crops = NDArray[np.uint8]
Joints = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""(J, 2) keypoints in crop pixels, and (J,) whether the network is sure of them."""


class AsPorts(Engine):
    """The network as the ports of the paper's code run it in torch: layer by layer, as it was trained, rows first."""

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        self.config = checkpoint.config
        self._device = devices.resolve(device)
        self.device, self.name = str(self._device), f"torch {short_version()}, as ports run it"
        self._network = checkpoint.network().to(self._device)

    @torch.inference_mode()
    def __call__(self, crops: Crops) -> Tensor:
        batch = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).to(self._device).float() / 255
        return self._network(batch)[-1].float()


def as_ports(place: Path, run: Run) -> AsPorts:
    """Of the model in a folder or file."""
    if run.threads:
        devices.use_threads(run.threads)
    return AsPorts(checkpoints.load(place), run.device)


@dataclass(frozen=True)
class Compared:
    """alone, together: seconds a crop where crops are asked about one by one, and ``batch`` at once; medians over the
    rounds. gain: how often faster than the first engine is alone, in the better of the two ways; the median of the
    ratios within the rounds. apart: the most that a joint lies from where the first engine has it, in crop pixels.
    """

    name: str
    device: str
    batch: int
    alone: float
    together: float
    gain: float
    apart: float

    @property
    def best(self) -> float:
        return min(self.alone, self.together)


def compare(engines: Sequence[Engine], view: View, seconds: float) -> list[Compared]:
    """Every engine of one network on the crop that shows a view. seconds: how long each is measured, in all."""
    crop = Estimator(engines[0], flip=False).crops([view])
    asked = [(engine, np.repeat(crop, engine.batch, axis=0)) for engine in engines]
    joints = [_joints(engine, crop, view) for engine in engines]
    for engine, batch in asked:
        for some in (crop, batch) * _LEAST:  # whatever is made for a size of batch that comes for the first time
            _timed(engine, some, 0)
    share = seconds / ROUNDS / 2
    rounds = [
        [(_timed(engine, crop, share), _timed(engine, batch, share)) for engine, batch in asked] for _ in range(ROUNDS)
    ]
    return [
        Compared(
            engine.name,
            engine.device,
            engine.batch,
            alone=statistics.median(one[place][0] for one in rounds),
            together=statistics.median(one[place][1] for one in rounds),
            gain=statistics.median(one[0][0] / min(one[place]) for one in rounds),
            apart=_apart(joints[place], joints[0]),
        )
        for place, engine in enumerate(engines)
    ]


def _timed(engine: Engine, crops: Crops, seconds: float) -> float:
    return engine.seconds(crops, seconds) if isinstance(engine, Apart) else seconds_a_crop(engine, crops, seconds)


def seconds_a_crop(engine: Engine, crops: Crops, seconds: float) -> float:
    """The median of all calls that there was time for, after one that is not counted."""
    wait = _wait(engine)
    engine(crops)  # what another engine has left in the caches is gone then
    wait()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        engine(crops)
        wait()
        taken.append((time.perf_counter() - began) / len(crops))
    return statistics.median(taken)


def _wait(engine: Engine) -> Callable[[], None]:
    """Waits until the device has done all that it was given."""
    return (lambda: None) if engine.on_cpu else (lambda: devices.wait(torch.device(engine.device)))


def _joints(engine: Engine, crop: Crops, view: View) -> Joints:
    estimator = Estimator(engine, flip=False)
    [pose] = estimator.poses([view], estimator.maps(engine(crop)))
    return STRIDE * estimator.to_heatmap(view)(pose.keypoints), pose.scores >= _SURE


def _apart(joints: Joints, first: Joints) -> float:
    (points, _), (expected, sure) = joints, first
    return float(np.linalg.norm(points - expected, axis=-1)[sure].max(initial=0.0))
