"""The content of an annotation file, with all splits and before the images are looked for; and checks of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.dataset import MIN_JOINTS, Dataset
from posehg.geometry import FARTHEST, SMALLEST, Box, Points
from posehg.poses import Person
from posehg.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Annotated:
    """persons, ignored, sizes: as in Dataset, but each image is named as in the file.

    images: the file's own ids of its images -> their names. marks: image -> the split that the file says it is in;
    empty if the file does not mention splits. note: what a reader of scores should know.
    """

    skeleton: Skeleton
    persons: Sequence[Person]
    ignored: Sequence[Person]
    images: Mapping[str, Path]
    marks: Mapping[Path, str] = field(default_factory=dict)
    note: str = ""
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        skeleton: Skeleton,
        people: Sequence[Person],
        images: Mapping[str, Path],
        marks: Mapping[Path, str],
        note: str = "",
    ) -> Annotated:
        """Ignores crowds, people without labelled joints and those without a usable bounding box."""
        persons = [person for person in people if _is_usable(person)]
        ignored = [person for person in people if not _is_usable(person)]
        return cls(skeleton, persons, ignored, images, marks, note)

    def chosen(self, choice: Callable[[Path], bool]) -> Annotated:
        """Only what is on the images for which ``choice`` is true."""
        return replace(
            self,
            persons=[person for person in self.persons if choice(person.image)],
            ignored=[person for person in self.ignored if choice(person.image)],
            images={id: image for id, image in self.images.items() if choice(image)},
            sizes={image: size for image, size in self.sizes.items() if choice(image)},
        )

    def within(self, folder: Path) -> Annotated:
        """The same with the images' names as paths below ``folder``."""
        return replace(
            self,
            persons=[replace(person, image=folder / person.image) for person in self.persons],
            ignored=[replace(person, image=folder / person.image) for person in self.ignored],
            images={id: folder / image for id, image in self.images.items()},
            sizes={folder / image: size for image, size in self.sizes.items()},
        )

    def dataset(self, name: str, split: str) -> Dataset:
        """The data set of these persons; its note counts the labelled people that no crop can show."""
        lost = sum(_is_labelled(person) and not person.crowd for person in self.ignored)
        note = f"{self.note} {left_out(lost)}".strip()
        return Dataset(
            name,
            split,
            self.skeleton,
            self.persons,
            note=note,
            ignored=self.ignored,
            images=self.images,
            sizes=self.sizes,
        )


def left_out(count: int) -> str:
    """The note that so many people have no bounding box and no extent of joints; "" for 0."""
    if count == 0:
        return ""
    return f"{count:,} without a box and with fewer than two joints {'is' if count == 1 else 'are'} left out."


def _is_labelled(person: Person) -> bool:
    return bool(np.isfinite(person.keypoints).all(axis=1).any())


def _is_usable(person: Person) -> bool:
    return _is_labelled(person) and not person.crowd and person.box.w > 0 and person.box.h > 0


def extent(box: Box | None, keypoints: Points) -> Box:
    """A person's bounding box: the annotated one, else the extent of the (J, 2) joints.

    A box without width or height counts as not annotated. If fewer than two joints are labelled, it stays empty.
    """
    if box is not None and box.w > 0 and box.h > 0:
        return box
    around = Box.bounding(keypoints)
    if around is not None and np.isfinite(keypoints).all(axis=1).sum() >= MIN_JOINTS:
        return around
    return box or Box(0, 0, 0, 0)


def keypoints_of(triples: NDArray[np.float64]) -> tuple[Points, NDArray[np.bool_]]:
    """(J, 3) x, y and COCO's v (0 not labelled, 1 hidden, 2 visible) -> keypoints (J, 2) with NaN, visible (J,).

    Raises ValueError for another v, and for a labelled joint without coordinates.
    """
    v = triples[:, 2]
    strange = v[(v != 0) & (v != 1) & (v != 2)]
    if len(strange):
        raise ValueError(f"v of a joint is {strange[0]:g}, not 0, 1 or 2")
    labelled = v > 0
    if not np.isfinite(triples[labelled]).all():
        raise ValueError("a labelled joint has no place")
    return check_near(np.where(labelled[:, None], triples[:, :2], np.nan)), v == 2


def check_near(points: Points) -> Points:
    """The same points. Raises ValueError if one, other than NaN, lies farther away than any image is large."""
    far = np.abs(points) > FARTHEST
    if far.any():
        raise ValueError(f"a joint lies at {points[far][0]:g}")
    return points


def box_of(x: float, y: float, w: float, h: float) -> Box:
    """A box whose sides may be 0, which means that there is none. Raises ValueError for an impossible one."""
    near = all(abs(number) <= FARTHEST for number in (x, y, w, h))  # NaN is not
    if not near or not all(side == 0 or side >= SMALLEST for side in (w, h)):
        raise ValueError(f"a box at {x:g}, {y:g} cannot be {w:g} wide and {h:g} high")
    return Box(x, y, w, h)


def square_around(center: tuple[float, float], side: float) -> Box:
    """The square around a point. Raises ValueError for an impossible one, also for one without a size."""
    if side == 0:
        raise ValueError("a box has no size")
    return box_of(*Box.around(center, side).as_tuple())


def positive(value: object, what: str, limit: float = FARTHEST) -> float | None:
    """A size in pixels; None for 0 and None. Raises ValueError for an impossible one. limit: the largest possible."""
    if value is None or value == 0:
        return None
    if not isinstance(value, int | float) or not SMALLEST**2 <= value <= limit:
        raise ValueError(f"its {what} is {value}")
    return float(value)


def area_of(value: object) -> float | None:
    """An area in square pixels, as ``positive``."""
    return positive(value, "area", FARTHEST**2)


def mark(marks: dict[Path, str], image: Path, split: str) -> None:
    """Note which split an image is in. Raises ValueError if it is in another one, too."""
    if marks.setdefault(image, split) != split:
        raise ValueError(f"{image} is in {marks[image]} and in {split}")


def image_name(text: str) -> Path:
    """An image's name as annotation files have it, also those written under Windows."""
    if not text.strip() or "\0" in text:
        raise ValueError("an image has no name")
    return Path(text.strip().replace("\\", "/"))
