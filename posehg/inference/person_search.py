"""Who is in an image: everyone whom the detector finds, or the most prominent of them, each with a pose.

Without a detector, or where it finds nobody, the pose network itself is asked about windows of the image (``scan``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from posehg.errors import InputError
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.detector import Detect, PersonBox
from posehg.inference.estimator import Estimator, Region
from posehg.inference.oks import distinct
from posehg.poses import Pose

People = Literal["one", "all", "scan"]
"""one: the most prominent person. all: everyone. scan: one, without the detector."""


def find(
    estimator: Estimator,
    image: Image,
    people: People = "one",
    boxes: Sequence[Box] | None = None,
    whole: bool = False,
    name: str = "the image",
    detect: Detect | None = None,
    known: Sequence[Pose] = (),
) -> list[Pose]:
    """The poses in an image, as a ``posehg.Model`` returns them, the most prominent first.

    name: the image's name in errors. detect: the detector; without it the image is scanned. known: poses on this image,
    which are not returned again.
    Raises InputError for a box outside the image.
    """
    height, width = image.shape[:2]
    frame = Box(0, 0, width, height)
    if boxes is not None:
        for box in boxes:
            if box.intersection(frame) <= 0:
                where = ",".join(f"{side:g}" for side in box)
                raise InputError(f"The box {where} lies outside {name}.", f"The image is {width} x {height} pixels.")
        return list(estimator(Region(image, estimator.person_box(box)) for box in boxes))
    if whole:
        return list(estimator([Region(image, frame.square())]))
    if detect is not None and people != "scan":
        found = of_detections(estimator, image, detect(image), people == "all", known)
        if found or known:
            return found
    from posehg.inference import scan  # hardly ever needed

    if people == "all" and detect is None:
        return scan.find_all(estimator, image)
    if detect is None or people == "scan":
        pose = scan.find_one(estimator, image)
        return [] if pose is None else [pose]
    pose = scan.find_one(estimator, image, scan.COARSE)
    return [pose] if pose is not None and pose.score >= scan.COARSE_SCORE else []


@dataclass(frozen=True)
class Search:
    """How detections become people.

    near: a detection whose prominence is at least this share of the highest may be the most prominent person: the poses
    decide. most: of so many, at most. cut: what a box is worth that the image's left, right or upper border cuts.
    known: the IoU with a known person's box from which on a detection is that person.
    repeat: the OKS at which two poses show the same person. sure: the ``confidence`` from which on there is a person,
    chosen on COCO's training images for a precision of 80 % (tests/benchmarks/crowds.py). first: that for the most
    prominent person, as a portrait shows only a few joints; without people on the image it is hardly ever reached.
    """

    near: float = 0.6
    most: int = 3
    cut: float = 0.7
    known: float = 0.4
    repeat: float = 0.5
    sure: float = 0.24
    first: float = 0.08


def of_detections(
    estimator: Estimator,
    image: Image,
    found: Sequence[PersonBox],
    everyone: bool,
    known: Sequence[Pose] = (),
    search: Search = Search(),
) -> list[Pose]:
    """The poses of all detected people, or of the most prominent one, the most prominent first.

    Each is estimated once, in the crop around its detection: a second crop, around the joints found in the first, finds
    fewer people, as it cuts off what was not found.
    """
    new = [one for one in found if all(one.box.iou(pose.bbox) < search.known for pose in known)]
    ranked = sorted(((prominence(one, image, search), one) for one in new), key=lambda pair: -pair[0])
    if not everyone:
        ranked = [pair for pair in ranked if pair[0] >= search.near * ranked[0][0]][: search.most]
    poses = estimator(Region(image, estimator.person_box(one.box)) for _, one in ranked)
    rated = [(rank * pose.score, confidence(one, pose), pose) for (rank, one), pose in zip(ranked, poses, strict=True)]
    rated.sort(key=lambda row: -row[0])
    bars = [search.sure if known else search.first, *[search.sure] * len(rated)]
    sure = [pose for (_, confident, pose), bar in zip(rated, bars, strict=False) if confident >= bar]
    people = [pose for pose in distinct([*known, *sure], search.repeat) if pose not in known]
    return people if everyone else people[:1]


def prominence(one: PersonBox, image: Image, search: Search = Search()) -> float:
    """How clearly a person is meant: the score times the root of the area, less toward the borders of the image."""
    (height, width), box = image.shape[:2], one.box
    x, y = ((c + 0.5) / side - 0.5 for c, side in zip(box.center, (width, height), strict=True))
    is_cut = box.x <= 1 or box.y <= 1 or box.x + box.w >= width - 1
    return one.score * math.sqrt(box.w * box.h) * (1 - math.hypot(x, y)) * (search.cut if is_cut else 1)


def confidence(one: PersonBox, pose: Pose) -> float:
    """How sure it is that a detection is a person, 0 .. 1: by its score, and how many joints are found how well."""
    if not pose.found.any():
        return 0.0
    return math.sqrt(one.score * pose.found.mean()) * float(pose.scores[pose.found].mean())
