"""joints.mat of the two Leeds sets, which have the same joints, but laid out differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.about import About
from posehg.datasets.folder import read_mat, unreadable
from posehg.errors import NotAvailable
from posehg.skeletons import LSP

_JOINTS = len(LSP.joints)
_LAYOUTS = {"lsp": (3, _JOINTS), "lspet": (_JOINTS, 3)}
"""Of each set the first two sides of the array ``joints``; the third is the number of persons."""


def read_joints(root: Path, name: str, about: About) -> NDArray[np.float64]:
    """joints.mat of the set ``name`` as (N, 14, 3): x, y and flag of each joint, as the file has them.

    Raises NotAvailable where there is none, where it is the other set's, and where it is broken.
    """
    path, layout = root / "joints.mat", _LAYOUTS[name]
    expected = f"the joints.mat of {about.title}, whose variable 'joints' is {layout[0]} x {layout[1]} x N"
    if not path.is_file():
        raise NotAvailable(f"{root} holds no joints.mat.", about.hint(name))
    joints = np.asarray(read_mat(path, "joints", expected))
    if joints.ndim == 2:
        joints = joints[:, :, None]  # a set of one person, which reading squeezed
    if joints.shape[:2] == layout[::-1]:
        (other,) = _LAYOUTS.keys() - {name}
        raise unreadable(path, expected, f"it is that of {other}", f"Read it with --dataset {other}.")
    if joints.shape[:2] != layout or joints.dtype.kind not in "fiu":
        raise unreadable(path, expected)
    persons = np.moveaxis(joints.astype(np.float64), 2, 0)
    return persons.transpose(0, 2, 1) if name == "lsp" else persons
