"""FLIC with person-centric joints: the hourglass authors' train_personcentric.h5 and valid_personcentric.h5.

The same persons as those of ``flic``. Of the 48 validation persons who are seen from behind left and right are changed
over: their left is on the left of the picture. The files lie where those of ``flic`` do.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from posehg.datasets import flic
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split
from posehg.errors import NotAvailable

ABOUT = replace(
    flic.ABOUT,
    title="FLIC, person-centric",
    layout=("the hourglass authors' train_personcentric.h5 and valid_personcentric.h5", "images/"),
    folder="flic",
)
NOTE = "Person-centric: left and right are the person's own."
H5 = {"train": "train_personcentric.h5", "val": "valid_personcentric.h5"}


def load(root: Path, split: str) -> Dataset:
    """``test`` is another name of ``val``."""
    split = check_split("flic-pc", split, H5)
    path = flic.find(root, [H5[split]])
    if path is None:
        raise NotAvailable(f"{root} holds no {H5[split]}.", ABOUT.hint("flic-pc"))
    return flic.dataset("flic-pc", split, root, flic.read_h5(path), NOTE)
