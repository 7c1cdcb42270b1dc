"""From a picture to the poses of the people on it, in each of the ways a user may ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from posehg.errors import InputError, UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, View
from posehg.inference.everybody import everybody
from posehg.inference.people import most_prominent
from posehg.poses import Heatmaps, Pose

People = Literal["one", "all"]


@dataclass(frozen=True)
class How:
    """Where the people are, if that is known, and else how many are looked for.

    people: ``one``, the most prominent, or ``all``.
    boxes: where they are, in photo pixels, before any padding: nobody is looked for, and each has a pose; () for a
        picture of which it is known that nobody is there.
    whole: somebody fills the picture: all of it is taken.
    """

    people: People = "one"
    boxes: Sequence[Box] | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if self.people not in get_args(People):
            raise UsageError(f"People are looked for as {' or '.join(get_args(People))}, not {self.people!r}.")
        if self.boxes is not None and self.whole:
            raise UsageError("Boxes say where people are, whole that somebody is everywhere: give one of them.")


def heatmaps_of(estimator: Estimator, image: Image, poses: Sequence[Pose]) -> list[Heatmaps]:
    """What the network sees where the poses were found on the picture."""
    views = [View(image, pose.box, pose.rotation) for pose in poses]
    maps = estimator.heatmaps(views)
    return [Heatmaps(map, estimator.to_heatmap(view).inverse()) for view, map in zip(views, maps, strict=True)]


def find(estimator: Estimator, image: Image, how: How = How(), name: str = "the picture") -> list[Pose]:
    """The poses in photo pixels: one a box in their order, or the most prominent person first; [] for nobody.

    name: what errors call the picture. Raises InputError for a box that lies outside it.
    """
    height, width = image.shape[:2]
    picture = Box(0, 0, width, height)
    for box in how.boxes or ():
        if box.intersection(picture) <= 0:
            where = f"{box.x:g},{box.y:g},{box.w:g},{box.h:g}"
            raise InputError(f"The box {where} lies outside {name}.", f"The picture is {width} x {height} pixels.")
    if how.boxes is not None:
        return list(estimator(View(image, estimator.person_box(box)) for box in how.boxes))
    if how.whole:
        return list(estimator([View(image, picture.square())]))
    if how.people == "all":
        return everybody(estimator, image)
    pose = most_prominent(estimator, image)
    return [] if pose is None else [pose]
