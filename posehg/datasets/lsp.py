"""Leeds Sports Pose: joints.mat (3, 14, 2000) and images/im0001.jpg .. im2000.jpg.

S. Johnson and M. Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, BMVC 2010. There
are two releases, whose pictures are resized to people of about 150 pixels, or as they were; each has its own joints.mat
of the same form. Every joint is labelled. The third row is 1 for a joint that is hidden, although the set's readme
calls it visibility. Coordinates are MATLAB's, so one-based.

Left and right are the person's own. M. Eichner and V. Ferrari published the same joints with left and right as the
observer sees them (ACCV 2012); their file has the same form, nothing in it tells, and figures by the one and the other
cannot be compared.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split
from posehg.datasets.leeds import read_joints
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import LSP

ABOUT = About(
    title="Leeds Sports Pose",
    paper="S. Johnson, M. Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, "
    "BMVC 2010",
    url="http://sam.johnson.io/research/lsp.html",
    terms="research use",
    layout=("joints.mat", "images/"),
    splits={"train": "images 1 to 1,000", "val": "images 1,001 to 2,000, the official test split"},
)
FIRST_TEST = 1000
SPLITS = {"train": slice(0, FIRST_TEST), "val": slice(FIRST_TEST, None)}
NOTE = "Left and right are the person's own (person-centric labels)."


def load(root: Path, split: str) -> Dataset:
    """``test``, which it is officially, is another name of ``val``."""
    split = "val" if split == "test" else split
    check_split("lsp", split, SPLITS)
    joints = read_joints(root, "lsp", ABOUT)
    numbers = range(len(joints))[SPLITS[split]]
    persons = [person for i in numbers if (person := _person(root / f"images/im{i + 1:04d}.jpg", joints[i]))]
    return Dataset("lsp", split, LSP, persons, note=NOTE, origin=1)


def _person(image: Path, joints: NDArray[np.float64]) -> Person | None:
    """joints: (14, 3)."""
    labelled = np.isfinite(joints[:, :2].sum(axis=1))
    keypoints = np.where(labelled[:, None], joints[:, :2] - 1, np.nan)
    box = Box.bounding(keypoints)
    if box is None:
        return None
    hidden = joints[:, 2] > 0
    return Person(image, box, keypoints, labelled & ~hidden, id=image.stem)
