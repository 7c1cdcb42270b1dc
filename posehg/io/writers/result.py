"""What there is to write of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posehg.drawing import STYLES, Style
from posehg.images import Image
from posehg.poses import Heatmaps, Pose
from posehg.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Found:
    """What was found on a picture, or on a frame of a video, without the picture: what files of numbers hold.

    source: the picture's or video's name as it was given.
    shape: (rows, columns, ...) of the upright picture; None where it could not be read, and ``error`` says why.
    poses: in photo pixels.
    model: the name of the network; skeleton: its joints.
    frame, time: of a video, the frame's number from 0 on and its time in seconds.
    """

    source: str
    shape: tuple[int, ...] | None
    poses: Sequence[Pose]
    model: str
    skeleton: Skeleton
    frame: int | None = None
    time: float | None = None
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """How poses are shown.

    threshold: the least score of a joint that is drawn.
    background: what skeletons are drawn on: ``image``, ``none`` (transparent) or one of drawing.BACKGROUNDS.
    side_by_side: the photo as it is on the left, the skeletons on the right.
    heatmaps: the joints whose heatmaps are shown; () for all.
    """

    threshold: float
    style: Style = STYLES["default"]
    background: str = "image"
    side_by_side: bool = False
    heatmaps: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """A picture, what was found on it, and how that is to be shown.

    image: upright; ``found`` has its shape.
    heatmaps: one a pose of ``found``, in their order; needed by ``heatmaps.write`` only.
    """

    found: Found
    image: Image
    look: Look
    heatmaps: Sequence[Heatmaps] = ()
