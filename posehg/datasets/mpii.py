"""MPII Human Pose: images/*.jpg and its annotation in any of the files in which it is distributed.

The persons come from the first file of FORMATS in the folder, or in its folder annot; their ids are the same from each
(but see read_hrnet_json). Two things come from further files: the joints and head boxes of ``val`` from
detections_our_format.mat, by which published scores are measured; and head sizes that the file itself lacks.

``val`` is J. Tompson's split in his order, with nobody left out, so that row n of other people's predictions is person
n. ``test`` has boxes only: its joints are NaN. A person's id is the image and the one-based place in its annorect.

All files are one-based. ``objpos`` lies too high for a crop of the whole body, so users of MPII move it down by 15
pixels times ``scale``.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import reading
from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.reading import each, expecting, find_file, matlab_field, numbers
from posehg.errors import NotAvailable
from posehg.geometry import Box, Points
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
JOINTS = len(MPII.joints)
HEAD_SIZE = 0.6  # the unit of PCKh as a share of the head box's diagonal (the published evaluation's SC_BIAS)
PERSON_HEIGHT = 200.0  # the release's scale is a multiple of this many pixels
DOWNWARDS = 15.0  # pixels, times the scale, by which the centre of a body lies below MPII's objpos

_EXPECTED_JSON = "MPII's annotations as a json list of people"

Flags = NDArray[np.bool_]


@cache
def validation() -> dict[str, int]:
    """The ids of the 2,958 persons of J. Tompson's validation split (CVPR 2015) -> their rows in his files."""
    ids = [_id(image, index) for image, indices in validation_images().items() for index in indices]
    return {id: row for row, id in enumerate(ids)}


@cache
def validation_images() -> dict[str, tuple[int, ...]]:
    """The images of that split, in its order -> the places of the persons on them that belong to it."""
    lines = files("posehg.datasets").joinpath("mpii_validation.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.partition(":") for line in lines if not line.startswith("#")]
    return {f"{image}.jpg": tuple(map(int, (indices or "1").split(","))) for image, _, indices in parts}


def _id(image: str, index: int) -> str:
    return f"{Path(image).stem}:{index}"


def _belongs(image: str, index: int, split: str) -> bool:
    """Whether a person is in ``train`` or ``val``. Others on validation images are in neither of them."""
    return _id(image, index) in validation() if split == "val" else image not in validation_images()


def _person(
    image: str, index: int, points: Points, labelled: Flags, visible: Flags, box: Box | None, head: float | None = None
) -> Person:
    """points: (16, 2), one-based. box: in zero-based pixels; None (a box of no size) if the file has no scale."""
    keypoints = reading.check_near(np.where(labelled[:, None], points - 1, np.nan))
    return Person(Path(image), box or Box(0, 0, 0, 0), keypoints, labelled & visible, head, id=_id(image, index))


def _body_box(x: float, y: float, scale: float) -> Box | None:
    """The square of 200 * scale pixels around MPII's one-based objpos, moved down; None without a scale."""
    center = (x - 1, y - 1 + DOWNWARDS * scale)
    return None if scale <= 0 else reading.square_around(center, PERSON_HEIGHT * scale)


def _head_size(x1: float, y1: float, x2: float, y2: float) -> float | None:
    """The unit of PCKh from a head box; None if the box is a point."""
    return HEAD_SIZE * math.hypot(x2 - x1, y2 - y1) or None


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Each record of a json with the name of its place."""
    records = reading.read_json(path, _EXPECTED_JSON)
    if not isinstance(records, list):
        raise reading.unreadable(path, _EXPECTED_JSON)
    return ((f"record {number}", record) for number, record in enumerate(records, start=1))


# ---- mpii_annotations.json -----------------------------------------------------------------------------------------


def read_annotations_json(path: Path, split: str) -> list[Person]:
    """The 25,204 usable people as hourglass projects pass them on, plain or as .json.gz; without head boxes.

    A list of records: img_paths, people_index (one-based), objpos, scale_provided (three decimals), joint_self (16
    times x, y, visible; x = y = 0 is not labelled).
    """
    persons = []
    for place, record in _records(path):
        with expecting(path, _EXPECTED_JSON, place):
            image, index = str(record["img_paths"]), int(record["people_index"])
            if _belongs(image, index, split):
                joints = np.array(record["joint_self"], dtype=np.float64).reshape(JOINTS, 3)
                points, visible = joints[:, :2], joints[:, 2] > 0
                box = _body_box(*map(float, (*record["objpos"], record["scale_provided"])))
                persons.append(_person(image, index, points, np.any(points != 0, axis=1), visible, box))
    return persons


# ---- mpii_human_pose_v1_u12_1.mat ----------------------------------------------------------------------------------

_EXPECTED_MAT = "MPII's mpii_human_pose_v1_u12_1.mat with the struct 'RELEASE'"


def read_release_mat(path: Path, split: str) -> list[Person]:
    """The official release: everyone with joints (on test images: regardless of joints), a scale and a centre.

        RELEASE.img_train(i)                    1: has joints, 0: a test image
        RELEASE.annolist(i).image.name
                           .annorect(p)         x1 y1 x2 y2 (head box), scale, objpos.x .y
                                       .annopoints.point(k)   x y id (0 .. 15, in no order) is_visible (0 or 1, also
                                                              as text; or [])

    Any field may be missing or empty: crowds have a head box only.
    """
    release = reading.read_mat(path, "RELEASE", _EXPECTED_MAT)
    persons = []
    with expecting(path, _EXPECTED_MAT):
        for entry, in_train in zip(each(release.annolist), np.atleast_1d(release.img_train), strict=True):
            if bool(in_train) != (split != "test"):
                continue
            image = str(entry.image.name)
            for index, rect in enumerate(each(matlab_field(entry, "annorect")), start=1):
                scale, place = matlab_field(rect, "scale"), matlab_field(rect, "objpos")
                points = each(matlab_field(matlab_field(rect, "annopoints"), "point")) if split != "test" else []
                belongs = split == "test" or (points and _belongs(image, index, split))
                if scale is None or place is None or not belongs:
                    continue
                joints = np.zeros((JOINTS, 4))  # x, y, labelled, visible
                for point in points:
                    flag = matlab_field(point, "is_visible")
                    # Neck and head top have no flag: they were drawn as the head box, so they are in sight.
                    joints[int(point.id)] = float(point.x), float(point.y), 1, flag is None or float(flag) > 0
                corners = [matlab_field(rect, corner) for corner in ("x1", "y1", "x2", "y2")]
                head = _head_size(*map(float, corners)) if points and None not in corners else None
                box = _body_box(float(place.x), float(place.y), float(scale))
                persons.append(_person(image, index, joints[:, :2], joints[:, 2] > 0, joints[:, 3] > 0, box, head))
    return persons


# ---- train.h5, valid.h5, test.h5 -----------------------------------------------------------------------------------

ENLARGED = 1.25  # their scales are this much larger than MPII's
_CUT = [MPII.index("upper_neck"), MPII.index("head_top")]
_ROWS = {"center": (2,), "scale": (), "part": (JOINTS, 2), "visible": (JOINTS,), "person": (), "normalize": ()}
_EXPECTED_H5 = "the hourglass authors' .h5 of MPII, one row a person with (16, 2) joints"


def read_authors_h5(path: Path, split: str) -> list[Person]:
    """The hourglass authors' files, one row a person.

    imgname, person (zero-based), center, scale, part (16, 2), visible (16,), normalize (the unit of PCKh).

    * The centre is already moved down by 15 * scale, and the scale multiplied by 1.25 after that.
    * part is 0 where a joint is not labelled, and -1 like visible where a person has no annotation.
    * Coordinates were cut to whole pixels. Hand-labelled joints are whole anyway. Neck and head top come from the head
      box and lost half a pixel on average; it is added back, so they are right to 0.5 px.
    """
    images, rows = reading.h5_rows(path, _ROWS, _EXPECTED_H5)
    persons = []
    with expecting(path, _EXPECTED_H5):
        part, visible, heads = rows["part"], rows["visible"], rows["normalize"].tolist()
        labelled = (visible >= 0) & ((part != 0).any(axis=-1) | (visible > 0))
        part[:, _CUT] += 0.5 * np.sign(part[:, _CUT])  # they were cut towards 0
        for row, (image, place) in enumerate(zip(images, rows["person"], strict=True)):
            index = int(place) + 1
            if split == "test" or _belongs(image, index, split):
                x, y, scale = map(float, (*rows["center"][row], rows["scale"][row] / ENLARGED))
                box = _body_box(x, y - DOWNWARDS * scale, scale)
                head = heads[row] if heads[row] > 0 else None
                persons.append(_person(image, index, part[row], labelled[row], visible[row] > 0, box, head))
    return persons


# ---- HRNet's train.json, valid.json, test.json ---------------------------------------------------------------------


def read_hrnet_json(path: Path, split: str) -> list[Person]:
    """The annotation of HRNet and mmpose. A list of records: image, center (objpos), scale, joints, joints_vis.

    On test images a record has only the first three. joints_vis is 1 for every labelled joint, also for hidden ones,
    and 0 for the others, which lie at (-1, -1). A record does not say which person on its image it is. Those of the
    validation split follow from J. Tompson's list, whose order the file has. The others are numbered as they appear on
    their image; if a person before them was left out, their ids differ from those of other files.
    """
    persons = []
    seen: Counter[str] = Counter()
    for place, record in _records(path):
        with expecting(path, _EXPECTED_JSON, place):
            image = str(record["image"])
            listed = validation_images().get(image, ())
            if split == "train" and listed:
                continue
            seen[image] += 1
            index = listed[seen[image] - 1] if split == "val" else seen[image]
            points, labelled = np.zeros((JOINTS, 2)), np.zeros(JOINTS, dtype=bool)
            if split != "test":
                points = np.array(record["joints"], dtype=np.float64).reshape(JOINTS, 2)
                labelled = np.array(record["joints_vis"], dtype=np.float64).reshape(JOINTS) > 0
            box = _body_box(*map(float, (*record["center"], record["scale"])))
            persons.append(_person(image, index, points, labelled, labelled, box))
    for image, count in seen.items() if split == "val" else ():
        listed = validation_images()[image]
        if count < len(listed):  # a person left out would give the others wrong numbers
            detail = f"of the {len(listed)} validation people on {image} it has {count}"
            raise reading.unreadable(path, _EXPECTED_JSON, detail)
    return persons


# ---- detections_our_format.mat -------------------------------------------------------------------------------------

_NAMES = "rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri".split()
_EXPECTED_DETECTIONS = "J. Tompson's detections_our_format.mat of MPII's 2,958 validation people"


def read_detections(path: Path, split: str = "val") -> list[Person]:
    """J. Tompson's joints and head boxes of the 2,958 validation persons, by which published scores are measured.

    HRNet and mmpose call the file gt_valid.mat or mpii_gt_val.mat: pos_gt_src (16, 2, N), jnt_missing (16, N),
    headboxes_src (2 corners, 2, N), dataset_joints (16 names). It has no centres, no scales and no visibility.

    It equals the release but for 13 of its 44,240 joints. These lie more than 128 * scale pixels to the left of the
    person's objpos or above it, and the coordinate outside is 0. The release is right, but all published scores are
    measured by this file (the hourglass authors' 79.05 of ankles would be 79.07 by the release).
    """
    count, names = len(validation()), ("dataset_joints", "pos_gt_src", "jnt_missing", "headboxes_src")
    arrays = reading.read_matlab(path, names, _EXPECTED_DETECTIONS, squeeze_me=True)
    with expecting(path, _EXPECTED_DETECTIONS):
        points = numbers(arrays, "pos_gt_src", (JOINTS, 2, count)).transpose(2, 0, 1)
        labelled = numbers(arrays, "jnt_missing", (JOINTS, count)).T == 0
        corners = numbers(arrays, "headboxes_src", (2, 2, count)).transpose(2, 0, 1)
        joints = [str(name) for name in np.ravel(arrays.get("dataset_joints", []))]
        if joints != _NAMES:
            raise ValueError(f"its joints are {', '.join(joints[:JOINTS])}")
        keys = [(image, index) for image, indices in validation_images().items() for index in indices]
        persons = []
        for key, place, flags, head in zip(keys, points, labelled, corners, strict=True):
            box = Box.bounding(place[flags] - 1)
            persons.append(_person(*key, place, flags, flags, box, _head_size(*head.ravel())))
        return persons


# ---- the set -------------------------------------------------------------------------------------------------------


_JSONS = (JSON, f"{JSON}.gz", "mpii_annotations*.json", "mpii_annotations*.json.gz")
FORMATS: dict[str, tuple[Callable[[Path, str], list[Person]], dict[str, tuple[str, ...]]]] = {
    "json": (read_annotations_json, {"train": _JSONS, "val": _JSONS}),
    "mat": (read_release_mat, {"train": (MAT,), "val": (MAT,), "test": (MAT,)}),
    "h5": (read_authors_h5, {"train": ("train.h5",), "val": ("valid.h5",), "test": ("test.h5",)}),
    "hrnet": (read_hrnet_json, {"train": ("train.json",), "val": ("valid.json",), "test": ("test.json",)}),
    "detections": (read_detections, {"val": ("*detections_our_format.mat", "gt_valid.mat", "mpii_gt_val.mat")}),
}
"""Readers, and the files that have each split, as glob patterns; the format that preserves most comes first."""

NOTES = {
    "hrnet": "HRNet's json says neither which joints are hidden (all labelled ones count as visible) nor, except for "
    "validation people, which person on an image is meant (they are numbered as they appear on it).",
    "detections": "The boxes span the labelled joints: detections_our_format.mat has neither centres nor scales.",
}
_NOT_PUBLISHED = (
    "Published scores are measured by detections_our_format.mat, which is not here: 13 of its 44,240 joints lie "
    "elsewhere, so scores can differ by a few hundredths."
)
_NO_HEADS = f"PCKh is not measured: no head boxes; they are in {MAT}, valid.h5 and detections_our_format.mat."


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train``, ``val`` or ``test``.

    Raises NotAvailable if no file in ``root`` has the split, or if one is broken.
    """
    there = {key: file for key, (_, files) in FORMATS.items() if (file := find_file(root, files.get(split, ())))}
    if not there:
        looked = ", ".join(file for _, files in FORMATS.values() for file in files.get(split, ()))
        hint = f"posehg looks there and in {root / 'annot'}, in this order, for: {looked}. {INFO[name].hint}"
        raise NotAvailable(f"{root} holds neither {JSON} nor another annotation of MPII's split {split}.", hint)
    key, path = next(iter(there.items()))
    persons, notes = FORMATS[key][0](path, split), [NOTES.get(key, "")]
    if split == "train":
        persons = [person for person in persons if person.box.w and np.isfinite(person.keypoints).any()]
    unscaled = next((person.id for person in persons if not person.box.w), None)
    if unscaled is not None:
        raise NotAvailable(f"{path} has no scale for the person {unscaled}.", "Copy or download it again.")
    if split == "val":
        persons.sort(key=lambda person: validation()[person.id])
        if len(persons) < len(validation()):
            notes.append(f"These are {len(persons):,} of the {len(validation()):,} validation people.")
        truth = there.get("detections")
        if truth is None:
            notes.append(_NOT_PUBLISHED)
        else:
            notes.append(f"Joints and head boxes are those of {truth.name}, by which published scores are measured.")
            published = {person.id: person for person in read_detections(truth)}
            pairs = [(person, published[person.id]) for person in persons]
            if np.nanmedian([np.abs(a.keypoints - b.keypoints) for a, b in pairs]) > 1:
                hint = "Leave the one there that fits your images."
                raise NotAvailable(f"{truth} does not fit {path}: its joints lie elsewhere.", hint)
            persons = [replace(a, keypoints=b.keypoints, head_size=b.head_size) for a, b in pairs]
    for other in ("mat", "h5") if split != "test" else ():
        if other in there and not any(person.head_size for person in persons):
            heads = {person.id: person.head_size for person in FORMATS[other][0](there[other], split)}
            persons = [replace(person, head_size=heads.get(person.id)) for person in persons]
    if split != "test" and not any(person.head_size for person in persons):
        notes.append(_NO_HEADS)
    persons = [replace(person, image=root / "images" / person.image) for person in persons]
    return Dataset(name, split, MPII, persons, note=" ".join(filter(None, notes)), origin=1)
