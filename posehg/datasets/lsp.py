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

from posehg.datasets import leeds
from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.skeletons import LSP

ABOUT = About(
    title="Leeds Sports Pose",
    paper="S. Johnson, M. Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, "
    "BMVC 2010",
    url="http://sam.johnson.io/research/lsp.html",
    terms="research use",
    layout=("joints.mat", "images/"),
    splits={
        "train": "1,000 persons, images 1 to 1,000",
        "val": "1,000 persons, images 1,001 to 2,000, the official test split",
    },
    skeleton=LSP,
)
FIRST_TEST = 1000
SPLITS = {"train": slice(0, FIRST_TEST), "val": slice(FIRST_TEST, None)}
NOTE = "Left and right are the person's own (person-centric labels)."


def load(root: Path, split: str) -> Dataset:
    """``test``, which it is officially, is another name of ``val``."""
    return leeds.load("lsp", root, split, ABOUT, SPLITS, 4, _flags, NOTE)


def _flags(joints: NDArray[np.float64]) -> tuple[leeds.Flags, leeds.Flags]:
    labelled = np.asarray(np.isfinite(joints[:, :2]).all(axis=1))
    return labelled, labelled & ~(joints[:, 2] > 0)
