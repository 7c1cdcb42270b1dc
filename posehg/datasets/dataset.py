"""What every reader of a data set returns, and what is known of a set before its files are there."""

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

MIN_JOINTS = 2
"""A person without a bounding box needs this many labelled joints, whose extent becomes the box."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is downloaded.

    title: the full name. paper: the authors and the publication. url: where to get it; "" for a rendered set.
    terms: the licence in a few words. layout: the files of its folder, as ``images/``.
    splits: name -> number of persons in the whole set, and details, as "2,958 persons, J. Tompson's".
    folder: the name of its folder if that is not the set's own.
    """

    title: str
    paper: str
    url: str
    terms: str
    layout: tuple[str, ...]
    splits: dict[str, str]
    skeleton: Skeleton
    folder: str = ""

    def hint(self, name: str) -> str:
        """What to do if the set ``name`` is missing."""
        layout = ", ".join(self.layout)
        return f"Get {self.title} from {self.url} and lay it out in a folder {self.folder or name}: {layout}."


def read_image(person: Person) -> Image:
    """The image of a person, from its file: RGB uint8 (H, W, 3)."""
    return read(person.image)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Annotated persons, all on one skeleton.

    read: returns a person's image as RGB uint8 (H, W, 3); a rendered set draws it.
    note: what a reader of its scores should know, as sentences.
    origin: the coordinate of the first pixel's centre in the set's own files, 0 or 1. Persons always count from 0.
    ignored: annotated people who are neither trained on nor counted as missed: crowds, people without joints, and
        those that ``spread`` leaves out.
    images: the set's own ids of its images -> their files; empty if the set has no ids.
    sizes: (width, height) in pixels of the images whose annotation gives it.
    """

    name: str
    split: str
    skeleton: Skeleton
    persons: Sequence[Person]
    read: Callable[[Person], Image] = read_image
    note: str = ""
    origin: int = 0
    ignored: Sequence[Person] = ()
    images: Mapping[str, Path] = field(default_factory=dict)
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.persons)


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


def spread(data: Dataset, count: int) -> Dataset:
    """At most ``count`` of the set's persons, evenly spread.

    The others become ``ignored``, because they are still on the images. A lazy set drops them instead.
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
    """At most ``count`` indices below ``total``, evenly spread."""
    count = min(count, total)
    return [number * total // count for number in range(count)]


def image_key(person: Person) -> tuple[str, Path]:
    """What two persons on one image have in common: the set that reads it, and the file."""
    return person.source, person.image


def people_by_image(data: Dataset) -> dict[tuple[str, Path], list[tuple[int, Box]]]:
    """For each image the index and bounding box of everyone on it; the index of ignored people is -1."""
    together: dict[tuple[str, Path], list[tuple[int, Box]]] = {}
    for index, person in enumerate(data.persons):
        together.setdefault(image_key(person), []).append((index, person.box))
    for person in data.ignored:
        together.setdefault(image_key(person), []).append((-1, person.box))
    return together
