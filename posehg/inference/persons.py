"""The poses of a data set's annotated persons, each from its annotated box."""

from __future__ import annotations

from collections.abc import Iterator

from posehg.datasets.dataset import Dataset
from posehg.inference.estimator import Estimator, View
from posehg.poses import Pose


def estimate(estimator: Estimator, data: Dataset) -> Iterator[Pose]:
    """One Pose a person, in order. The picture of neighbouring persons is read once."""
    return estimator(_views(estimator, data))


def _views(estimator: Estimator, data: Dataset) -> Iterator[View]:
    path = image = None
    for person in data.persons:
        if image is None or person.image != path:
            path, image = person.image, data.read(person)
        yield View(image, estimator.person_box(person.box))
