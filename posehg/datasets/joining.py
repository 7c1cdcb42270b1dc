"""One training set from several: persons moved to a common skeleton, joints matched by name.

Nothing is copied: the persons are views, so sets that render their persons on demand stay lazy.
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
"""Joints that a set without them can still give, as the middle of two others."""


@dataclass(frozen=True, eq=False)
class _Mapped(LazyPersons):
    """Every person of ``persons``, changed."""

    persons: Sequence[Person]
    change: Callable[[Person], Person]

    def __len__(self) -> int:
        return len(self.persons)

    def get(self, index: int) -> Person:
        return self.change(self.persons[index])


class _Chained(LazyPersons):
    """Several sequences one after the other, each as many times as ``repeats`` says; 0.5 takes the first half."""

    def __init__(self, parts: Sequence[Sequence[Person]], repeats: Sequence[float]) -> None:
        self._parts = parts
        lengths = (round(len(part) * times) for part, times in zip(parts, repeats, strict=True))
        self._ends = list(accumulate(lengths))

    def __len__(self) -> int:
        return self._ends[-1]

    def get(self, index: int) -> Person:
        number = bisect_right(self._ends, index)
        start = self._ends[number - 1] if number else 0
        part = self._parts[number]
        return part[(index - start) % len(part)]


@dataclass(frozen=True)
class _Move:
    """A person's joints in another order.

    channels: for each joint of the new skeleton the channels whose mean it is; none where nothing is known of it.
    """

    channels: tuple[tuple[int, ...], ...]

    def __call__(self, person: Person) -> Person:
        keypoints = np.full((len(self.channels), 2), np.nan)
        visible = np.zeros(len(self.channels), dtype=bool)
        for joint, channels in enumerate(self.channels):
            if channels:
                keypoints[joint] = person.keypoints[list(channels)].mean(axis=0)  # NaN where one of two is not labelled
                visible[joint] = person.visible[list(channels)].all()
        return replace(person, keypoints=keypoints, visible=visible)


def on_skeleton(dataset: Dataset, skeleton: Skeleton) -> Dataset:
    """The set with its joints in the order of ``skeleton``; what it does not have is not labelled (NaN).

    Pelvis and thorax are the middle of hips and shoulders in a set that does not annotate them.
    Raises UsageError where the two skeletons have no joint in common.
    """
    if dataset.skeleton.joints == skeleton.joints:
        return replace(dataset, skeleton=skeleton)
    channels = tuple(_sources(joint, dataset.skeleton.joints) for joint in skeleton.joints)
    if not any(channels):
        raise UsageError(
            f"The data set {dataset.name} has no joint in common with the skeleton {skeleton.name!r}.",
            f"It has: {', '.join(dataset.skeleton.joints)}.",
        )
    move = _Move(channels)
    persons, ignored = _Mapped(dataset.persons, move), [move(person) for person in dataset.ignored]
    return replace(dataset, skeleton=skeleton, persons=persons, ignored=ignored)


def _sources(joint: str, joints: tuple[str, ...]) -> tuple[int, ...]:
    names = (joint,) if joint in joints else MIDPOINTS.get(joint, ())
    return tuple(joints.index(name) for name in names) if names and set(names) <= set(joints) else ()


@dataclass(frozen=True)
class _Mark:
    """Writes on a person which set it comes from."""

    source: str

    def __call__(self, person: Person) -> Person:
        return replace(person, source=self.source)


@dataclass(frozen=True, eq=False)
class ReadBySource:
    """Reads a person's picture as the set does that it comes from."""

    readers: Mapping[str, Callable[[Person], Image]]

    def __call__(self, person: Person) -> Image:
        return self.readers[person.source](person)


def join(datasets: Sequence[Dataset], skeleton: Skeleton, repeats: Sequence[float] | None = None) -> Dataset:
    """All persons of the sets on one skeleton, the sets one after the other.

    repeats: how many times each set's persons are in the result, so that a small set weighs more; once by default.
        A part of a time takes the first of them.
    The names that a set's own files have for its pictures are not kept: two sets may have the same ones.
    Raises UsageError where two sets have one name, where a set has no joint in common with the skeleton, and where the
    part that is taken of it is nobody.
    """
    repeats = repeats or (1,) * len(datasets)
    names = [dataset.name for dataset in datasets]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        hint = f"Write {twice[0]}:2 to have its persons twice; two files of one name need to be renamed."
        raise UsageError(f"The data set {twice[0]} is named twice.", hint)
    for part, times in zip(datasets, repeats, strict=True):
        if len(part) and not round(len(part) * times):
            raise UsageError(
                f"{times:g} times the {len(part):,} persons of {part.name} is nobody.", "Take a larger part of them."
            )
    moved = [on_skeleton(part, skeleton) for part in datasets]
    notes = [f"{part.name}: {part.note}" for part in datasets if part.note]
    return Dataset(
        name="+".join(names),
        split=datasets[0].split,
        skeleton=skeleton,
        persons=_Chained([_Mapped(part.persons, _Mark(part.name)) for part in moved], repeats),
        read=ReadBySource({part.name: part.read for part in datasets}),
        note=" ".join(notes),
        ignored=[_Mark(part.name)(person) for part in moved for person in part.ignored],
    )
