"""Steadies the joints of tracked people: the one-euro filter of Casiez, Roussel and Vogel (CHI 2012).

A still joint is averaged over a long time, so that it does not jitter; the faster it moves, the shorter that time
becomes, so that it does not lag.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Points
from posehg.inference.oks import THRESHOLD, extent
from posehg.poses import Pose


@dataclass(eq=False)
class OneEuro:
    """Called with the poses of a video's frames in turn, and their times in seconds, it returns them smoothed.

    min_cutoff: cutoff frequency of a still joint in Hz; a lower one jitters less.
    beta: Hz by which the cutoff grows for each body length (the person's longer side) a second; a higher one lags less.
    velocity_cutoff: the cutoff frequency for the velocity itself.
    away: seconds without a pose after which a track is forgotten and starts again.

    With the defaults, measured by tests/benchmarks/smoothing.py with the bundled weights, the jitter of still joints
    falls from 1.8 % to 1.0 % of the person's longer side a frame, and walking people lag by 10 ms. A beta of 30 gives
    1.2 % and 3 ms, one of 3 gives 0.7 % and 27 ms.

    A pose without an id is returned as it is. Times may be irregular; one that goes back restarts everything. A joint
    that is not found is returned as it is, and starts again when it is found.
    """

    min_cutoff: float = 1.0
    beta: float = 10.0
    velocity_cutoff: float = 1.0
    away: float = 0.5
    # Of each track the last smoothed pose, (J, 2) pixels a second, its time, and the person's longer side in pixels.
    _tracks: dict[int, tuple[Pose, Points, float, float]] = field(default_factory=dict, init=False)

    def __call__(self, poses: Sequence[Pose], time: float) -> list[Pose]:
        self._tracks = {id: kept for id, kept in self._tracks.items() if 0 <= time - kept[2] <= self.away}
        return [pose if pose.id is None else self._smoothed(pose, pose.id, time) for pose in poses]

    def _smoothed(self, pose: Pose, id: int, time: float) -> Pose:
        found, box, still = pose.scores >= THRESHOLD, extent(pose) or pose.box, np.zeros_like(pose.keypoints)
        longer = max(box.w, box.h)
        last, velocity, before, size = self._tracks.get(id) or (pose, still, time, longer)
        since = time - before
        slow = _gain(self.velocity_cutoff, since)
        if found.any():
            size += float(slow) * (longer - size)
        if since > 1e-9:  # a shorter time says nothing about motion, and overflows
            velocity = velocity + slow * ((pose.keypoints - last.keypoints) / since - velocity)
        going_on = (found & (last.scores >= THRESHOLD))[:, None]
        velocity = np.where(going_on, velocity, 0.0)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True) / size
        gain = _gain(self.min_cutoff + self.beta * speed, since)
        moved = last.keypoints + gain * (pose.keypoints - last.keypoints)
        smoothed = replace(pose, keypoints=np.where(going_on, moved, pose.keypoints))
        self._tracks[id] = smoothed, velocity, time, size
        return smoothed


def _gain(cutoff: float | NDArray[np.float64], since: float) -> NDArray[np.float64]:
    """The share, 0 .. 1, by which a low-pass filter (cutoff in Hz) moves to a new value after ``since`` seconds."""
    turns = 2 * np.pi * np.asarray(cutoff) * since
    return np.asarray(turns / (1 + turns))
