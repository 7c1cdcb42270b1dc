"""Values: an annotated person, a found pose, and the result for one image or frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Affine, Box, Points
from posehg.skeletons import Skeleton

THRESHOLD = 0.3
"""The least score of a found joint. Drawing has a threshold of its own."""

_BODY = 0.06
"""How far a body reaches beyond its joints, as a share of their bounding box's longer side: the median of 4 sets."""


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person in an image.

    image: the image file (in a rendered data set: its name).
    box: the person's bounding box in image pixels, without padding.
    keypoints: (J, 2) image pixels (pixel centres are integers); NaN = not labelled. Points may lie outside the image.
    visible: (J,) bool; False = labelled but hidden, or not labelled.
    head_size: the unit of PCKh in image pixels, or None if the annotation has no head box.
    id: identifies the person within the data set.
    source: in joined data sets, the name of the data set that the person is from.
    area: the person's segmented area in square pixels, the unit of OKS; None if it is not annotated.
    crowd: the box holds many people that are not annotated one by one.
    """

    image: Path
    box: Box
    keypoints: Points
    visible: NDArray[np.bool_]
    head_size: float | None = None
    id: str = ""
    source: str = ""
    area: float | None = None
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Pose:
    """One found person.

    keypoints: (J, 2) image pixels (pixel centres are integers), always finite.
    scores: (J,) the confidence of each joint, 0 .. 1.
    crop: the square that the network saw, in image pixels, turned by ``rotation`` degrees anticlockwise.
    score: the mean of the scores.
    id: the track id, in videos only.
    A joint is found if its score is at least 0.3.
    """

    skeleton: Skeleton
    keypoints: Points
    scores: NDArray[np.float64]
    crop: Box
    score: float
    id: int | None = None
    rotation: float = 0.0

    def __getitem__(self, joint: str) -> tuple[float, float]:
        """Where a joint is, in image pixels: ``x, y = pose["left_wrist"]``.

        Raises UnknownName, a KeyError, for a name that the skeleton does not have.
        """
        x, y = self.keypoints[self.skeleton.index(joint)]
        return float(x), float(y)

    def __contains__(self, joint: object) -> bool:
        """Whether a joint is found, with a score of at least 0.3: ``"left_wrist" in pose``."""
        return joint in self.skeleton.joints and bool(self.found[self.skeleton.joints.index(str(joint))])

    def __repr__(self) -> str:
        box = ", ".join(f"{side:.0f}" for side in self.bbox)
        id = "" if self.id is None else f", id={self.id}"
        joints = f"{self.found.sum()} of {len(self.scores)} joints found"
        return f"Pose(score={self.score:.2f}, {joints}, bbox=({box}){id})"

    def angle(self, first: str, at: str, last: str) -> float:
        """The angle at the joint ``at`` between the directions to two other joints: 0 .. 180 degrees, in the image.

        ``pose.angle("left_shoulder", "left_elbow", "left_wrist")`` is 180 for a straight arm. NaN if one of the joints
        is not found. Raises UnknownName, a KeyError, for a name that the skeleton does not have.
        """
        a, b, c = (np.array(self[joint]) for joint in (first, at, last))
        if not all(joint in self for joint in (first, at, last)):
            return float("nan")
        (x, y), (u, v) = a - b, c - b
        return float(abs(np.degrees(np.arctan2(x * v - y * u, x * u + y * v))))

    @property
    def found(self) -> NDArray[np.bool_]:
        """(J,) bool: whether each joint's score reaches THRESHOLD."""
        return self.scores >= THRESHOLD

    @property
    def bbox(self) -> Box:
        """The person's bounding box in image pixels: that of the found joints and the body around them.

        It may reach beyond the image. Without a found joint it is the crop.
        """
        box = Box.bounding(self.keypoints[self.found])
        if box is None:
            return self.crop
        margin = 2 * _BODY * max(box.w, box.h)
        return Box.around(box.center, box.w + margin, box.h + margin)

    def moved(self, change: Affine) -> Pose:
        """The same pose on an image that was cropped, scaled or mirrored by ``change``."""
        return replace(self, keypoints=change(self.keypoints), crop=self.crop.moved(change))


@dataclass(frozen=True, eq=False)
class Heatmaps:
    """The network's heatmaps of one person.

    maps: (J, h, w) in 0 .. 1. to_image: maps (column, row) of a heatmap cell to image pixels.
    """

    maps: NDArray[np.floating[Any]]
    to_image: Affine


@dataclass(frozen=True, eq=False)
class Result:
    """One image or video frame, and the people found on it.

    source: the image, video or camera as the user named it.
    model: the name of the network. skeleton: its joints.
    people: their poses in image pixels, the most prominent first.
    image: RGB uint8 (H, W, 3), upright; None if it was not read, or is no longer needed.
    size: rows and columns of the image; None if it was not read.
    frame, time, fps: of a video, the number of the frame from 0, its time in seconds, and the average frame rate.
    error: why there are no people, if the image could not be read or processed.
    heatmaps: one a person, if they were asked for.
    """

    source: str
    model: str
    skeleton: Skeleton
    people: Sequence[Pose] = ()
    image: NDArray[np.uint8] | None = None
    size: tuple[int, int] | None = None
    frame: int | None = None
    time: float | None = None
    fps: float | None = None
    error: str | None = None
    heatmaps: Sequence[Heatmaps] = ()
