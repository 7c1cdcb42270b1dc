"""Tiny LSP and LSPET as they lie on a disk, all values distinct."""

from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.mpii_files import picture


def make_lspet(root: Path, persons: int = 3) -> np.ndarray:
    """joints.mat (14, 3, persons); joint 2 is always missing and the second person has a single joint."""
    joints = np.arange(14 * 3 * persons, dtype=float).reshape(14, 3, persons) + 1
    joints[:, 2] = 1
    joints[2] = np.array([-26.5, 80.0, 0.0])[:, None]
    joints[1:, 2, 1:2] = 0
    write(root, joints)
    for number in range(persons):
        picture(root / f"images/im{number + 1:05d}.jpg")
    return joints


def make_lsp(root: Path, persons: int = 3) -> np.ndarray:
    """joints.mat (3, 14, persons); every fifth joint is hidden."""
    joints = np.arange(3 * 14 * persons, dtype=float).reshape(3, 14, persons) + 1.25
    joints[2] = 0
    joints[2, ::5] = 1
    write(root, joints)
    for number in range(persons):
        picture(root / f"images/im{number + 1:04d}.jpg")
    return joints


def write(root: Path, joints: np.ndarray) -> None:
    root.mkdir(exist_ok=True)
    savemat(root / "joints.mat", {"joints": joints})
