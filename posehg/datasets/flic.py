"""Frames Labeled In Cinema: images/*.jpg, and examples.mat or the hourglass authors' train.h5 and valid.h5.

Labels are observer-centric: a person's left is on the right of the image, as if everyone faced the camera. ``flic-pc``,
from the authors' *_personcentric.h5 in the same folder, differs in the 48 validation persons seen from behind.

    examples.mat   examples(i).filepath, coords (2, 29), torsobox (x1 y1 x2 y2), istrain, istest: MATLAB's, one-based
    *.h5           a row a person: imgname, part (11, 2), visible (11,), center, scale

The .h5 are preferred (they need h5py): their centres are those of the hourglass paper, which crops a square of 440
pixels at mid-height of the frame around the middle of the torso (that of the torso box, found by another detector). A
frame may show several labelled persons, and the same one twice; they are numbered in the order of the file.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.reading import check_near, each, expecting, find_file, h5_rows, read_mat, square_around
from posehg.errors import NotAvailable
from posehg.geometry import Box, Points
from posehg.poses import Person
from posehg.skeletons import FLIC

_FLIC = DatasetInfo(
    folder="flic",
    title="FLIC",
    paper="B. Sapp, B. Taskar, MODEC: Multimodal Decomposable Models for Human Pose Estimation, CVPR 2013",
    url="https://bensapp.github.io/flic-dataset.html",
    terms="research use",
    layout=("examples.mat or the hourglass authors' train.h5 and valid.h5", "images/"),
    splits={"train": "3,987 people", "val": "1,016 people, also called test"},
    skeleton=FLIC,
)
INFO = {
    "flic": _FLIC,
    "flic-pc": replace(
        _FLIC,
        title="FLIC, person-centric",
        layout=("the hourglass authors' train_personcentric.h5 and valid_personcentric.h5", "images/"),
    ),
}
NOTES = {
    "flic": "Observer-centric: a person's left is on the right of the image, also of people seen from behind.",
    "flic-pc": "Person-centric: left and right are the person's own.",
}
MAT = "examples.mat"
JOINTS = len(FLIC.joints)
SIDE = 440 / 1.25  # the box's side in pixels: crops are 1.25 times the box, and the paper's have 440
MIDDLE = 240.0  # the one-based row around which frames are cropped; they have 480 rows or fewer

_SLOTS = [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]  # of coords: the 11 of 29 that are labelled, in the skeleton's order
_ROWS = {"center": (2,), "scale": (), "part": (JOINTS, 2), "visible": (JOINTS,)}
_EXPECTED_MAT = "FLIC's examples.mat with the struct array 'examples'"
_EXPECTED_H5 = "the hourglass authors' .h5 of FLIC, one row a person with (11, 2) joints"


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train`` or ``val`` of flic or flic-pc; ``test``, its official name, is another name of ``val``.

    An id is the frame and the person's number on it, from 1. Persons without a labelled joint are not trained on.
    Raises NotAvailable if no file has the split, or if it is broken.
    """
    stem = "valid" if split == "val" else split
    names = (f"{stem}.h5", MAT) if name == "flic" else (f"{stem}_personcentric.h5",)
    path = find_file(root, names)
    if path is None:
        raise NotAvailable(f"{root} holds no {' and no '.join(names)}.", INFO[name].hint)
    found: list[tuple[Path, Box, Points, NDArray[np.bool_]]] = []  # image, box, keypoints, visible
    if path.name == MAT:
        examples = read_mat(path, "examples", _EXPECTED_MAT)
        with expecting(path, _EXPECTED_MAT):
            for one in each(examples):
                if bool(one.istrain if split == "train" else one.istest):
                    keypoints, labelled = _joints(np.asarray(one.coords, dtype=np.float64)[:, _SLOTS].T)
                    x1, _, x2, _ = map(float, one.torsobox)
                    box = square_around(((x1 + x2) / 2 - 1, MIDDLE - 1), SIDE)
                    found.append((Path(str(one.filepath)), box, keypoints, labelled))
    else:
        images, rows = h5_rows(path, _ROWS, _EXPECTED_H5)
        with expecting(path, _EXPECTED_H5):
            for row, image in enumerate(images):
                keypoints, labelled = _joints(rows["part"][row])
                x, y = map(float, rows["center"][row])
                side = float(rows["scale"][row]) * 200 / 1.25  # the scale is that of the crop
                box = square_around((x - 1, y - 1), side)
                found.append((Path(image), box, keypoints, labelled & (rows["visible"][row] > 0)))
    on_frame: Counter[Path] = Counter()
    persons = []
    for frame, box, keypoints, visible in found:
        on_frame[frame] += 1
        if split == "val" or np.isfinite(keypoints).any():
            id = f"{frame.stem}:{on_frame[frame]}"
            persons.append(Person(root / "images" / frame, box, keypoints, visible, id=id))
    return Dataset(name, split, FLIC, persons, note=NOTES[name], origin=1)


def _joints(points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """One-based (11, 2), where NaN, 0 or -1 is not labelled -> zero-based with NaN, and which are labelled."""
    labelled = np.asarray(np.isfinite(points).all(axis=1) & (points > 0).any(axis=1))
    return check_near(np.where(labelled[:, None], points - 1, np.nan)), labelled
