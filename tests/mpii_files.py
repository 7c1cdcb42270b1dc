"""Tiny MPII sets on disk, in each of the formats in which it goes around; all are written from the json's records."""

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from posehg.datasets import mpii
from posehg.datasets.mpii import validation
from posehg.evaluation import predictions

VALIDATION_PICTURE = "000025245.jpg"  # J. Tompson's split has its fourth person
PAIR_PICTURE = "028077236.jpg"  # and the first and third of this one
TRAINING_PICTURE = "015601864.jpg"
TEST_PICTURE = "090000007.jpg"
JSON, MAT = mpii.JSON, mpii.MAT
HEAD = (3.0, 5.0, 9.0, 13.0)
"""The head box of every person: 6 x 8 pixels."""
NAMES = "rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri".split()

Record = dict[str, Any]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (7, 5), (10, 20, 30)).save(path)


def pictures(root: Path) -> None:
    for name in (TRAINING_PICTURE, VALIDATION_PICTURE, PAIR_PICTURE, TEST_PICTURE):
        picture(root / "images" / name)


def mpii_record(image: str = TRAINING_PICTURE, index: int = 1, shift: float = 0.0, **changes: Any) -> Record:
    """One person. Joint 3 is not labelled, even ones are hidden; neck and head top lie between pixels."""
    joints = [[10.0 + k + shift, 30.0 + 2 * k + 3 * shift, float(k % 2)] for k in range(16)]
    joints[3] = [0, 0, 0.0]
    joints[8][:2] = [18.759 + shift, 46.21 + 3 * shift]
    joints[9][:2] = [-19.241 - shift, 48.97 + 3 * shift]
    record = {
        "img_paths": image,
        "people_index": float(index),
        "isValidation": float(f"{image[:-4]}:{index}" in validation()),
        "objpos": [121.0 + 5 * shift, 133.0 + 7 * shift],
        "scale_provided": 1.2 + shift / 10,
        "joint_self": joints,
    }
    return record | changes


def records_of(split: str) -> list[Record]:
    if split == "train":
        return [mpii_record(), mpii_record(index=3, shift=2)]
    if split == "test":
        return [mpii_record(TEST_PICTURE, 1, shift=4), mpii_record(TEST_PICTURE, 2, shift=5)]
    people = [(PAIR_PICTURE, 1), (PAIR_PICTURE, 3), (VALIDATION_PICTURE, 4)]  # in J. Tompson's order
    return [mpii_record(*key, shift=number) for number, key in enumerate(people)]


def make_mpii_json(root: Path, records: Sequence[Record] | None = None, name: str = JSON) -> None:
    """With a further person in training who has no scale."""
    if records is None:
        records = [*records_of("train"), *records_of("val"), mpii_record(index=2, scale_provided=-1)]
    root.mkdir(exist_ok=True)
    content = json.dumps(records).encode()
    (root / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    pictures(root)


def structs(*rows: dict[str, Any]) -> np.ndarray:
    """A MATLAB struct array; a field that a row does not have is [], as MATLAB has it."""
    return predictions.structs(rows)


def mat_person(record: Record, **changes: Any) -> dict[str, Any]:
    """A record as the .mat has it: joints in another order, flags as text, number or nothing."""
    flags = {1.0: ("1", 1.0, np.zeros((0, 0))), 0.0: ("0", 0.0, 0.0)}
    points = [
        {"x": x, "y": y, "id": float(k), "is_visible": flags[visible][k % 3]}
        for k, (x, y, visible) in enumerate(record["joint_self"])
        if (x, y) != (0, 0)
    ]
    x, y = record["objpos"]
    person = {
        **dict(zip(("x1", "y1", "x2", "y2"), HEAD, strict=True)),
        "scale": record["scale_provided"],
        "objpos": structs({"x": x, "y": y}),
        "annopoints": structs({"point": structs(*reversed(points))}),
    }
    return {field: value for field, value in (person | changes).items() if value is not None}


def make_mpii_mat(root: Path, training: list[dict[str, Any]] | None = None) -> None:
    """training: the people on the training picture. Whoever is not in a record has a head box only."""
    crowd = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
    first, second = records_of("train")
    training = training or [mat_person(first), crowd, mat_person(second)]
    rects: dict[str, list[dict[str, Any]]] = {TRAINING_PICTURE: training}
    for record in records_of("val"):
        there = rects.setdefault(record["img_paths"], [])
        there += [crowd] * (int(record["people_index"]) - 1 - len(there)) + [mat_person(record)]
    test = [mat_person(record) for record in records_of("test")]
    rects[TEST_PICTURE] = [{field: person[field] for field in ("scale", "objpos")} for person in test]
    annolist = structs(
        *({"image": structs({"name": name}), "annorect": structs(*people)} for name, people in rects.items()),
        {"image": structs({"name": "nobody.jpg"})},
    )
    in_train = np.array([[*(float(name != TEST_PICTURE) for name in rects), 1.0]])
    root.mkdir(exist_ok=True)
    savemat(root / MAT, {"RELEASE": structs({"annolist": annolist, "img_train": in_train})})
    pictures(root)


def h5_arrays(records: Sequence[Record], labelled: bool = True) -> dict[str, Any]:
    """As the release has them; labelled: these are no test pictures."""
    joints = np.array([record["joint_self"] for record in records])
    part, visible = np.trunc(joints[..., :2]), joints[..., 2]
    (x1, y1, x2, y2) = HEAD
    return {
        "imgname": np.array([record["img_paths"] for record in records], dtype="S13"),
        "person": np.array([record["people_index"] - 1 for record in records]),
        "center": np.array([record["objpos"] for record in records]),
        "scale": np.array([record["scale_provided"] for record in records]),
        "part": part if labelled else -np.ones_like(part),
        "visible": visible if labelled else -np.ones_like(visible),
        "normalize": np.full(len(records), 0.6 * math.hypot(x2 - x1, y2 - y1) if labelled else -1.0),
    }


def adjusted(arrays: dict[str, Any]) -> dict[str, Any]:
    """As the hourglass authors do before they write train.h5 and the like."""
    center = arrays["center"] + np.stack([0 * arrays["scale"], 15 * arrays["scale"]], axis=1)
    return arrays | {"center": center, "scale": arrays["scale"] * 1.25}


def write_h5(path: Path, arrays: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def make_mpii_h5(root: Path) -> None:
    for split, name in (("train", "train.h5"), ("val", "valid.h5"), ("test", "test.h5")):
        write_h5(root / name, adjusted(h5_arrays(records_of(split), split != "test")))
    pictures(root)


def hrnet_record(record: Record, labelled: bool = True) -> Record:
    place = {"image": record["img_paths"], "center": record["objpos"], "scale": record["scale_provided"]}
    if not labelled:
        return place
    known = [any(joint[:2]) for joint in record["joint_self"]]
    joints = [joint[:2] if there else [-1.0, -1.0] for joint, there in zip(record["joint_self"], known, strict=True)]
    return {**place, "joints": joints, "joints_vis": [int(there) for there in known]}


def write_hrnet(path: Path, records: Sequence[Record], labelled: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([hrnet_record(record, labelled) for record in records]))
    pictures(path.parent)


def make_mpii_hrnet(root: Path) -> None:
    for split, name in (("train", "train.json"), ("val", "valid.json"), ("test", "test.json")):
        write_hrnet(root / "annot" / name, records_of(split), split != "test")
    pictures(root)


def detections(records: Sequence[Record] | None = None) -> dict[str, Any]:
    """The variables of detections_our_format.mat; whoever is not in a record has joints of no meaning."""
    records = records_of("val") if records is None else records
    keys = {f"{record['img_paths'][:-4]}:{record['people_index']:g}": record for record in records}
    joints = np.full((len(validation()), 16, 3), 7.0)
    for key, row in validation().items():
        if key in keys:
            joints[row] = keys[key]["joint_self"]
    heads = np.tile(np.array(HEAD).reshape(2, 2, 1), len(joints))
    return {
        "jnt_missing": (joints[..., :2] == 0).all(axis=2).T.astype(np.uint8),
        "pos_gt_src": joints[..., :2].transpose(1, 2, 0),
        "headboxes_src": heads,
        "dataset_joints": np.array([NAMES], dtype=object),
    }


def make_detections(root: Path, name: str = "detections_our_format.mat", **changes: Any) -> None:
    root.mkdir(exist_ok=True)
    savemat(root / name, detections() | changes)
