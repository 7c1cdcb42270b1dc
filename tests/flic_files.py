"""Tiny FLIC sets on disk, in both formats, all values distinct."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from tests.mpii_files import picture, structs, write_h5

FRAMES = ("film-00000011.jpg", "film-00000013.jpg", "film-00000011.jpg")
"""Of the three persons; two are on one frame."""
MISSING = 6  # the left hip, of the second person


def joints(person: int) -> np.ndarray:
    """(11, 2) one-based; NaN = not labelled."""
    points = np.array([[100.25 + 7 * k + 3 * person, 50.5 + 11 * k + 5 * person] for k in range(11)])
    if person == 1:
        points[MISSING] = np.nan
    return points


def center(person: int) -> float:
    """The middle of the torso: x, one-based."""
    return 200.75 + 13 * person


def flic_arrays(persons: tuple[int, ...] = (0, 1, 2)) -> dict[str, Any]:
    part = np.nan_to_num(np.stack([joints(person) for person in persons]), nan=-1)
    return {
        "imgname": np.array([FRAMES[person] for person in persons], dtype="S43"),
        "center": np.array([(center(person), 240) for person in persons], dtype=np.float32),
        "scale": np.full(len(persons), 2.2),
        "part": part,
        "visible": (part[..., 0] > 0).astype(float),
    }


def make_flic(root: Path, split: str = "train") -> None:
    write_h5(root / f"{split}.h5", flic_arrays())
    pictures(root)


def make_flic_pc(root: Path, split: str = "train") -> None:
    """The second person is seen from behind: shoulders, elbows and wrists have changed sides."""
    arrays = flic_arrays()
    arrays["part"][1] = arrays["part"][1][[3, 4, 5, 0, 1, 2, *range(6, 11)]]
    write_h5(root / f"{split}_personcentric.h5", arrays)
    pictures(root)


def make_examples(root: Path, test: tuple[int, ...] = (), **changes: Any) -> None:
    """examples.mat. test: which of the persons are in the test split."""
    rows = []
    for person, frame in enumerate(FRAMES):
        coords = np.full((2, 29), np.nan)
        coords[:, [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]] = joints(person).T
        box = np.array([[center(person) - 40, 60.0 + person, center(person) + 40, 300.0]])
        flags = {"istrain": float(person not in test), "istest": float(person in test)}
        rows.append({"filepath": frame, "moviename": "film", "coords": coords, "torsobox": box, **flags, **changes})
    root.mkdir(exist_ok=True)
    savemat(root / "examples.mat", {"examples": structs(*rows)})
    pictures(root)


def pictures(root: Path) -> None:
    for frame in FRAMES:
        picture(root / "images" / frame)
