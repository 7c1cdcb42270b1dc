"""What an annotation says of somebody (Person) and what the network says (Pose)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Affine, Box, Points
from posehg.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person on a picture.

    image: the picture's file (of a rendered data set: its name).
    box: the person in photo pixels, before any padding.
    keypoints: (J, 2) photo pixels (pixel centres are integers); NaN = not labelled. Points may lie outside the picture.
    visible: (J,) bool; False = labelled but hidden, or not labelled.
    head_size: the unit of PCKh in photo pixels, or None where the annotation has no head box.
    id: names the person within the data set.
    source: the data set's name, in joined sets only: it tells which of them reads the picture.
    others: boxes of further annotated people on the picture (packed sets only, where each picture shows one person of
        the set).
    area: of the person's outline in square pixels, the unit of OKS; None where it is not annotated.
    crowd: the box holds many people that are not told apart.
    """

    image: Path
    box: Box
    keypoints: Points
    visible: NDArray[np.bool_]
    head_size: float | None = None
    id: str = ""
    source: str = ""
    others: tuple[Box, ...] = ()
    area: float | None = None
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Pose:
    """One found person.

    keypoints: (J, 2) photo pixels (pixel centres are integers), always finite.
    scores: (J,) each joint's confidence, 0 .. 1.
    box: the square of the photo that the network looked at, its content turned by ``rotation`` degrees anticlockwise.
    score: the mean of the scores.
    id: of somebody who is followed through a video.
    """

    skeleton: Skeleton
    keypoints: Points
    scores: NDArray[np.float64]
    box: Box
    score: float
    id: int | None = None
    rotation: float = 0.0

    def __getitem__(self, joint: str) -> tuple[float, float]:
        """Where a joint is, in photo pixels: ``x, y = pose["left_wrist"]``.

        Raises UsageError for a name that the skeleton does not have.
        """
        x, y = self.keypoints[self.skeleton.index(joint)]
        return float(x), float(y)

    def moved(self, change: Affine) -> Pose:
        """The same pose on a picture that was cropped, scaled or mirrored by ``change``."""
        corners = [(self.box.x - 0.5, self.box.y - 0.5)]
        corners += [(self.box.x + self.box.w - 0.5, self.box.y + self.box.h - 0.5)]
        (x0, y0), (x1, y1) = np.sort(change(corners), axis=0)
        box = Box(float(x0) + 0.5, float(y0) + 0.5, float(x1 - x0), float(y1 - y0))
        return replace(self, keypoints=change(self.keypoints), box=box)
