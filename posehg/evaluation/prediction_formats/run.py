"""People whom ``posehg predict`` found, and who of a data set's persons they are.

Nothing in such files says who is whom. Whoever was found on a picture is taken for the annotated person whose box the
extent of the found joints overlaps most (intersection over union), the best pair first, each of both once: their joints
are not compared. People who are annotated but ignored, as crowds are, are taken likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset, people_by_image
from posehg.errors import NotAvailable
from posehg.evaluation.prediction_formats import matching, pictures
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.geometry import Box
from posehg.inference.likeness import THRESHOLD
from posehg.io.writers.coco import image_id
from posehg.metrics import Array

About = dict[str, str | int]


@dataclass(frozen=True, eq=False)
class Detection:
    """Somebody found on a picture.

    keypoints: (J, 2) photo pixels counted from 0, NaN where nothing is predicted. scores: (J,), NaN where unknown.
    score: by which people are ranked. box: the extent of their joints, where they are to be taken for somebody.
    """

    image: Path
    keypoints: Array
    scores: Array
    score: float
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """Who was found on a picture, as a file says it.

    source, frame: the picture, or the video and the number of its frame. keypoints: (P, K, 2) photo pixels.
    scores: (P, K). person_scores: (P,).
    """

    source: str
    frame: int | None
    keypoints: Array
    scores: Array
    person_scores: Array

    @property
    def name(self) -> str:
        return self.source if self.frame is None else str(image_id(self.source, self.frame))


@dataclass(frozen=True, eq=False)
class Run:
    """All that a file says. joints: the K names. complete: whether pictures on which nobody was found are named too."""

    joints: tuple[str, ...]
    seen: Sequence[Seen]
    complete: bool
    model: str = ""


def detections(path: Path, data: Dataset, run: Run) -> tuple[list[Detection], About]:
    """The people on pictures of the set, their joints those of its skeleton; and what is to be said of the file.

    Raises NotAvailable where the file has no joint in common with the set, no picture, not all of the set's pictures
    although it names all that were predicted, or one of them twice. Other pictures are left out.
    """
    found = pictures.by_name(data, {seen.name for seen in run.seen})
    _check_pictures(path, data, run, found)
    columns = matching.columns(path, data, run.joints)
    people = [
        Detection(
            found[seen.name],
            matching.on_skeleton(keypoints, columns),
            matching.on_skeleton(scores, columns),
            float(score),
            _extent(keypoints, scores),
        )
        for seen in run.seen
        if seen.name in found
        for keypoints, scores, score in zip(seen.keypoints, seen.scores, seen.person_scores, strict=True)
    ]
    about: About = {"model": run.model} if run.model else {}
    return people, {**about, "people": len(people), "pictures_left_out": len(run.seen) - len(found)}


def predictions(path: Path, data: Dataset, run: Run) -> Predictions:
    """Of everybody whom somebody found is taken for. Raises as ``detections`` does."""
    people, about = detections(path, data, run)
    keypoints = np.full((len(data), len(data.skeleton.joints), 2), np.nan)
    scores = np.full(keypoints.shape[:2], np.nan)
    rows = assigned(data, people)
    for row, somebody in rows.items():
        keypoints[row], scores[row] = somebody.keypoints, somebody.scores
    return Predictions(keypoints, scores, {**about, "people_matched": len(rows)})


def assigned(data: Dataset, people: Sequence[Detection]) -> dict[int, Detection]:
    """For persons of the set, by their places, who of the people found is taken for them."""
    on_picture: dict[Path, list[Detection]] = {}
    for somebody in people:
        on_picture.setdefault(somebody.image, []).append(somebody)
    chosen: dict[int, Detection] = {}
    for (_, picture), annotated in people_by_image(data).items():
        found = on_picture.get(picture, [])
        for person, number in _pairs([box for _, box in annotated], [somebody.box for somebody in found]):
            row = annotated[person][0]
            if row >= 0:  # the others are ignored
                chosen[row] = found[number]
    return chosen


def _pairs(annotated: Sequence[Box], found: Sequence[Box | None]) -> list[tuple[int, int]]:
    """Indices of both: those who overlap most first, each once; nobody is taken for somebody they do not overlap."""
    overlaps = [
        (box.iou(other), person, number)
        for person, box in enumerate(annotated)
        for number, other in enumerate(found)
        if other is not None
    ]
    pairs: dict[int, int] = {}
    for overlap, person, number in sorted(overlaps, key=lambda entry: -entry[0]):
        if overlap > 0 and person not in pairs and number not in pairs.values():
            pairs[person] = number
    return list(pairs.items())


def _extent(keypoints: Array, scores: Array) -> Box | None:
    """Around the joints that count as found, or around all where none does."""
    return Box.bounding(keypoints[scores >= THRESHOLD]) or Box.bounding(keypoints)


def _check_pictures(path: Path, data: Dataset, run: Run, found: dict[str, Path]) -> None:
    names = [seen.name for seen in run.seen if seen.name in found]
    owners: dict[Path, str] = {}
    for name in names:
        if found[name] in owners:
            raise NotAvailable(
                f"{path} holds {found[name].name} more than once: {owners[found[name]]}, {name}.",
                "Leave the predictions of one run in the file.",
            )
        owners[found[name]] = name
    needed = list(dict.fromkeys(person.image for person in data.persons))
    missing = [picture for picture in needed if picture not in owners]
    if missing and (run.complete or len(missing) == len(needed)):
        raise NotAvailable(
            f"{len(missing):,} of {len(needed):,} pictures of {data.name} {data.split} are not in {path}, "
            f"as {missing[0].name}.",
            "Predictions are scored on all pictures of the split: posehg predict FOLDER --out run.jsonl",
        )
