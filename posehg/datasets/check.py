"""What is wrong with a data set, or may be: its images, its annotation, images that it has twice, exchanged sides."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from posehg import metrics
from posehg.datasets import duplicates, sides
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import missing_images
from posehg.errors import InputError
from posehg.geometry import Box
from posehg.poses import Person

LEVELS = ("broken", "suspect", "note")
"""broken: an error beyond doubt, or it prevents use of the set. suspect: look at it. note: good to know."""

TINY = 16
"""Pixels: a box whose longer side is shorter is tiny."""
AGAIN, AGAIN_JOINTS = 0.03, 3
"""Two annotations are of one person if at least 3 joints in both are this close on average, in sides of the box."""


@dataclass(frozen=True)
class Kind:
    """name: for programs. title: what is counted. meaning: what it does to training or scores, in a sentence."""

    name: str
    level: str
    title: str
    meaning: str


@dataclass(frozen=True)
class Subject:
    """An image, or a person on it.

    image: its file, relative to the folder that all images of the set share. person: the id, or "" for the image
    itself.
    index: the index in the split of the person, else of one on that image.
    """

    split: str
    image: str
    person: str
    index: int


@dataclass(frozen=True)
class Case:
    """One or several subjects, and a detail in a few words. weight: how many things were found on them."""

    subjects: tuple[Subject, ...]
    detail: str = ""
    weight: int = 1


@dataclass(frozen=True)
class Finding:
    """cases: the worst first. known: False if the set lacks what this is measured by."""

    kind: Kind
    cases: tuple[Case, ...] = ()
    known: bool = True

    @property
    def count(self) -> int:
        return sum(case.weight for case in self.cases)


_SAME_PHOTO = "The same photo or nearly the same, perhaps cropped or coloured differently"
_SAME_SCENE = "Nearly the same images, as frames of one video"
KINDS = (
    Kind("missing_images", "broken", "images that are missing", "The annotation names files that do not exist."),
    Kind(
        "broken_images",
        "broken",
        "images that cannot be read",
        "Each was decoded to its last byte; other programs often open a truncated image without an error.",
    ),
    Kind(
        "duplicate_ids",
        "broken",
        "ids of several persons",
        "Predictions are matched to persons by id, so these cannot be scored.",
    ),
    Kind(
        "other_sizes",
        "suspect",
        "images of another size than annotated",
        "The joints are wrong if an image was scaled or rotated after it was annotated.",
    ),
    Kind(
        "leaks",
        "suspect",
        "photos in more than one split",
        f"{_SAME_PHOTO}: the score includes what was learnt by heart.",
    ),
    Kind(
        "alike_leaks",
        "suspect",
        "scenes in more than one split",
        f"{_SAME_SCENE}: scores are better than on new images.",
    ),
    Kind(
        "duplicate_images",
        "suspect",
        "photos that a split has several times",
        f"{_SAME_PHOTO}: it weighs more than others, and its labels may disagree.",
    ),
    Kind(
        "duplicate_persons",
        "suspect",
        "persons annotated twice on an image",
        "Their joints are the same or nearly so: they weigh more than others.",
    ),
    Kind(
        "swapped_sides",
        "suspect",
        "persons whose left and right may be exchanged",
        "A guess from the joints alone, the most doubtful first: look at them. Some are people with crossed arms or "
        "twisted bodies, and some exchanges are missed.",
    ),
    Kind("small_persons", "suspect", "persons in tiny boxes", "So few pixels show nothing, or the box is wrong."),
    Kind(
        "persons_outside",
        "suspect",
        "persons outside their image",
        "Their box and the image do not overlap: their crops are black.",
    ),
    Kind(
        "torso_zero",
        "suspect",
        "persons whose torso has no length",
        "Both ends are one point, so PCK cannot measure these persons, and a label may be wrong.",
    ),
    Kind("alike_images", "note", "scenes that a split has several times", f"{_SAME_SCENE}: they add little."),
    Kind("unlabelled_persons", "note", "persons without a labelled joint", "They are not trained on or scored."),
    Kind(
        "joints_outside",
        "note",
        "joints outside the image",
        "Some sets annotate them by guessing where they are. They count in scores like all others.",
    ),
)
"""The worst first, and in the order of a report."""


@dataclass(frozen=True, eq=False)
class _Place:
    """A person, and where it is in the set."""

    split: Dataset
    index: int
    person: Person


@dataclass(frozen=True, eq=False)
class _Image:
    """A file, the people on it in the order of the splits, and what decoding it gave.

    error: why it cannot be read, or "". size: (rows, columns). hashes: of its views.
    """

    path: Path
    people: tuple[_Place, ...]
    error: str = ""
    size: tuple[int, int] = (0, 0)
    hashes: tuple[duplicates.Hash, ...] = ()


Progress = Callable[[Iterable[_Image], str, int], Iterable[_Image]]
"""(images, description, total) -> the same images, while a progress bar is shown."""


def check(splits: Sequence[Dataset], progress: Progress) -> list[Finding]:
    """All findings of a data set on disk, in the order of KINDS; those without cases too. Decodes every image."""
    people = [_Place(split, index, person) for split in splits for index, person in enumerate(split.persons)]
    by_image: dict[Path, list[_Place]] = {}
    for place in people:
        by_image.setdefault(place.person.image, []).append(place)
    folder = os.path.commonpath([os.path.abspath(path.parent) for path in by_image])
    missing = set(missing_images([place.person for place in people]))
    files = [_Image(path, tuple(places)) for path, places in by_image.items()]
    present = [image for image in files if image.path not in missing]
    scanned = list(progress(_scan(present), "Reading images", len(present)))
    sound = [image for image in scanned if not image.error]

    def whole(place: _Place) -> Subject:
        return replace(one(place), person="")

    def one(place: _Place) -> Subject:
        name = Path(os.path.relpath(place.person.image, folder)).as_posix()
        return Subject(place.split.split, name, place.person.id or f"number {place.index}", place.index)

    keypoints = np.stack([place.person.keypoints for place in people])
    skeleton = splits[0].skeleton
    has_torso, no_torso = metrics.has_torso(skeleton), np.asarray(metrics.torso_sizes(keypoints, skeleton) == 0)
    unlabelled = np.asarray(~np.isfinite(keypoints[:, :, 0]).any(axis=1))
    tiny = [place for place in people if max(place.person.box.w, place.person.box.h) < TINY]
    tiny.sort(key=lambda place: max(place.person.box.w, place.person.box.h))
    sizes = {path: size for split in splits for path, size in split.sizes.items()}
    cases: dict[str, list[Case]] = {
        "missing_images": [Case((whole(image.people[0]),)) for image in files if image.path in missing],
        "broken_images": [Case((whole(image.people[0]),), image.error) for image in scanned if image.error],
        "duplicate_ids": [Case(tuple(map(one, same)), f"{len(same)} persons") for same in _repeated_ids(people)],
        "other_sizes": [
            Case((whole(image.people[0]),), "{} x {} pixels, annotated as {} x {}".format(*size, *sizes[image.path]))
            for image, size in ((image, image.size[::-1]) for image in sound)
            if sizes.get(image.path, size) != size
        ],
        "duplicate_persons": [
            Case((one(a), one(b)), f"{distance:.1f} pixels apart") for a, b, distance in _annotated_twice(files)
        ],
        "swapped_sides": [Case((one(people[index]),), sign) for index, _, sign in sides.exchanged(keypoints, skeleton)],
        "small_persons": [
            Case((one(place),), f"{place.person.box.w:.3g} x {place.person.box.h:.3g} pixels") for place in tiny
        ],
        "persons_outside": [
            Case((one(place),))
            for image in sound
            for place in image.people
            if place.person.box.intersection(Box(0, 0, image.size[1], image.size[0])) == 0
        ],
        "torso_zero": [Case((one(place),)) for place, flag in zip(people, no_torso, strict=True) if flag],
        "unlabelled_persons": [Case((one(place),)) for place, flag in zip(people, unlabelled, strict=True) if flag],
        "joints_outside": [
            Case((one(place),), f"{count} {'joint' if count == 1 else 'joints'}, up to {furthest:.3g} pixels", count)
            for place, count, furthest in _joints_outside(sound)
        ],
        **_duplicates(splits, sound, whole),
    }
    known = {"other_sizes": bool(sizes), "torso_zero": has_torso}
    known |= dict.fromkeys(("leaks", "alike_leaks"), len(splits) > 1)
    return [Finding(kind, tuple(cases[kind.name]), known.get(kind.name, True)) for kind in KINDS]


# ---- images --------------------------------------------------------------------------------------------------------


def _scan(images: Sequence[_Image]) -> Iterator[_Image]:
    """Each image decoded in full, in their order, by as many threads as this process has cores."""

    def look(image: _Image) -> _Image:
        first = image.people[0]
        try:
            pixels = first.split.read(first.person)
        except InputError as error:
            return replace(image, error=str(error))
        hashes = duplicates.hashes(pixels, [place.person.box for place in image.people])
        return replace(image, size=pixels.shape[:2], hashes=tuple(hashes))

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Filters of warnings belong to the whole process, so threads must not each set their own.
    with warnings.catch_warnings(), ThreadPoolExecutor(cores) as pool:
        warnings.simplefilter("ignore")
        yield from pool.map(look, images)


def _joints_outside(sound: Sequence[_Image]) -> list[tuple[_Place, int, float]]:
    """Persons with joints beyond the outermost pixels' edge, the number of these and the largest distance in pixels."""
    found = []
    for image in sound:
        rows, columns = image.size
        for place in image.people:
            keypoints = place.person.keypoints
            beyond = np.maximum(-0.5 - keypoints, keypoints - (columns - 0.5, rows - 0.5)).max(axis=1)
            outside = beyond > 0  # NaN is not
            if outside.any():
                found.append((place, int(outside.sum()), float(beyond[outside].max())))
    return sorted(found, key=lambda one: -one[2])


def _duplicates(
    splits: Sequence[Dataset], sound: Sequence[_Image], whole: Callable[[_Place], Subject]
) -> Mapping[str, list[Case]]:
    """Photos and scenes in several splits, or several times in one. A scene has two images that are not one photo."""
    pairs = duplicates.similar_pairs([image.hashes for image in sound])
    photos = {pair: share for pair, share in pairs.items() if share >= duplicates.SAME}
    scene_ends = {number for pair in pairs.keys() - photos.keys() for number in pair}
    cases: dict[str, list[Case]] = {"leaks": [], "duplicate_images": [], "alike_leaks": [], "alike_images": []}
    for chosen, across, within in ((photos, "leaks", "duplicate_images"), (pairs, "alike_leaks", "alike_images")):
        for numbers, share in duplicates.groups(len(sound), chosen):
            if chosen is pairs and scene_ends.isdisjoint(numbers):
                continue
            by_split: dict[str, list[Subject]] = {split.split: [] for split in splits}
            for number in numbers:
                for place in {place.split.split: place for place in reversed(sound[number].people)}.values():
                    by_split[place.split.split].append(whole(place))
            detail = f"agreement {share:.2f}" if len(numbers) > 1 else "the same file"
            if sum(map(bool, by_split.values())) > 1:
                cases[across].append(Case(tuple(subject for same in by_split.values() for subject in same), detail))
            cases[within] += [Case(tuple(same), detail) for same in by_split.values() if len(same) > 1]
    return cases


# ---- annotation ----------------------------------------------------------------------------------------------------


def _repeated_ids(people: Sequence[_Place]) -> list[list[_Place]]:
    by_id: dict[tuple[str, str], list[_Place]] = {}
    for place in people:
        if place.person.id:
            by_id.setdefault((place.split.split, place.person.id), []).append(place)
    return [places for places in by_id.values() if len(places) > 1]


def _annotated_twice(images: Sequence[_Image]) -> Iterator[tuple[_Place, _Place, float]]:
    """Pairs of annotations of one person, and the mean distance of their joints in pixels."""
    for image in images:
        for a, b in combinations(image.people, 2):
            if a.split is not b.split:
                continue
            distances = np.linalg.norm(a.person.keypoints - b.person.keypoints, axis=1)
            both = np.isfinite(distances)
            if both.sum() >= AGAIN_JOINTS:
                distance = float(distances[both].mean())
                if distance <= AGAIN * max(a.person.box.w, a.person.box.h):
                    yield a, b, distance
