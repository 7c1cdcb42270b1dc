"""Finds the most prominent person of a picture without a detector: the network itself says where somebody is.

The network answers for the person in the middle of its window, and its scores are low where nobody is. So it is asked
about windows of several sizes; around the confident joints of the best answers boxes are drawn, and it is asked again
about those until the box settles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, View
from posehg.inference.likeness import THRESHOLD, extent
from posehg.poses import Pose

__all__ = ["THRESHOLD", "Search", "most_prominent", "prominence", "windows_of"]

QUARTER_TURNS = (0.0, 90.0, 180.0, 270.0)


@dataclass(frozen=True)
class Search:
    """How the person is looked for.

    scales: sides of the windows, as shares of the picture's longer side. overlap: of neighbouring windows.
    candidates: how many windows are followed up. rounds: how often, at most, a box is redrawn.
    zoom_out, zoom_margin: a redrawn box is tried in the size that fits the confident joints and this many times as
        large, and how much better the score of the larger one must be: somebody whose legs are cut off by the
        picture's border is recognised in the box of the whole body only.
    settled: the box has settled when the old and the new one overlap by this much (intersection over union).
    quarter_turns: whether a candidate is also looked at on its sides and upside down, and how much better its score
        must then be to be believed. min_turned: and what it must be at least: most people are upright, and where nobody
        is, four ways to look are four chances to see somebody.
    min_joints, min_score: with fewer confident joints or a lower mean score there is nobody.
    """

    scales: tuple[float, ...] = (1.4, 1.0, 0.7, 0.5, 0.35)
    overlap: float = 0.5
    candidates: int = 3
    rounds: int = 3
    zoom_out: float = 1.5
    zoom_margin: float = 0.08
    settled: float = 0.8
    quarter_turns: bool = True
    turn_margin: float = 0.04
    min_turned: float = 0.4
    min_joints: int = 4
    min_score: float = 0.3


def most_prominent(estimator: Estimator, image: Image, search: Search = Search()) -> Pose | None:
    """The pose of the person who is clearest and largest, in photo pixels; None where nobody is found."""
    windows = [View(image, box) for box in windows_of(image, search.scales, search.overlap)]
    answers = [pose for pose in estimator.unflipped()(windows) if _is_somebody(pose, search)]
    best = _apart(sorted(answers, key=lambda pose: -prominence(pose, image)), search.candidates)
    settled = [pose for pose in (_settle(estimator, image, pose, search) for pose in best) if pose is not None]
    return max(settled, key=lambda pose: prominence(pose, image), default=None)


def windows_of(image: Image, scales: Sequence[float], overlap: float) -> Iterator[Box]:
    """Squares that cover the picture at every scale and hang over its borders by up to a quarter.

    scales: their sides, as shares of the picture's longer side. overlap: of neighbours, as a share of the side.

    Somebody at the border, or cut off by it, is in the middle of a window only where the window reaches beyond.
    """
    height, width = image.shape[:2]
    for scale in scales:
        side = max(height, width) * scale
        step = side * (1 - overlap)
        for y in _starts(height, side, step):
            for x in _starts(width, side, step):
                yield Box(x, y, side, side)


def _starts(length: float, side: float, step: float) -> list[float]:
    """Where windows of ``side`` begin along 0 .. length; one that is twice as wide is centred."""
    first = min(length / 2, side / 4)  # the middle of the first window
    count = int(np.ceil((length - 2 * first) / step)) + 1
    return [middle - side / 2 for middle in np.linspace(first, length - first, count)]


def _is_somebody(pose: Pose, search: Search) -> bool:
    return int((pose.scores >= THRESHOLD).sum()) >= search.min_joints and pose.score >= search.min_score


def prominence(pose: Pose, image: Image) -> float:
    """The score, weighted by the person's size as a share of the picture's: half as large loses three tenths."""
    box = extent(pose)
    if box is None:
        return 0.0
    return pose.score * (max(box.w, box.h) / max(image.shape[:2])) ** 0.5


def _apart(poses: list[Pose], count: int) -> list[Pose]:
    """The first ``count`` that do not show the same as one before them."""
    chosen: list[Pose] = []
    boxes: list[Box] = []
    for pose in poses:
        box = extent(pose)
        if box is not None and all(box.iou(other) < 0.6 for other in boxes):
            chosen.append(pose)
            boxes.append(box)
        if len(chosen) == count:
            break
    return chosen


def _settle(estimator: Estimator, image: Image, pose: Pose, search: Search) -> Pose | None:
    """Ask again about a box around the confident joints until it no longer changes; None where the person fades."""
    rotation = 0.0
    for number in range(search.rounds):
        found = extent(pose)
        if found is None:
            return None
        tight = estimator.person_box(found)
        loose = Box.around(tight.center, tight.w * search.zoom_out)
        if number and any(box.iou(pose.box) > search.settled for box in (tight, loose)):
            break
        turns = QUARTER_TURNS if search.quarter_turns and number == 0 else (rotation,)
        views = [View(image, box, turn) for box in (tight, loose) for turn in turns]
        handicaps = [
            search.zoom_margin * (box is loose) + search.turn_margin * (turn != rotation)
            for box in (tight, loose)
            for turn in turns
        ]
        answers = list(estimator.unflipped()(views))
        merits = [
            answer.score - handicap if _is_upright_or_sure(answer, search) else -1.0
            for answer, handicap in zip(answers, handicaps, strict=True)
        ]
        best = int(np.argmax(merits))
        pose, rotation = answers[best], views[best].rotation
    pose = next(estimator([View(image, pose.box, rotation)]))
    return pose if _is_somebody(pose, search) and _is_upright_or_sure(pose, search) else None


def _is_upright_or_sure(pose: Pose, search: Search) -> bool:
    return not pose.rotation or pose.score >= search.min_turned
