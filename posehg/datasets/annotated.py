"""What a file of annotated persons says, of all splits and before anybody looks for the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable
from posehg.geometry import FARTHEST, SMALLEST, Box, Points
from posehg.poses import Person
from posehg.skeletons import Skeleton

MIN_JOINTS = 2
"""Fewer labelled joints have no extent that a crop could be cut by."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """persons, ignored: as in Dataset; their ``image`` is the picture's name as the file has it.

    pictures: the file's own names for its pictures -> their file names. marks: of pictures, the split that the file
    says they are in; empty where it says nothing of splits. note: what a reader of figures must know.
    sizes: as in Dataset.
    """

    skeleton: Skeleton
    persons: Sequence[Person]
    ignored: Sequence[Person]
    pictures: Mapping[str, Path]
    marks: Mapping[Path, str] = field(default_factory=dict)
    note: str = ""
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        skeleton: Skeleton,
        people: Sequence[Person],
        pictures: Mapping[str, Path],
        marks: Mapping[Path, str],
        note: str = "",
    ) -> Annotated:
        """Crowds, people without labelled joints and those whom nothing could be cut out by are ignored."""
        persons = [person for person in people if _is_usable(person)]
        ignored = [person for person in people if not _is_usable(person)]
        return cls(skeleton, persons, ignored, pictures, marks, note)

    def chosen(self, choice: Callable[[Path], bool]) -> Annotated:
        """What is on the pictures of that choice."""
        return replace(
            self,
            persons=[person for person in self.persons if choice(person.image)],
            ignored=[person for person in self.ignored if choice(person.image)],
            pictures={name: picture for name, picture in self.pictures.items() if choice(picture)},
            sizes={picture: size for picture, size in self.sizes.items() if choice(picture)},
        )

    def within(self, folder: Path) -> Annotated:
        """The same with the pictures' names as paths, from ``folder`` on."""
        return replace(
            self,
            persons=[replace(person, image=folder / person.image) for person in self.persons],
            ignored=[replace(person, image=folder / person.image) for person in self.ignored],
            pictures={name: folder / picture for name, picture in self.pictures.items()},
            sizes={folder / picture: size for picture, size in self.sizes.items()},
        )

    def noted(self, note: str) -> Annotated:
        """The same with a further sentence in its note."""
        return replace(self, note=f"{self.note} {note}".strip())

    def dataset(self, name: str, split: str) -> Dataset:
        """Its note counts those whom nothing could be cut out by."""
        lost = sum(_is_labelled(person) and not person.crowd for person in self.ignored)
        self = self.noted(left_out(lost)) if lost else self
        return Dataset(
            name,
            split,
            self.skeleton,
            self.persons,
            note=self.note,
            ignored=self.ignored,
            pictures=self.pictures,
            sizes=self.sizes,
        )


def left_out(count: int) -> str:
    """The note that so many people have nothing that a crop could be cut by."""
    return f"{count:,} without a box and with fewer than two joints {'is' if count == 1 else 'are'} left out."


def _is_labelled(person: Person) -> bool:
    return bool(np.isfinite(person.keypoints).all(axis=1).any())


def _is_usable(person: Person) -> bool:
    return _is_labelled(person) and not person.crowd and person.box.w > 0 and person.box.h > 0


def extent(box: Box | None, keypoints: Points) -> Box:
    """The box that a person is cut out by: the annotated one, else the extent of the (J, 2) joints.

    Where there is neither, as the annotated one has no width or height and fewer than two joints are labelled, it has
    none either.
    """
    if box is not None and box.w > 0 and box.h > 0:
        return box
    around = Box.bounding(keypoints)
    if around is not None and np.isfinite(keypoints).all(axis=1).sum() >= MIN_JOINTS:
        return around
    return box or Box(0, 0, 0, 0)


def keypoints_of(triples: NDArray[np.float64]) -> tuple[Points, NDArray[np.bool_]]:
    """(J, 3) x, y and COCO's v (0 not labelled, 1 hidden, 2 visible) -> keypoints (J, 2), NaN, and visible (J,).

    Raises ValueError for another v, and for a labelled joint that lies nowhere.
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
    """The same points. Raises ValueError where one, other than NaN, lies on no picture that there is."""
    far = np.abs(points) > FARTHEST
    if far.any():
        raise ValueError(f"a joint lies at {points[far][0]:g}")
    return points


def box_of(x: float, y: float, w: float, h: float) -> Box:
    """Raises ValueError for one that cannot be; it may have a side of 0, which says that there is none."""
    near = all(abs(number) <= FARTHEST for number in (x, y, w, h))  # NaN is not
    if not near or not all(side == 0 or side >= SMALLEST for side in (w, h)):
        raise ValueError(f"a box at {x:g}, {y:g} cannot be {w:g} wide and {h:g} high")
    return Box(x, y, w, h)


def square_around(center: tuple[float, float], side: float) -> Box:
    """Raises ValueError as ``box_of`` does, and for one without a size."""
    if side == 0:
        raise ValueError("a box has no size")
    return box_of(*Box.around(center, side).as_tuple())


def area_of(value: object) -> float | None:
    """An area, None for 0 and nothing at all. Raises ValueError for one that cannot be."""
    if value is None or value == 0:
        return None
    if not isinstance(value, int | float) or not SMALLEST**2 <= value <= FARTHEST**2:
        raise ValueError(f"its area is {value}")
    return float(value)


def mark(marks: dict[Path, str], picture: Path, split: str) -> None:
    """Note which split a picture is in. Raises ValueError where it is in another one, too."""
    if marks.setdefault(picture, split) != split:
        raise ValueError(f"{picture} is in {marks[picture]} and in {split}")


def wrong(path: Path, place: str, what: object, hint: str = "") -> NotAvailable:
    """The error for one entry of a file that is otherwise as expected. what: a sentence about it."""
    return NotAvailable(f"{path}, {place}: {str(what).rstrip('.')}.", hint)


def picture_name(text: str) -> Path:
    """A picture's name as annotation files have it, also those that were written under Windows."""
    if not text.strip() or "\0" in text:
        raise ValueError("a picture has no name")
    return Path(text.strip().replace("\\", "/"))
