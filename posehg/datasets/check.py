"""What is wrong with a data set, or may be: its images, its annotation, images that it has twice, exchanged sides.

Left and right are suspect by two signs of the joints themselves:

opposed   The line from the right to the left shoulder and that from hip to hip point opposite ways. 1 in 100 of MPII's
          people does this, twisted ones and exchanged ones, and 4 in 5 of those whose arms or legs are exchanged.
crossed   A pair of limbs, as both forearms, would be much shorter with their ends exchanged, and one is longer than
          usual in this set. Crossed arms pass: they are not too long.

A person mirrored as a whole looks like one who turned around and is not found. Of all other exchanges, planted into
MPII, 4 in 5 are found (2 in 5 of exchanged lower legs), and 2 in 100 of its people are suspect without. Of LSPET's
suspects, 4 in 100 of its people, about two in three are wrongly labelled.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posehg import metrics
from posehg.datasets import duplicates
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import missing_images
from posehg.errors import InputError
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import Skeleton, side

Floats = NDArray[np.float64]

TINY = 16
"""Pixels: a box whose longer side is shorter is tiny."""
AGAIN, AGAIN_JOINTS = 0.03, 3
"""Two annotations are of one person if at least 3 joints in both are this close on average, in sides of the box."""
OPPOSED, CROSSED = 0.3, 0.25
"""The share of the person's size from which each sign counts; 1 in 100 of MPII's people reaches it."""
USUAL = 75
"""The percentile of a limb's length, in sizes of persons, beyond which it is long; foreshortened ones are below."""
MIN_PERSONS, SIZE_JOINTS = 20, 6
"""With fewer persons nothing is usual; with fewer labelled joints the size of a person is not known."""


@dataclass(frozen=True)
class Kind:
    """name: for programs. title: what is counted. meaning: what it does to training or scores, in a sentence.

    level: broken (an error beyond doubt, or it prevents use of the set), suspect (look at it) or note (good to know).
    """

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
_KINDS = {
    "broken": {
        "missing_images": ("images that are missing", "The annotation names files that do not exist."),
        "broken_images": (
            "images that cannot be read",
            "Each was decoded to its last byte; other programs often open a truncated image without an error.",
        ),
        "duplicate_ids": (
            "ids of several persons",
            "Predictions are matched to persons by id, so these cannot be scored.",
        ),
    },
    "suspect": {
        "other_sizes": (
            "images of another size than annotated",
            "The joints are wrong if an image was scaled or rotated after it was annotated.",
        ),
        "leaks": ("photos in more than one split", f"{_SAME_PHOTO}: the score includes what was learnt by heart."),
        "alike_leaks": ("scenes in more than one split", f"{_SAME_SCENE}: scores are better than on new images."),
        "duplicate_images": (
            "photos that a split has several times",
            f"{_SAME_PHOTO}: it weighs more than others, and its labels may disagree.",
        ),
        "duplicate_persons": (
            "persons annotated twice on an image",
            "Their joints are the same or nearly so: they weigh more than others.",
        ),
        "swapped_sides": (
            "persons whose left and right may be exchanged",
            "A guess from the joints alone, the most doubtful first: look at them. Some are people with crossed arms "
            "or twisted bodies, and some exchanges are missed.",
        ),
        "small_persons": ("persons in tiny boxes", "So few pixels show nothing, or the box is wrong."),
        "persons_outside": (
            "persons outside their image",
            "Their box and the image do not overlap: their crops are black.",
        ),
        "torso_zero": (
            "persons whose torso has no length",
            "Both ends are one point, so PCK cannot measure these persons, and a label may be wrong.",
        ),
    },
    "note": {
        "alike_images": ("scenes that a split has several times", f"{_SAME_SCENE}: they add little."),
        "unlabelled_persons": ("persons without a labelled joint", "They are not trained on or scored."),
        "joints_outside": (
            "joints outside the image",
            "Some sets annotate them by guessing where they are. They count in scores like all others.",
        ),
    },
}
KINDS = tuple(Kind(name, level, *texts) for level, kinds in _KINDS.items() for name, texts in kinds.items())
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
        "swapped_sides": [Case((one(people[index]),), sign) for index, _, sign in swapped_sides(keypoints, skeleton)],
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


def swapped_sides(keypoints: Floats, skeleton: Skeleton) -> list[tuple[int, float, str]]:
    """Persons with a sign of exchanged sides, the strongest first: index, strength (1 or more) and the sign in words.

    keypoints: (N, J, 2) pixels, NaN = not labelled.
    """
    labelled = np.isfinite(keypoints).all(axis=2).sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a person without a joint has no mean
        offsets = keypoints - np.nanmean(keypoints, axis=1, keepdims=True)
        spread = np.sqrt(np.nanmean((offsets**2).sum(axis=2), axis=1))
    sizes = np.where((labelled >= SIZE_JOINTS) & (spread > 0), spread, np.nan)
    signs = [("shoulders and hips point opposite ways", _opposed(keypoints, skeleton) / sizes / OPPOSED)]
    scaled = keypoints / sizes[:, None, None]
    for a, b, mirrored_a, mirrored_b in mirrored_limbs(skeleton):
        straight = np.stack([_length(scaled, a, b), _length(scaled, mirrored_a, mirrored_b)], axis=1)
        exchanged = _length(scaled, a, mirrored_b) + _length(scaled, mirrored_a, b)
        known = straight[np.isfinite(straight).all(axis=1)]
        usual = np.percentile(known, USUAL) if len(known) >= MIN_PERSONS else np.inf
        gain = np.where((straight > usual).any(axis=1), straight.sum(axis=1) - exchanged, 0.0)
        names = " to ".join(_without_side(skeleton.joints[joint]) for joint in (a, b))
        signs.append((f"crossed: {names}", gain / CROSSED))
    strengths = np.nan_to_num(np.stack([strength for _, strength in signs], axis=1))
    strongest = strengths.argmax(axis=1)
    found = [(index, float(strengths[index, number]), signs[number][0]) for index, number in enumerate(strongest)]
    return sorted((one for one in found if one[1] >= 1), key=lambda one: -one[1])


def mirrored_limbs(skeleton: Skeleton) -> list[tuple[int, int, int, int]]:
    """Limbs that lie on one side, as channels (a, b), with their counterparts on the other. Each pair of limbs once."""
    flip = skeleton.flip
    found: dict[frozenset[frozenset[int]], tuple[int, int, int, int]] = {}
    for a, b in skeleton.limb_indices:
        if flip[a] != a and flip[b] != b and flip[a] != b:
            found.setdefault(frozenset((frozenset((a, b)), frozenset((flip[a], flip[b])))), (a, b, flip[a], flip[b]))
    return list(found.values())


def _opposed(keypoints: Floats, skeleton: Skeleton) -> Floats:
    """(N,) how far shoulders and hips extend opposite ways, in pixels; 0 if they do not, NaN if it is not known."""
    lines = []
    for word in ("shoulder", "hip"):
        left = [
            channel
            for channel, joint in enumerate(skeleton.joints)
            if word in joint.lower() and side(joint) == "left" and skeleton.flip[channel] != channel
        ]
        if not left:
            return np.full(len(keypoints), np.nan)
        lines.append(keypoints[:, left[0]] - keypoints[:, skeleton.flip[left[0]]])
    return np.asarray(np.sqrt(np.maximum(-(lines[0] * lines[1]).sum(axis=1), 0)))


def _length(keypoints: Floats, a: int, b: int) -> Floats:
    return np.asarray(np.hypot(*(keypoints[:, a] - keypoints[:, b]).T))


def _without_side(joint: str) -> str:
    words = joint.replace("-", "_").replace(".", "_").replace(" ", "_").split("_")
    return " ".join(word for word in words if word.lower() not in ("left", "right", "l", "r"))
