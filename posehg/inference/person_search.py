"""Finds the people on an image without a detector: the network itself shows where a person is.

The network answers for the person in the middle of its crop, with low scores if there is none. So it is run on windows
of several sizes all over the image. Around the confident joints of the best answers boxes are drawn, and the network is
run on those again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from posehg.errors import InputError, UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, Region
from posehg.inference.oks import THRESHOLD, distinct, extent, surest_first
from posehg.poses import Pose

People = Literal["one", "all"]

MIN_JOINTS = 4
"""With fewer confident joints there is no person."""


def find(
    estimator: Estimator,
    image: Image,
    people: People = "one",
    boxes: Sequence[Box] | None = None,
    whole: bool = False,
    name: str = "the image",
) -> list[Pose]:
    """The poses on an image, in image pixels.

    boxes: the people's bounding boxes in image pixels, without padding: one pose a box, in their order; () for an image
    without people. whole: one person fills the image. Without these, people are searched for: ``one``, the most
    prominent person, or ``all``, the most prominent first. name: the image's name in errors.
    Raises UsageError for options that exclude each other, InputError for a box outside the image.
    """
    if people not in get_args(People):
        raise UsageError(f"people must be {' or '.join(get_args(People))}, not {people!r}.")
    if boxes is not None and whole:
        raise UsageError("boxes and whole exclude each other.", "Give one of them.")
    height, width = image.shape[:2]
    frame = Box(0, 0, width, height)
    if boxes is not None:
        for box in boxes:
            if box.intersection(frame) <= 0:
                where = ",".join(f"{side:g}" for side in box.as_tuple())
                raise InputError(f"The box {where} lies outside {name}.", f"The image is {width} x {height} pixels.")
        return list(estimator(Region(image, estimator.person_box(box)) for box in boxes))
    if whole:
        return list(estimator([Region(image, frame.square())]))
    if people == "all":
        return find_all(estimator, image)
    pose = find_one(estimator, image)
    return [] if pose is None else [pose]


def windows_of(image: Image, scales: Sequence[float], overlap: float) -> Iterator[Box]:
    """Square windows that cover the image at every scale and reach beyond its borders by up to a quarter.

    scales: their sides, as shares of the image's longer side. overlap: of neighbours, as a share of the side.
    A person at the border is in the middle of a window only if the window reaches beyond it.
    """
    height, width = image.shape[:2]

    def starts(length: float, side: float) -> list[float]:
        first = min(length / 2, side / 4)  # the middle of the first window; one twice as wide as the image is centred
        count = int(np.ceil((length - 2 * first) / (side * (1 - overlap)))) + 1
        return [middle - side / 2 for middle in np.linspace(first, length - first, count)]

    for scale in scales:
        side = max(height, width) * scale
        yield from (Box(x, y, side, side) for y in starts(height, side) for x in starts(width, side))


def relative_size(pose: Pose, image: Image) -> float:
    """The longer side of the found joints' bounding box as a share of the image's longer side; 0 without any joint."""
    box = extent(pose)
    return max(box.w, box.h) / max(image.shape[:2]) if box else 0.0


# ---- the most prominent person -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OneSearch:
    """How ``find_one`` searches.

    scales, overlap: see ``windows_of``. candidates: windows that are followed up. apart: candidates whose boxes overlap
    more than this (IoU) show the same person.
    rounds: how often, at most, a box is redrawn. settled: the IoU of the old and the new box at which it stays.
    zoom_out, zoom_margin: a redrawn box is also tried this many times as large, and its score must be better by this
    margin: a person whose legs are cut off by the image's border is recognised only in the box of the whole body.
    turn_margin, min_turned: a candidate is also tried turned by quarters; its score must be better by this margin, and
    reach this minimum, because most people are upright and more tries find more false people.
    min_score: with a lower mean score there is no person.
    """

    scales: tuple[float, ...] = (1.4, 1.0, 0.7, 0.5, 0.35)
    overlap: float = 0.5
    candidates: int = 3
    apart: float = 0.6
    rounds: int = 3
    settled: float = 0.8
    zoom_out: float = 1.5
    zoom_margin: float = 0.08
    turn_margin: float = 0.04
    min_turned: float = 0.4
    min_score: float = 0.3

    def is_person(self, pose: Pose) -> bool:
        min_score = max(self.min_score, self.min_turned) if pose.rotation else self.min_score
        return int((pose.scores >= THRESHOLD).sum()) >= MIN_JOINTS and pose.score >= min_score


def find_one(estimator: Estimator, image: Image, search: OneSearch = OneSearch()) -> Pose | None:
    """The pose of the clearest and largest person, in image pixels; None if there is none."""

    def prominence(pose: Pose) -> float:  # at half the size it loses three tenths
        return pose.score * relative_size(pose, image) ** 0.5

    windows = [Region(image, box) for box in windows_of(image, search.scales, search.overlap)]
    answers = [pose for pose in estimator.unflipped()(windows) if search.is_person(pose)]
    candidates: list[Box] = []
    settled: list[Pose] = []
    for answer in sorted(answers, key=prominence, reverse=True):
        box = extent(answer) or answer.box
        if len(candidates) < search.candidates and all(box.iou(other) < search.apart for other in candidates):
            candidates.append(box)
            pose = _settle(estimator, image, answer, search)
            if search.is_person(pose):
                settled.append(pose)
    return max(settled, key=prominence, default=None)


def _settle(estimator: Estimator, image: Image, pose: Pose, search: OneSearch) -> Pose:
    """Redraws the box around the confident joints until it stays."""
    rotation = 0.0
    for number in range(search.rounds):
        found = extent(pose)
        if found is None:
            return pose
        tight = estimator.person_box(found)
        loose = Box.around(tight.center, tight.w * search.zoom_out)
        if number and any(box.iou(pose.box) > search.settled for box in (tight, loose)):
            break
        turns = (rotation,) if number else (0.0, 90.0, 180.0, 270.0)
        regions = [Region(image, box, turn) for box in (tight, loose) for turn in turns]
        answers = list(estimator.unflipped()(regions))
        merits = []
        for answer, region in zip(answers, regions, strict=True):
            margin = search.turn_margin * (region.rotation != rotation)
            merit = answer.score - search.zoom_margin * (region.box is loose) - margin
            merits.append(-1.0 if answer.rotation and answer.score < search.min_turned else merit)
        best = int(np.argmax(merits))
        pose, rotation = answers[best], regions[best].rotation
    return next(estimator([Region(image, pose.box, rotation)]))


# ---- all people ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AllSearch:
    """How ``find_all`` searches. To trade precision for recall, change ``min_clearness``.

    scales, overlap: see ``windows_of``. People much smaller than the smallest window are missed; half of all windows
    have that size.
    hint: the score from which on a window is followed up. candidates: how many are, at most.
    repeat: the OKS at which two poses show the same person.
    zooms: sizes of a candidate's box, where 1 fits the confident joints, which are too few if the body is cut off or
    hidden.
    size: the power of the relative size by which ``clearness`` is weighted; small apparent people often are none.
    min_clearness: the threshold. The default gives a precision of 70 % with the bundled weights on half of COCO's
    images; tests/benchmarks/everybody.py measures it for other weights and precisions.
    """

    scales: tuple[float, ...] = (1.4, 1.0, 0.7, 0.5, 0.35, 0.25)
    overlap: float = 0.5
    hint: float = 0.2
    candidates: int = 40
    repeat: float = 0.35
    zooms: tuple[float, ...] = (1.0, 1.3, 1.6)
    size: float = 0.3
    min_clearness: float = 0.314


def find_all(estimator: Estimator, image: Image, search: AllSearch = AllSearch()) -> list[Pose]:
    """The poses of all people, in image pixels, the most prominent first; [] if there are none."""
    quick = estimator.unflipped()
    windows = quick(Region(image, box) for box in windows_of(image, search.scales, search.overlap))
    hints = [pose for pose in windows if pose.score >= search.hint and is_central(pose)]
    candidates = surest_first(hints, search.repeat)
    closer = []
    for pose in candidates[: search.candidates]:
        box = estimator.person_box(extent(pose) or pose.box)
        zoomed = quick(Region(image, Box.around(box.center, box.w * zoom)) for zoom in search.zooms)
        closer.append(max(zoomed, key=lambda answer: answer.score))
    remaining = surest_first(filter(is_central, closer), search.repeat)
    poses = filter(is_central, estimator(Region(image, pose.box) for pose in remaining))
    ranked = sorted(((clearness(pose, image, search.size), pose) for pose in poses), key=lambda pair: -pair[0])
    return distinct((pose for value, pose in ranked if value >= search.min_clearness), search.repeat)


def is_central(pose: Pose) -> bool:
    """Whether enough joints are found, and the body that they form is about in the middle of the pose's region.

    A body farther off than a quarter of the region's side belongs to another region.
    """
    found = extent(pose)
    if found is None or (pose.scores >= THRESHOLD).sum() < MIN_JOINTS:
        return False
    away = max(abs(a - b) for a, b in zip(found.center, pose.box.center, strict=True))
    return away <= 0.25 * pose.box.w


def clearness(pose: Pose, image: Image, power: float) -> float:
    """How clearly a person is visible: the mean score of the found joints, times relative size to ``power``.

    Joints that are hidden or outside the image do not lower it. Needs at least one found joint.
    """
    return float(pose.scores[pose.scores >= THRESHOLD].mean()) * relative_size(pose, image) ** power
