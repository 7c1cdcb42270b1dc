"""What every reader of a data set gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from posehg.images import Image, read
from posehg.poses import Person
from posehg.skeletons import Skeleton


def read_picture(person: Person) -> Image:
    return read(person.image)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Annotated persons, all on one skeleton.

    read: gives a person's picture as RGB uint8 (H, W, 3); rendered sets render it here.
    """

    name: str
    split: str
    skeleton: Skeleton
    persons: Sequence[Person]
    read: Callable[[Person], Image] = read_picture

    def __len__(self) -> int:
        return len(self.persons)


def spread(data: Dataset, count: int) -> Dataset:
    """At most ``count`` of its persons, evenly spread over the set."""
    total = len(data)
    if total <= count:
        return data
    return replace(data, persons=[data.persons[i * total // count] for i in range(count)])
