"""The official annotation of MPII, mpii_human_pose_v1_u12_1.mat: one MATLAB struct ``RELEASE``.

    RELEASE.img_train(i)                    1: has joints, 0: a test picture
    RELEASE.annolist(i).image.name
                       .annorect(p)         x1 y1 x2 y2 (head box), scale, objpos.x .y
                                   .annopoints.point(k)   x y id (0 .. 15, in no order) is_visible ('0', '1', 0, 1, [])

Any field may be missing or empty: crowds have a head box only. Pixels are one-based.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.folder import read_mat, unreadable
from posehg.datasets.matlab import each, field, number
from posehg.datasets.mpii_annotation import JOINTS, Annotation, belongs, body_box, head_size, unlabelled
from posehg.geometry import Points

_EXPECTED = "MPII's mpii_human_pose_v1_u12_1.mat with the struct 'RELEASE'"


def read(path: Path, split: str) -> list[Annotation]:
    """The persons of a split that have joints (on test pictures: nobody has), a scale and a centre."""
    release = read_mat(path, "RELEASE", _EXPECTED)
    persons = _test_persons if split == "test" else _persons
    try:
        pictures = zip(each(release.annolist), np.atleast_1d(release.img_train), strict=True)
        wanted = [picture for picture, in_train in pictures if bool(in_train) == (split != "test")]
        return [person for picture in wanted for person in persons(picture, split)]
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise unreadable(path, _EXPECTED, str(error)) from None


def _persons(picture: Any, split: str) -> Iterator[Annotation]:
    image = str(picture.image.name)
    for index, rect in enumerate(each(field(picture, "annorect")), start=1):
        points = each(field(field(rect, "annopoints"), "point")) if belongs((image, index), split) else []
        place = _place(rect)
        if points and place:
            yield Annotation(image, index, *_joints(points), body_box(*place), _head_size(rect))


def _test_persons(picture: Any, _: str) -> Iterator[Annotation]:
    for index, rect in enumerate(each(field(picture, "annorect")), start=1):
        if place := _place(rect):
            yield Annotation(str(picture.image.name), index, *unlabelled(), body_box(*place))


def _place(rect: Any) -> tuple[tuple[float, float], float] | None:
    """Centre and scale."""
    scale = number(rect, "scale")
    x, y = (number(field(rect, "objpos"), axis) for axis in "xy")
    return None if x is None or y is None or scale is None else ((x, y), scale)


def _joints(points: list[Any]) -> tuple[Points, NDArray[np.bool_]]:
    keypoints, visible = unlabelled()
    for point in points:
        joint = int(point.id)
        if not 0 <= joint < JOINTS:
            raise ValueError(f"a joint has the id {joint}")
        keypoints[joint] = float(point.x) - 1, float(point.y) - 1
        visible[joint] = _is_visible(field(point, "is_visible"))
    return keypoints, visible


def _is_visible(flag: Any) -> bool:
    """Neck and head top have no flag: the annotators drew them as the head box, so they are in sight."""
    return flag is None or float(flag) > 0


def _head_size(rect: Any) -> float | None:
    x1, y1, x2, y2 = (number(rect, corner) for corner in ("x1", "y1", "x2", "y2"))
    return None if x1 is None or y1 is None or x2 is None or y2 is None else head_size(x1, y1, x2, y2)
