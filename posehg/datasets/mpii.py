"""MPII Human Pose: images/*.jpg and its annotation in any of the files in which it goes around.

M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014,
http://human-pose.mpi-inf.mpg.de. Each format has a module of its own, which says what is peculiar to it:

    mpii_json         mpii_annotations.json, also .json.gz     train, val
    mpii_mat          mpii_human_pose_v1_u12_1.mat, official   train, val, test    head boxes
    mpii_h5           the hourglass authors' train.h5 etc.     train, val, test    head sizes
    mpii_hrnet        HRNet's train.json etc.                  train, val, test
    mpii_detections   detections_our_format.mat                val                 head boxes, no centres and scales

Where several lie in the folder, or in its folder annot, the persons come from the first of them in this order: it is
that of how much a format preserves, the quickest of the equal ones first. Whichever file is read, the persons of a
split and their ids are the same (but see mpii_hrnet for those of train and test). Two things come from further files:

* The joints and head boxes of ``val`` from detections_our_format.mat, as published scores are measured by it.
* Head sizes that the file itself does not have from the official .mat, else from the .h5.

``val`` is J. Tompson's in his order, with nobody left out, so that row n of other people's predictions is person n.
``test`` has boxes only: its joints are NaN. A person's id is the picture and the one-based place in its annorect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from posehg.datasets import mpii_detections, mpii_h5, mpii_hrnet, mpii_json, mpii_mat
from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split
from posehg.datasets.mpii_annotation import Annotation, Key, validation
from posehg.errors import NotAvailable
from posehg.poses import Person
from posehg.skeletons import MPII

ABOUT = About(
    title="MPII Human Pose",
    paper="M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
    url="http://human-pose.mpi-inf.mpg.de",
    terms="annotation: simplified BSD; pictures: research use",
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
SPLITS = ("train", "val", "test")
JSON = "mpii_annotations.json"
MAT = "mpii_human_pose_v1_u12_1.mat"


@dataclass(frozen=True)
class Format:
    """read: path, split -> the persons of the split. names: split -> the files that have it, as glob patterns.

    note: what the reader of figures must know of persons from such a file.
    """

    read: Callable[[Path, str], list[Annotation]]
    names: dict[str, tuple[str, ...]]
    note: str = ""


_JSON = (JSON, f"{JSON}.gz", "mpii_annotations*.json", "mpii_annotations*.json.gz")
FROM_JSON = Format(mpii_json.read, {"train": _JSON, "val": _JSON})
FROM_MAT = Format(mpii_mat.read, dict.fromkeys(SPLITS, (MAT,)))
FROM_H5 = Format(
    mpii_h5.read,
    {"train": ("train.h5", "annot.h5"), "val": ("valid.h5", "annot.h5"), "test": ("test.h5", "annot.h5")},
)
FROM_HRNET = Format(
    mpii_hrnet.read,
    {"train": ("train.json", "trainval.json"), "val": ("valid.json", "trainval.json"), "test": ("test.json",)},
    mpii_hrnet.NOTE,
)
FROM_DETECTIONS = Format(
    mpii_detections.read,
    {"val": ("*detections_our_format.mat", "gt_valid.mat", "mpii_gt_val.mat")},
    mpii_detections.NOTE,
)
FORMATS = (FROM_JSON, FROM_MAT, FROM_H5, FROM_HRNET, FROM_DETECTIONS)
"""In the order in which they are looked for."""

_PUBLISHED = "Joints and head boxes are those of {}, by which published scores are measured."
_NOT_PUBLISHED = (
    "Published scores are measured by detections_our_format.mat, which is not here: it has 13 of the 44,240 joints "
    "elsewhere, so scores can differ by a few hundredths."
)
_NO_HEADS = f"PCKh is not measured: no head boxes; they are in {MAT}, valid.h5 and detections_our_format.mat."


def load(root: Path, split: str) -> Dataset:
    """Raises NotAvailable where no file in ``root`` has the split, where one is broken or names somebody twice."""
    check_split("mpii", split, SPLITS)
    form, path = _source(root, split)
    annotations = form.read(path, split)
    _check_once_each(path, annotations)
    notes = [form.note]
    if split == "train":
        annotations = [one for one in annotations if one.box is not None and np.isfinite(one.keypoints).any()]
    if split == "val":
        annotations, note = _as_published(root, path, _in_order(annotations))
        notes += [_share(len(annotations)), note]
    heads = _head_sizes(root, split, annotations)
    if split != "test" and not any(heads.values()):
        notes.append(_NO_HEADS)
    folder = root / "images"
    persons = [_person(annotation, path, folder, heads) for annotation in annotations]
    return Dataset("mpii", split, MPII, persons, note=" ".join(filter(None, notes)), origin=1)


def _source(root: Path, split: str) -> tuple[Format, Path]:
    for form in FORMATS:
        if path := _find(root, form, split):
            return form, path
    names = ", ".join(name for form in FORMATS for name in form.names.get(split, ()))
    raise NotAvailable(
        f"{root} holds neither {JSON} nor another annotation of MPII's split {split}.",
        f"posehg looks there and in {root / 'annot'}, in this order, for: {names}. {ABOUT.hint('mpii')}",
    )


def _find(root: Path, form: Format, split: str) -> Path | None:
    """The file of a format that has the split. Raises NotAvailable where a pattern fits several files."""
    for name in form.names.get(split, ()):
        for folder in (root, root / "annot"):
            found = sorted(path for path in folder.glob(name) if path.is_file())
            if len(found) > 1:
                names = " and ".join(path.name for path in found)
                raise NotAvailable(f"{folder} holds several annotations of MPII: {names}.", "Leave one of them there.")
            if found:
                return found[0]
    return None


def _check_once_each(path: Path, annotations: list[Annotation]) -> None:
    seen: set[Key] = set()
    for annotation in annotations:
        if annotation.key in seen:
            image, index = annotation.key
            raise NotAvailable(f"{path} holds person {index} of {image} twice.", "Copy or download it again.")
        seen.add(annotation.key)


def _in_order(annotations: list[Annotation]) -> list[Annotation]:
    """In J. Tompson's, whatever that of the file is."""
    return sorted(annotations, key=lambda annotation: validation()[annotation.key])


def _share(count: int) -> str:
    return "" if count == len(validation()) else f"These are {count:,} of the {len(validation()):,} validation persons."


def _as_published(root: Path, path: Path, annotations: list[Annotation]) -> tuple[list[Annotation], str]:
    """Validation persons with the joints and head sizes that published scores are measured by, where these are there.

    Also the note that says so, or that they are not. Raises NotAvailable where they are those of other persons.
    """
    truth = _find(root, FROM_DETECTIONS, "val")
    if truth is None:
        return annotations, _NOT_PUBLISHED
    published = {one.key: one for one in FROM_DETECTIONS.read(truth, "val")}
    for annotation in annotations:
        if not _alike(annotation, published[annotation.key]):
            raise NotAvailable(
                f"{truth} does not fit {path}: person {annotation.index} of {annotation.image} has other joints.",
                "Leave the one there that fits your pictures.",
            )
    measured = [
        replace(one, keypoints=published[one.key].keypoints, head_size=published[one.key].head_size)
        for one in annotations
    ]
    return measured, _PUBLISHED.format(truth.name)


def _alike(annotation: Annotation, published: Annotation) -> bool:
    """The same joints, at the same places but for the coordinates that the published file has cut off: see there."""
    ours, theirs = annotation.keypoints, published.keypoints
    near = np.abs(ours - theirs) <= 1
    return bool((np.isnan(ours) == np.isnan(theirs)).all() and (near | np.isnan(theirs) | (theirs == -1)).all())


def _head_sizes(root: Path, split: str, annotations: list[Annotation]) -> dict[Key, float | None]:
    """Their own, else those of the first other file that has any."""
    sizes = {annotation.key: annotation.head_size for annotation in annotations}
    if split == "test" or any(size is not None for size in sizes.values()):
        return sizes
    for form in (FROM_MAT, FROM_H5):
        if path := _find(root, form, split):
            return {annotation.key: annotation.head_size for annotation in form.read(path, split)}
    return sizes


def _person(annotation: Annotation, path: Path, folder: Path, heads: dict[Key, float | None]) -> Person:
    if annotation.box is None:
        raise NotAvailable(f"{path} has no scale for person {annotation.index} of {annotation.image}.")
    return Person(
        image=folder / annotation.image,
        box=annotation.box,
        keypoints=annotation.keypoints,
        visible=annotation.visible,
        head_size=heads.get(annotation.key),
        id=f"{Path(annotation.image).stem}:{annotation.index}",
    )
