"""The hourglass authors' annotation of MPII: train.h5, valid.h5 and test.h5, or annot.h5, which holds all three.

One row a person: imgname (in annot.h5 as character codes), person (zero-based), center, scale, part (16, 2), visible
(16,), normalize (PCKh's unit). annot.h5 adds istrain: 0 test, 1 train, 2 a training picture without annotation. Its
oddities:

* In all but annot.h5 the centre is already moved down by 15 * scale, and the scale multiplied by 1.25 after that.
* part is 0 where a joint is not labelled, and -1 like visible where nothing is.
* Coordinates were cut to whole pixels. Of hand-labelled joints, which are whole, nothing was lost; neck and head top
  come from the head box and have lost half a pixel on average: it is given back, so that they are right to 0.5 px.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import h5
from posehg.datasets.folder import unreadable
from posehg.datasets.mpii_annotation import DOWNWARDS, JOINTS, Annotation, Key, belongs, body_box
from posehg.geometry import Points
from posehg.skeletons import MPII

ENLARGED = 1.25
"""By so much the scales of the three files are larger than MPII's."""

_CUT = [MPII.index("upper_neck"), MPII.index("head_top")]
_ARRAYS = {"center": (2,), "scale": (), "part": (JOINTS, 2), "visible": (JOINTS,), "person": (), "normalize": ()}
_ISTRAIN = {"train": 1, "val": 1, "test": 0}
_EXPECTED = "the hourglass authors' .h5 of MPII, one row a person with (16, 2) joints"


def read(path: Path, split: str) -> list[Annotation]:
    arrays = h5.read(path, [*_ARRAYS, "imgname"], _EXPECTED, optional=["istrain"])
    try:
        return _annotations(arrays, split)
    except (ValueError, TypeError, OverflowError) as error:
        raise unreadable(path, _EXPECTED, str(error)) from None


def _annotations(arrays: dict[str, NDArray[Any]], split: str) -> list[Annotation]:
    count = h5.rows(arrays, _ARRAYS)
    images = h5.texts(arrays["imgname"], count)
    keys = [(image, int(person) + 1) for image, person in zip(images, arrays["person"], strict=True)]
    keypoints, visible = _joints(arrays["part"].astype(np.float64), arrays["visible"])
    centers, scales = _as_released(arrays)
    heads = arrays["normalize"].astype(np.float64)
    return [
        Annotation(
            *keys[row],
            keypoints[row],
            visible[row],
            body_box((float(centers[row, 0]), float(centers[row, 1])), float(scales[row])),
            float(heads[row]) if heads[row] > 0 else None,
        )
        for row in _chosen(arrays, keys, split)
    ]


def _chosen(arrays: dict[str, NDArray[Any]], keys: list[Key], split: str) -> list[int]:
    """The rows of the split. Raises ValueError where valid.h5 holds other persons than J. Tompson's."""
    everybody = list(range(len(keys)))
    together = "istrain" in arrays
    if together:
        everybody = np.flatnonzero(arrays["istrain"] == _ISTRAIN[split]).tolist()
    if split == "test":
        return everybody
    rows = [row for row in everybody if belongs(keys[row], split)]
    if split == "val" and not together and len(rows) < len(everybody):
        image, index = keys[next(row for row in everybody if row not in rows)]
        raise ValueError(f"person {index} on {image} is not in J. Tompson's validation split")
    return rows


def _as_released(arrays: dict[str, NDArray[Any]]) -> tuple[Points, NDArray[np.float64]]:
    """Centres and scales as the release has them."""
    centers, scales = arrays["center"].astype(np.float64), arrays["scale"].astype(np.float64)
    if "istrain" in arrays:
        return centers, scales
    scales = scales / ENLARGED
    return np.column_stack([centers[:, 0], centers[:, 1] - DOWNWARDS * scales]), scales


def _joints(part: Points, visible: NDArray[Any]) -> tuple[Points, NDArray[np.bool_]]:
    """Of all persons: (N, 16, 2) zero-based, (N, 16)."""
    labelled = (visible >= 0) & ((part != 0).any(axis=-1) | (visible > 0))
    part[:, _CUT] += 0.5 * np.sign(part[:, _CUT])  # they were cut towards 0
    return np.where(labelled[..., None], part - 1, np.nan), labelled & (visible > 0)
