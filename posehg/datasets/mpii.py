"""MPII Human Pose: images/*.jpg and its annotation in any of the files in which it is distributed.

FORMATS lists them in the order of how much each preserves. If several lie in the folder, or in its folder annot, the
persons come from the first. Whichever file is read, the persons of a split and their ids are the same (but see
read_hrnet_json for train and test). Two things come from further files: the joints and head boxes of ``val`` from
detections_our_format.mat, by which published scores are measured; and head sizes that the file itself lacks from the
official .mat, else from the .h5.

``val`` is J. Tompson's split in his order, with nobody left out, so that row n of other people's predictions is person
n. ``test`` has boxes only: its joints are NaN. A person's id is the image and the one-based place in its annorect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posehg.datasets import mpii_formats
from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.mpii_formats import validation
from posehg.datasets.reading import find_file
from posehg.errors import NotAvailable
from posehg.poses import Person
from posehg.skeletons import MPII

INFO = {
    "mpii": DatasetInfo(
        folder="mpii",
        title="MPII Human Pose",
        paper="M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
        url="http://human-pose.mpi-inf.mpg.de",
        terms="annotation: simplified BSD; images: research use",
        layout=(
            "mpii_human_pose_v1_u12_1.mat, mpii_annotations.json, the hourglass authors' {train,valid,test}.h5 "
            "or HRNet's {train,valid,test}.json",
            "images/",
        ),
        splits={"train": "22,246 people", "val": "2,958 people, J. Tompson's", "test": "11,731 people, no joints"},
        skeleton=MPII,
    )
}
JSON = "mpii_annotations.json"
MAT = "mpii_human_pose_v1_u12_1.mat"
_JSONS = (JSON, f"{JSON}.gz", "mpii_annotations*.json", "mpii_annotations*.json.gz")


class Format(NamedTuple):
    """read: (path, split) -> the persons of the split. files: split -> the files that have it, as glob patterns.

    note: what a reader of scores should know about persons from such a file.
    """

    read: Callable[[Path, str], list[Person]]
    files: dict[str, tuple[str, ...]]
    note: str = ""


FORMATS = {
    "json": Format(mpii_formats.read_annotations_json, {"train": _JSONS, "val": _JSONS}),
    "mat": Format(mpii_formats.read_release_mat, {"train": (MAT,), "val": (MAT,), "test": (MAT,)}),
    "h5": Format(
        mpii_formats.read_authors_h5,
        {"train": ("train.h5",), "val": ("valid.h5",), "test": ("test.h5",)},
    ),
    "hrnet": Format(
        mpii_formats.read_hrnet_json,
        {"train": ("train.json",), "val": ("valid.json",), "test": ("test.json",)},
        mpii_formats.HRNET_NOTE,
    ),
    "detections": Format(
        mpii_formats.read_detections,
        {"val": ("*detections_our_format.mat", "gt_valid.mat", "mpii_gt_val.mat")},
        mpii_formats.DETECTIONS_NOTE,
    ),
}
"""In the order in which they are looked for."""

_PUBLISHED = "Joints and head boxes are those of {}, by which published scores are measured."
_NOT_PUBLISHED = (
    "Published scores are measured by detections_our_format.mat, which is not here: 13 of its 44,240 joints lie "
    "elsewhere, so scores can differ by a few hundredths."
)
_NO_HEADS = f"PCKh is not measured: no head boxes; they are in {MAT}, valid.h5 and detections_our_format.mat."


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train``, ``val`` or ``test``.

    Raises NotAvailable if no file in ``root`` has the split, or if one is broken or has a person twice.
    """
    files = {key: file for key, form in FORMATS.items() if (file := find_file(root, form.files.get(split, ())))}
    if not files:
        looked = ", ".join(file for form in FORMATS.values() for file in form.files.get(split, ()))
        hint = f"posehg looks there and in {root / 'annot'}, in this order, for: {looked}. {INFO[name].hint}"
        raise NotAvailable(f"{root} holds neither {JSON} nor another annotation of MPII's split {split}.", hint)
    key, path = next(iter(files.items()))
    persons, notes = FORMATS[key].read(path, split), [FORMATS[key].note]
    again = next((id for id, times in Counter(person.id for person in persons).items() if times > 1), None)
    if again is not None:
        raise NotAvailable(f"{path} holds the person {again} twice.", "Copy or download it again.")
    if split == "train":
        persons = [person for person in persons if person.box.w and np.isfinite(person.keypoints).any()]
    unscaled = next((person.id for person in persons if not person.box.w), None)
    if unscaled is not None:
        raise NotAvailable(f"{path} has no scale for the person {unscaled}.", "Copy or download it again.")
    if split == "val":
        persons.sort(key=lambda person: validation()[person.id])
        if len(persons) < len(validation()):
            notes.append(f"These are {len(persons):,} of the {len(validation()):,} validation people.")
        truth = files.get("detections")
        notes.append(_NOT_PUBLISHED if truth is None else _PUBLISHED.format(truth.name))
        if truth is not None:
            persons = _as_published(persons, path, truth)
    for other in ("mat", "h5") if split != "test" else ():
        if other in files and not any(person.head_size for person in persons):
            heads = {person.id: person.head_size for person in FORMATS[other].read(files[other], split)}
            persons = [replace(person, head_size=heads.get(person.id)) for person in persons]
    if split != "test" and not any(person.head_size for person in persons):
        notes.append(_NO_HEADS)
    persons = [replace(person, image=root / "images" / person.image) for person in persons]
    return Dataset(name, split, MPII, persons, note=" ".join(filter(None, notes)), origin=1)


def _as_published(persons: list[Person], path: Path, truth: Path) -> list[Person]:
    """Validation persons with the joints and head sizes of the published evaluation, from the file ``truth``."""
    published = {person.id: person for person in FORMATS["detections"].read(truth, "val")}
    theirs = [published[person.id] for person in persons]
    if np.nanmedian([np.abs(a.keypoints - b.keypoints) for a, b in zip(persons, theirs, strict=True)]) > 1:
        hint = "Leave the one there that fits your images."
        raise NotAvailable(f"{truth} does not fit {path}: its joints lie elsewhere.", hint)
    return [replace(a, keypoints=b.keypoints, head_size=b.head_size) for a, b in zip(persons, theirs, strict=True)]
