"""Leeds Sports Pose Extended: joints.mat (14, 3, N) and images/im00001.jpg.. im10000.jpg.

S. Johnson and M. Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011. The third
column is 1 for a labelled joint; where it is 0 the coordinates mean nothing. Coordinates are MATLAB's, so one-based.
The set has no official split: posehg trains on the first 9,000 pictures and validates on the others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import leeds
from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.skeletons import LSP

ABOUT = About(
    title="Leeds Sports Pose Extended",
    paper="S. Johnson, M. Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011",
    url="http://sam.johnson.io/research/lspet.html",
    terms="research use",
    layout=("joints.mat", "images/"),
    splits={
        "train": "9,000 persons, images 1 to 9,000",
        "val": "1,000 persons, images 9,001 to 10,000 (no official split)",
    },
    skeleton=LSP,
)
FIRST_VALIDATION = 9000
SPLITS = {"train": slice(0, FIRST_VALIDATION), "val": slice(FIRST_VALIDATION, None)}


def load(root: Path, split: str) -> Dataset:
    return leeds.load("lspet", root, split, ABOUT, SPLITS, 5, _flags, "")


def _flags(joints: NDArray[np.float64]) -> tuple[leeds.Flags, leeds.Flags]:
    labelled = (joints[:, 2] > 0) & np.isfinite(joints[:, :2]).all(axis=1)
    return labelled, labelled
