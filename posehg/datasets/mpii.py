"""MPII Human Pose: images/*.jpg and its annotation in any of the files in which it is distributed.

M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014,
http://human-pose.mpi-inf.mpg.de. ``mpii_formats`` reads each format:

    mpii_annotations.json, also .json.gz     train, val
    mpii_human_pose_v1_u12_1.mat, official   train, val, test    head boxes
    the hourglass authors' train.h5 etc.     train, val, test    head sizes
    HRNet's train.json etc.                  train, val, test
    detections_our_format.mat                val                 head boxes, no centres and scales

If several lie in the folder, or in its folder annot, the persons come from the first of them in this order, which is
that of how much a format preserves. Whichever file is read, the persons of a split and their ids are the same (but see
read_hrnet_json for train and test). Two things come from further files:

* The joints and head boxes of ``val`` from detections_our_format.mat, by which published scores are measured.
* Head sizes that the file itself lacks from the official .mat, else from the .h5.

``val`` is J. Tompson's split in his order, with nobody left out, so that row n of other people's predictions is person
n. ``test`` has boxes only: its joints are NaN. A person's id is the image and the one-based place in its annorect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from posehg.datasets import mpii_formats
from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.mpii_formats import Annotation, Key, validation
from posehg.datasets.reading import check_split
from posehg.errors import NotAvailable
from posehg.poses import Person
from posehg.skeletons import MPII

INFO = {
    "mpii": DatasetInfo(
        title="MPII Human Pose",
        paper="M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
        url="http://human-pose.mpi-inf.mpg.de",
        terms="annotation: simplified BSD; images: research use",
        layout=(
            "mpii_human_pose_v1_u12_1.mat, mpii_annotations.json, the hourglass authors' {train,valid,test}.h5 "
            "or HRNet's {train,valid,test}.json",
            "images/",
        ),
        splits={
            "train": "22,246 persons",
            "val": "2,958 persons, J. Tompson's",
            "test": "11,731 persons, whose joints are not published",
        },
        skeleton=MPII,
    )
}
SPLITS = ("train", "val", "test")
JSON = "mpii_annotations.json"
MAT = "mpii_human_pose_v1_u12_1.mat"


@dataclass(frozen=True)
class Format:
    """read: (path, split) -> the persons of the split. names: split -> the files that have it, as glob patterns.

    note: what a reader of scores should know about persons from such a file.
    """

    read: Callable[[Path, str], list[Annotation]]
    names: dict[str, tuple[str, ...]]
    note: str = ""


_JSON = (JSON, f"{JSON}.gz", "mpii_annotations*.json", "mpii_annotations*.json.gz")
_FROM_JSON = Format(mpii_formats.read_annotations_json, {"train": _JSON, "val": _JSON})
_FROM_MAT = Format(mpii_formats.read_release_mat, dict.fromkeys(SPLITS, (MAT,)))
_FROM_H5 = Format(
    mpii_formats.read_authors_h5,
    {"train": ("train.h5", "annot.h5"), "val": ("valid.h5", "annot.h5"), "test": ("test.h5", "annot.h5")},
)
_FROM_HRNET = Format(
    mpii_formats.read_hrnet_json,
    {"train": ("train.json", "trainval.json"), "val": ("valid.json", "trainval.json"), "test": ("test.json",)},
    mpii_formats.HRNET_NOTE,
)
_FROM_DETECTIONS = Format(
    mpii_formats.read_detections,
    {"val": ("*detections_our_format.mat", "gt_valid.mat", "mpii_gt_val.mat")},
    mpii_formats.DETECTIONS_NOTE,
)
FORMATS = (_FROM_JSON, _FROM_MAT, _FROM_H5, _FROM_HRNET, _FROM_DETECTIONS)
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
    check_split(name, split, SPLITS)
    form, path = _source(root, split)
    annotations = form.read(path, split)
    seen: set[Key] = set()
    for one in annotations:
        if one.key in seen:
            raise NotAvailable(f"{path} holds person {one.index} of {one.image} twice.", "Copy or download it again.")
        seen.add(one.key)
    notes = [form.note]
    if split == "train":
        annotations = [one for one in annotations if one.box is not None and np.isfinite(one.keypoints).any()]
    if split == "val":
        annotations = sorted(annotations, key=lambda one: validation()[one.key])
        if len(annotations) < len(validation()):
            notes.append(f"These are {len(annotations):,} of the {len(validation()):,} validation persons.")
        annotations, note = _as_published(root, path, annotations)
        notes.append(note)
    heads = _head_sizes(root, split, annotations)
    if split != "test" and not any(heads.values()):
        notes.append(_NO_HEADS)
    persons = []
    for one in annotations:
        if one.box is None:
            raise NotAvailable(f"{path} has no scale for person {one.index} of {one.image}.")
        id = f"{Path(one.image).stem}:{one.index}"
        image, head_size = root / "images" / one.image, heads.get(one.key)
        persons.append(Person(image, one.box, one.keypoints, one.visible, head_size, id=id))
    return Dataset(name, split, MPII, persons, note=" ".join(filter(None, notes)), origin=1)


def _source(root: Path, split: str) -> tuple[Format, Path]:
    """The first format in ``root`` that has the split, and its file."""
    for form in FORMATS:
        if path := _find(root, form, split):
            return form, path
    names = ", ".join(name for form in FORMATS for name in form.names.get(split, ()))
    raise NotAvailable(
        f"{root} holds neither {JSON} nor another annotation of MPII's split {split}.",
        f"posehg looks there and in {root / 'annot'}, in this order, for: {names}. {INFO['mpii'].hint('mpii')}",
    )


def _find(root: Path, form: Format, split: str) -> Path | None:
    """The file of a format that has the split. Raises NotAvailable if several files match one pattern."""
    for name in form.names.get(split, ()):
        for folder in (root, root / "annot"):
            found = sorted(path for path in folder.glob(name) if path.is_file())
            if len(found) > 1:
                names = " and ".join(path.name for path in found)
                raise NotAvailable(f"{folder} holds several annotations of MPII: {names}.", "Leave one of them there.")
            if found:
                return found[0]
    return None


def _as_published(root: Path, path: Path, annotations: list[Annotation]) -> tuple[list[Annotation], str]:
    """Validation persons with the joints and head sizes of the published evaluation if its file is there, and a note.

    Raises NotAvailable if the file is about other persons.
    """
    truth = _find(root, _FROM_DETECTIONS, "val")
    if truth is None:
        return annotations, _NOT_PUBLISHED
    published = {one.key: one for one in _FROM_DETECTIONS.read(truth, "val")}
    measured = []
    for one in annotations:
        ours, theirs = one.keypoints, published[one.key].keypoints
        near = np.abs(ours - theirs) <= 1  # -1 is a coordinate that the published file cut off, see read_detections
        if not ((np.isnan(ours) == np.isnan(theirs)).all() and (near | np.isnan(theirs) | (theirs == -1)).all()):
            raise NotAvailable(
                f"{truth} does not fit {path}: person {one.index} of {one.image} has other joints.",
                "Leave the one there that fits your images.",
            )
        measured.append(replace(one, keypoints=theirs, head_size=published[one.key].head_size))
    return measured, _PUBLISHED.format(truth.name)


def _head_sizes(root: Path, split: str, annotations: list[Annotation]) -> dict[Key, float | None]:
    """The persons' own head sizes, else those of the first other file that has any."""
    sizes = {one.key: one.head_size for one in annotations}
    if split == "test" or any(size is not None for size in sizes.values()):
        return sizes
    for form in (_FROM_MAT, _FROM_H5):
        if path := _find(root, form, split):
            return {one.key: one.head_size for one in form.read(path, split)}
    return sizes
