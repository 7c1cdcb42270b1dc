"""Follows people through a video: where each was, and how they moved, says where to look for them next.

A frame costs one look at each person. The whole picture is searched now and then, and when somebody is lost. Who is
out of sight, behind somebody else perhaps, is thought to move on, and is looked for there until they are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, View
from posehg.inference.likeness import THRESHOLD, distinct, extent
from posehg.inference.track import Motion, Track, matched
from posehg.poses import Pose

__all__ = ["Following", "Motion", "Tracker"]

Find = Callable[[Image], Sequence[Pose]]


@dataclass(frozen=True)
class Following:
    """How people are followed.

    every: frames from one search of the whole picture to the next. On a processor a search takes about as long as 30
        frames of two people, so it is a quarter of the work.
    patience: frames that somebody is lost before the picture is searched for them. Nobody being seen does not wait.
    pause: frames between two searches, at least.
    memory: seconds after which somebody who is not seen is forgotten, and has a new id if they return.
    grace: the same for somebody who was just found. Nobody is missed for longer than they were there and this.
    likeness: from which on, 0 .. 1, a pose is that of somebody followed: see track.Track.likeness.
    repeat: how similar (OKS) poses of one person are.
    min_joints, min_score: with fewer confident joints, or a lower mean score, there is nobody.
    widening: by how much the box grows where all joints are missing, and by a share of that where some are: in a box
        that is too small the outer ones are not found.
    off_middle: how far from the middle of the box the body may be, as a share of the box's side.
    motion: how people move.
    """

    every: int = 90
    patience: int = 10
    pause: int = 30
    memory: float = 3.0
    grace: float = 0.5
    likeness: float = 0.3
    repeat: float = 0.5
    min_joints: int = 4
    min_score: float = 0.2
    widening: float = 0.7
    off_middle: float = 0.25
    motion: Motion = field(default_factory=Motion)


@dataclass(frozen=True, eq=False)
class _Sighting:
    """A pose of somebody who is followed, its place among those of the frame, and how sure it is that it is theirs."""

    place: int
    pose: Pose
    trust: float


class Tracker:
    """Called with the frames of one video in turn, and their times in seconds, it gives the poses of each with ids.

    find: finds people on a picture from nothing. most: people that are followed at once; None for everybody.

    The ids count from 1 in the order in which people appear. Who is out of sight has no pose. Times may be irregular;
    it remembers no frame, and nobody for longer than ``options.memory``.
    """

    def __init__(
        self, estimator: Estimator, find: Find, options: Following = Following(), most: int | None = None
    ) -> None:
        self._estimator, self._find = estimator, find
        self.options, self.most = options, most
        self._tracks: tuple[Track, ...] = ()
        self._ids = 0
        self._frame = 0
        self._searched: int | None = None
        """The last frame of which the whole picture was searched."""

    def __call__(self, image: Image, time: float) -> list[Pose]:
        self._frame += 1
        tracks = self._remembered(time)
        answers = self._answers(tracks, image, time)
        seen = self._recognised(tracks, answers, time)
        new: list[Pose] = []
        if self._search_is_due(tracks, seen):
            self._searched = self._frame
            followed = [sighting.pose for sighting in seen.values()]
            others = distinct([*followed, *self._find(image)], self.options.repeat)[len(followed) :]
            back = self._recognised([track for track in tracks if track.id not in seen], others, time)
            seen |= back
            new = _without(others, back)
        self._tracks = self._most(self._moved_on(tracks, seen, new, time))
        return [track.pose for track in self._tracks if not track.missed]

    def identify(self, poses: Sequence[Pose], time: float) -> list[Pose]:
        """The same poses, found otherwise on the next frame, in their order, each with an id."""
        tracks = self._remembered(time)
        seen = self._recognised(tracks, poses, time)
        new = _without(poses, seen)
        self._tracks = self._moved_on(tracks, seen, new, time)
        numbers = {sighting.place: person for person, sighting in seen.items()}
        begun = iter(self._tracks[len(tracks) :])
        return [replace(pose, id=numbers[n] if n in numbers else next(begun).id) for n, pose in enumerate(poses)]

    # ---- who was there before ----------------------------------------------------------------------------------

    def _remembered(self, time: float) -> list[Track]:
        memory, grace = self.options.memory, self.options.grace
        return [t for t in self._tracks if abs(time - t.time) <= min(memory, abs(t.time - t.begun) + grace)]

    def _recognised(self, tracks: Sequence[Track], poses: Sequence[Pose], time: float) -> dict[int, _Sighting]:
        """A person's id -> how they were seen; those alone who were."""
        matches = matched(tracks, poses, time, self.options.motion, self.options.likeness)
        return {tracks[match.track].id: _Sighting(match.pose, poses[match.pose], match.trust) for match in matches}

    def _moved_on(
        self, tracks: Sequence[Track], seen: dict[int, _Sighting], new: Iterable[Pose], time: float
    ) -> tuple[Track, ...]:
        """The tracks after a frame, in their order; those of new people are last."""
        motion = self.options.motion
        old = [
            track.seen(seen[track.id].pose, time, motion, seen[track.id].trust) if track.id in seen else track.unseen()
            for track in tracks
        ]
        return (*old, *(Track.begin(self._new_id(), pose, time) for pose in new))

    def _new_id(self) -> int:
        self._ids += 1
        return self._ids

    def _most(self, tracks: tuple[Track, ...]) -> tuple[Track, ...]:
        """Only as many as may be followed: those who are seen before those who are not, then those seen most often."""
        ranked = sorted(tracks, key=lambda track: (track.missed, -track.sightings))
        kept = ranked[: self.most]
        return tuple(track for track in tracks if track in kept)

    # ---- where they are now --------------------------------------------------------------------------------------

    def _answers(self, tracks: Iterable[Track], image: Image, time: float) -> list[Pose]:
        """What the network says of where everybody is expected; of who was expected in several places, the surest."""
        views = [View(image, box, track.pose.rotation) for track, box in self._boxes(tracks, image, time)]
        answers = [pose for pose in self._estimator(views) if self._is_somebody(pose)]
        return distinct(sorted(answers, key=lambda pose: -pose.score), self.options.repeat)

    def _boxes(self, tracks: Iterable[Track], image: Image, time: float) -> Iterable[tuple[Track, Box]]:
        """Nobody is looked for beyond the picture."""
        rows, columns = image.shape[:2]
        for track in tracks:
            found = extent(track.expected(time, self.options.motion))
            if found is not None and found.intersection(Box(0, 0, columns, rows)) > 0:
                box = self._estimator.person_box(found)
                missing = float((track.pose.scores < THRESHOLD).mean())
                yield track, Box.around(box.center, box.w * (1 + self.options.widening * missing))

    def _is_somebody(self, pose: Pose) -> bool:
        found, options = extent(pose), self.options
        if found is None or (pose.scores >= THRESHOLD).sum() < options.min_joints or pose.score < options.min_score:
            return False
        off = (abs(a - b) for a, b in zip(found.center, pose.box.center, strict=True))
        return max(off) <= options.off_middle * pose.box.w

    def _search_is_due(self, tracks: Iterable[Track], seen: Collection[int]) -> bool:
        options = self.options
        if self._searched is None:
            return True
        if self.most is not None and len(seen) >= self.most:
            return False
        since = self._frame - self._searched
        missing = [track.missed for track in tracks if track.id not in seen]  # in frames before this one
        lost = any(options.patience <= missed + 1 <= since for missed in missing)
        return since >= options.every or (since >= options.pause and (lost or not seen))


def _without(poses: Iterable[Pose], seen: dict[int, _Sighting]) -> list[Pose]:
    """Those that are not of anybody who is followed."""
    places = {sighting.place for sighting in seen.values()}
    return [pose for place, pose in enumerate(poses) if place not in places]
