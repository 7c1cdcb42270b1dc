"""Leeds Sports Pose Extended: joints.mat (14, 3, N) and images/im00001.jpg.. im10000.jpg.

S. Johnson and M. Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011. The third
column is 1 for a labelled joint; where it is 0 the coordinates mean nothing. Coordinates are MATLAB's, so one-based.
The set has no official split: posehg trains on the first 9,000 pictures and validates on the others.
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
    title="Leeds Sports Pose Extended",
    paper="S. Johnson, M. Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011",
    url="http://sam.johnson.io/research/lspet.html",
    terms="research use",
    layout=("joints.mat", "images/"),
    splits={"train": "images 1 to 9,000", "val": "images 9,001 to 10,000 (no official split)"},
)
FIRST_VALIDATION = 9000
SPLITS = {"train": slice(0, FIRST_VALIDATION), "val": slice(FIRST_VALIDATION, None)}
MIN_JOINTS = 2
"""A person with fewer labelled joints has no extent that a crop could be cut by."""


def load(root: Path, split: str) -> Dataset:
    check_split("lspet", split, SPLITS)
    joints = read_joints(root, "lspet", ABOUT)
    numbers = range(len(joints))[SPLITS[split]]
    persons = [person for i in numbers if (person := _person(root / f"images/im{i + 1:05d}.jpg", joints[i]))]
    return Dataset("lspet", split, LSP, persons, origin=1)


def _person(image: Path, joints: NDArray[np.float64]) -> Person | None:
    """joints: (14, 3)."""
    labelled = (joints[:, 2] > 0) & np.isfinite(joints[:, :2].sum(axis=1))
    keypoints = np.where(labelled[:, None], joints[:, :2] - 1, np.nan)
    box = Box.bounding(keypoints)
    if box is None or labelled.sum() < MIN_JOINTS:
        return None
    return Person(image, box, keypoints, labelled, id=image.stem)
