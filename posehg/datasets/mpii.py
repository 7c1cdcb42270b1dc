"""MPII Human Pose: images/*.jpg and either mpii_annotations.json or mpii_human_pose_v1_u12_1.mat, or both.

M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014,
http://human-pose.mpi-inf.mpg.de. The json is the set's 25,204 usable persons as hourglass projects pass them on, with
J. Tompson's validation split. It has no head boxes: they are taken from the .mat where that lies beside it. The persons
of the validation split are the same whichever file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets import mpii_mat
from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split, read_json, unreadable
from posehg.datasets.mpii_mat import Annotation, Key
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import MPII

ABOUT = About(
    title="MPII Human Pose",
    paper="M. Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
    url="http://human-pose.mpi-inf.mpg.de",
    terms="annotation: simplified BSD; pictures: research use",
    layout=("mpii_human_pose_v1_u12_1.mat or mpii_annotations.json", "images/"),
    splits={"train": "22,246 persons", "val": "2,958 persons, J. Tompson's"},
)
SPLITS = ("train", "val")
JSON = "mpii_annotations.json"
MAT = "mpii_human_pose_v1_u12_1.mat"
PERSON_HEIGHT = 200.0
"""Pixels that MPII's ``scale`` is a multiple of."""
DOWNWARDS = 15.0
"""MPII's objpos lies too high for a crop of the whole body: its users move it by so many pixels, times the scale."""

_EXPECTED = "MPII's annotations as a json list of persons"


def load(root: Path, split: str) -> Dataset:
    check_split("mpii", split, SPLITS)
    if (root / JSON).is_file():
        heads = _head_sizes(root / MAT) if (root / MAT).is_file() else {}
        annotations, validation = _read_json(root / JSON)
    elif (root / MAT).is_file():
        annotations, validation = mpii_mat.read(root / MAT), _tompson_validation()
        heads = {annotation.key: annotation.head_size for annotation in annotations}
    else:
        raise NotAvailable(f"{root} holds neither {JSON} nor {MAT}.", ABOUT.hint("mpii"))
    folder = root / "images"
    persons = [_person(annotation, folder, heads) for annotation in _select(annotations, validation, split)]
    return Dataset("mpii", split, MPII, persons)


def _select(annotations: Iterable[Annotation], validation: set[Key], split: str) -> Iterator[Annotation]:
    """The usable persons of a split. Nobody on a validation picture is trained on."""
    pictures = {picture for picture, _ in validation}
    for annotation in annotations:
        listed = annotation.key in validation if split == "val" else annotation.image not in pictures
        if listed and annotation.scale > 0 and np.isfinite(annotation.keypoints).any():
            yield annotation


def _person(annotation: Annotation, folder: Path, heads: dict[Key, float | None]) -> Person:
    (x, y), scale = annotation.center, annotation.scale
    return Person(
        image=folder / annotation.image,
        box=Box.around((x - 1, y - 1 + DOWNWARDS * scale), PERSON_HEIGHT * scale),
        keypoints=annotation.keypoints - 1,
        visible=annotation.visible,
        head_size=heads.get(annotation.key),
        id=f"{Path(annotation.image).stem}:{annotation.index}",
    )


def _head_sizes(path: Path) -> dict[Key, float | None]:
    return {annotation.key: annotation.head_size for annotation in mpii_mat.read(path)}


def _tompson_validation() -> set[Key]:
    """The 2,958 persons of J. Tompson's validation split (CVPR 2015), which the .mat does not mark."""
    lines = files("posehg.datasets").joinpath("mpii_validation.txt").read_text().splitlines()
    chosen = set()
    for line in lines:
        if not line.startswith("#"):
            picture, _, indices = line.partition(":")
            chosen |= {(f"{picture}.jpg", int(index)) for index in (indices or "1").split(",")}
    return chosen


def _read_json(path: Path) -> tuple[list[Annotation], set[Key]]:
    """All persons, and the keys of those that are marked as validation."""
    records = read_json(path, _EXPECTED)
    if not isinstance(records, list):
        raise unreadable(path, _EXPECTED)
    annotations, validation = [], set()
    for number, record in enumerate(records, start=1):
        try:
            annotation = _annotation(record)
            if record["isValidation"]:
                validation.add(annotation.key)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise unreadable(path, _EXPECTED, f"record {number}: {type(error).__name__} {error}") from None
        annotations.append(annotation)
    return annotations, validation


def _annotation(record: dict[str, Any]) -> Annotation:
    joints = np.array(record["joint_self"], dtype=np.float64).reshape(len(MPII.joints), 3)
    labelled = np.any(joints[:, :2] != 0, axis=1)  # a missing joint is written as x = y = 0
    x, y = map(float, record["objpos"])
    return Annotation(
        image=str(record["img_paths"]),
        index=int(record["people_index"]),
        keypoints=np.where(labelled[:, None], joints[:, :2], np.nan),
        visible=labelled & (joints[:, 2] > 0),
        center=(x, y),
        scale=float(record["scale_provided"]),
    )
