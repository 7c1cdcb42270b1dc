"""What there is to write of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posehg.drawing import STYLES, Style
from posehg.images import Image
from posehg.poses import Pose
from posehg.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Result:
    """The poses on one picture, and how they are to be shown.

    source: the picture's name as it was given.
    poses: in photo pixels of ``image``.
    model: the name of the network.
    threshold: the least score of a joint that is drawn; files of numbers hold all joints.
    background: what the skeletons are drawn on: ``image``, ``none`` (transparent) or one of drawing.BACKGROUNDS.
    """

    source: str
    image: Image
    poses: Sequence[Pose]
    model: str
    skeleton: Skeleton
    threshold: float
    style: Style = STYLES["default"]
    background: str = "image"
