"""What is wrong with a data set, or may be: its images, its annotation, photos that it has twice, exchanged sides."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posehg.datasets.crops import Progress, label_cell, sheet
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import missing_images
from posehg.datasets.suspects import Hash, hashes, misplaced, same_photos, swapped_sides
from posehg.errors import InputError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person

TINY = 16  # pixels: a box whose longer side is shorter is tiny
AGAIN = 0.95  # two boxes with a larger intersection over union are of one person
_DRAWN = 12  # suspects of each kind on a sheet


@dataclass(frozen=True)
class Subject:
    """An image (``person`` is None) or a person on it, by id.

    image: its file, relative to the folder that all images of the set share.
    index: the index in the split of the person, else of one on that image.
    """

    split: str
    image: str
    person: str | None
    index: int


@dataclass(frozen=True)
class Case:
    """One or several subjects, and a detail in a few words; only that if it is about the file or its joints."""

    subjects: tuple[Subject, ...]
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of problem in a data set, and where it occurs.

    name: for programs. title: what is counted. meaning: what it does to training or scores, in a sentence.
    level: broken (an error beyond doubt, or it prevents use of the set) or suspect (look at it).
    cases: the worst first. known: False if the set lacks what this is measured by.
    """

    name: str
    level: str
    title: str
    meaning: str
    cases: tuple[Case, ...] = ()
    known: bool = True

    @property
    def count(self) -> int | None:
        return len(self.cases) if self.known else None


_KINDS = {
    "broken": [
        ("missing_images", "images that are missing", "The annotation names files that do not exist."),
        ("broken_images", "images that cannot be read", "Some programs open a truncated image without an error."),
        ("duplicate_ids", "ids that several people have", "Predictions are matched by id, so these cannot be scored."),
        ("malformed", "malformed entries", "The file cannot be used until they are corrected."),
    ],
    "suspect": [
        ("other_sizes", "images of another size than annotated", "The joints are wrong if an image was scaled later."),
        ("leaks", "photos in more than one split", "Validation scores are too high."),
        ("duplicate_images", "photos that a split has several times", "They count twice; their labels may disagree."),
        ("duplicate_people", "people annotated twice in an image", "Two annotations have one box."),
        ("wrong_units", "people whose joints or box look normalised", "posehg reads pixels, not shares of the image."),
        ("wrong_order", "people whose coordinates look exchanged", "Joints are x, y; boxes are x, y, width, height."),
        ("far_joints", "people with joints far outside box or image", "The joints, the box or the image is wrong."),
        ("unpaired_sides", "left or right joints without the other", "They cannot be mirrored without flip_pairs."),
        ("swapped_sides", "people whose left and right may be exchanged", "Guesses, the most doubtful first."),
        ("small_people", "people in tiny boxes", "So few pixels show nothing, or the box is wrong."),
        ("people_outside", "people outside their image", "Box and image do not overlap: their crops are black."),
    ],
}
KINDS = tuple(Finding(name, level, title, text) for level, kinds in _KINDS.items() for name, title, text in kinds)
"""A finding of every kind without cases; the worst first, and in the order of a report."""


class _Place(NamedTuple):
    """A person, and where it is in the set."""

    split: Dataset
    number: int
    person: Person


class _Seen(NamedTuple):
    """What decoding an image gave: why it cannot be read, or (columns, rows) and hashes."""

    error: str = ""
    size: tuple[int, int] = (0, 0)
    hashes: Sequence[Hash] = ()


def check(splits: Sequence[Dataset], progress: Progress) -> list[Finding]:
    """All findings of a data set on disk, in the order of KINDS; those without cases too. Decodes every image."""
    people = [_Place(split, index, person) for split in splits for index, person in enumerate(split.persons)]
    by_image: dict[Path, list[_Place]] = defaultdict(list)
    by_id: dict[tuple[str, str], list[_Place]] = defaultdict(list)
    for place in people:
        by_image[place.person.image].append(place)
        by_id[place.split.split, place.person.id].append(place)
    missing = set(missing_images([place.person for place in people]))
    present = [places for path, places in by_image.items() if path not in missing]
    # Filters of warnings belong to the whole process, so threads must not each set their own.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.filterwarnings("ignore", module="PIL")
        seen = list(zip(present, progress(pool.map(_look, present), "Reading images", len(present)), strict=True))
    sizes = {path: size for split in splits for path, size in split.sizes.items()}
    folder = os.path.commonpath([os.path.abspath(path.parent) for path in by_image] or ["."])
    cases: dict[str, list[Case]] = {kind.name: [] for kind in KINDS}
    texts = dict.fromkeys(str(one) for data in splits for one in data.malformed)
    cases["malformed"] = [Case((), text) for text in texts]
    skeleton = splits[0].skeleton
    alone = [f"{skeleton.joints[channel]} is alone" for channel in skeleton.unpaired]
    alone += [f"{left} and {right} are not paired" for left, right in skeleton.doubtful]
    cases["unpaired_sides"] = [Case((), detail) for detail in alone]

    def add(kind: str, places: Iterable[_Place], detail: str = "", whole: bool = False) -> None:
        """whole: the case concerns the images, not the people on them."""
        subjects = []
        for split, number, person in places:
            image = Path(os.path.relpath(person.image, folder)).as_posix()
            subjects.append(Subject(split.split, image, None if whole else person.id or f"number {number}", number))
        cases[kind].append(Case(tuple(subjects), detail))

    for path, places in by_image.items():
        if path in missing:
            add("missing_images", places[:1], whole=True)
        for a, b in combinations(places, 2):
            if a.split is b.split and a.person.box.iou(b.person.box) > AGAIN:
                add("duplicate_people", (a, b))
    for places, (error, size, _) in seen:
        annotated = sizes.get(places[0].person.image, size)
        if error:
            add("broken_images", places[:1], error, whole=True)
        elif annotated != size:
            add("other_sizes", places[:1], "{} x {} pixels, annotated as {} x {}".format(*size, *annotated), whole=True)
        for place in () if error else places:
            sizes[place.person.image] = size
            if place.person.box.intersection(Box(0, 0, *size)) == 0:
                add("people_outside", [place])
    for group in same_photos([one.hashes for _, one in seen]):
        # One person of each split and image stands for the image.
        photos = [{place.split.split: place for place in seen[number][0]} for number in group]
        by_split = [[photo[split.split] for photo in photos if split.split in photo] for split in splits]
        if sum(map(bool, by_split)) > 1:
            add("leaks", [place for same in by_split for place in same], whole=True)
        for same in by_split:
            if len(same) > 1:
                add("duplicate_images", same, whole=True)
    for (_, id), places in by_id.items():
        if id and len(places) > 1:
            add("duplicate_ids", places, f"{len(places)} people")
    for place in sorted(people, key=lambda place: place.person.box.square().w):
        if place.person.box.square().w < TINY:
            add("small_people", [place], f"{place.person.box.w:.3g} x {place.person.box.h:.3g} pixels")
    if people:
        keypoints = np.stack([place.person.keypoints for place in people])
        boxes = np.array([tuple(place.person.box) for place in people])
        shapes = np.array([sizes.get(place.person.image, (np.nan, np.nan)) for place in people], dtype=np.float64)
        for index, kind, sign in misplaced(boxes, keypoints, shapes):
            add(kind, [people[index]], sign)
        for index, sign in swapped_sides(keypoints, skeleton):
            add("swapped_sides", [people[index]], sign)
    known = {"other_sizes": any(split.sizes for split in splits), "leaks": len(splits) > 1}
    return [replace(kind, cases=tuple(cases[kind.name]), known=known.get(kind.name, True)) for kind in KINDS]


def _look(people: list[_Place]) -> _Seen:
    try:
        pixels = people[0].split.read(people[0].person)
    except InputError as error:
        return _Seen(str(error))
    return _Seen("", (pixels.shape[1], pixels.shape[0]), hashes(pixels, [place.person.box for place in people]))


def suspects_sheet(splits: Sequence[Dataset], found: Sequence[Finding]) -> Image | None:
    """Some suspects of every kind with who or what they are and why; None if there are none."""
    by_split = {data.split: data for data in splits}
    cells, captions = [], []
    for finding in found:
        shown = [(case, subject) for case in finding.cases for subject in case.subjects][:_DRAWN]
        for case, subject in shown if finding.level == "suspect" else ():
            with suppress(InputError):  # it is among the broken images already
                cells.append(label_cell(by_split[subject.split], subject.index))
                captions.append(f"{subject.split} {subject.person or subject.image}\n{case.detail or finding.title}")
    return sheet(cells, captions) if cells else None
