"""joints.mat of the two Leeds sets, which have the same joints, but laid out differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.about import About
from posehg.datasets.annotated import MIN_JOINTS, check_near, left_out, wrong
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split, read_mat, unreadable
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import LSP

_JOINTS = len(LSP.joints)
_LAYOUTS = {"lsp": (3, _JOINTS), "lspet": (_JOINTS, 3)}
"""Of each set the first two sides of the array ``joints``; the third is the number of persons."""


Flags = NDArray[np.bool_]
Tell = Callable[[NDArray[np.float64]], tuple[Flags, Flags]]
"""(14, 3) x, y and flag, one-based -> which joints are labelled and which are visible, (14,) each."""


def load(
    name: str, root: Path, split: str, about: About, splits: Mapping[str, slice], digits: int, tell: Tell, note: str
) -> Dataset:
    """splits: which persons are in each. digits: of the numbers in the pictures' names."""
    split = check_split(name, split, splits)
    joints = read_joints(root, name, about)
    numbers = range(len(joints))[splits[split]]
    persons = []
    for number in numbers:
        image = root / f"images/im{number + 1:0{digits}d}.jpg"
        try:
            person = _person(image, joints[number], tell)
        except ValueError as error:
            raise wrong(root / "joints.mat", image.stem, error) from None
        persons += [person] if person else []
    lost = len(numbers) - len(persons)
    note = " ".join(filter(None, (note, left_out(lost) if lost else "")))
    return Dataset(name, split, LSP, persons, note=note, origin=1)


def _person(image: Path, joints: NDArray[np.float64], tell: Tell) -> Person | None:
    labelled, visible = tell(joints)
    keypoints = check_near(np.where(labelled[:, None], joints[:, :2] - 1, np.nan))
    box = Box.bounding(keypoints)
    if box is None or labelled.sum() < MIN_JOINTS:
        return None
    return Person(image, box, keypoints, visible, id=image.stem)


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
