"""What a file of annotated persons says, of all splits and before anybody looks for the pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable
from posehg.geometry import Box, Points
from posehg.poses import Person
from posehg.skeletons import Skeleton

_MIN_JOINTS = 2
"""Fewer labelled joints have no extent that a crop could be cut by."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """persons, ignored: as in Dataset; their ``image`` is the picture's name as the file has it.

    pictures: the file's own names for its pictures -> their file names. marks: of pictures, the split that the file
    says they are in; empty where it says nothing of splits. note: what a reader of figures must know.
    """

    skeleton: Skeleton
    persons: Sequence[Person]
    ignored: Sequence[Person]
    pictures: Mapping[str, Path]
    marks: Mapping[Path, str] = field(default_factory=dict)
    note: str = ""

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
        )

    def within(self, folder: Path) -> Annotated:
        """The same with the pictures' names as paths, from ``folder`` on."""
        return replace(
            self,
            persons=[replace(person, image=folder / person.image) for person in self.persons],
            ignored=[replace(person, image=folder / person.image) for person in self.ignored],
            pictures={name: folder / picture for name, picture in self.pictures.items()},
        )

    def noted(self, note: str) -> Annotated:
        """The same with a further sentence in its note."""
        return replace(self, note=f"{self.note} {note}".lstrip())

    def dataset(self, name: str, split: str) -> Dataset:
        return Dataset(
            name, split, self.skeleton, self.persons, note=self.note, ignored=self.ignored, pictures=self.pictures
        )


def _is_usable(person: Person) -> bool:
    labelled = bool(np.isfinite(person.keypoints).all(axis=1).any())
    return labelled and not person.crowd and person.box.w > 0 and person.box.h > 0


def extent(box: Box | None, keypoints: Points) -> Box:
    """The box that a person is cut out by: the annotated one, else the extent of the (J, 2) joints.

    Where there is neither, as the annotated one has no width or height and fewer than two joints are labelled, it has
    none either.
    """
    if box is not None and box.w > 0 and box.h > 0:
        return box
    around = Box.bounding(keypoints)
    if around is not None and np.isfinite(keypoints).all(axis=1).sum() >= _MIN_JOINTS:
        return around
    return box or Box(0, 0, 0, 0)


def joints_of(triples: NDArray[np.float64]) -> tuple[Points, NDArray[np.bool_]]:
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
    return np.where(labelled[:, None], triples[:, :2], np.nan), v == 2


def box_of(x: float, y: float, w: float, h: float) -> Box:
    """Raises ValueError for one that cannot be."""
    if not all(map(math.isfinite, (x, y, w, h))) or w < 0 or h < 0:
        raise ValueError(f"a box at {x:g}, {y:g} cannot be {w:g} wide and {h:g} high")
    return Box(x, y, w, h)


def wrong(path: Path, place: str, what: object, hint: str = "") -> NotAvailable:
    """The error for one entry of a file that is otherwise as expected. what: a sentence about it."""
    return NotAvailable(f"{path}, {place}: {str(what).rstrip('.')}.", hint)


def picture_name(text: str) -> Path:
    """A picture's name as annotation files have it, also those that were written under Windows."""
    if not text.strip() or "\0" in text:
        raise ValueError("a picture has no name")
    return Path(text.strip().replace("\\", "/"))
