"""A data set of annotated people: what each reader returns, and sets in part, on another skeleton, or joined.

Nothing is copied: persons of rendered and of joined sets are made when they are asked for.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from posehg import images
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton

T = TypeVar("T")

MIDPOINTS = {"pelvis": ("right_hip", "left_hip"), "thorax": ("right_shoulder", "left_shoulder")}
"""Joints that follow, in a set without them, as the middle of two others."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is downloaded.

    url: where to get it; "" for a rendered set. terms: the licence in a few words. layout: the files of its folder.
    splits: name -> number of people, and details, as "2,958 people, J. Tompson's".
    """

    folder: str
    title: str
    paper: str
    url: str
    terms: str
    layout: tuple[str, ...]
    splits: dict[str, str]
    skeleton: Skeleton

    @property
    def hint(self) -> str:
        """What to do if the set is missing."""
        return f"Get {self.title} from {self.url} and lay it out in a folder {self.folder}: {', '.join(self.layout)}."


def read_image(person: Person) -> Image:
    """A person's image, from its file: RGB uint8 (H, W, 3)."""
    return of_file(person.image, images.read)


def of_file(path: Path, read: Callable[[Path], T]) -> T:
    """What ``read`` returns of an image of a data set. The hint of its InputError tells how to find all broken ones."""
    try:
        return read(path)
    except InputError as error:
        hint = f"{error.hint} All broken images are found by: posehg data check".strip()
        raise InputError(str(error), hint) from None


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
    marks: image -> the split that it is in, if the set holds several of them.
    malformed: the entries of the set's file that make no sense. A set with any is only checked, and used for nothing.
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
    marks: Mapping[Path, str] = field(default_factory=dict)
    malformed: Sequence[NotAvailable] = ()

    def __len__(self) -> int:
        return len(self.persons)


@dataclass(frozen=True, eq=False)
class LazyPersons(Sequence[Person]):
    """A sequence of ``size`` persons; ``make`` returns the one at an index, 0 .. size - 1, when it is asked for."""

    size: int
    make: Callable[[int], Person]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int | slice) -> Any:
        chosen = range(self.size)[index]  # a range counts from the end and raises IndexError
        return self.make(chosen) if isinstance(chosen, int) else [self.make(i) for i in chosen]


def image_key(person: Person) -> tuple[str, Path]:
    """What two persons on one image have in common: the set that reads it, and the file."""
    return person.source, person.image


def people_by_image(data: Dataset) -> dict[tuple[str, Path], list[tuple[int, Box]]]:
    """For each image the index and bounding box of everyone on it; the index of ignored people is -1."""
    together: dict[tuple[str, Path], list[tuple[int, Box]]] = {}
    for index, person in chain(enumerate(data.persons), ((-1, person) for person in data.ignored)):
        together.setdefault(image_key(person), []).append((index, person.box))
    return together


def evenly(total: int, count: int) -> list[int]:
    """At most ``count`` indices below ``total``, evenly spread."""
    count = min(count, total)
    return [number * total // count for number in range(count)]


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


def on_skeleton(data: Dataset, skeleton: Skeleton) -> Dataset:
    """The set with its joints matched by name to those of ``skeleton``; joints that it lacks are not labelled (NaN).

    Pelvis and thorax are the middle of hips and shoulders in a set that does not annotate them.
    Raises UsageError if the two skeletons have no joint in common.
    """
    joints = data.skeleton.joints
    if joints == skeleton.joints:
        return replace(data, skeleton=skeleton)
    sources = [(joint,) if joint in joints else MIDPOINTS.get(joint, ()) for joint in skeleton.joints]
    channels = [[joints.index(name) for name in names] if set(names) <= set(joints) else [] for names in sources]
    if not any(channels):
        sentence = f"The data set {data.name} has no joint in common with the skeleton {skeleton.name!r}."
        raise UsageError(sentence, f"It has: {', '.join(joints)}.")
    moved = [LazyPersons(len(people), partial(_moved, channels, people)) for people in (data.persons, data.ignored)]
    return replace(data, skeleton=skeleton, persons=moved[0], ignored=moved[1])


def _moved(channels: Sequence[list[int]], persons: Sequence[Person], index: int) -> Person:
    """A person on another skeleton, each of whose joints is the mean of these channels, if there are any."""
    person = persons[index]
    keypoints = np.full((len(channels), 2), np.nan)
    visible = np.zeros(len(channels), dtype=bool)
    for joint, own in enumerate(channels):
        if own:
            keypoints[joint] = person.keypoints[own].mean(axis=0)  # NaN if one of two is not labelled
            visible[joint] = person.visible[own].all()
    return replace(person, keypoints=keypoints, visible=visible)


def concat(datasets: Sequence[Dataset], skeleton: Skeleton, weights: Sequence[float]) -> Dataset:
    """All persons of the sets on one skeleton, one set after the other; each person's ``source`` names its set.

    weights: how many times each set's persons appear; 0.5 takes the first half of them. The sets' own ids of images
    are dropped, because two sets may have the same ones.
    Raises UsageError if two sets have one name, if a set has no joint in common with the skeleton, or if a weight
    leaves nobody of it.
    """
    names = [data.name for data in datasets]
    counts = [round(len(data) * weight) for data, weight in zip(datasets, weights, strict=True)]
    for data, weight, count in zip(datasets, weights, counts, strict=True):
        if names.count(data.name) > 1:
            hint = f"Write {data.name}:2 to have its people twice. Of two files with one name, rename one."
            raise UsageError(f"The data set {data.name} is named twice.", hint)
        if len(data) and not count:
            sentence = f"{weight:g} times the {len(data):,} people of {data.name} leaves no people."
            raise UsageError(sentence, "Take a larger part of them.")
    moved = [on_skeleton(data, skeleton) for data in datasets]
    starts = [0, *accumulate(counts)]
    return Dataset(
        name="+".join(names),
        split=datasets[0].split,
        skeleton=skeleton,
        persons=LazyPersons(starts[-1], partial(_joined, [data.persons for data in moved], names, starts)),
        read=partial(_read_by_source, {data.name: data.read for data in datasets}),
        note=" ".join(f"{data.name}: {data.note}" for data in moved if data.note),
        ignored=[replace(person, source=data.name) for data in moved for person in data.ignored],
    )


def _joined(sets: Sequence[Sequence[Person]], names: Sequence[str], starts: Sequence[int], index: int) -> Person:
    """A person of several sets. A set with more places than persons is repeated, one with fewer is cut."""
    number = bisect_right(starts, index) - 1
    persons = sets[number]
    return replace(persons[(index - starts[number]) % len(persons)], source=names[number])


def _read_by_source(readers: Mapping[str, Callable[[Person], Image]], person: Person) -> Image:
    return readers[person.source](person)
