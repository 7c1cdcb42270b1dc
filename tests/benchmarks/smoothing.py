"""How much the one-euro filter steadies joints that are still, and how far it lets moving ones lag, on rendered people.

    python tests/benchmarks/smoothing.py --frames 100 --seeds 0 1

Jitter: by how much a joint of a person who stands still moves from frame to frame, though only the sensor's noise
changes, and the box trembles by 1 % of its side, as that of a followed person does. Error: how far joints of
a walking person are from the true ones. Lag: by how many milliseconds their true places must be delayed to fit best.
Lengths are in percent of the person's longer side; only found joints count.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from walkers import FPS, Street

from posehg.checkpoints import find
from posehg.geometry import Box
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator, Region
from posehg.inference.tracking import OneEuro
from posehg.poses import THRESHOLD, Pose

_STANDING = 0.8
"""The moment, in seconds, at which the walkers are held."""
_DELAYS = np.arange(0, 0.4, 0.01)


@dataclass(frozen=True, eq=False)
class Shot:
    """One walker's poses, frame by frame, their size in pixels, and the true joints of each moment."""

    poses: list[Pose]
    size: float
    truth: Callable[[float], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--model", default="bundled")
    given = parser.parse_args()
    torch.set_num_threads(1)
    estimator = Estimator(open_engine(find(given.model), EngineOptions("cpu")))
    still = [shot(estimator, seed, given.frames, still=True) for seed in given.seeds]
    walking = [shot(estimator, seed, given.frames, still=False) for seed in given.seeds]
    print(f"{'min_cutoff':>10} {'beta':>6} {'jitter %':>9} {'error %':>8} {'lag ms':>7}")
    for smooth in (None, *product((0.5, 1.0, 2.0), (3.0, 10.0, 30.0))):
        jitter = np.mean([_jitter(each, smooth) for each in still])
        errors, lags = zip(*(_error(each, smooth) for each in walking), strict=True)
        name = f"{'none':>10} {'':>6}" if smooth is None else f"{smooth[0]:>10} {smooth[1]:>6}"
        print(f"{name} {100 * jitter:>9.2f} {100 * np.mean(errors):>8.2f} {1000 * np.mean(lags):>7.0f}")


def shot(estimator: Estimator, seed: int, frames: int, still: bool) -> Shot:
    """The walker in front, in boxes that move with them."""
    street, rng = Street(seed), np.random.default_rng(seed)

    def regions() -> Iterator[Region]:
        for number in range(frames):
            moment = street.moment(_STANDING if still else number / FPS, number)
            tight = Box.bounding(moment.joints[1])
            assert tight is not None
            box = estimator.person_box(tight)
            x, y = box.center + rng.normal(0, 0.01 * box.w, 2)
            yield Region(moment.image, Box.around((x, y), box.w))

    poses = [replace(pose, id=1) for pose in estimator(regions())]
    return Shot(poses, street.walkers[1].height, street.walkers[1].joints)


def _points(each: Shot, smooth: tuple[float, float] | None) -> np.ndarray:
    """(T, J, 2), NaN where a joint is not found."""
    poses: Iterable[Pose] = each.poses
    if smooth is not None:
        smoother = OneEuro(*smooth)
        poses = [smoother([pose], number / FPS)[0] for number, pose in enumerate(each.poses)]
    return np.stack([np.where(pose.scores[:, None] >= THRESHOLD, pose.keypoints, np.nan) for pose in poses])


def _jitter(each: Shot, smooth: tuple[float, float] | None) -> float:
    steps = np.diff(_points(each, smooth)[10:], axis=0)
    return float(np.nanmean(np.linalg.norm(steps, axis=-1)) / each.size)


def _error(each: Shot, smooth: tuple[float, float] | None) -> tuple[float, float]:
    points = _points(each, smooth)[12:]
    times = (np.arange(len(points)) + 12) / FPS
    away = [
        np.nanmedian(np.linalg.norm(points - np.stack([each.truth(time - delay) for time in times]), axis=-1))
        for delay in _DELAYS
    ]
    return float(away[0]) / each.size, float(_DELAYS[int(np.argmin(away))])


if __name__ == "__main__":
    main()
