"""Follows people through a video: where each person was, and how they moved, tells where to look for them next.

A frame costs one region a person. The whole image is searched only now and then, and when a person is lost. A person
out of sight, perhaps behind another one, is assumed to move on and is looked for there until forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from posehg.geometry import Affine, Box, Points
from posehg.images import Image
from posehg.inference.estimator import Estimator, Region
from posehg.inference.oks import THRESHOLD, distinct, extent, oks
from posehg.inference.person_search import is_central
from posehg.poses import Pose


@dataclass(frozen=True)
class Motion:
    """How people move, and how certain that is. Times are seconds; lengths are shares of the person's longer side.

    settling: the velocity is the mean over about this last time, which evens out the network's errors.
    coasting: the velocity of a person out of sight fades; in the long run they move as far as in this time.
    holding: joints that are not found are assumed to move with the others; in this time their scores fade to a third.
    reach, spread: the expected distance from the predicted place, and its growth for each second out of sight.
    """

    settling: float = 0.4
    coasting: float = 2.0
    holding: float = 1.0
    reach: float = 0.15
    spread: float = 0.3


@dataclass(frozen=True)
class Following:
    """How people are followed.

    every: frames from one search of the whole image to the next. On a CPU a search takes about as long as 30 frames of
    two people, so by default it is a quarter of the work.
    patience: frames that a person is lost before the image is searched for them. pause: frames between two searches, at
    least. If nobody is seen, the image is searched at each pause.
    memory: seconds after which a person out of sight is forgotten, and gets a new id on return. grace: the same for a
    person who was just found: nobody is remembered for longer than they were seen, plus this.
    similarity: the lowest ``Track.similarity``, 0 .. 1, at which a pose continues a track.
    repeat: the OKS at which two poses show the same person.
    min_joints, min_score: with fewer confident joints or a lower mean score there is no person.
    widening: how much a region grows if all joints were missing, and by a share of that if some were: in a region that
    is too small the outer joints are not found.
    off_middle: how far from the middle of its region a body may be, as a share of the region's side.
    """

    every: int = 90
    patience: int = 10
    pause: int = 30
    memory: float = 3.0
    grace: float = 0.5
    similarity: float = 0.3
    repeat: float = 0.5
    min_joints: int = 4
    min_score: float = 0.2
    widening: float = 0.7
    off_middle: float = 0.25
    motion: Motion = field(default_factory=Motion)


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

    def expected(self, time: float, motion: Motion) -> Pose:
        """The body, moved on to where the person should be by then."""
        coasted = -motion.coasting * math.expm1(-self._since(time) / motion.coasting)  # seconds at full velocity
        return self.body.moved(Affine.translation(*self.velocity * coasted))

    def seen(self, pose: Pose, time: float, motion: Motion, trust: float = 1.0) -> Track:
        """The track after another sighting.

        trust: 0 .. 1, how certain it is that the pose belongs to this person. At 0 the motion goes on unchanged.
        """
        since = self._since(time)
        expected = self.expected(time, motion)
        velocity = self.velocity
        if since > 0:
            # At first the mean of all sightings and of standing still, later the mean of the last ``settling`` seconds.
            gain = max(1 / (self.sightings + 1), -math.expm1(-since / motion.settling))
            velocity = velocity + trust * gain * (_shift(self.body, pose) / since - velocity)
        found = pose.scores >= THRESHOLD
        assumed = expected.keypoints + _shift(expected, pose)
        body = replace(
            pose,
            keypoints=np.where(found[:, None], pose.keypoints, assumed),
            scores=np.where(found, pose.scores, math.exp(-since / motion.holding) * expected.scores),
        )
        body = body.moved(Affine.translation(*(1 - trust) * _shift(pose, expected)))
        return Track(self.id, replace(pose, id=self.id), time, velocity, body, self.begun, self.sightings + 1)

    def similarity(self, pose: Pose, time: float, motion: Motion) -> float:
        """0 .. 1: the mean of the OKS with the expected pose and of how near the two middles are."""
        expected = self.expected(time, motion)
        box, other = extent(expected), extent(pose)
        if box is None or other is None:
            return 0.0
        reach = max(box.w, box.h) * (motion.reach + motion.spread * self._since(time))
        near = math.exp(-(math.dist(box.center, other.center) ** 2) / (2 * reach**2))
        return (oks(expected, pose) + near) / 2

    def _since(self, time: float) -> float:
        return max(0.0, time - self.time)


def _shift(before: Pose, after: Pose) -> Points:
    """(2,) how far the body moved: the median over the joints found in both, so that a wrong one has no effect."""
    both = (before.scores >= THRESHOLD) & (after.scores >= THRESHOLD)
    if both.any():
        return np.asarray(np.median((after.keypoints - before.keypoints)[both], axis=0))
    return np.subtract((extent(after) or after.box).center, (extent(before) or before.box).center)


@dataclass(frozen=True)
class Match:
    """The indices of a track and of the pose that continues it. trust: 1, or less if another track is similar too."""

    track: int
    pose: int
    trust: float


def matched(tracks: Sequence[Track], poses: Sequence[Pose], time: float, motion: Motion, least: float) -> list[Match]:
    """Assigns poses to tracks, one to one, maximising the total similarity above ``least``."""
    from scipy.optimize import linear_sum_assignment

    similarity = np.array([[track.similarity(pose, time, motion) for pose in poses] for track in tracks])
    similarity = similarity.reshape(len(tracks), len(poses))
    matches = []
    for row, column in zip(*linear_sum_assignment(np.maximum(similarity - least, 0), maximize=True), strict=True):
        if similarity[row, column] > least:
            rivals = np.delete(similarity[:, column], row)
            trust = np.clip(1 - rivals.max(initial=0.0) / similarity[row, column], 0, 1)
            matches.append(Match(int(row), int(column), float(trust)))
    return matches


class Tracker:
    """Called with a video's frames in turn, and their times in seconds, it returns the poses of each, with ids.

    search: finds people on an image without any knowledge. most: people followed at once; None: all.
    Ids count from 1 in the order in which people appear. A person out of sight has no pose. Times may be irregular. The
    tracker keeps no frame, and no person for longer than ``options.memory``.
    """

    def __init__(
        self,
        estimator: Estimator,
        search: Callable[[Image], Sequence[Pose]],
        options: Following = Following(),
        most: int | None = None,
    ) -> None:
        self._estimator, self._search = estimator, search
        self.options, self.most = options, most
        self._tracks: list[Track] = []
        self._ids = 0
        self._frame = 0
        self._searched: int | None = None  # the last frame of which the whole image was searched

    def __call__(self, image: Image, time: float) -> list[Pose]:
        self._frame += 1
        tracks = self._remembered(time)
        seen, _ = self._matched(tracks, self._estimated(tracks, image, time), time)
        new: list[Pose] = []
        if self._search_is_due(tracks, seen):
            self._searched = self._frame
            followed = [pose for pose, _ in seen.values()]
            others = distinct([*followed, *self._search(image)], self.options.repeat)[len(followed) :]
            returned, new = self._matched([track for track in tracks if track.id not in seen], others, time)
            seen |= returned
        tracks = self._moved_on(tracks, seen, new, time)
        # Only ``most`` are kept: visible people before lost ones, then those seen most often.
        ranked = sorted(tracks, key=lambda track: (track.missed, -track.sightings))[: self.most]
        self._tracks = [track for track in tracks if track in ranked]
        return [track.pose for track in self._tracks if not track.missed]

    def identify(self, poses: Sequence[Pose], time: float) -> list[Pose]:
        """The poses of the next frame, which were found by other means, in their order, each with an id."""
        tracks = self._remembered(time)
        numbered = [replace(pose, id=-number) for number, pose in enumerate(poses)]
        seen, new = self._matched(tracks, numbered, time)
        self._tracks = self._moved_on(tracks, seen, new, time)
        ids = {pose.id: track for track, (pose, _) in seen.items()}
        ids |= {pose.id: track.id for pose, track in zip(new, self._tracks[len(tracks) :], strict=True)}
        return [replace(pose, id=ids[pose.id]) for pose in numbered]

    def _remembered(self, time: float) -> list[Track]:
        memory, grace = self.options.memory, self.options.grace
        return [t for t in self._tracks if abs(time - t.time) <= min(memory, abs(t.time - t.begun) + grace)]

    def _estimated(self, tracks: Iterable[Track], image: Image, time: float) -> list[Pose]:
        """Poses where the tracks are expected on the image, without duplicates, the highest score first."""
        options = self.options
        rows, columns = image.shape[:2]
        regions = []
        for track in tracks:
            expected = extent(track.expected(time, options.motion))
            if expected is not None and expected.intersection(Box(0, 0, columns, rows)) > 0:
                box = self._estimator.person_box(expected)
                missing = float((track.pose.scores < THRESHOLD).mean())
                wide = Box.around(box.center, box.w * (1 + options.widening * missing))
                regions.append(Region(image, wide, track.pose.rotation))
        poses = [
            pose
            for pose in self._estimator(regions)
            if pose.score >= options.min_score and is_central(pose, options.min_joints, options.off_middle)
        ]
        return distinct(sorted(poses, key=lambda pose: -pose.score), options.repeat)

    def _matched(
        self, tracks: Sequence[Track], poses: Sequence[Pose], time: float
    ) -> tuple[dict[int, tuple[Pose, float]], list[Pose]]:
        """The pose and trust by id of each track that a pose continues, and the other poses."""
        matches = matched(tracks, poses, time, self.options.motion, self.options.similarity)
        used = {match.pose for match in matches}
        seen = {tracks[match.track].id: (poses[match.pose], match.trust) for match in matches}
        return seen, [pose for index, pose in enumerate(poses) if index not in used]

    def _moved_on(
        self, tracks: Sequence[Track], seen: dict[int, tuple[Pose, float]], new: Iterable[Pose], time: float
    ) -> list[Track]:
        """The tracks after a frame, in their order, followed by new ones. seen: id -> pose and trust."""
        moved = []
        for track in tracks:
            if track.id in seen:
                pose, trust = seen[track.id]
                moved.append(track.seen(pose, time, self.options.motion, trust))
            else:
                moved.append(replace(track, missed=track.missed + 1))
        for pose in new:
            self._ids += 1
            moved.append(Track.begin(self._ids, pose, time))
        return moved

    def _search_is_due(self, tracks: Iterable[Track], seen: dict[int, tuple[Pose, float]]) -> bool:
        options = self.options
        if self._searched is None:
            return True
        if self.most is not None and len(seen) >= self.most:
            return False
        since = self._frame - self._searched
        missing = [track.missed + 1 for track in tracks if track.id not in seen]  # frames, with this one
        lost = any(options.patience <= missed <= since for missed in missing)
        return since >= options.every or (since >= options.pause and (lost or not seen))
