"""Every picture decoded once: whether it can be, how large it is, and what of it is kept to find it again by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posehg.checking import findings, fingerprints
from posehg.checking.findings import Case, Finding
from posehg.checking.fingerprints import View
from posehg.checking.parallel import in_threads
from posehg.checking.subjects import Picture, Subjects
from posehg.datasets.reading import missing_images
from posehg.errors import InputError
from posehg.geometry import Box


@dataclass(frozen=True, eq=False)
class Scanned:
    """error: why it cannot be read, or "". size: (rows, columns). whole, around: views, of it and of who is on it."""

    picture: Picture
    error: str = ""
    size: tuple[int, int] = (0, 0)
    whole: View | None = None
    around: tuple[View | None, ...] = ()


def missing(subjects: Subjects) -> set[Path]:
    return set(missing_images([subjects.person(picture.people[0]) for picture in subjects.pictures]))


def scan(subjects: Subjects, pictures: Sequence[Picture]) -> Iterator[Scanned]:
    """Each picture decoded in full, in their order."""

    def look(picture: Picture) -> Scanned:
        try:
            image = subjects.read(picture)
        except InputError as error:
            return Scanned(picture, str(error))
        around = tuple(fingerprints.around(image, subjects.person(place).box) for place in picture.people)
        return Scanned(picture, "", image.shape[:2], fingerprints.whole(image), around)

    return in_threads(look, pictures)


def not_there(subjects: Subjects, missing: set[Path]) -> Finding:
    gone = [picture for picture in subjects.pictures if picture.path in missing]
    return Finding(findings.MISSING, tuple(Case((subjects.of_picture(picture)[0],)) for picture in gone))


def unreadable(subjects: Subjects, scanned: Sequence[Scanned]) -> Finding:
    broken = [one for one in scanned if one.error]
    return Finding(findings.BROKEN, tuple(Case((subjects.of_picture(one.picture)[0],), one.error) for one in broken))


def other_sizes(subjects: Subjects, sound: Sequence[Scanned]) -> Finding:
    cases = []
    annotated = {path: size for split in subjects.splits for path, size in split.sizes.items()}
    for one in sound:
        rows, columns = one.size
        width, height = annotated.get(one.picture.path, (columns, rows))
        if (width, height) != (columns, rows):
            detail = f"{columns} x {rows} pixels, annotated as {width} x {height}"
            cases.append(Case((subjects.of_picture(one.picture)[0],), detail))
    return Finding(findings.SIZES, tuple(cases), known=bool(annotated))


def persons_outside(subjects: Subjects, sound: Sequence[Scanned]) -> Finding:
    cases = []
    for one in sound:
        photo = Box(0, 0, one.size[1], one.size[0])
        for place in one.picture.people:
            if subjects.person(place).box.intersection(photo) == 0:
                cases.append(Case((subjects.of_person(place),)))
    return Finding(findings.BESIDE, tuple(cases))


def joints_outside(subjects: Subjects, sound: Sequence[Scanned]) -> Finding:
    """A joint is outside from the edge of the outermost pixels on. Those who are furthest out come first."""
    found = []
    for one in sound:
        rows, columns = one.size
        for place in one.picture.people:
            keypoints = subjects.person(place).keypoints
            beyond = np.maximum(-0.5 - keypoints, keypoints - (columns - 0.5, rows - 0.5)).max(axis=1)
            outside = beyond > 0  # NaN is not
            if outside.any():
                furthest = float(beyond[outside].max())
                detail = f"{_counted(int(outside.sum()), 'joint')}, up to {furthest:.3g} pixels"
                found.append((furthest, Case((subjects.of_person(place),), detail, int(outside.sum()))))
    found.sort(key=lambda one: -one[0])
    return Finding(findings.OUTSIDE, tuple(case for _, case in found))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
