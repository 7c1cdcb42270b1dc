"""What is wrong with a data set, or may be: its images, its annotation, photos that it has twice, exchanged sides."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posehg import metrics
from posehg.datasets.crops import label_cell, sheet
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import missing_images
from posehg.datasets.suspects import SAME, Hash, groups, hashes, similar_pairs, swapped_sides
from posehg.errors import InputError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person

TINY = 16
"""Pixels: a box whose longer side is shorter is tiny."""
AGAIN, AGAIN_JOINTS = 0.03, 3
"""Two annotations are of one person if at least 3 joints in both are this close on average, in sides of the box."""

_DRAWN = 12
"""Suspects of each kind on a sheet."""


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
    """One or several subjects, and a detail in a few words. weight: how many things were found on them."""

    subjects: tuple[Subject, ...]
    detail: str = ""
    weight: int = 1


@dataclass(frozen=True)
class Finding:
    """What a set has of one kind.

    name: for programs. title: what is counted. meaning: what it does to training or scores, in a sentence.
    level: broken (an error beyond doubt, or it prevents use of the set), suspect (look at it) or note (good to know).
    cases: the worst first. known: False if the set lacks what this is measured by.
    """

    name: str
    level: str
    title: str
    meaning: str
    cases: tuple[Case, ...] = ()
    known: bool = True

    @property
    def count(self) -> int:
        return sum(case.weight for case in self.cases)


_KINDS = {
    "broken": [
        ("missing_images", "images that are missing", "The annotation names files that do not exist."),
        ("broken_images", "images that cannot be read", "Some programs open a truncated image without an error."),
        ("duplicate_ids", "ids of several people", "Predictions are matched by id, so these cannot be scored."),
    ],
    "suspect": [
        ("other_sizes", "images of another size than annotated", "The joints are wrong if an image was scaled later."),
        (
            "leaks",
            "photos in more than one split",
            "The same, perhaps cropped: scores include what was learnt by heart.",
        ),
        ("alike_leaks", "scenes in more than one split", "Nearly the same: scores are better than on new images."),
        ("duplicate_images", "photos that a split has several times", "They weigh more; their labels may disagree."),
        ("duplicate_persons", "people annotated twice on an image", "Their joints nearly agree: they weigh more."),
        ("swapped_sides", "people whose left and right may be exchanged", "A guess, the most doubtful first: look."),
        ("small_persons", "people in tiny boxes", "So few pixels show nothing, or the box is wrong."),
        ("persons_outside", "people outside their image", "Box and image do not overlap: their crops are black."),
        ("torso_zero", "people whose torso has no length", "PCK cannot measure them, and a label may be wrong."),
    ],
    "note": [
        ("alike_images", "scenes that a split has several times", "As frames of one video do, they add little."),
        ("unlabelled_persons", "people without a labelled joint", "They are not trained on or scored."),
        ("joints_outside", "joints outside the image", "Some sets guess them. They count in scores like all others."),
    ],
}
KINDS = tuple(Finding(name, level, title, text) for level, kinds in _KINDS.items() for name, title, text in kinds)
"""A finding of every kind without cases; the worst first, and in the order of a report."""


class _Place(NamedTuple):
    """A person, and where it is in the set."""

    split: Dataset
    number: int
    person: Person


class _Image(NamedTuple):
    """A file, the people on it, and what decoding it gave: why it cannot be read, or (columns, rows) and hashes."""

    path: Path
    people: list[_Place]
    error: str = ""
    size: tuple[int, int] = (0, 0)
    hashes: Sequence[Hash] = ()


Progress = Callable[[Iterable[_Image], str, int], Iterable[_Image]]
"""(images, description, total) -> the same images, while a progress bar is shown."""


def check(splits: Sequence[Dataset], progress: Progress) -> list[Finding]:
    """All findings of a data set on disk, in the order of KINDS; those without cases too. Decodes every image."""
    people = [_Place(split, index, person) for split in splits for index, person in enumerate(split.persons)]
    by_image: dict[Path, list[_Place]] = {}
    for place in people:
        by_image.setdefault(place.person.image, []).append(place)
    files = [_Image(path, places) for path, places in by_image.items()]
    missing = set(missing_images([place.person for place in people]))
    present = [image for image in files if image.path not in missing]
    scanned = list(progress(_scan(present), "Reading images", len(present)))
    sound = [image for image in scanned if not image.error]
    folder = os.path.commonpath([os.path.abspath(path.parent) for path in by_image])
    cases: dict[str, list[Case]] = {kind.name: [] for kind in KINDS}

    def add(kind: str, places: Iterable[_Place], detail: str = "", weight: int = 1, whole: bool = False) -> None:
        """whole: the case is about the images of these people."""
        subjects = []
        for place in places:
            image = Path(os.path.relpath(place.person.image, folder)).as_posix()
            id = None if whole else place.person.id or f"number {place.number}"
            subjects.append(Subject(place.split.split, image, id, place.number))
        cases[kind].append(Case(tuple(subjects), detail, weight))

    sizes = {path: size for split in splits for path, size in split.sizes.items()}
    for image in files:
        if image.path in missing:
            add("missing_images", image.people[:1], whole=True)
        for a, b, distance in _annotated_twice(image.people):
            add("duplicate_persons", (a, b), f"{distance:.1f} pixels apart")
    for image in scanned:
        annotated = sizes.get(image.path, image.size)
        if image.error:
            add("broken_images", image.people[:1], image.error, whole=True)
        elif annotated != image.size:
            detail = "{} x {} pixels, annotated as {} x {}".format(*image.size, *annotated)
            add("other_sizes", image.people[:1], detail, whole=True)
    for kind, places, detail in _duplicates(splits, sound):
        add(kind, places, detail, whole=True)
    for place, count, furthest in _joints_outside(sound):
        detail = f"{count} {'joint' if count == 1 else 'joints'}, up to {furthest:.3g} pixels"
        add("joints_outside", [place], detail, count)
    for image in sound:
        for place in image.people:
            if place.person.box.intersection(Box(0, 0, *image.size)) == 0:
                add("persons_outside", [place])
    by_id: dict[tuple[str, str], list[_Place]] = {}
    for place in people:
        by_id.setdefault((place.split.split, place.person.id), []).append(place)
    for (_, id), places in by_id.items():
        if id and len(places) > 1:
            add("duplicate_ids", places, f"{len(places)} people")
    for place in sorted(people, key=_longer_side):
        if _longer_side(place) < TINY:
            add("small_persons", [place], f"{place.person.box.w:.3g} x {place.person.box.h:.3g} pixels")
    keypoints, skeleton = np.stack([place.person.keypoints for place in people]), splits[0].skeleton
    for index, _, sign in swapped_sides(keypoints, skeleton):
        add("swapped_sides", [people[index]], sign)
    unlabelled, flat = ~np.isfinite(keypoints[:, :, 0]).any(axis=1), metrics.torso_sizes(keypoints, skeleton) == 0
    for kind, flags in (("torso_zero", flat), ("unlabelled_persons", unlabelled)):
        for index in np.flatnonzero(flags).tolist():
            add(kind, [people[index]])
    several = len(splits) > 1
    known = {"other_sizes": bool(sizes), "torso_zero": metrics.has_torso(skeleton)}
    known |= {"leaks": several, "alike_leaks": several}
    return [replace(kind, cases=tuple(cases[kind.name]), known=known.get(kind.name, True)) for kind in KINDS]


def _longer_side(place: _Place) -> float:
    return max(place.person.box.w, place.person.box.h)


def _scan(images: Sequence[_Image]) -> Iterator[_Image]:
    """Each image decoded in full, in their order, by as many threads as this process has cores."""

    def look(image: _Image) -> _Image:
        first = image.people[0]
        try:
            pixels = first.split.read(first.person)
        except InputError as error:
            return image._replace(error=str(error))
        views = hashes(pixels, [place.person.box for place in image.people])
        return image._replace(size=(pixels.shape[1], pixels.shape[0]), hashes=views)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Filters of warnings belong to the whole process, so threads must not each set their own.
    with warnings.catch_warnings(), ThreadPoolExecutor(cores) as pool:
        warnings.simplefilter("ignore")
        yield from pool.map(look, images)


def _annotated_twice(people: Sequence[_Place]) -> Iterator[tuple[_Place, _Place, float]]:
    """Pairs of annotations of one person, and the mean distance of their joints in pixels."""
    for a, b in combinations(people, 2):
        distances = np.linalg.norm(a.person.keypoints - b.person.keypoints, axis=1)
        both = np.isfinite(distances)
        if a.split is b.split and both.sum() >= AGAIN_JOINTS:
            distance = float(distances[both].mean())
            if distance <= AGAIN * _longer_side(a):
                yield a, b, distance


def _joints_outside(sound: Sequence[_Image]) -> list[tuple[_Place, int, float]]:
    """Persons with joints beyond the outermost pixels' edge, the number of these and the largest distance in pixels."""
    found = []
    for image in sound:
        for place in image.people:
            keypoints = place.person.keypoints
            beyond = np.maximum(-0.5 - keypoints, keypoints - np.array(image.size) + 0.5).max(axis=1)
            outside = beyond > 0  # NaN is not
            if outside.any():
                found.append((place, int(outside.sum()), float(beyond[outside].max())))
    return sorted(found, key=lambda one: -one[2])


def _duplicates(splits: Sequence[Dataset], sound: Sequence[_Image]) -> Iterator[tuple[str, list[_Place], str]]:
    """Kind, people and detail of photos and scenes that are in several splits or several times in one.

    A scene has two images that are not one photo.
    """
    pairs = similar_pairs([image.hashes for image in sound])
    photos = {pair: share for pair, share in pairs.items() if share >= SAME}
    scene_ends = {number for pair in pairs.keys() - photos.keys() for number in pair}
    for chosen, across, within in ((photos, "leaks", "duplicate_images"), (pairs, "alike_leaks", "alike_images")):
        for numbers, share in groups(len(sound), chosen):
            if chosen is pairs and scene_ends.isdisjoint(numbers):
                continue
            by_split: dict[str, list[_Place]] = {split.split: [] for split in splits}
            for number in numbers:
                for name, place in {place.split.split: place for place in reversed(sound[number].people)}.items():
                    by_split[name].append(place)
            detail = f"agreement {share:.2f}" if len(numbers) > 1 else "the same file"
            if sum(map(bool, by_split.values())) > 1:
                yield across, [place for same in by_split.values() for place in same], detail
            for same in by_split.values():
                if len(same) > 1:
                    yield within, same, detail


def suspects_sheet(splits: Sequence[Dataset], found: Sequence[Finding]) -> Image | None:
    """Some suspects of every kind with who or what they are and why; None if there are none."""
    by_split = {data.split: data for data in splits}
    cells, captions = [], []
    for finding in found:
        shown = [(case, subject) for case in finding.cases for subject in case.subjects][:_DRAWN]
        for case, subject in shown if finding.level == "suspect" else ():
            try:
                cells.append(label_cell(by_split[subject.split], subject.index))
            except InputError:  # it is among the broken images already
                continue
            captions.append(f"{subject.split} {subject.person or subject.image}\n{case.detail or finding.title}")
    return sheet(cells, captions) if cells else None
