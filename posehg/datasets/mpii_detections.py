"""The joints and head boxes of MPII's validation persons as published scores are measured by: J. Tompson's file.

detections_our_format.mat, which HRNet and mmpose call gt_valid.mat or mpii_gt_val.mat, holds the 2,958 persons in his
order: pos_gt_src (16, 2, N), jnt_missing (16, N), headboxes_src (2 corners, 2, N), dataset_joints (16 names), and
predictions of his. Pixels are one-based. It has neither centres nor scales.

It is the release but for 13 of its 44,240 joints. These lie more than 128 * scale pixels to the left of the person's
objpos or above it, beyond the edge of the crop that the file was made by, and the coordinate that lies outside is 0.
The release is right, but everybody's published scores are measured by this file (the hourglass authors' 79.05 of ankles
would be 79.07 by the release). So it is preferred where it lies beside another file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.folder import read_matlab, unreadable
from posehg.datasets.mpii_annotation import JOINTS, Annotation, head_size, validation
from posehg.geometry import Box, Points

NOTE = "The boxes span the labelled joints: detections_our_format.mat has neither centres nor scales."

_NAMES = [
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head"),
    *("rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
]
_ARRAYS = ("dataset_joints", "pos_gt_src", "jnt_missing", "headboxes_src")
_EXPECTED = "J. Tompson's detections_our_format.mat of MPII's 2,958 validation persons"


def read(path: Path, split: str = "val") -> list[Annotation]:
    """Everybody of the validation split, in its order. The file does not tell hidden joints from visible ones."""
    keypoints, labelled, corners = _arrays(path)
    try:
        return [
            Annotation(*key, points, known, Box.bounding(points), head_size(*map(float, head.ravel())))
            for key, points, known, head in zip(validation(), keypoints, labelled, corners, strict=True)
        ]
    except ValueError as error:
        raise unreadable(path, _EXPECTED, str(error)) from None


def _arrays(path: Path) -> tuple[Points, NDArray[np.bool_], Points]:
    """Joints (N, 16, 2), zero-based, NaN where they are not labelled; which are (N, 16); head boxes (N, corner, 2)."""
    count = len(validation())
    arrays = read_matlab(path, _ARRAYS, _EXPECTED, squeeze_me=True)
    absent = next((name for name in _ARRAYS if name not in arrays), None)
    if absent:
        raise unreadable(path, _EXPECTED, f"it lacks '{absent}'")
    names = [str(name) for name in np.atleast_1d(arrays["dataset_joints"]).ravel()]
    if names != _NAMES:
        raise unreadable(path, _EXPECTED, f"its joints are {', '.join(names[:JOINTS])}")
    points = _array(path, arrays, "pos_gt_src", (JOINTS, 2, count))
    missing = _array(path, arrays, "jnt_missing", (JOINTS, count))
    labelled = missing.T == 0
    return (
        np.where(labelled[..., None], points.transpose(2, 0, 1) - 1, np.nan),
        labelled,
        _array(path, arrays, "headboxes_src", (2, 2, count)).transpose(2, 0, 1),
    )


def _array(path: Path, arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array: Any = np.asarray(arrays[name])
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise unreadable(path, _EXPECTED, f"'{name}' is {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)
