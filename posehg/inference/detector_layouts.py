"""What the outputs of detector networks mean, and how the picture has to be given to them. See detector's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posehg.inference.detector_graph import Tensor

Array = NDArray[Any]
Outputs = Mapping[str, Array]
Size = tuple[int, int]
"""Of the input: rows, columns."""

Candidates = NDArray[np.float64]
"""(N, 5): left, top, right and bottom edge in pixels of the input, and the score of a person. Perhaps not finite."""

STRIDES = (8, 16, 32)
_STRIDES_OF_LARGE = (*STRIDES, 64)

_NORMALISED = 2.0
"""Coordinates that all are smaller are shares of the input's sides, not pixels."""


@dataclass(frozen=True)
class Layout:
    """fit: how the picture lies on the input: scaled in its top left corner or middle, or stretched.

    bgr: the order of colours. range: what 255 becomes.
    candidates: what outputs and the input's size say.
    """

    fit: Literal["corner", "middle", "stretch"]
    bgr: bool
    range: float
    candidates: Callable[[Outputs, Size], Candidates]


def recognise(
    outputs: Outputs, declared: Sequence[Tensor], size: Size, channels_last: bool, person: int | None
) -> Layout:
    """The layout of a network that gave ``outputs`` to an input of one colour.

    declared: what the file says of the outputs. person: the class of people; None for the layout's usual one.
    Raises ValueError where it is not understood.
    """
    if len(outputs) > 1:
        return _of_lists(outputs, declared, channels_last, 1 if person is None else person)
    ((name, array),) = outputs.items()
    if array.ndim != 3 or array.shape[0] != 1:
        raise ValueError
    return _of_one(name, array[0], size, 0 if person is None else person)


def _of_one(name: str, rows: Array, size: Size, person: int) -> Layout:
    """rows: (N, values) or (values, N)."""
    count, values = rows.shape
    cells = _cells(size, STRIDES)
    if count == cells and values > 5 and values != 84:
        _check_class(person, values - 5)
        raw = bool(np.nanmax(rows[:, 0]) < size[1] / 2)
        return Layout("corner", True, 255, lambda outputs, size: _yolox(outputs[name][0], size, person, raw))
    if count in (3 * cells, 3 * _cells(size, _STRIDES_OF_LARGE)) and values > 5:
        _check_class(person, values - 5)
        return Layout("middle", False, 1, lambda outputs, size: _yolo(outputs[name][0], person))
    if values in (cells, _cells(size, _STRIDES_OF_LARGE)) and count > 4:
        _check_class(person, count - 4)
        return Layout("middle", False, 1, lambda outputs, size: _anchor_free(outputs[name][0].T, person))
    if count == cells and values == 84:
        return Layout("middle", False, 1, lambda outputs, size: _anchor_free(outputs[name][0], person))
    if values == 6:
        return Layout("middle", False, 1, lambda outputs, size: _end_to_end(outputs[name].reshape(-1, 6), size, person))
    raise ValueError


def _check_class(person: int, classes: int) -> None:
    if not 0 <= person < classes:
        raise ValueError(f"it has {classes} classes, none of which has the number {person}")


def _cells(size: Size, strides: Sequence[int]) -> int:
    return sum((size[0] // stride) * (size[1] // stride) for stride in strides)


# ---- one output --------------------------------------------------------------------------------------------------


def _yolox(rows: Array, size: Size, person: int, raw: bool) -> Candidates:
    """(cells, 5 + classes): middle, size, objectness, classes; raw, as shares of a cell and logarithms."""
    place, extent = rows[:, :2].astype(np.float64), rows[:, 2:4].astype(np.float64)
    if raw:
        corners, strides = _grid(size)
        place = (place + corners) * strides
        with np.errstate(over="ignore"):
            extent = np.exp(extent) * strides
    return _of_middles(place, extent, rows[:, 4] * rows[:, 5 + person])


def _grid(size: Size) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each cell's column and row (cells, 2), row after row, of one stride after the other; its stride (cells, 1)."""
    corners, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        corners.append(np.stack((x.ravel(), y.ravel()), axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(corners).astype(np.float64), np.concatenate(strides).astype(np.float64)


def _yolo(rows: Array, person: int) -> Candidates:
    """(3 cells, 5 + classes): middle, size, objectness, classes."""
    return _of_middles(rows[:, :2], rows[:, 2:4], rows[:, 4] * rows[:, 5 + person])


def _anchor_free(rows: Array, person: int) -> Candidates:
    """(cells, 4 + classes): middle, size, classes."""
    return _of_middles(rows[:, :2], rows[:, 2:4], rows[:, 4 + person])


def _of_middles(place: Array, extent: Array, scores: Array) -> Candidates:
    place, half = place.astype(np.float64), extent.astype(np.float64) / 2
    return np.concatenate((place - half, place + half, scores[:, None].astype(np.float64)), axis=1)


def _end_to_end(rows: Array, size: Size, person: int) -> Candidates:
    """(N, 6): corners, score, class."""
    people = rows[np.rint(rows[:, 5]) == person].astype(np.float64)
    return np.concatenate((_in_pixels(people[:, :4], size), people[:, 4:5]), axis=1)


def _in_pixels(corners: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Left, top, right, bottom, which are pixels already or shares of the sides."""
    if corners.size and np.nanmax(np.abs(corners)) > _NORMALISED:
        return corners
    return corners * (size[1], size[0], size[1], size[0])


# ---- lists of boxes, scores and classes --------------------------------------------------------------------------

_WORDS = {
    "boxes": ("box",),
    "scores": ("score", "conf", "prob"),
    "classes": ("class", "label"),
    "count": ("num", "count"),
}
_BESIDE = ("raw", "multiclass", "anchor")
"""Words in the names of what TensorFlow's networks give as well, and nobody needs."""


def _of_lists(outputs: Outputs, declared: Sequence[Tensor], channels_last: bool, person: int) -> Layout:
    names = _roles(outputs, declared)
    tensorflow = channels_last or names["boxes"].startswith("detection_")
    candidates = partial(_lists, names=names, person=person, tensorflow=tensorflow)
    candidates(outputs, (1, 1))  # are the shapes such?
    return Layout("stretch", False, 255 if tensorflow else 1, candidates)


def _roles(outputs: Outputs, declared: Sequence[Tensor]) -> dict[str, str]:
    """Which output is what: by its name, or else by its shape and type. Raises ValueError where one is not there."""
    left = [tensor for tensor in declared if not any(word in tensor.name.lower() for word in _BESIDE)]
    roles: dict[str, str] = {}
    for role, words in _WORDS.items():
        called = [tensor.name for tensor in left if any(word in tensor.name.lower() for word in words)]
        if len(called) > 1:
            raise ValueError
        if called:
            roles[role] = called[0]
    left = [tensor for tensor in left if tensor.name not in roles.values()]
    tests: dict[str, Callable[[Tensor], bool]] = {
        "boxes": lambda tensor: outputs[tensor.name].shape[-1:] == (4,),
        "classes": lambda tensor: tensor.is_integer,
        "scores": lambda tensor: not tensor.is_integer,
    }
    for role, test in tests.items():
        if role not in roles:
            like = [tensor for tensor in left if test(tensor)]
            if len(like) != 1:
                raise ValueError
            roles[role] = like[0].name
            left.remove(like[0])
    return roles


def _lists(outputs: Outputs, size: Size, names: Mapping[str, str], person: int, tensorflow: bool) -> Candidates:
    """Raises ValueError where there is not one score and one class a box."""
    corners = outputs[names["boxes"]].reshape(-1, 4).astype(np.float64)
    scores = outputs[names["scores"]].reshape(-1).astype(np.float64)
    classes = outputs[names["classes"]].reshape(-1)
    if not len(corners) == len(scores) == len(classes):
        raise ValueError
    if "count" in names:
        count = int(np.nan_to_num(outputs[names["count"]].reshape(-1)[0], posinf=0))
        corners, scores, classes = corners[:count], scores[:count], classes[:count]
    corners = corners[:, [1, 0, 3, 2]] if tensorflow else corners
    rows = np.concatenate((_in_pixels(corners, size), scores[:, None]), axis=1)
    return rows[np.rint(classes) == person]
