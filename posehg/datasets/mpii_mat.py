"""The official annotation of MPII, mpii_human_pose_v1_u12_1.mat: one MATLAB struct ``RELEASE``.

    RELEASE.img_train(i)                    1: has joints, 0: a test picture
    RELEASE.annolist(i).image.name
                       .annorect(p)         x1 y1 x2 y2 (head box), scale, objpos.x .y
                                   .annopoints.point(k)   x y id (0 .. 15, in no order) is_visible ('0', '1', 0, 1, [])

Any field may be missing or empty: crowds have a head box only. A struct array of one element is read as the struct.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.folder import read_mat, unreadable
from posehg.geometry import Points
from posehg.skeletons import MPII

HEAD_SIZE = 0.6
"""PCKh's unit as a share of the head box's diagonal (the published evaluation's SC_BIAS)."""

Key = tuple[str, int]
"""A picture's name and the person's one-based place in its annorect."""

_EXPECTED = "MPII's mpii_human_pose_v1_u12_1.mat with the struct 'RELEASE'"


@dataclass(frozen=True, eq=False)
class Annotation:
    """A person as MPII writes it: one-based pixels.

    keypoints: (16, 2), NaN = not labelled. visible: (16,).
    center: objpos. scale: the person's height / 200 px.
    """

    image: str
    index: int
    keypoints: Points
    visible: NDArray[np.bool_]
    center: tuple[float, float]
    scale: float
    head_size: float | None = None

    @property
    def key(self) -> Key:
        return self.image, self.index


def read(path: Path) -> list[Annotation]:
    """The persons of training pictures that have joints, a scale and a centre."""
    release = read_mat(path, "RELEASE", _EXPECTED)
    try:
        pictures = zip(_each(release.annolist), np.atleast_1d(release.img_train), strict=True)
        return [person for picture, in_train in pictures if in_train for person in _persons(picture)]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise unreadable(path, _EXPECTED, str(error)) from None


def _persons(picture: Any) -> Iterator[Annotation]:
    for index, rect in enumerate(_each(_field(picture, "annorect")), start=1):
        points = _each(_field(_field(rect, "annopoints"), "point"))
        scale = _number(rect, "scale")
        x, y = (_number(_field(rect, "objpos"), axis) for axis in "xy")
        if points and scale is not None and x is not None and y is not None:
            keypoints, visible = _joints(points)
            yield Annotation(str(picture.image.name), index, keypoints, visible, (x, y), scale, _head_size(rect))


def _joints(points: list[Any]) -> tuple[Points, NDArray[np.bool_]]:
    keypoints = np.full((len(MPII.joints), 2), np.nan)
    visible = np.zeros(len(MPII.joints), dtype=bool)
    for point in points:
        joint = int(point.id)
        if not 0 <= joint < len(MPII.joints):
            raise ValueError(f"a joint has the id {joint}")
        keypoints[joint] = float(point.x), float(point.y)
        visible[joint] = _is_visible(_field(point, "is_visible"))
    return keypoints, visible


def _is_visible(flag: Any) -> bool:
    """Neck and head top have no flag: the annotators drew them as the head box, so they are in sight."""
    return flag is None or float(flag) > 0


def _head_size(rect: Any) -> float | None:
    x1, y1, x2, y2 = (_number(rect, corner) for corner in ("x1", "y1", "x2", "y2"))
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return None
    return HEAD_SIZE * math.hypot(x2 - x1, y2 - y1) or None


def _each(structs: Any) -> list[Any]:
    """The structs of a struct array, which scipy reads as an array, one struct, an empty array or nothing."""
    if structs is None:
        return []
    return [structs] if hasattr(structs, "_fieldnames") else list(np.atleast_1d(structs))


def _field(struct: Any, name: str) -> Any:
    """A field's value, None where the struct, the field or its value is missing."""
    value: Any = getattr(struct, name, None)
    empty = np.size(value) == 0 or (isinstance(value, str) and not value)
    return None if empty else value


def _number(struct: Any, name: str) -> float | None:
    value = _field(struct, name)
    return None if value is None else float(value)
