"""Leeds Sports Pose and its extension LSPET: joints.mat, whose coordinates are one-based, and images/.

LSP: joints.mat (3, 14, 2000), images/im0001.jpg .. im2000.jpg. Every joint is labelled. The third row is 1 for a
*hidden* joint, although the set's readme calls it visibility. Left and right are the person's own; M. Eichner and
V. Ferrari published the same joints as the observer sees them (ACCV 2012), and scores by the one and the other cannot
be compared.

LSPET: joints.mat (14, 3, N), images/im00001.jpg .. im10000.jpg. The third column is 1 for a labelled joint; where it is
0, the coordinates mean nothing. There is no official split: posehg trains on the first 9,000 images and validates on
the others.
"""

from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.reading import MIN_JOINTS, check_near, entry, left_out, read_mat, unreadable
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import LSP

_URL = "http://sam.johnson.io/research"
INFO = {
    "lsp": DatasetInfo(
        folder="lsp",
        title="Leeds Sports Pose",
        paper="S. Johnson, M. Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, "
        "BMVC 2010",
        url=f"{_URL}/lsp.html",
        terms="research use",
        layout=("joints.mat", "images/"),
        splits={"train": "1,000 people, images 1 to 1,000", "val": "1,000 people, the others, also called test"},
        skeleton=LSP,
    ),
    "lspet": DatasetInfo(
        folder="lspet",
        title="Leeds Sports Pose Extended",
        paper="S. Johnson, M. Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation, "
        "CVPR 2011",
        url=f"{_URL}/lspet.html",
        terms="research use",
        layout=("joints.mat", "images/"),
        splits={"train": "9,000 people, images 1 to 9,000", "val": "1,000 people, the others; not official"},
        skeleton=LSP,
    ),
}
NOTES = {"lsp": "Left and right are the person's own (person-centric labels).", "lspet": ""}

TRAINING_IMAGES = {"lsp": 1000, "lspet": 9000}
_LAYOUTS = {"lsp": (3, len(LSP.joints)), "lspet": (len(LSP.joints), 3)}
"""The first two sides of the array ``joints``; the third is the number of persons."""


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train`` or ``val`` of lsp or lspet; LSP's official test split is val.

    Persons with fewer than two labelled joints are left out, and the note counts them.
    Raises NotAvailable if joints.mat is missing, broken or that of the other set.
    """
    path, layout = root / "joints.mat", _LAYOUTS[name]
    expected = f"the joints.mat of {INFO[name].title}, whose variable 'joints' is {layout[0]} x {layout[1]} x N"
    if not path.is_file():
        raise NotAvailable(f"{root} holds no joints.mat.", INFO[name].hint)
    joints = np.asarray(read_mat(path, "joints", expected))
    if joints.shape[:2] == layout[::-1]:
        (other,) = _LAYOUTS.keys() - {name}
        raise unreadable(path, expected, f"it is that of {other}", f"Read it with --dataset {other}.")
    if joints.shape[:2] != layout or joints.ndim > 3 or joints.dtype.kind not in "fiu":
        raise unreadable(path, expected)
    rows = joints.reshape(*layout, -1).astype(np.float64)  # reading squeezes a set of one person
    rows = rows.transpose((2, 1, 0) if name == "lsp" else (2, 0, 1))  # (N, 14, 3)
    first, digits = TRAINING_IMAGES[name], 4 if name == "lsp" else 5
    numbers = range(len(rows))[:first] if split == "train" else range(len(rows))[first:]
    persons = []
    for number in numbers:
        image = root / "images" / f"im{number + 1:0{digits}d}.jpg"
        points, flags = rows[number, :, :2], rows[number, :, 2] > 0
        known = np.asarray(np.isfinite(points).all(axis=1))
        labelled, visible = (known, known & ~flags) if name == "lsp" else (known & flags, known & flags)
        with entry(path, image.stem):
            keypoints = check_near(np.where(labelled[:, None], points - 1, np.nan))
        box = Box.bounding(keypoints)
        if box is not None and labelled.sum() >= MIN_JOINTS:
            persons.append(Person(image, box, keypoints, visible, id=image.stem))
    note = f"{NOTES[name]} {left_out(len(numbers) - len(persons))}".strip()
    return Dataset(name, split, LSP, persons, note=note, origin=1)
