"""The pictures of a data set's splits, each once, with the people on it, and what they are called in findings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from posehg.checking.findings import Subject
from posehg.datasets.dataset import Dataset
from posehg.images import Image
from posehg.poses import Person

Place = tuple[int, int]
"""A person: the number of the split, and the place in it."""


@dataclass(frozen=True)
class Picture:
    """A file, and who is annotated on it, in the order of the splits."""

    path: Path
    people: tuple[Place, ...]


class Subjects:
    """splits: of one data set."""

    def __init__(self, splits: Sequence[Dataset]) -> None:
        self.splits = splits
        people: dict[Path, list[Place]] = {}
        for number, split in enumerate(splits):
            for index, person in enumerate(split.persons):
                people.setdefault(person.image, []).append((number, index))
        self.pictures = [Picture(path, tuple(places)) for path, places in people.items()]
        self._folder = os.path.commonpath([os.path.abspath(path.parent) for path in people])

    def people(self) -> Iterator[tuple[Place, Person]]:
        for number, split in enumerate(self.splits):
            for index, person in enumerate(split.persons):
                yield (number, index), person

    def person(self, place: Place) -> Person:
        split, index = place
        return self.splits[split].persons[index]

    def read(self, picture: Picture) -> Image:
        place = picture.people[0]
        return self.splits[place[0]].read(self.person(place))

    def of_person(self, place: Place) -> Subject:
        person, (split, index) = self.person(place), place
        return Subject(self.splits[split].split, self._name(person.image), person.id or f"number {index}", index)

    def of_picture(self, picture: Picture) -> list[Subject]:
        """Once for each split that has it."""
        first = dict(reversed(picture.people))
        return [
            Subject(self.splits[split].split, self._name(picture.path), "", first[split]) for split in sorted(first)
        ]

    def _name(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._folder)).as_posix()
