"""What every reader of a data set gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index as to_index
from pathlib import Path
from typing import overload

from posehg.geometry import Box
from posehg.images import Image, read
from posehg.poses import Person
from posehg.skeletons import Skeleton


def read_picture(person: Person) -> Image:
    return read(person.image)


class LazyPersons(Sequence[Person]):
    """A sequence that makes each person when it is asked for."""

    def get(self, index: int) -> Person:
        """The person at ``index``, which is within 0 .. len(self) - 1."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Person: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Person]: ...
    def __getitem__(self, index: int | slice) -> Person | Sequence[Person]:
        if isinstance(index, slice):
            return [self.get(i) for i in range(len(self))[index]]
        return self.get(range(len(self))[to_index(index)])  # a range counts from the end and raises IndexError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Annotated persons, all on one skeleton.

    read: gives a person's picture as RGB uint8 (H, W, 3); rendered sets render it here.
    note: what a reader of its figures must know, as a sentence: how left and right are meant, who is in the split.
    origin: the coordinate of the first pixel's centre in the set's own files, 0 or 1. Persons count from 0 always.
    ignored: people who are annotated but neither trained on nor missed where they are not found: crowds, people without
        joints, those whom ``spread`` leaves out.
    pictures: its pictures by the names that the set's own files have for them; empty where these are the file names.
    sizes: (width, height) of its pictures in pixels, of those that its own files say it of.
    """

    name: str
    split: str
    skeleton: Skeleton
    persons: Sequence[Person]
    read: Callable[[Person], Image] = read_picture
    note: str = ""
    origin: int = 0
    ignored: Sequence[Person] = ()
    pictures: Mapping[str, Path] = field(default_factory=dict)
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.persons)


def spread(data: Dataset, count: int) -> Dataset:
    """At most ``count`` of its persons, evenly spread over the set.

    The others are ignored: they are still on the pictures. Those of a set that makes its persons when they are asked
    for are forgotten.
    """
    if len(data) <= count:
        return data
    chosen = evenly(len(data), count)
    persons = [data.persons[index] for index in chosen]
    if isinstance(data.persons, LazyPersons):
        return replace(data, persons=persons)
    others = [data.persons[index] for index in sorted(set(range(len(data))) - set(chosen))]
    return replace(data, persons=persons, ignored=[*data.ignored, *others])


def evenly(total: int, count: int) -> list[int]:
    """The places of at most ``count`` of ``total``, evenly spread."""
    count = min(count, total)
    return [number * total // count for number in range(count)]


def picture_of(person: Person) -> tuple[str, Path]:
    """What two persons on one picture have in common."""
    return person.source, person.image


def people_by_picture(data: Dataset) -> dict[tuple[str, Path], list[tuple[int, Box]]]:
    """For each picture the place in the set and the box of everybody on it; -1 for those who are ignored."""
    together: dict[tuple[str, Path], list[tuple[int, Box]]] = {}
    for index, person in enumerate(data.persons):
        together.setdefault(picture_of(person), []).append((index, person.box))
    for person in data.ignored:
        together.setdefault(picture_of(person), []).append((-1, person.box))
    return together
