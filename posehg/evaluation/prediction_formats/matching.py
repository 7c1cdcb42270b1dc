"""What every file of predictions is read to, and how its people and joints are matched with those of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import LOADERS
from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.metrics import Array
from posehg.poses import Person


@dataclass(frozen=True, eq=False)
class Predictions:
    """What is predicted of every person of a data set, in their order, on the set's skeleton.

    keypoints: (N, J, 2) photo pixels counted from 0, NaN where nothing is predicted.
    scores: (N, J) 0 .. 1, NaN where unknown.
    about: how they were made, as {"model": .., "flip": ..}: JSON scalars; {} where a file does not say.
    """

    keypoints: Array
    scores: Array
    about: Mapping[str, Any] = field(default_factory=dict)

    def of(self, rows: Sequence[int]) -> Predictions:
        """What is predicted of some of the persons, by their places."""
        return Predictions(self.keypoints[rows], self.scores[rows], self.about)

    def __post_init__(self) -> None:
        if self.keypoints.shape != (*self.scores.shape, 2) or self.scores.ndim != 2:
            raise ValueError(f"Keypoints of shape {self.keypoints.shape} with scores of {self.scores.shape}.")


def name_of(index: int, person: Person) -> str:
    """What files and sheets call a person of a set: its id, behind its set's name in a joined one; else its place."""
    name = person.id or str(index)
    return f"{person.source}/{name}" if person.source else name


def names(data: Dataset) -> list[str]:
    """Those of all, in their order. Raises UsageError where two persons have one name."""
    found = [name_of(*both) for both in enumerate(data.persons)]
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        raise UsageError(
            f"{len(twice):,} persons of {data.name} {data.split} are in it more than once, the first is {twice[0]}.",
            "Predictions are told apart by the names of the persons: take each of them once.",
        )
    return found


def check_set(path: Path, data: Dataset, dataset: str, split: str) -> None:
    """Raises NotAvailable where a file says that it is of another data set."""
    if (dataset, split) != (data.name, data.split):
        raise NotAvailable(
            f"{path} holds predictions of {dataset} {split}, not of {data.name} {data.split}.",
            f"Score them on their own: --dataset {dataset if dataset in LOADERS else 'FILE'} --split {split}",
        )


def in_rows(path: Path, data: Dataset, keypoints: Array, scores: Array | None, about: Mapping[str, Any]) -> Predictions:
    """Predictions without names: row n is person n of the set, column j is joint j of its skeleton.

    keypoints: (N, J, 2) photo pixels counted from 0. scores: (N, J), None where unknown.
    Raises NotAvailable for other shapes.
    """
    persons, joints = len(data), len(data.skeleton.joints)
    if keypoints.shape != (persons, joints, 2):
        raise NotAvailable(
            f"{path} holds predictions of shape {_shape(keypoints)}, "
            f"where {data.name} {data.split} has {persons} persons x {joints} joints x 2.",
            "Its rows have no names: they must be all persons of the split, in its order.",
        )
    scores = np.full((persons, joints), np.nan) if scores is None else scores
    if scores.shape != (persons, joints):
        raise ValueError(f"scores of shape {_shape(scores)}")
    return Predictions(*_whole(keypoints, scores), about)


def by_name(
    path: Path,
    data: Dataset,
    people: Sequence[str],
    joints: Sequence[str],
    keypoints: Array,
    scores: Array,
    about: Mapping[str, Any],
) -> Predictions:
    """Predictions with names: their people in any order, joints matched by name.

    keypoints: (M, K, 2) photo pixels counted from 0, of these M people and K joints. scores: (M, K). Joints that the
    set does not have are left out; those that it has alone are NaN.
    Raises NotAvailable where they are not the people of the set, each once, or have no joint in common with it.
    """
    if keypoints.shape != (len(people), len(joints), 2) or scores.shape != keypoints.shape[:2]:
        shapes = f"keypoints of shape {_shape(keypoints)} with scores of shape {_shape(scores)}"
        raise ValueError(f"{shapes} for {len(people)} people and {len(joints)} joints")
    rows = _rows(path, data, people)
    places = columns(path, data, joints)
    points, certain = (
        on_skeleton(values[rows].swapaxes(0, 1), places).swapaxes(0, 1) for values in (keypoints, scores)
    )
    return Predictions(*_whole(points, certain), about)


def columns(path: Path, data: Dataset, joints: Sequence[str]) -> list[int | None]:
    """For each joint of the set's skeleton its place among a file's ``joints``, None where it is not there.

    Raises NotAvailable where none is, ValueError where one is named twice.
    """
    places = [joints.index(joint) if joint in joints else None for joint in data.skeleton.joints]
    if len(set(joints)) != len(joints):
        raise ValueError("a joint is named twice")
    if not any(place is not None for place in places):
        hint = f"It has: {', '.join(joints)}."
        raise NotAvailable(f"{path} has no joint in common with the skeleton of {data.name}.", hint)
    return places


def on_skeleton(values: Array, places: Sequence[int | None]) -> Array:
    """(K, ...) of a file's joints -> (J, ...) of the set's, NaN where the file has none. places: of ``columns``."""
    return np.stack([np.full(values.shape[1:], np.nan) if place is None else values[place] for place in places])


def _rows(path: Path, data: Dataset, people: Sequence[str]) -> list[int]:
    """For each person of the set the row of the file."""
    wanted = names(data)
    rows = {name: row for row, name in enumerate(people)}
    faults = {
        f"of {len(wanted):,} missing": [name for name in wanted if name not in rows],
        f"of {len(rows):,} unknown": sorted(rows.keys() - set(wanted)),
        "in it more than once": [name for name, times in Counter(people).items() if times > 1],
    }
    told = [f"{len(found):,} {fault}, as {found[0]}" for fault, found in faults.items() if found]
    if told:
        raise NotAvailable(
            f"The people in {path} are not those of {data.name} {data.split}: {'; '.join(told)}.",
            "Predictions are scored on all the persons that they were made of, and on no others.",
        )
    return [rows[name] for name in wanted]


def given(keypoints: Array) -> NDArray[np.bool_]:
    """(..., 2) -> (...): which joints have both coordinates."""
    return np.asarray(np.isfinite(keypoints).all(axis=-1))


def numbers(values: Any) -> Array:
    """An array of real numbers as float64. Raises TypeError for anything else."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{array.dtype} is no number")
    return array.astype(np.float64)


def _whole(keypoints: Array, scores: Array) -> tuple[Array, Array]:
    """A joint without x or without y is not predicted. Raises ValueError for infinite numbers."""
    if np.isinf(keypoints).any() or np.isinf(scores).any():
        raise ValueError("a number is infinite")
    there = given(keypoints)
    return np.where(there[..., None], keypoints, np.nan), np.where(there, scores, np.nan)


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape)) or "one number"
