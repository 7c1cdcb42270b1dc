"""One training set from several: persons on a common skeleton, joints matched by name.

Nothing is copied: the persons are made when they are asked for, so rendered sets stay lazy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from posehg.datasets.dataset import Dataset, LazyPersons
from posehg.errors import UsageError
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton

MIDPOINTS = {"pelvis": ("right_hip", "left_hip"), "thorax": ("right_shoulder", "left_shoulder")}
"""Joints that follow, in a set without them, as the middle of two others."""


@dataclass(frozen=True, eq=False)
class _Moved(LazyPersons):
    """Persons on another skeleton. channels: for each of its joints those whose mean it is; () if nothing is known."""

    persons: Sequence[Person]
    channels: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.persons)

    def get(self, index: int) -> Person:
        person = self.persons[index]
        keypoints = np.full((len(self.channels), 2), np.nan)
        visible = np.zeros(len(self.channels), dtype=bool)
        for joint, channels in enumerate(self.channels):
            if channels:
                keypoints[joint] = person.keypoints[list(channels)].mean(axis=0)  # NaN if one of two is not labelled
                visible[joint] = person.visible[list(channels)].all()
        return replace(person, keypoints=keypoints, visible=visible)


@dataclass(frozen=True, eq=False)
class _Concatenated(LazyPersons):
    """The persons of several sets, one set after the other. ends: the number of persons up to each set's end.

    A set with more places than persons is repeated, one with fewer is cut. Each person's ``source`` names its set.
    """

    parts: Sequence[Sequence[Person]]
    names: Sequence[str]
    ends: Sequence[int]

    def __len__(self) -> int:
        return self.ends[-1]

    def get(self, index: int) -> Person:
        number = bisect_right(self.ends, index)
        start = self.ends[number - 1] if number else 0
        part = self.parts[number]
        return replace(part[(index - start) % len(part)], source=self.names[number])


@dataclass(frozen=True, eq=False)
class _ReadBySource:
    """Reads a person's image as the set does from which it comes. A class, so that it can be pickled."""

    readers: Mapping[str, Callable[[Person], Image]]

    def __call__(self, person: Person) -> Image:
        return self.readers[person.source](person)


def on_skeleton(dataset: Dataset, skeleton: Skeleton) -> Dataset:
    """The set with its joints in the order of ``skeleton``; joints that it lacks are not labelled (NaN).

    Pelvis and thorax are the middle of hips and shoulders in a set that does not annotate them.
    Raises UsageError if the two skeletons have no joint in common.
    """
    joints = dataset.skeleton.joints
    if joints == skeleton.joints:
        return replace(dataset, skeleton=skeleton)
    channels = []
    for joint in skeleton.joints:
        names = (joint,) if joint in joints else MIDPOINTS.get(joint, ())
        channels.append(tuple(joints.index(name) for name in names) if set(names) <= set(joints) else ())
    if not any(channels):
        raise UsageError(
            f"The data set {dataset.name} has no joint in common with the skeleton {skeleton.name!r}.",
            f"It has: {', '.join(joints)}.",
        )
    persons, ignored = (_Moved(people, tuple(channels)) for people in (dataset.persons, dataset.ignored))
    return replace(dataset, skeleton=skeleton, persons=persons, ignored=list(ignored))


def concat(datasets: Sequence[Dataset], skeleton: Skeleton, weights: Sequence[float] | None = None) -> Dataset:
    """All persons of the sets on one skeleton, one set after the other.

    weights: how many times each set's persons appear, 1 by default, so that a small set counts more; 0.5 takes the
    first half of them. The sets' own ids of images are dropped, because two sets may have the same ones. Raises
    UsageError if two sets have one name, if a set has no joint in common with the skeleton, or if a weight leaves
    nobody of it.
    """
    weights = weights or (1,) * len(datasets)
    names = [dataset.name for dataset in datasets]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        hint = f"Write {twice[0]}:2 to have its persons twice; two files of one name need to be renamed."
        raise UsageError(f"The data set {twice[0]} is named twice.", hint)
    counts = [round(len(part) * weight) for part, weight in zip(datasets, weights, strict=True)]
    for part, weight, count in zip(datasets, weights, counts, strict=True):
        if len(part) and not count:
            sentence = f"{weight:g} times the {len(part):,} persons of {part.name} is nobody."
            raise UsageError(sentence, "Take a larger part of them.")
    moved = [on_skeleton(part, skeleton) for part in datasets]
    return Dataset(
        name="+".join(names),
        split=datasets[0].split,
        skeleton=skeleton,
        persons=_Concatenated([part.persons for part in moved], names, list(accumulate(counts))),
        read=_ReadBySource({part.name: part.read for part in datasets}),
        note=" ".join(f"{part.name}: {part.note}" for part in datasets if part.note),
        ignored=[replace(person, source=part.name) for part in moved for person in part.ignored],
    )
