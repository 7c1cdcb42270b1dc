"""A small data set, and predictions of it that are off by known amounts."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from posehg.datasets import Dataset
from posehg.evaluation.predictions import Predictions
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import MPII, Skeleton

HEAD = 40.0


def photo(person: Person) -> Image:
    """Grey, of a shade of its own."""
    return np.full((131, 173, 3), 20 + 10 * int(person.id.removeprefix("p")), dtype=np.uint8)


def dataset(count: int = 7, skeleton: Skeleton = MPII, name: str = "made", split: str = "val") -> Dataset:
    """Persons p0, p1 ..; every fourth joint of each is not labelled, the torso's two always are."""
    rng = np.random.default_rng(count)
    people = []
    for number in range(count):
        keypoints = rng.uniform(10, 120, (len(skeleton.joints), 2))
        keypoints[number % 4 :: 4] = np.nan
        for joint, point in zip(skeleton.torso, ((40.0, 30.0), (70.0, 70.0)), strict=True):
            if joint in skeleton.joints:
                keypoints[skeleton.index(joint)] = point
        visible = np.isfinite(keypoints).all(axis=1)
        people.append(Person(Path(f"{number}.png"), Box(5, 5, 120, 120), keypoints, visible, HEAD, f"p{number}"))
    return Dataset(name, split, skeleton, people, photo, note="A note.")


def predictions(data: Dataset, spread: float = 10.0, seed: int = 0) -> Predictions:
    """Everywhere, and off by so many pixels in x and in y, in the mean."""
    rng = np.random.default_rng(seed)
    truth = np.stack([np.nan_to_num(person.keypoints, nan=50.0) for person in data.persons])
    return Predictions(truth + rng.normal(0, spread, truth.shape), np.full(truth.shape[:2], 0.5), {"model": "m"})


def moved(data: Dataset, number: int, **changes: object) -> Dataset:
    """With one person changed."""
    people = list(data.persons)
    people[number] = replace(people[number], **changes)  # type: ignore[arg-type]
    return replace(data, persons=people)
