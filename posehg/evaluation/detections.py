"""People found on the images of a data set: files that ``posehg predict`` writes, and COCO results.

Such files do not say which annotated person was found. For PCK, ``matched`` compares bounding boxes.
"""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO, StringIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePath
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile

import numpy as np

from posehg.datasets.dataset import Dataset, people_by_image
from posehg.datasets.reading import expecting, opened
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.predictions import Predictions
from posehg.geometry import Box
from posehg.io.sources import coco_number
from posehg.io.writers.coco import joints_of
from posehg.metrics import Array
from posehg.poses import THRESHOLD

SUFFIXES = (".json", ".jsonl", ".csv", ".npz", ".h5", ".mat")
_EXPECTED = "a file of people that posehg predict wrote, or a list of COCO results"


@dataclass(frozen=True, eq=False)
class Detection:
    """A person found on an image.

    keypoints: (J, 2) image pixels, NaN where nothing is predicted. scores: (J,), NaN where unknown.
    score: ranks the detections. box: the extent of the joints, by which detections are matched with persons.
    area: of the person, in square pixels; None is that of the joints' extent.
    """

    image: Path
    keypoints: Array
    scores: Array
    score: float
    box: Box | None = None
    area: float | None = None


def kind_of(path: Path) -> Literal["rows", "records", "results"]:
    """What a file holds: records of ``posehg predict``, COCO results, or else a row for each person of a data set."""
    suffix, beginning = path.suffix.lower(), b""
    with suppress(OSError, BadZipFile):
        if suffix == ".npz":
            with ZipFile(path) as archive:
                return "records" if "sources.npy" in archive.namelist() else "rows"
        with open(path, "rb") as file:
            beginning = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")  # a byte order mark and white space
    if suffix in (".jsonl", ".csv") or (suffix == ".json" and re.match(rb'\{\s*"posehg"\s*:', beginning)):
        return "records"
    return "results" if suffix == ".json" and beginning.startswith(b"[") else "rows"


def read(path: Path, data: Dataset) -> tuple[list[Detection], dict[str, Any]]:
    """Everyone found on the data set's images, on its skeleton, in the file's order; and what to say of the file.

    ``posehg predict`` may have seen other images too: they are left out. Of COCO results
    (https://cocodataset.org/#format-results), image_id may be an id of the data set's own file or as in ``locate``, and
    the joints are the data set's or those that ``posehg predict`` writes for them, see posehg/io/writers/coco.py.
    Raises NotAvailable if the file is damaged, or has other joints, an image twice, or other images than the data set.
    """
    with opened(path, _EXPECTED) as file, expecting(path, _EXPECTED, quote=False):
        if kind_of(path) == "results":
            results = json.load(file)
            people = _coco_people(path, data, results)
            written, lengths = joints_of(data.skeleton), {len(own) for _, own, _ in people}
            found = _detections(path, data, written if lengths == {len(written)} else data.skeleton.joints, people)
            boxes = [result.get("bbox") for result in results]
            areas = [float(box[2]) * float(box[3]) if box else None for box in boxes]
            return [replace(one, area=area) for one, area in zip(found, areas, strict=True)], {}
        suffix = path.suffix.lower()
        records = {".csv": _table_records, ".npz": _array_records}.get(suffix, _json_records)(file)
        (joints,) = {tuple(record["joints"]) for record in records}
        for record in records:
            if record["frame"] is not None:
                record["source"] = f"{PurePath(record['source']).stem}_{record['frame']:012d}"
        images = locate(data, {record["source"] for record in records})
        placed = [(images[record["source"]], record) for record in records if record["source"] in images]
        times = Counter(image for image, _ in placed)
        if twice := [image for image, count in times.items() if count > 1]:
            raise NotAvailable(f"{path} holds {twice[0].name} more than once.", "Leave one run in the file.")
        needed = dict.fromkeys(person.image for person in data.persons)
        missing = [image for image in needed if image not in times]
        if missing and (suffix != ".csv" or len(missing) == len(needed)):  # a table lacks images without people
            told = f"{len(missing):,} of {len(needed):,} images of {data.name} {data.split} are not in {path}, such as"
            hint = "Predict all images of the split: posehg predict FOLDER --out run.jsonl"
            raise NotAvailable(f"{told} {missing[0].name}.", hint)
        people = [(image, one["keypoints"], one["score"]) for image, record in placed for one in record["people"]]
        found = _detections(path, data, joints, people)
    model = {"model": str(records[0]["model"])} if "model" in records[0] else {}
    return found, {**model, "people": len(found)}


def _json_records(file: BytesIO) -> list[dict[str, Any]]:
    """A line for each image or frame, see posehg/io/writers/json.py."""
    records = [json.loads(line) for line in file.getvalue().decode("utf-8-sig").split("\n") if line.strip()]
    if any(record["posehg"] != 1 for record in records):
        raise ValueError  # of a later version
    return records


def _table_records(file: BytesIO) -> list[dict[str, Any]]:
    """From a line for each joint of a person, or for each person, see posehg/io/writers/csv.py."""
    lines = csv.DictReader(StringIO(file.getvalue().decode("utf-8-sig"), newline=""), strict=True)
    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    header = lines.fieldnames or ()
    wide = [] if "joint" in header else [name.removesuffix("_score") for name in header if name.endswith("_score")]
    for (source, frame, _), person in groupby(lines, itemgetter("source", "frame", "person")):
        rows = list(person)
        joints = tuple(wide or (row["joint"] for row in rows))
        empty = {"source": source, "frame": int(frame) if frame else None, "joints": joints, "people": []}
        cells = [rows[0][f"{joint}_{part}"] for joint in wide for part in ("x", "y", "score")]
        cells = cells or [row[part] for row in rows for part in ("x", "y", "score")]
        triples = np.array(cells, dtype=np.float64).reshape(-1, 3)
        own = {"keypoints": triples, "score": float(rows[0]["score" if wide else "person_score"])}
        records.setdefault((source, frame, joints), empty)["people"].append(own)
    return list(records.values())


def _array_records(file: BytesIO) -> list[dict[str, Any]]:
    with np.load(file, allow_pickle=False) as archive:
        arrays = dict(archive)
    records: list[dict[str, Any]] = []
    for source, frame in zip(arrays["sources"], arrays["frames"], strict=True):
        about = {"joints": arrays["joints"].tolist(), "model": str(arrays["model"]), "source": str(source)}
        records.append(about | {"frame": None if frame < 0 else int(frame), "people": []})
    triples = np.dstack([arrays["keypoints"], arrays["scores"]])
    for place, own, score in zip(arrays["images"], triples, arrays["person_scores"], strict=True):
        records[place]["people"].append({"keypoints": own, "score": score})
    return records


def _coco_people(path: Path, data: Dataset, records: list[dict[str, Any]]) -> list[tuple[Path, Any, Any]]:
    if len(categories := {record.get("category_id", 1) for record in records}) > 1:
        listed = ", ".join(map(str, sorted(categories)))
        raise NotAvailable(f"{path} holds results of categories {listed}.", "Keep those of people only.")
    ids = [str(record["image_id"]) for record in records]
    images = {id: data.images[id] for id in ids if id in data.images}
    if len(images) < len(set(ids)):
        images = max(images, locate(data, set(ids)), key=len)
    if unknown := sorted(set(ids) - images.keys()):
        told = f"{len(unknown):,} images in {path} are not in {data.name} {data.split}, such as {unknown[0]}."
        raise NotAvailable(told, "Score results on the split that they were made for.")
    count, people = len(data.skeleton.joints), []
    for id, record in zip(ids, records, strict=True):  # x, y and score, or x and y, in a list of lists or in one list
        own = np.array(record["keypoints"], dtype=np.float64).ravel()
        triples = np.insert(own, range(2, 2 * count + 1, 2), 1.0) if own.size == 2 * count else own
        people.append((images[id], triples.reshape(-1, 3), record["score"]))
    return people


def _detections(
    path: Path, data: Dataset, joints: Sequence[str], people: Sequence[tuple[Path, Any, Any]]
) -> list[Detection]:
    """People on the data set's joints; each is an image, x, y and score of the file's joints, and a score."""
    shared = [joint for joint in data.skeleton.joints if joint in joints]
    if not shared:
        hint = f"It has: {', '.join(joints)}."
        raise NotAvailable(f"{path} has no joint in common with the skeleton of {data.name}.", hint)
    shape = (len(joints), 3)
    right = [own for _, own, _ in people if np.shape(own) == shape]
    triples = np.array(right, dtype=np.float64).reshape(-1, *shape)
    scores = np.array([score for *_, score in people], dtype=np.float64)
    if len(right) < len(people) or not (np.isfinite(triples).all() and np.isfinite(scores).all()):
        raise NotAvailable(f"Not everyone in {path} has a finite x, y and score for each of {len(joints)} joints.")
    moved = np.full((len(people), len(data.skeleton.joints), 3), np.nan)
    moved[:, [data.skeleton.index(joint) for joint in shared]] = triples[:, [joints.index(joint) for joint in shared]]
    found = []
    for (image, *_), own, values, score in zip(people, triples, moved, scores, strict=True):
        extent = Box.bounding(own[own[:, 2] >= THRESHOLD, :2]) or Box.bounding(own[:, :2])
        found.append(Detection(image, values[:, :2], values[:, 2], float(score), extent))
    return found


def locate(data: Dataset, names: Collection[str]) -> dict[str, Path]:
    """The data set's image for each name; names of other images are left out.

    A name is a file name with any folders before it, COCO's number, or (of a video frame) a name without suffix. Of
    several images with that name, the longest common end of the folders decides. Raises UsageError if that leaves two.
    """
    known: dict[str, list[Path]] = defaultdict(list)
    for image in dict.fromkeys([*(image for _, image in people_by_image(data)), *data.images.values()]):
        number = coco_number(image.stem)
        for key in {image.name, image.stem, image.name if number is None else str(number)}:
            known[key].append(image)
    found: dict[str, Path] = {}
    for name in names:
        path = PurePath(name)
        likely = known.get(path.name, [])
        for n in range(2, len(path.parts) + 1):
            likely = [image for image in likely if image.parts[-n:-1] == path.parts[-n:-1]] or likely
        if len(likely) > 1:
            hint = "Predict from the folder above both into a .jsonl file, which keeps their folders."
            raise UsageError(f"{data.name} {data.split} has two images named {path.name}.", hint)
        if likely:
            found[name] = likely[0]
    return found


def predicted_joints(data: Dataset, people: Sequence[Detection]) -> tuple[str, ...]:
    """The data set's joints that somebody has: those that nobody has are missing or 0, 0, 0."""
    joints = enumerate(data.skeleton.joints)
    return tuple(
        joint for channel, joint in joints if any(np.nan_to_num(one.keypoints[channel]).any() for one in people)
    )


def matched(path: Path, data: Dataset) -> Predictions:
    """For each person of the data set, the joints of the detection taken for it; NaN without one.

    A detection is taken for the person whose box overlaps most with its own (intersection over union), the best pair
    first; joints are not compared. Ignored people, such as crowds, take detections too. Raises as ``read`` does.
    """
    found, about = read(path, data)
    keypoints = np.full((len(data), len(data.skeleton.joints), 2), np.nan)
    scores, count = np.full(keypoints.shape[:2], np.nan), 0
    on_image: dict[Path, list[Detection]] = defaultdict(list)
    for detection in found:
        on_image[detection.image].append(detection)
    for (_, image), annotated in people_by_image(data).items():
        pairs = [
            (overlap, place, row, detection)
            for place, (row, box) in enumerate(annotated)
            for detection in on_image[image]
            if detection.box is not None and (overlap := box.iou(detection.box)) > 0
        ]
        taken: set[int | Detection] = set()
        for _, place, row, detection in sorted(pairs, key=lambda pair: -pair[0]):
            if place not in taken and detection not in taken:
                taken |= {place, detection}
                if row >= 0:  # not an ignored person
                    keypoints[row], scores[row], count = detection.keypoints, detection.scores, count + 1
    return Predictions(keypoints, scores, {**about, "people_matched": count})
