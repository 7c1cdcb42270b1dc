"""Follows people through a video, and steadies their joints.

Where each person was, and how they moved, tells where to look for them next: a frame costs one region a person. The
whole image is searched only now and then, and when a person is lost. A person out of sight, perhaps behind another one,
is assumed to move on and is looked for there until forgotten. A cut to another scene ends all tracks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Affine, Box, Points
from posehg.images import Image
from posehg.inference.estimator import Estimator, Region
from posehg.inference.oks import distinct, extent, oks, surest_first
from posehg.inference.scan import is_central
from posehg.io.frames import Frame
from posehg.poses import THRESHOLD, Pose


@dataclass(frozen=True)
class Following:
    """How people are followed, and how they are assumed to move.

    every: frames from one search of the whole image to the next. On a CPU one by the detector takes about as long as a
    frame of one person; without a detector, as 30 frames of two people.
    patience: frames that a person is lost before the image is searched for them. pause: frames between two searches, at
    least; if nobody is seen, the image is searched at each pause.
    cut: how different the colours of two successive frames are, 0 .. 1, if they show different scenes.
    memory: seconds after which a person out of sight is forgotten, and gets a new id on return. grace: nobody is
    remembered for longer than they were seen, plus this.
    similarity: the lowest ``Track.similarity``, 0 .. 1, at which a pose continues a track.
    repeat: the OKS at which two poses show the same person. min_score: with a lower mean score there is no person.
    widening: how much a region grows if all joints were missing, and by a share of that if some were.
    settling: the velocity is the mean over about this last time in seconds, which evens out the network's errors.
    coasting: the velocity of a person out of sight fades; in the long run they move as far as in this time.
    holding: joints that are not found are assumed to move with the others; in this time their scores fade to a third.
    reach, spread: the expected distance from the predicted place, and its growth for each second out of sight, as
    shares of the person's longer side.
    """

    every: int = 10
    patience: int = 1
    pause: int = 5
    cut: float = 0.5
    memory: float = 3.0
    grace: float = 0.5
    similarity: float = 0.3
    repeat: float = 0.5
    min_score: float = 0.2
    widening: float = 0.7
    settling: float = 0.4
    coasting: float = 2.0
    holding: float = 1.0
    reach: float = 0.15
    spread: float = 0.3


@dataclass(frozen=True, eq=False)
class Track:
    """A followed person.

    id: from 1 on. pose: the last one, seen at ``time`` (seconds). velocity: (2,) image pixels a second.
    body: that pose, with missing joints where they are assumed to be, so that a half-hidden body is looked for whole.
    begun: when the person was first seen. sightings: in how many frames. missed: frames since the last one.
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

    def expected(self, time: float, options: Following) -> Pose:
        """The body, moved on to where the person should be by then."""
        coasted = -options.coasting * math.expm1(-self._since(time) / options.coasting)  # seconds at full velocity
        return self.body.moved(Affine.translation(*self.velocity * coasted))

    def seen(self, pose: Pose, time: float, options: Following, trust: float = 1.0) -> Track:
        """The track after another sighting.

        trust: 0 .. 1, how certain it is that the pose belongs to this person. At 0 the motion goes on unchanged.
        """
        since, expected, velocity = self._since(time), self.expected(time, options), self.velocity
        if since > 0:
            # At first the mean of all sightings and of standing still, later the mean of the last ``settling`` seconds.
            gain = max(1 / (self.sightings + 1), -math.expm1(-since / options.settling))
            velocity = velocity + trust * gain * (_shift(self.body, pose) / since - velocity)
        found = pose.scores >= THRESHOLD
        assumed = expected.keypoints + _shift(expected, pose)
        body = replace(
            pose,
            keypoints=np.where(found[:, None], pose.keypoints, assumed),
            scores=np.where(found, pose.scores, math.exp(-since / options.holding) * expected.scores),
        )
        body = body.moved(Affine.translation(*(1 - trust) * _shift(pose, expected)))
        return Track(self.id, replace(pose, id=self.id), time, velocity, body, self.begun, self.sightings + 1)

    def similarity(self, pose: Pose, time: float, options: Following) -> float:
        """0 .. 1: the mean of the OKS with the expected pose and of how near the two middles are."""
        expected = self.expected(time, options)
        box, other = extent(expected), extent(pose)
        if box is None or other is None:
            return 0.0
        reach = max(box.w, box.h) * (options.reach + options.spread * self._since(time))
        near = math.exp(-(math.dist(box.center, other.center) ** 2) / (2 * reach**2))
        return (oks(expected, pose) + near) / 2

    def _since(self, time: float) -> float:
        return max(0.0, time - self.time)


def colours(image: Image) -> NDArray[np.float32]:
    """(512,) the shares of an image's pixels in 8 x 8 x 8 ranges of red, green and blue, which add up to 1."""
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([small], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return np.asarray(counts, dtype=np.float32).ravel() / counts.sum()


def _shift(before: Pose, after: Pose) -> Points:
    """(2,) how far the body moved: the median over the joints found in both, so that a wrong one has no effect."""
    both = (before.scores >= THRESHOLD) & (after.scores >= THRESHOLD)
    if both.any():
        return np.asarray(np.median((after.keypoints - before.keypoints)[both], axis=0))
    return np.subtract((extent(after) or after.crop).center, (extent(before) or before.crop).center)


def matched(
    tracks: Sequence[Track], poses: Sequence[Pose], time: float, options: Following
) -> dict[int, tuple[int, float]]:
    """Assigns poses to tracks, one to one, maximising the total similarity above ``options.similarity``.

    Returns by the index of each pose that continues a track the index of that track and the trust: 1, or less if
    another track is similar too.
    """
    from scipy.optimize import linear_sum_assignment

    similarity = np.array([[track.similarity(pose, time, options) for pose in poses] for track in tracks])
    similarity = similarity.reshape(len(tracks), len(poses))
    worth = np.maximum(similarity - options.similarity, 0)
    matches = {}
    for row, column in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
        if worth[row, column] > 0:
            rivals = np.delete(similarity[:, column], row)
            trust = np.clip(1 - rivals.max(initial=0.0) / similarity[row, column], 0, 1)
            matches[int(column)] = int(row), float(trust)
    return matches


class Tracker:
    """Called with a video's frames in turn, and their times in seconds, it returns the poses of each, with ids.

    search: finds the people on an image who are not among the poses that it is given. most: people followed at once;
    None: all.
    Ids count from 1 in the order in which people appear. A person out of sight has no pose. Times may be irregular. The
    tracker keeps no frame, and no person for longer than ``options.memory``.
    """

    def __init__(
        self,
        estimator: Estimator,
        search: Callable[[Image, Sequence[Pose]], Sequence[Pose]],
        options: Following = Following(),
        most: int | None = None,
    ) -> None:
        self._estimator, self._search = estimator, search
        self.options, self.most = options, most
        self._tracks: list[Track] = []  # by rising id
        self._ids = 0
        self._since = math.inf  # frames since the whole image was searched
        self._colours: NDArray[np.float32] | None = None  # of the last frame

    def __call__(self, image: Image, time: float) -> list[Pose]:
        self._since += 1
        self._end_at_cut(image)
        options, tracks, regions = self.options, self._remembered(time), []
        for track in tracks:
            expected = extent(track.expected(time, options))
            if expected is not None and expected.intersection(Box(0, 0, image.shape[1], image.shape[0])) > 0:
                box = self._estimator.person_box(expected)
                wider = 1 + options.widening * float((track.pose.scores < THRESHOLD).mean())
                regions.append(Region(image, Box.around(box.center, box.w * wider), track.pose.rotation))
        poses = [pose for pose in self._estimator(regions) if pose.score >= options.min_score and is_central(pose)]
        seen = self._continued(tracks, surest_first(poses, options.repeat), time, begin=False)
        ids = {track.id for track in seen}
        lost = [track for track in tracks if track.id not in ids]
        waited = not seen or any(options.patience <= track.missed + 1 <= self._since for track in lost)
        has_room = self.most is None or len(seen) < self.most
        if has_room and self._since >= (min(options.pause, options.every) if waited else options.every):
            self._since = 0
            followed = [track.pose for track in seen]
            others = distinct([*followed, *self._search(image, followed)], options.repeat)[len(followed) :]
            seen += self._continued(lost, others, time)
        self._keep(tracks, seen)
        # Only ``most`` are kept: visible people before lost ones, then those seen most often.
        ranked = sorted(self._tracks, key=lambda track: (track.missed, -track.sightings))[: self.most]
        self._tracks = [track for track in self._tracks if track in ranked]
        return [track.pose for track in self._tracks if not track.missed]

    def identify(self, poses: Sequence[Pose], image: Image, time: float) -> list[Pose]:
        """The poses of the next frame, which were found by other means, in their order, each with an id."""
        self._end_at_cut(image)
        tracks = self._remembered(time)
        seen = self._continued(tracks, poses, time)
        self._keep(tracks, seen)
        return [track.pose for track in seen]

    def _end_at_cut(self, image: Image) -> None:
        """Forgets everyone if the image shows another scene than the last frame: their places mean nothing there."""
        before, self._colours = self._colours, colours(image)
        if before is not None and np.abs(self._colours - before).sum() / 2 > self.options.cut:
            self._tracks, self._since = [], math.inf

    def _remembered(self, time: float) -> list[Track]:
        memory, grace = self.options.memory, self.options.grace
        return [t for t in self._tracks if abs(time - t.time) <= min(memory, abs(t.time - t.begun) + grace)]

    def _continued(
        self, tracks: Sequence[Track], poses: Sequence[Pose], time: float, begin: bool = True
    ) -> list[Track]:
        """The track of each pose, in their order: one of ``tracks``, or a new one if these may ``begin``."""
        matches, result = matched(tracks, poses, time, self.options), []
        for number, pose in enumerate(poses):
            if number in matches:
                index, trust = matches[number]
                result.append(tracks[index].seen(pose, time, self.options, trust))
            elif begin:
                self._ids += 1
                result.append(Track.begin(self._ids, pose, time))
        return result

    def _keep(self, tracks: Iterable[Track], seen: Iterable[Track]) -> None:
        """Remembers the tracks after a frame, in which some, and new ones, were seen."""
        missed = {track.id: replace(track, missed=track.missed + 1) for track in tracks}
        self._tracks = list((missed | {track.id: track for track in seen}).values())


Smoothing = Literal["none", "one-euro"]


def follow(
    estimator: Estimator,
    find: Callable[[Frame, Sequence[Pose]], list[Pose]],
    options: Following = Following(),
    most: int | None = None,
    given: Literal["nowhere", "first", "each"] = "nowhere",
    smooth: Smoothing = "none",
) -> Callable[[Frame], list[Pose]]:
    """Called with a video's frames in turn, it returns the poses of each, with ids.

    find: finds people on a frame who are not among the poses that it is given. most: see ``Tracker``. given: the frames
    in which it is known where people are, so that they are not searched for in any other.
    """
    searches = count()

    def search(image: Image, known: Sequence[Pose]) -> list[Pose]:
        return find(Frame(image), known) if given == "nowhere" or next(searches) == 0 else []

    tracker = Tracker(estimator, search, options, most)
    smoother = OneEuro() if smooth == "one-euro" else None

    def poses_on(frame: Frame) -> list[Pose]:
        time = frame.time or 0.0
        poses = tracker.identify(find(frame, ()), frame.image, time) if given == "each" else tracker(frame.image, time)
        return smoother(poses, time) if smoother else poses

    return poses_on


@dataclass(eq=False)
class OneEuro:
    """Called with the poses of a video's frames in turn, and their times in seconds, it returns them smoothed.

    The one-euro filter of Casiez, Roussel and Vogel (CHI 2012): a still joint is averaged over a long time, so that it
    does not jitter; the faster it moves, the shorter that time becomes, so that it does not lag.
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
        found, box, still = pose.scores >= THRESHOLD, extent(pose) or pose.crop, np.zeros_like(pose.keypoints)
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
