"""One followed person: where they were, how they move, and how much like them a pose is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Affine, Box, Points
from posehg.inference.likeness import THRESHOLD, extent, similarity
from posehg.poses import Pose


@dataclass(frozen=True)
class Motion:
    """How people move, and how sure that is. Times are seconds; lengths are shares of the person's longer side.

    settling: the velocity is the mean of about this last time, which evens out what the network is off by.
    coasting: of who is out of sight the velocity fades; in the long run they move as far as in this time.
    holding: joints that are not found are thought to move with the others; in this time their scores fade to a third.
    reach, spread: how far from where they are expected people are, and by how much that grows in a second out of sight.
    """

    settling: float = 0.4
    coasting: float = 2.0
    holding: float = 1.0
    reach: float = 0.15
    spread: float = 0.3


@dataclass(frozen=True, eq=False)
class Track:
    """A followed person.

    id: from 1 on. pose: the last one, seen at ``time`` (seconds). velocity: (2,) photo pixels a second.
    body: the same pose, with joints that were not found where they should be: of half a body, all of it is looked for.
    begun: when they were first seen. sightings: in how many frames they were. missed: in how many frames since the last
        one they were not.
    """

    id: int
    pose: Pose
    time: float
    velocity: Points
    body: Pose
    begun: float
    sightings: int = 1
    missed: int = 0

    @classmethod
    def begin(cls, id: int, pose: Pose, time: float) -> Track:
        pose = replace(pose, id=id)
        return cls(id, pose, time, np.zeros(2), pose, time)

    def expected(self, time: float, motion: Motion) -> Pose:
        """The body, moved on by as much as the person has by then."""
        return self.body.moved(Affine.translation(*self.velocity * _coasted(self._since(time), motion)))

    def seen(self, pose: Pose, time: float, motion: Motion, trust: float = 1.0) -> Track:
        """The track after a further sighting.

        trust: 0 .. 1, how sure it is that the pose is of this person. Where it is not, they go on as they did.
        """
        since = self._since(time)
        expected = self.expected(time, motion)
        velocity = self.velocity
        if since > 0:
            # The mean of the first ones and of standing still; from then on the later the more they weigh.
            gain = max(1 / (self.sightings + 1), -math.expm1(-since / motion.settling))
            velocity = velocity + trust * gain * (_shift(self.body, pose) / since - velocity)
        body = _completed(pose, expected, math.exp(-since / motion.holding))
        back = (1 - trust) * _shift(pose, expected)
        body = body.moved(Affine.translation(*back))
        return Track(self.id, replace(pose, id=self.id), time, velocity, body, self.begun, self.sightings + 1)

    def unseen(self) -> Track:
        return replace(self, missed=self.missed + 1)

    def likeness(self, pose: Pose, time: float, motion: Motion) -> float:
        """0 .. 1: the mean of how alike (OKS) the pose and the expected one are, and how near their middles."""
        expected = self.expected(time, motion)
        boxes = extent(expected), extent(pose)
        if boxes[0] is None or boxes[1] is None:
            return 0.0
        size = max(boxes[0].w, boxes[0].h)
        reach = size * (motion.reach + motion.spread * self._since(time))
        near = math.exp(-(math.dist(boxes[0].center, boxes[1].center) ** 2) / (2 * reach**2))
        return (similarity(expected, pose) + near) / 2

    def _since(self, time: float) -> float:
        return max(0.0, time - self.time)


def _coasted(since: float, motion: Motion) -> float:
    """The seconds of full velocity that make up the fading one of the time since."""
    return -motion.coasting * math.expm1(-since / motion.coasting)


def _shift(before: Pose, after: Pose) -> Points:
    """(2,) by how much the body moved: the median of the joints found in both, so that a wrong one does not count."""
    both = (before.scores >= THRESHOLD) & (after.scores >= THRESHOLD)
    if both.any():
        return np.asarray(np.median((after.keypoints - before.keypoints)[both], axis=0))
    return np.subtract(_middle(after), _middle(before))


def _completed(pose: Pose, expected: Pose, fading: float) -> Pose:
    """The pose, with joints that it lacks from the expected one, which is shifted to where the pose is."""
    found = pose.scores >= THRESHOLD
    keypoints = np.where(found[:, None], pose.keypoints, expected.keypoints + _shift(expected, pose))
    return replace(pose, keypoints=keypoints, scores=np.where(found, pose.scores, fading * expected.scores))


def _middle(pose: Pose) -> tuple[float, float]:
    box: Box = extent(pose) or pose.box
    return box.center


@dataclass(frozen=True)
class Match:
    """The places of a track and of the pose that is its person's. trust: 1, or less where it may be somebody else's."""

    track: int
    pose: int
    trust: float


def matched(tracks: Sequence[Track], poses: Sequence[Pose], time: float, motion: Motion, least: float) -> list[Match]:
    """Who is who, so that all together are as like as can be.

    least: with less likeness a pose is not that person's.
    """
    from scipy.optimize import linear_sum_assignment

    likeness = np.array([[track.likeness(pose, time, motion) for pose in poses] for track in tracks])
    likeness = likeness.reshape(len(tracks), len(poses))
    rows, columns = linear_sum_assignment(np.maximum(likeness - least, 0), maximize=True)
    pairs = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
    return [Match(*pair, _trust(likeness, *pair)) for pair in pairs if likeness[pair] > least]


def _trust(likeness: NDArray[np.float64], track: int, pose: int) -> float:
    """0 where another person is as like the pose, 1 where nobody else is like it at all."""
    others = np.delete(likeness[:, pose], track)
    return float(np.clip(1 - others.max(initial=0.0) / likeness[track, pose], 0, 1))
