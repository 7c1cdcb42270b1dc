"""People found on the images of a data set: files that ``posehg predict`` writes, and COCO results.

Such files do not say which annotated person was found. For PCK, a found person is taken for the annotated person whose
bounding box overlaps most with the extent of the found joints (intersection over union), the best pair first; the
joints themselves are not compared.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from posehg.datasets.dataset import Dataset, people_by_image
from posehg.datasets.reading import opened, unreadable
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.predictions import Predictions, numbers, on_skeleton
from posehg.geometry import Box
from posehg.inference.oks import THRESHOLD
from posehg.io.sources import coco_number
from posehg.metrics import Array

SUFFIXES = (".json", ".jsonl", ".csv", ".npz")
PERSON = 1  # COCO's category of people

_RECORDS, _RESULTS = "a file that posehg predict wrote", "a list of COCO results"
_COLUMNS = ("source", "frame", "person", "joint", "x", "y", "score", "person_score")


@dataclass(frozen=True, eq=False)
class Detection:
    """A person found on an image.

    keypoints: (J, 2) image pixels, NaN where nothing is predicted. scores: (J,), NaN where unknown.
    score: ranks the detections. box: the extent of the joints, by which detections are matched with persons.
    """

    image: Path
    keypoints: Array
    scores: Array
    score: float
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class _Run:
    """What a file says. images: the names of its images and frames; every_image: including those without people.

    people: the image, (K, 3) x, y and score of each joint, and the person's score.
    """

    joints: tuple[str, ...]
    images: list[str]
    people: list[tuple[str, Any, float]]
    every_image: bool = True
    model: str = ""


def is_coco_results(path: Path) -> bool:
    """Whether a file is a JSON list; posehg's own files are JSON objects."""
    return path.suffix.lower() == ".json" and _beginning(path).startswith(b"[")


def is_records(path: Path) -> bool:
    """Whether ``posehg predict`` wrote the file, rather than ``posehg eval --predictions``."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with suppress(OSError, BadZipFile), ZipFile(path) as archive:
            return "sources.npy" in archive.namelist()
    is_object = re.match(rb'\{\s*"posehg"\s*:', _beginning(path)) is not None
    return suffix in (".jsonl", ".csv") or (suffix == ".json" and is_object)


def _beginning(path: Path) -> bytes:
    with suppress(OSError), open(path, "rb") as file:
        return file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip()
    return b""


def read(path: Path, data: Dataset) -> tuple[list[Detection], dict[str, Any]]:
    """Everyone that ``posehg predict`` found on the data set's images, on its skeleton; and what to say of the file.

    Other images are left out. Raises NotAvailable if the file is damaged, has no joint in common with the data set,
    has an image twice, or lacks images although it lists those without people too.
    """
    with opened(path, _RECORDS) as file:
        run = {".csv": _read_csv, ".npz": _read_npz}.get(path.suffix.lower(), _read_json)(file)
        images = locate(data, set(run.images))
        _check_images(path, data, run, images)
        found = _detections(path, data, run, images)
    about = {"model": run.model} if run.model else {}
    return found, {**about, "people": len(found), "images_left_out": len(run.images) - len(images)}


def _detections(path: Path, data: Dataset, run: _Run, images: Mapping[str, Path]) -> list[Detection]:
    triples = numbers([triples for _, triples, _ in run.people] or np.empty((0, len(run.joints), 3)))
    scores = numbers([score for *_, score in run.people] or np.empty(0))
    if triples.shape != (*scores.shape, len(run.joints), 3):
        raise ValueError("a person lacks x, y and score of each joint")
    if not np.isfinite(triples).all() or not np.isfinite(scores).all():
        raise ValueError("a number is not finite")
    found, moved = [], on_skeleton(path, data, run.joints, triples)
    for (name, *_), own, values, score in zip(run.people, triples, moved, scores, strict=True):
        if name in images:
            extent = Box.bounding(own[own[:, 2] >= THRESHOLD, :2]) or Box.bounding(own[:, :2])
            found.append(Detection(images[name], values[:, :2], values[:, 2], float(score), extent))
    return found


def _read_json(file: BytesIO) -> _Run:
    text = file.getvalue().decode("utf-8-sig")
    try:
        records = [json.loads(text)]
    except json.JSONDecodeError:  # a record a line
        records = json.loads("[" + ",\n".join(line for line in text.split("\n") if line.strip()) + "]")
    joints = {tuple(record["joints"]) for record in records}
    if versions := {record["posehg"] for record in records} - {1}:
        raise ValueError(f"version {versions.pop()} of its format; posehg reads 1")
    if len(joints) != 1:
        raise ValueError("its records differ in their joints" if joints else "it is empty")
    images = [_image_name(record["source"], record["frame"]) for record in records]
    people = [
        (image, person["keypoints"], person["score"])
        for image, record in zip(images, records, strict=True)
        for person in record["people"]
    ]
    models = sorted({str(record["model"]) for record in records})
    return _Run(joints.pop(), images, people, model=", ".join(models))


def _read_csv(file: BytesIO) -> _Run:
    table = csv.DictReader(StringIO(file.getvalue().decode("utf-8-sig"), newline=""), strict=True)
    if not set(_COLUMNS) <= set(table.fieldnames or ()):
        raise ValueError(f"its columns are not {', '.join(_COLUMNS)}")
    people: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in table:
        if None in row.values() or None in row:
            raise ValueError(f"line {table.line_num} has too few or too many cells")
        image = _image_name(row["source"], int(row["frame"]) if row["frame"] else None)
        people.setdefault((image, row["person"]), []).append(row)
    joints = {tuple(row["joint"] for row in rows) for rows in people.values()}
    if len(joints) > 1:
        raise ValueError("its people differ in their joints")
    values = [
        (image, [[float(row[name]) for name in ("x", "y", "score")] for row in rows], float(rows[0]["person_score"]))
        for (image, _), rows in people.items()
    ]
    images = list(dict.fromkeys(image for image, _ in people))
    return _Run(joints.pop() if joints else (), images, values, every_image=False)


def _read_npz(file: BytesIO) -> _Run:
    with np.load(file, allow_pickle=False) as arrays:
        frames = [None if frame < 0 else int(frame) for frame in arrays["frames"]]
        images = [_image_name(str(source), frame) for source, frame in zip(arrays["sources"], frames, strict=True)]
        triples = np.dstack([numbers(arrays["keypoints"]), numbers(arrays["scores"])])
        names = [images[place] for place in arrays["pictures"]]
        people = list(zip(names, triples, arrays["person_scores"], strict=True))
        joints = tuple(str(joint) for joint in arrays["joints"])
        return _Run(joints, images, people, model=str(arrays["model"]))


def _image_name(source: Any, frame: Any) -> str:
    if not isinstance(source, str) or not (frame is None or isinstance(frame, int)):
        raise TypeError("an image has no name")
    return source if frame is None else f"{PurePath(source).stem}_{frame:012d}"


def read_coco_results(path: Path, data: Dataset, category: int | None = None) -> list[Detection]:
    """The people of a COCO results file, in its order: https://cocodataset.org/#format-results.

    image_id may be an id of the data set's own file, a file name, or COCO's number of an image.
    category: that of the data set's persons; None if it is not known.
    Raises NotAvailable if the file is damaged, has several categories or another one, or names unknown images.
    """
    with opened(path, _RESULTS) as file:
        records = json.load(file)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise unreadable(path, _RESULTS)
        categories = {record["category_id"] for record in records}
        if len(categories) > 1 or (category is not None and categories - {category}):
            told = f"{path} holds results of category {', '.join(map(str, sorted(categories)))}"
            raise NotAvailable(f"{told}; the data set has persons of one category, {category or PERSON}.")
        ids, joints = [str(record["image_id"]) for record in records], data.skeleton.joints
        people = []
        for number, (id, record) in enumerate(zip(ids, records, strict=True), start=1):
            if len(record["keypoints"]) != 3 * len(joints):
                size, wanted = len(record["keypoints"]), 3 * len(joints)
                told = f"Result {number:,} in {path} has {size} numbers, but {len(joints)} joints have {wanted}."
                raise NotAvailable(told, "Score results on a data set with the same joints.")
            people.append((id, numbers(record["keypoints"]).reshape(-1, 3), float(record["score"])))
        images = {id: data.images[id] for id in ids if id in data.images}
        if len(images) < len(set(ids)):
            images = max(images, locate(data, set(ids)), key=len)
        if unknown := sorted(set(ids) - images.keys()):
            raise NotAvailable(
                f"{len(unknown):,} images in {path} are not in {data.name} {data.split}, such as {unknown[0]}.",
                "Score results on the split that they were made for.",
            )
        return _detections(path, data, _Run(joints, ids, people), images)


def locate(data: Dataset, names: Collection[str]) -> dict[str, Path]:
    """The data set's image for each name; names of other images are left out.

    A name is a file name with any folders before it, COCO's number, or (of a video frame) a name without suffix. Of
    several images with that name, the longest common end of the paths decides. Raises UsageError if that leaves two.
    """
    known: dict[str, list[Path]] = {}
    images = [person.image for some in (data.persons, data.ignored) for person in some]
    for image in dict.fromkeys([*images, *data.images.values()]):
        number = coco_number(image.stem)
        for key in {image.name, image.stem, image.name if number is None else str(number)}:
            known.setdefault(key, []).append(image)
    found: dict[str, Path] = {}
    ambiguous: dict[str, list[Path]] = {}
    for name in names:
        path = PurePath(name)
        shared = {image: _common_end(path.parts[:-1], image.parts[:-1]) for image in known.get(path.name, ())}
        likely = [image for image, count in shared.items() if count == max(shared.values())]
        if len(likely) == 1:
            found[name] = likely[0]
        elif likely:
            ambiguous[name] = likely
    taken = set(found.values())
    for name, likely in ambiguous.items():
        free = [image for image in likely if image not in taken]  # a bare name, where the others came with folders
        if len(free) != 1:
            hint = "Predict from the folder above both, so that their paths differ."
            raise UsageError(f"{data.name} {data.split} has two images named {likely[0].name}.", hint)
        found[name] = free[0]
    return found


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts are equal."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _check_images(path: Path, data: Dataset, run: _Run, images: dict[str, Path]) -> None:
    times = Counter(images[name] for name in run.images if name in images)
    if twice := [image for image, count in times.items() if count > 1]:
        raise NotAvailable(f"{path} holds {twice[0].name} more than once.", "Leave one run in the file.")
    needed = list(dict.fromkeys(person.image for person in data.persons))
    missing = [image for image in needed if image not in times]
    if missing and (run.every_image or len(missing) == len(needed)):
        raise NotAvailable(
            f"{len(missing):,} of {len(needed):,} images of {data.name} {data.split} are not in {path}, "
            f"such as {missing[0].name}.",
            "Predict all images of the split: posehg predict FOLDER --out run.jsonl",
        )


def predictions(path: Path, data: Dataset) -> Predictions:
    """For each person of the data set, the joints of the detection taken for it; NaN if there is none.

    People who are annotated but ignored, such as crowds, take detections too. Raises as ``read`` does.
    """
    found, about = read(path, data)
    on_image: dict[Path, list[Detection]] = {}
    for detection in found:
        on_image.setdefault(detection.image, []).append(detection)
    taken: dict[int, Detection] = {}
    for (_, image), annotated in people_by_image(data).items():
        overlaps = [
            (box.iou(detection.box), row, place, detection)
            for place, (row, box) in enumerate(annotated)
            for detection in on_image.get(image, ())
            if detection.box is not None
        ]
        persons, people = set[int](), set[int]()
        for overlap, row, place, detection in sorted(overlaps, key=lambda entry: -entry[0]):
            if overlap > 0 and place not in persons and id(detection) not in people:
                persons.add(place)
                people.add(id(detection))
                taken[row] = detection
    taken.pop(-1, None)  # ignored people
    keypoints = np.full((len(data), len(data.skeleton.joints), 2), np.nan)
    scores = np.full(keypoints.shape[:2], np.nan)
    for row, detection in taken.items():
        keypoints[row], scores[row] = detection.keypoints, detection.scores
    return Predictions(keypoints, scores, {**about, "people_matched": len(taken)})
