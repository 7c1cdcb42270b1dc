"""The five annotation formats of MPII Human Pose, each read to the same zero-based ``Annotation``.

All files are one-based. ``objpos`` lies too high for a crop of the whole body, so users of MPII move it down by 15
pixels times ``scale``. J. Tompson's list says who is in which split.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.annotated import check_near, square_around
from posehg.datasets.reading import (
    check_rows,
    each,
    expecting,
    h5_texts,
    matlab_field,
    read_h5,
    read_json,
    read_mat,
    read_matlab,
    unreadable,
)
from posehg.geometry import Box, Points
from posehg.skeletons import MPII

JOINTS = len(MPII.joints)
HEAD_SIZE = 0.6
"""The unit of PCKh as a share of the head box's diagonal (the published evaluation's SC_BIAS)."""
PERSON_HEIGHT = 200.0
"""MPII's ``scale`` is a multiple of this many pixels."""
DOWNWARDS = 15.0
"""Pixels, times ``scale``, by which the centre of a body lies below MPII's objpos."""

_BROKEN = (KeyError, AttributeError, TypeError, ValueError, IndexError, OverflowError)
"""What reading an entry of another form raises."""

Key = tuple[str, int]
"""An image's name and the person's one-based place in its annorect."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """A person in zero-based pixels.

    keypoints: (16, 2), NaN = not labelled. visible: (16,).
    box: the square around the body; None if the file has no scale for this person.
    head_size: the unit of PCKh in pixels; None if the file has no head box.
    """

    image: str
    index: int
    keypoints: Points
    visible: NDArray[np.bool_]
    box: Box | None
    head_size: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError if a joint lies farther away than any image is large."""
        check_near(self.keypoints)

    @property
    def key(self) -> Key:
        return self.image, self.index


@cache
def validation() -> dict[Key, int]:
    """The 2,958 persons of J. Tompson's validation split (CVPR 2015) -> their rows in his files."""
    keys = [(image, index) for image, indices in validation_images().items() for index in indices]
    return {key: row for row, key in enumerate(keys)}


@cache
def validation_images() -> dict[str, tuple[int, ...]]:
    """The images of that split, in its order -> the places of the persons on them that belong to it."""
    lines = files("posehg.datasets").joinpath("mpii_validation.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.partition(":") for line in lines if not line.startswith("#")]
    return {f"{image}.jpg": tuple(map(int, (indices or "1").split(","))) for image, _, indices in parts}


def _belongs(key: Key, split: str) -> bool:
    """Whether a person is in ``train`` or ``val``. Others on validation images are in neither of them."""
    return key in validation() if split == "val" else key[0] not in validation_images()


def body_box(center: tuple[float, float], scale: float) -> Box | None:
    """The square of 200 * scale pixels around MPII's one-based objpos, moved down; None without a scale.

    Raises ValueError for an impossible centre or scale.
    """
    if scale <= 0:
        return None
    x, y = center
    return square_around((x - 1, y - 1 + DOWNWARDS * scale), PERSON_HEIGHT * scale)


def head_size(x1: float, y1: float, x2: float, y2: float) -> float | None:
    """The unit of PCKh from a head box; None if the box is a point."""
    return HEAD_SIZE * math.hypot(x2 - x1, y2 - y1) or None


def _unlabelled() -> tuple[Points, NDArray[np.bool_]]:
    return np.full((JOINTS, 2), np.nan), np.zeros(JOINTS, dtype=bool)


# ---- mpii_annotations.json -----------------------------------------------------------------------------------------

_EXPECTED_JSON = "MPII's annotations as a json list of persons"


def read_annotations_json(path: Path, split: str) -> list[Annotation]:
    """The 25,204 usable persons as hourglass projects pass them on, plain or as .json.gz; without head boxes.

    A list of records: img_paths, people_index (one-based), objpos, scale_provided (three decimals), joint_self (16
    times x, y, visible; x = y = 0 is not labelled), isValidation.
    """
    annotations = []
    for number, record in enumerate(_records(path, _EXPECTED_JSON), start=1):
        try:
            key = str(record["img_paths"]), int(record["people_index"])
            if bool(record["isValidation"]) != (key in validation()):
                raise ValueError("isValidation is not as in J. Tompson's list")
            if _belongs(key, split):
                joints = np.array(record["joint_self"], dtype=np.float64).reshape(JOINTS, 3)
                labelled = np.any(joints[:, :2] != 0, axis=1)
                keypoints = np.where(labelled[:, None], joints[:, :2] - 1, np.nan)
                x, y = map(float, record["objpos"])
                box = body_box((x, y), float(record["scale_provided"]))
                annotations.append(Annotation(*key, keypoints, labelled & (joints[:, 2] > 0), box))
        except _BROKEN as error:
            raise unreadable(path, _EXPECTED_JSON, f"record {number}: {type(error).__name__} {error}") from None
    return annotations


def _records(path: Path, expected: str) -> list[Any]:
    records = read_json(path, expected)
    if not isinstance(records, list):
        raise unreadable(path, expected)
    return records


# ---- mpii_human_pose_v1_u12_1.mat ----------------------------------------------------------------------------------

_EXPECTED_MAT = "MPII's mpii_human_pose_v1_u12_1.mat with the struct 'RELEASE'"


def read_release_mat(path: Path, split: str) -> list[Annotation]:
    """The official release: everyone with joints (on test images: regardless of joints), a scale and a centre.

        RELEASE.img_train(i)                    1: has joints, 0: a test image
        RELEASE.annolist(i).image.name
                           .annorect(p)         x1 y1 x2 y2 (head box), scale, objpos.x .y
                                       .annopoints.point(k)   x y id (0 .. 15, in no order) is_visible ('0', '1', 0, 1,
                                       [])

    Any field may be missing or empty: crowds have a head box only.
    """
    release = read_mat(path, "RELEASE", _EXPECTED_MAT)
    annotations = []
    with expecting(path, _EXPECTED_MAT):
        for entry, in_train in zip(each(release.annolist), np.atleast_1d(release.img_train), strict=True):
            if bool(in_train) != (split != "test"):
                continue
            image = str(entry.image.name)
            for index, rect in enumerate(each(matlab_field(entry, "annorect")), start=1):
                scale = matlab_field(rect, "scale")
                x, y = (matlab_field(matlab_field(rect, "objpos"), axis) for axis in "xy")
                if x is None or y is None or scale is None:
                    continue
                keypoints, visible, head = *_unlabelled(), None
                if split != "test":
                    points = each(matlab_field(matlab_field(rect, "annopoints"), "point"))
                    if not points or not _belongs((image, index), split):
                        continue
                    for point in points:
                        joint = int(point.id)
                        if not 0 <= joint < JOINTS:
                            raise ValueError(f"a joint has the id {joint}")
                        keypoints[joint] = float(point.x) - 1, float(point.y) - 1
                        # Neck and head top have no flag: they were drawn as the head box, so they are in sight.
                        flag = matlab_field(point, "is_visible")
                        visible[joint] = flag is None or float(flag) > 0
                    corners = [matlab_field(rect, corner) for corner in ("x1", "y1", "x2", "y2")]
                    if None not in corners:
                        head = head_size(*map(float, corners))
                box = body_box((float(x), float(y)), float(scale))
                annotations.append(Annotation(image, index, keypoints, visible, box, head))
    return annotations


# ---- train.h5, valid.h5, test.h5, annot.h5 -------------------------------------------------------------------------

ENLARGED = 1.25
"""The scales of train.h5, valid.h5 and test.h5 are this much larger than MPII's."""
_CUT = [MPII.index("upper_neck"), MPII.index("head_top")]
_ROWS = {"center": (2,), "scale": (), "part": (JOINTS, 2), "visible": (JOINTS,), "person": (), "normalize": ()}
_ISTRAIN = {"train": 1, "val": 1, "test": 0}
_EXPECTED_H5 = "the hourglass authors' .h5 of MPII, one row a person with (16, 2) joints"


def read_authors_h5(path: Path, split: str) -> list[Annotation]:
    """The hourglass authors' train.h5, valid.h5 and test.h5, or annot.h5, which holds all three.

    One row a person: imgname (in annot.h5 as character codes), person (zero-based), center, scale, part (16, 2),
    visible (16,), normalize (the unit of PCKh). annot.h5 adds istrain: 0 test, 1 train, 2 a training image without
    annotation.

    * In all but annot.h5 the centre is already moved down by 15 * scale, and the scale multiplied by 1.25 after that.
    * part is 0 where a joint is not labelled, and -1 like visible where a person has no annotation.
    * Coordinates were cut to whole pixels. Hand-labelled joints are whole anyway. Neck and head top come from the head
      box and lost half a pixel on average; it is added back, so they are right to 0.5 px.
    """
    arrays = read_h5(path, [*_ROWS, "imgname"], _EXPECTED_H5, optional=["istrain"])
    annotations = []
    with expecting(path, _EXPECTED_H5):
        images = h5_texts(arrays["imgname"], check_rows(arrays, _ROWS))
        keys = [(image, int(person) + 1) for image, person in zip(images, arrays["person"], strict=True)]
        part, visible = arrays["part"].astype(np.float64), arrays["visible"]
        labelled = (visible >= 0) & ((part != 0).any(axis=-1) | (visible > 0))
        part[:, _CUT] += 0.5 * np.sign(part[:, _CUT])  # they were cut towards 0
        keypoints, visible = np.where(labelled[..., None], part - 1, np.nan), labelled & (visible > 0)
        centers, scales = arrays["center"].astype(np.float64), arrays["scale"].astype(np.float64)
        is_annot = "istrain" in arrays
        if not is_annot:
            scales = scales / ENLARGED
            centers = np.column_stack([centers[:, 0], centers[:, 1] - DOWNWARDS * scales])
        for row, key in enumerate(keys):
            if is_annot and arrays["istrain"][row] != _ISTRAIN[split]:
                continue
            if split != "test" and not _belongs(key, split):
                if split == "val" and not is_annot:
                    raise ValueError(f"person {key[1]} on {key[0]} is not in J. Tompson's validation split")
                continue
            box = body_box((float(centers[row, 0]), float(centers[row, 1])), float(scales[row]))
            head = float(arrays["normalize"][row])
            annotations.append(Annotation(*key, keypoints[row], visible[row], box, head if head > 0 else None))
    return annotations


# ---- HRNet's train.json, valid.json, trainval.json, test.json ------------------------------------------------------

HRNET_NOTE = (
    "HRNet's json says neither which joints are hidden (all labelled ones count as visible) nor, except for validation "
    "persons, which person on an image is meant (they are numbered as they appear on it)."
)
_EXPECTED_HRNET = "MPII's annotations as HRNet writes them, a json list of persons"


def read_hrnet_json(path: Path, split: str) -> list[Annotation]:
    """The annotation of HRNet and mmpose. A list of records: image, center (objpos), scale, joints, joints_vis.

    On test images a record has only the first three. Two things are lost in this format:

    * joints_vis is 1 for every labelled joint, also for hidden ones, and 0 for the others, which are written as (-1,
      -1).
    * A record does not say which person on its image it is. Those of the validation split follow from J. Tompson's
      list, whose order the file has. The others are numbered as they appear on their image; if a person before them was
      left out, their ids differ from those of other files.
    """
    annotations = []
    seen: Counter[str] = Counter()
    for number, record in enumerate(_records(path, _EXPECTED_HRNET), start=1):
        try:
            image = str(record["image"])
            is_validation = image in validation_images()
            if (split == "train" and is_validation) or (
                split == "val" and path.name == "trainval.json" and not is_validation
            ):
                continue
            seen[image] += 1
            index = seen[image]
            if split == "val":
                listed = validation_images().get(image, ())
                if index > len(listed):
                    raise ValueError(f"J. Tompson's validation split has {len(listed)} persons on {image}")
                index = listed[index - 1]
            keypoints, visible = _unlabelled()
            if split != "test":
                points = np.array(record["joints"], dtype=np.float64).reshape(JOINTS, 2)
                visible = np.array(record["joints_vis"], dtype=np.float64).reshape(JOINTS) > 0
                keypoints = np.where(visible[:, None], points - 1, np.nan)
            x, y = map(float, record["center"])
            box = body_box((x, y), float(record["scale"]))
            annotations.append(Annotation(image, index, keypoints, visible, box))
        except _BROKEN as error:
            raise unreadable(path, _EXPECTED_HRNET, f"record {number}: {type(error).__name__} {error}") from None
    for image, count in seen.items() if split == "val" else ():
        listed = validation_images()[image]
        if count < len(listed):  # a person left out would give the others wrong numbers
            detail = f"of the {len(listed)} validation persons on {image} it has {count}"
            raise unreadable(path, _EXPECTED_HRNET, detail)
    return annotations


# ---- detections_our_format.mat -------------------------------------------------------------------------------------

DETECTIONS_NOTE = "The boxes span the labelled joints: detections_our_format.mat has neither centres nor scales."
_NAMES = [
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head"),
    *("rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
]
_ARRAYS = ("dataset_joints", "pos_gt_src", "jnt_missing", "headboxes_src")
_EXPECTED_DETECTIONS = "J. Tompson's detections_our_format.mat of MPII's 2,958 validation persons"


def read_detections(path: Path, split: str = "val") -> list[Annotation]:
    """J. Tompson's joints and head boxes of the 2,958 validation persons, by which published scores are measured.

    HRNet and mmpose call the file gt_valid.mat or mpii_gt_val.mat: pos_gt_src (16, 2, N), jnt_missing (16, N),
    headboxes_src (2 corners, 2, N), dataset_joints (16 names). It has no centres, no scales and no visibility.

    It equals the release but for 13 of its 44,240 joints. These lie more than 128 * scale pixels to the left of the
    person's objpos or above it, beyond the edge of the crop that the file was made by, and the coordinate outside is 0.
    The release is right, but all published scores are measured by this file (the hourglass authors' 79.05 of ankles
    would be 79.07 by the release). So it is preferred if it lies beside another file.
    """
    count = len(validation())
    arrays = read_matlab(path, _ARRAYS, _EXPECTED_DETECTIONS, squeeze_me=True)
    with expecting(path, _EXPECTED_DETECTIONS):
        absent = next((name for name in _ARRAYS if name not in arrays), None)
        if absent:
            raise ValueError(f"it lacks '{absent}'")
        names = [str(name) for name in np.atleast_1d(arrays["dataset_joints"]).ravel()]
        if names != _NAMES:
            raise ValueError(f"its joints are {', '.join(names[:JOINTS])}")
        points = _numbers(arrays, "pos_gt_src", (JOINTS, 2, count)).transpose(2, 0, 1) - 1
        labelled = _numbers(arrays, "jnt_missing", (JOINTS, count)).T == 0
        keypoints = np.where(labelled[..., None], points, np.nan)
        corners = _numbers(arrays, "headboxes_src", (2, 2, count)).transpose(2, 0, 1)
        return [
            Annotation(*key, points, known, Box.bounding(points), head_size(*map(float, head.ravel())))
            for key, points, known, head in zip(validation(), keypoints, labelled, corners, strict=True)
        ]


def _numbers(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array: Any = np.asarray(arrays[name])
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)
