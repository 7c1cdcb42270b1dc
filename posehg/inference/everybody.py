"""Finds everybody on a picture without a detector: what ``people`` does for one person, done for all.

The picture is scanned: the network is asked about windows of several sizes, without the mirrored crop, and says of
each who is in its middle. Answers that show the same person are repeats, of which the surest stays. Each person left is
looked at in boxes of their own, around the confident joints, and at last with the mirrored crop where the estimator has
it. Of the joints' names only their sides matter, so that it works for hands and animals, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, View
from posehg.inference.likeness import THRESHOLD, distinct, extent
from posehg.inference.people import windows_of
from posehg.poses import Pose


@dataclass(frozen=True)
class Scan:
    """How people are looked for. Where precision or recall should be higher, ``min_clearness`` is what to change.

    scales: sides of the windows, as shares of the picture's longer side. Who is much smaller than the smallest window
        is not found; half of all windows are of that size. overlap: of neighbouring windows.
    hint: the score from which on an answer to a window is followed up. candidates: how many are, at most.
    off_middle: how far from the middle of the window the body may be, as a share of the window's side: who is further
        off is in the middle of another window.
    repeat: how similar (OKS) the poses of one person are.
    zooms: sizes in which the box of a candidate is tried, 1 being that which fits the confident joints: of who is cut
        off by the picture's border or by somebody else it is too small.
    min_joints: with fewer confident joints there is nobody.
    size: the power of a person's size by which scores are weighted; what looks like a small person often is none.
    min_clearness: the least score, so weighted, of somebody. The default is that of a precision of 70 % of the bundled
        weights on half of COCO's pictures; tests/benchmarks/everybody.py finds it for other weights and precisions.
    """

    scales: tuple[float, ...] = (1.4, 1.0, 0.7, 0.5, 0.35, 0.25)
    overlap: float = 0.5
    hint: float = 0.2
    candidates: int = 40
    off_middle: float = 0.25
    repeat: float = 0.35
    zooms: tuple[float, ...] = (1.0, 1.3, 1.6)
    min_joints: int = 4
    size: float = 0.3
    min_clearness: float = 0.365


def everybody(estimator: Estimator, image: Image, search: Scan = Scan()) -> list[Pose]:
    """The poses of all people, in photo pixels, the most prominent first; none where nobody is found."""
    candidates = islice(_scan(estimator, image, search), search.candidates)
    closer = [_closer(estimator, image, pose, search) for pose in candidates]
    people = _apart((pose for pose in closer if _is_somebody(pose, search)), search)
    poses = [pose for pose in estimator(View(image, pose.box) for pose in people) if _is_somebody(pose, search)]
    ranked = {id(pose): clearness(pose, image, search.size) for pose in poses}
    poses = distinct(sorted(poses, key=lambda pose: -ranked[id(pose)]), search.repeat)
    return [pose for pose in poses if ranked[id(pose)] >= search.min_clearness]


def clearness(pose: Pose, image: Image, power: float) -> float:
    """How clearly somebody is there: the mean score of the joints that are seen, weighted by the person's size.

    Joints that are hidden, or off the picture, do not count: who is there by half is no less somebody. power: of the
    size, which is a share of the picture's; at 0 it does not count.
    """
    box = extent(pose)
    if box is None:
        return 0.0
    seen = pose.scores[pose.scores >= THRESHOLD]
    return float(seen.mean()) * (max(box.w, box.h) / max(image.shape[:2])) ** power


def _scan(estimator: Estimator, image: Image, search: Scan) -> list[Pose]:
    """A pose of each candidate, the surest first."""
    windows = windows_of(image, search.scales, search.overlap)
    answers = estimator.unflipped()(View(image, box) for box in windows)
    return _apart((pose for pose in answers if pose.score >= search.hint and _is_somebody(pose, search)), search)


def _closer(estimator: Estimator, image: Image, pose: Pose, search: Scan) -> Pose:
    """The surest answer to boxes around the confident joints, of which there are some."""
    found = extent(pose)
    assert found is not None
    box = estimator.person_box(found)
    boxes = (Box.around(box.center, box.w * zoom) for zoom in search.zooms)
    return max(estimator.unflipped()(View(image, box) for box in boxes), key=lambda answer: answer.score)


def _is_somebody(pose: Pose, search: Scan) -> bool:
    """Whether enough joints are confident, and the body that they make is about the middle of what was looked at."""
    found = extent(pose)
    if found is None or (pose.scores >= THRESHOLD).sum() < search.min_joints:
        return False
    off = (abs(a - b) for a, b in zip(found.center, pose.box.center, strict=True))
    return max(off) <= search.off_middle * pose.box.w


def _apart(poses: Iterable[Pose], search: Scan) -> list[Pose]:
    return distinct(sorted(poses, key=lambda pose: -pose.score), search.repeat)
