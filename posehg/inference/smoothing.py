"""Steadies the joints of people who are followed: the one-euro filter of Casiez, Roussel and Vogel (CHI 2012).

A joint that is still is averaged over a long time, so that it does not tremble; the faster it moves, the shorter that
time becomes, so that it does not lag behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Points
from posehg.inference.likeness import THRESHOLD, extent
from posehg.poses import Pose


@dataclass(frozen=True, eq=False)
class _Past:
    """What is remembered of somebody. points: (J, 2) filtered, photo pixels. velocity: (J, 2) likewise, a second.

    found: (J,) which joints were. time: of their last pose, in seconds. size: their longer side in pixels.
    """

    points: Points
    velocity: Points
    found: NDArray[np.bool_]
    time: float
    size: float


class OneEuro:
    """Called with the poses of one video's frames in turn, and their times in seconds, it gives them smoothed.

    min_cutoff: Hz, below which what a joint does passes when it is still; less trembles less.
    beta: Hz by which that grows for each body length (the longer side of the person) a second; more lags less.
    velocity_cutoff: Hz, the same for the velocity itself.
    away: seconds after which somebody who was not there starts afresh and is forgotten.
    threshold: a joint of a lower score is given as it is, and starts afresh when it is found again.

    The defaults are the knee of what tests/benchmarks/smoothing.py measures with the bundled weights: the trembling of
    joints that are still falls to a half, from 1.8 % to 1.0 % of the person's longer side a frame, and people who walk
    lag by 10 ms. A beta of 30 lets through 1.2 % and lags by 3 ms, one of 3 0.7 % and 27 ms.

    People are told apart by their ids; a pose without one is given as it is. Times may be irregular. A frame of the
    same time as the one before says nothing of the motion, and one before it starts everything afresh.
    """

    def __init__(
        self,
        min_cutoff: float = 1.0,
        beta: float = 10.0,
        velocity_cutoff: float = 1.0,
        away: float = 0.5,
        threshold: float = THRESHOLD,
    ) -> None:
        self.min_cutoff, self.beta, self.velocity_cutoff = min_cutoff, beta, velocity_cutoff
        self.away, self.threshold = away, threshold
        self._people: dict[int, _Past] = {}

    def __call__(self, poses: Sequence[Pose], time: float) -> list[Pose]:
        self._people = {id: past for id, past in self._people.items() if 0 <= time - past.time <= self.away}
        return [self._smoothed(pose, pose.id, time) if pose.id is not None else pose for pose in poses]

    def _smoothed(self, pose: Pose, id: int, time: float) -> Pose:
        found = pose.scores >= self.threshold
        past = self._people.get(id)
        if past is None:
            box = extent(pose) or pose.box
            past = _Past(pose.keypoints, np.zeros_like(pose.keypoints), np.zeros_like(found), time, max(box.w, box.h))
        self._people[id] = now = self._step(past, pose, found, time)
        return replace(pose, keypoints=now.points)

    def _step(self, past: _Past, pose: Pose, found: NDArray[np.bool_], time: float) -> _Past:
        since = time - past.time
        going_on = (found & past.found)[:, None]
        box = extent(pose)
        slowly = _gain(self.velocity_cutoff, since)
        size = past.size if box is None else past.size + float(slowly) * (max(box.w, box.h) - past.size)
        velocity = past.velocity
        if since > 0:
            velocity = velocity + slowly * ((pose.keypoints - past.points) / since - velocity)
        velocity = np.where(going_on, velocity, 0.0)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True) / size
        gain = _gain(self.min_cutoff + self.beta * speed, since)
        points = np.where(going_on, past.points + gain * (pose.keypoints - past.points), pose.keypoints)
        return _Past(points, velocity, found, time, size)


def _gain(cutoff: float | NDArray[np.float64], since: float) -> NDArray[np.float64]:
    """How far, 0 .. 1, a low-pass filter of that cutoff in Hz goes to a new value after that many seconds."""
    turns = 2 * np.pi * np.asarray(cutoff) * since
    return np.asarray(turns / (1 + turns))
