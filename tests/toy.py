"""A data set and a network so small that a whole training run takes a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posehg.datasets import Dataset
from posehg.errors import InputError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton
from posehg.training.config import TrainConfig
from posehg.training.report import Validation
from posehg.training.state import Progress

SKELETON = Skeleton(
    "toy", ("left_shoulder", "right_shoulder", "head", "left_hip", "right_hip"), (("left_shoulder", "left_hip"),)
)
TINY = TrainConfig(
    stacks=2, features=4, depth=2, stem=(2, 4, 4), input_size=32, epochs=2, batch=2, seed=3, device="cpu"
)
"""With seven persons: four steps an epoch, of 2, 2, 2 and 1 of them; eight in all."""


def photo(index: int) -> Image:
    coarse = np.random.default_rng(index).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def dataset(count: int = 7, name: str = "toy", split: str = "train") -> Dataset:
    persons = []
    for index in range(count):
        keypoints = np.random.default_rng((1, index)).uniform((20, 12), (60, 52), (len(SKELETON.joints), 2))
        visible = np.ones(len(keypoints), dtype=bool)
        persons.append(Person(Path(f"{index}.png"), Box(18, 10, 44, 44), keypoints, visible, id=str(index)))
    return Dataset(name, split, SKELETON, persons, read=lambda person: photo(int(person.id)))


def with_broken_images(data: Dataset, *indices: int) -> Dataset:
    """The set as if the images of these persons could not be read."""
    broken, read = {data.persons[index].image for index in indices}, data.read

    def try_to_read(person: Person) -> Image:
        if person.image in broken:
            raise InputError(f"{person.image} is broken.", "Copy it again.")
        return read(person)

    return replace(data, read=try_to_read)


class Watcher:
    """A Listener that remembers what was reported, and ends the run after so many steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.places: list[tuple[int, int]] = []
        self.epochs: list[Progress] = []
        self.notes: list[str] = []
        self.facts: dict[str, str] = {}

    def begin(self, facts: Mapping[str, str], progress: Progress) -> None:
        self.facts = dict(facts)

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        self.places.append((epoch, step))
        self.losses.append(loss)
        self.rates.append(rate)

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        self.epochs.append(progress)

    def stop(self) -> bool:
        return len(self.losses) + 1 == self.stop_after  # it is asked before the step is reported

    def note(self, text: str) -> None:
        self.notes.append(text)
