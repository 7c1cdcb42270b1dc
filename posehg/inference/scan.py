"""Finds the people in an image without a detector: the network itself shows where a person is.

The network answers for the person in the middle of its crop, with low scores if there is none. So it is run on windows
of several sizes all over the image. Around the confident joints of the best answers boxes are drawn, and the network is
run on those again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, Region
from posehg.inference.oks import distinct, extent, surest_first
from posehg.poses import THRESHOLD, Pose

MIN_JOINTS = 4
"""With fewer confident joints there is no person."""


def windows_of(image: Image, scales: Sequence[float], overlap: float) -> Iterator[Box]:
    """Square windows that cover the image at every scale and reach beyond its borders by up to a quarter of their side.

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


def prominence(pose: Pose, image: Image, size_power: float, found_only: bool = False) -> float:
    """How clearly a person is visible: the mean score times relative size to ``size_power``.

    The relative size is the longer side of the found joints' bounding box as a share of the image's longer side.
    found_only: the mean of the found joints alone, so that those hidden or outside the image do not lower it.
    """
    box = extent(pose) or pose.crop
    score = float(pose.scores[pose.scores >= THRESHOLD].mean()) if found_only else pose.score
    return score * (max(box.w, box.h) / max(image.shape[:2])) ** size_power


@dataclass(frozen=True)
class OneSearch:
    """How ``find_one`` searches.

    scales, overlap: see ``windows_of``. turns: the degrees by which each window is turned. max_candidates: windows that
    are followed up. same_person_iou: the IoU of the boxes of two candidates from which on they show the same person.
    rounds: how often, at most, a box is redrawn. settled_iou: the IoU of the old and the new box at which it stays.
    zoom_out, zoom_margin: a redrawn box is also tried this many times as large, and its score must be better by this
    margin: a person whose legs are cut off by the image's border is recognised only in the box of the whole body.
    turn_margin, min_turned: a candidate is also tried turned by quarters; its score must be better by this margin, and
    reach this minimum, because most people are upright and more tries find more false people.
    min_score: with a lower mean score there is no person.
    size_power: see ``prominence``; a person of half the size loses three tenths.
    """

    scales: tuple[float, ...] = (1.4, 1.0, 0.7, 0.5, 0.35)
    overlap: float = 0.5
    turns: tuple[float, ...] = (0.0,)
    max_candidates: int = 3
    same_person_iou: float = 0.6
    rounds: int = 3
    settled_iou: float = 0.8
    zoom_out: float = 1.5
    zoom_margin: float = 0.08
    turn_margin: float = 0.04
    min_turned: float = 0.4
    min_score: float = 0.3
    size_power: float = 0.5

    def is_person(self, pose: Pose) -> bool:
        min_score = max(self.min_score, self.min_turned) if pose.rotation else self.min_score
        return int((pose.scores >= THRESHOLD).sum()) >= MIN_JOINTS and pose.score >= min_score


COARSE, COARSE_SCORE = OneSearch(scales=(1.4, 1.0), turns=(0.0, 180.0), min_score=0.2), 0.4
"""The windows to ask about where the detector finds nobody, and the mean score of a person there: somebody who fills
the image may be too large for it. Upside down, they may have no confident joint in a window that is not turned."""


def find_one(estimator: Estimator, image: Image, search: OneSearch = OneSearch()) -> Pose | None:
    """The pose of the clearest and largest person, in image pixels; None if there is none."""

    def rank(pose: Pose) -> float:
        return prominence(pose, image, search.size_power)

    boxes = windows_of(image, search.scales, search.overlap)
    windows = (Region(image, box, turn) for box in boxes for turn in search.turns)
    answers = filter(search.is_person, estimator.unflipped()(windows))
    candidates: dict[Box, Pose] = {}  # by the boxes of their joints
    for answer in sorted(answers, key=rank, reverse=True):
        box = extent(answer)
        if box and all(box.iou(other) < search.same_person_iou for other in candidates):
            candidates[box] = answer
    settled = (_settle(estimator, image, pose, search) for pose in list(candidates.values())[: search.max_candidates])
    return max(filter(search.is_person, settled), key=rank, default=None)


def _settle(estimator: Estimator, image: Image, pose: Pose, search: OneSearch) -> Pose:
    """Redraws the box around the confident joints until it stays."""
    for number in range(search.rounds):
        found = extent(pose)
        if found is None:
            return pose
        tight = estimator.person_box(found)
        loose = Box.around(tight.center, tight.w * search.zoom_out)
        if number and any(box.iou(pose.crop) > search.settled_iou for box in (tight, loose)):
            break
        turns = (pose.rotation,) if number else (0.0, 90.0, 180.0, 270.0)
        tries = [(box, margin, turn) for box, margin in ((tight, 0.0), (loose, search.zoom_margin)) for turn in turns]
        answers = list(estimator.unflipped()(Region(image, box, turn) for box, _, turn in tries))
        merits = []
        for answer, (_, margin, turn) in zip(answers, tries, strict=True):
            merit = answer.score - margin - search.turn_margin * (turn != pose.rotation)
            merits.append(-1.0 if turn and answer.score < search.min_turned else merit)
        pose = answers[int(np.argmax(merits))]
    return next(estimator([Region(image, pose.crop, pose.rotation)]))


@dataclass(frozen=True)
class AllSearch:
    """How ``find_all`` searches. To trade precision for recall, change ``min_prominence``.

    scales, overlap: see ``windows_of``. People much smaller than the smallest window are missed; half of all windows
    have that size.
    min_score: the score from which on a window is followed up. max_candidates: how many are, at most.
    repeat: the OKS at which two poses show the same person.
    zooms: sizes of a candidate's box, where 1 fits the confident joints, which are too few if the body is cut off or
    hidden.
    size_power: see ``prominence``; small apparent people often are none.
    min_prominence: the threshold. The default gives a precision of 70 % with the bundled weights on half of COCO's
    images; tests/benchmarks/crowds.py --windows measures it.
    """

    scales: tuple[float, ...] = (*OneSearch.scales, 0.25)
    overlap: float = 0.5
    min_score: float = 0.2
    max_candidates: int = 40
    repeat: float = 0.35
    zooms: tuple[float, ...] = (1.0, 1.3, 1.6)
    size_power: float = 0.3
    min_prominence: float = 0.314


def find_all(estimator: Estimator, image: Image, search: AllSearch = AllSearch()) -> list[Pose]:
    """The poses of all people, in image pixels, the most prominent first; [] if there are none."""
    quick = estimator.unflipped()
    windows = quick(Region(image, box) for box in windows_of(image, search.scales, search.overlap))
    central = [pose for pose in windows if pose.score >= search.min_score and is_central(pose)]
    candidates = surest_first(central, search.repeat)[: search.max_candidates]
    closer = []
    for found in filter(None, map(extent, candidates)):
        box = estimator.person_box(found)
        zoomed = quick(Region(image, Box.around(box.center, box.w * zoom)) for zoom in search.zooms)
        closer.append(max(zoomed, key=lambda answer: answer.score))
    remaining = surest_first(filter(is_central, closer), search.repeat)
    poses = filter(is_central, estimator(Region(image, pose.crop) for pose in remaining))
    ranks = ((prominence(pose, image, search.size_power, found_only=True), pose) for pose in poses)
    ranked = sorted(ranks, key=lambda pair: -pair[0])
    return distinct((pose for value, pose in ranked if value >= search.min_prominence), search.repeat)


def is_central(pose: Pose) -> bool:
    """Whether enough joints are found, and the body that they form is about in the middle of the pose's region.

    A body farther off than a quarter of the region's side belongs to another region.
    """
    found = extent(pose)
    if found is None or (pose.scores >= THRESHOLD).sum() < MIN_JOINTS:
        return False
    away = max(abs(a - b) for a, b in zip(found.center, pose.crop.center, strict=True))
    return away <= 0.25 * pose.crop.w
