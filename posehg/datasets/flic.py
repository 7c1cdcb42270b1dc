"""Frames Labeled In Cinema: images/*.jpg, and examples.mat or the hourglass authors' train.h5 and valid.h5.

B. Sapp, B. Taskar, MODEC: Multimodal Decomposable Models for Human Pose Estimation, CVPR 2013. 5,003 frames, 3,987 of
them for training. Labels are observer-centric: everybody's left is on the right of the picture, as if all faced the
camera. (``flic-pc`` is person-centric.)

    examples.mat   examples(i).filepath, coords (2, 29), torsobox (x1 y1 x2 y2), istrain, istest: MATLAB's, one-based
    *.h5           a row a person: imgname, index (in examples.mat, from 0), part (11, 2), visible (11,), center, scale

The .h5 are preferred, which need h5py: their centres are those of the hourglass paper, which cut a square of 440 pixels
at mid-height of the frame around the middle of the torso (the torso box's, which somebody else's detector found). A
frame may show several labelled persons, and the same one twice: they are numbered in the order of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import h5
from posehg.datasets.about import About
from posehg.datasets.annotated import check_near, square_around
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split, read_mat, unreadable
from posehg.datasets.matlab import each
from posehg.errors import NotAvailable
from posehg.geometry import Box, Points
from posehg.poses import Person
from posehg.skeletons import FLIC

ABOUT = About(
    title="FLIC",
    paper="B. Sapp, B. Taskar, MODEC: Multimodal Decomposable Models for Human Pose Estimation, CVPR 2013",
    url="https://bensapp.github.io/flic-dataset.html",
    terms="research use",
    layout=("examples.mat or the hourglass authors' train.h5 and valid.h5", "images/"),
    splits={"train": "3,987 persons", "val": "1,016 persons, also called test"},
    skeleton=FLIC,
)
NOTE = "Observer-centric: everybody's left is on the right of the picture, also of people seen from behind."
MAT = "examples.mat"
H5 = {"train": "train.h5", "val": "valid.h5"}
JOINTS = len(FLIC.joints)
SIDE = 440 / 1.25
"""Pixels: crops are 1.25 times the box, and the paper's have 440."""
MIDDLE = 240.0
"""The one-based row around which frames are cut; they have 480 or fewer."""

_SLOTS = [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]  # of coords: those of the 29 that are labelled, in the skeleton's order
_ARRAYS = {"center": (2,), "scale": (), "part": (JOINTS, 2), "visible": (JOINTS,), "index": ()}
_EXPECTED_MAT = "FLIC's examples.mat with the struct array 'examples'"
_EXPECTED_H5 = "the hourglass authors' .h5 of FLIC, one row a person with (11, 2) joints"


@dataclass(frozen=True, eq=False)
class Annotation:
    """A person of a frame, zero-based. keypoints: (11, 2), NaN = not labelled. visible: (11,)."""

    image: str
    keypoints: Points
    visible: NDArray[np.bool_]
    box: Box


def load(root: Path, split: str) -> Dataset:
    """``test``, which it is officially, is another name of ``val``."""
    split = check_split("flic", split, H5)
    path = find(root, (H5[split], MAT))
    if path is None:
        raise NotAvailable(f"{root} holds neither {H5[split]} nor {MAT}.", ABOUT.hint("flic"))
    annotations = read_examples(path, split) if path.name == MAT else read_h5(path)
    return dataset("flic", split, root, annotations, NOTE)


def dataset(name: str, split: str, root: Path, annotations: list[Annotation], note: str) -> Dataset:
    """An id is the frame and the person's number on it, from 1. Persons without a labelled joint are not trained on."""
    counts: Counter[str] = Counter()
    persons = []
    for annotation in annotations:
        counts[annotation.image] += 1
        if split == "val" or np.isfinite(annotation.keypoints).any():
            persons.append(_person(root, annotation, counts[annotation.image]))
    return Dataset(name, split, FLIC, persons, note=note, origin=1)


def find(root: Path, names: Sequence[str]) -> Path | None:
    """The first of these files that lies in ``root`` or in its folder annot."""
    paths = (folder / name for name in names for folder in (root, root / "annot"))
    return next((path for path in paths if path.is_file()), None)


def _person(root: Path, annotation: Annotation, number: int) -> Person:
    return Person(
        image=root / "images" / annotation.image,
        box=annotation.box,
        keypoints=annotation.keypoints,
        visible=annotation.visible,
        id=f"{Path(annotation.image).stem}:{number}",
    )


def read_h5(path: Path) -> list[Annotation]:
    arrays = h5.read(path, [*_ARRAYS, "imgname"], _EXPECTED_H5)
    try:
        return list(_rows(arrays))
    except (ValueError, TypeError) as error:
        raise unreadable(path, _EXPECTED_H5, str(error)) from None


def _rows(arrays: dict[str, NDArray[Any]]) -> Iterator[Annotation]:
    count = h5.rows(arrays, _ARRAYS)
    images = h5.texts(arrays["imgname"], count)
    index, times = np.unique(arrays["index"], return_counts=True)
    if (times > 1).any():
        raise ValueError(f"person {index[times > 1][0]} is in it {times.max()} times")
    part = arrays["part"].astype(np.float64)
    sides = arrays["scale"].astype(np.float64) * 200 / 1.25  # the scale is that of the crop
    if not (sides > 0).all():
        raise ValueError("somebody has no scale")
    for row in range(count):
        keypoints, labelled = _joints(part[row])
        x, y = map(float, arrays["center"][row])
        box = square_around((x - 1, y - 1), float(sides[row]))
        yield Annotation(images[row], keypoints, labelled & (arrays["visible"][row] > 0), box)


def read_examples(path: Path, split: str) -> list[Annotation]:
    examples = read_mat(path, "examples", _EXPECTED_MAT)
    try:
        return [_example(one) for one in each(examples) if bool(one.istrain if split == "train" else one.istest)]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise unreadable(path, _EXPECTED_MAT, str(error)) from None


def _example(example: Any) -> Annotation:
    keypoints, labelled = _joints(np.asarray(example.coords, dtype=np.float64)[:, _SLOTS].T)
    x1, _, x2, _ = map(float, example.torsobox)
    return Annotation(str(example.filepath), keypoints, labelled, square_around(((x1 + x2) / 2 - 1, MIDDLE - 1), SIDE))


def _joints(points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """One-based (11, 2) -> zero-based with NaN for what is not labelled (in files NaN, 0 or -1); what is labelled."""
    labelled = np.asarray(np.isfinite(points).all(axis=1) & (points > 0).any(axis=1))
    return check_near(np.where(labelled[:, None], points - 1, np.nan)), labelled
