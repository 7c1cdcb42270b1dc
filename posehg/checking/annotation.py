"""What the annotation alone shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from posehg import metrics
from posehg.checking import findings, swaps
from posehg.checking.findings import Case, Finding
from posehg.checking.subjects import Place, Subjects

TINY = 16
"""Pixels: a box whose longer side is shorter is a tiny one."""
AGAIN = 0.03
"""Two annotations are of one person where their joints are so near on average, as a share of the box's longer side."""
MIN_JOINTS = 3
"""So many joints have to be labelled in both to tell that."""


def repeated_ids(subjects: Subjects) -> Finding:
    places: dict[tuple[int, str], list[Place]] = defaultdict(list)
    for place, person in subjects.people():
        if person.id:
            places[place[0], person.id].append(place)
    twice = [same for same in places.values() if len(same) > 1]
    cases = [Case(tuple(map(subjects.of_person, same)), f"{len(same)} persons") for same in twice]
    return Finding(findings.IDS, tuple(cases))


def annotated_twice(subjects: Subjects) -> Finding:
    cases = []
    for picture in subjects.pictures:
        for one, other in combinations(picture.people, 2):
            distance = _distance(subjects, one, other) if one[0] == other[0] else np.inf
            if distance <= AGAIN * _longer_side(subjects, one):
                pair = (subjects.of_person(one), subjects.of_person(other))
                cases.append(Case(pair, f"{distance:.1f} pixels apart"))
    return Finding(findings.TWICE, tuple(cases))


def _distance(subjects: Subjects, one: Place, other: Place) -> float:
    """The mean distance of the joints that both have, in pixels; infinite for too few."""
    distances = np.linalg.norm(subjects.person(one).keypoints - subjects.person(other).keypoints, axis=1)
    both = np.isfinite(distances)
    return float(distances[both].mean()) if both.sum() >= MIN_JOINTS else np.inf


def _longer_side(subjects: Subjects, place: Place) -> float:
    box = subjects.person(place).box
    return max(box.w, box.h)


def swapped_sides(subjects: Subjects) -> Finding:
    places = [place for place, _ in subjects.people()]
    found = swaps.suspects(_keypoints(subjects), subjects.splits[0].skeleton)
    return Finding(findings.SWAPS, tuple(Case((subjects.of_person(places[swap.index]),), swap.sign) for swap in found))


def small_persons(subjects: Subjects) -> Finding:
    sides = ((place, person.box) for place, person in subjects.people() if max(person.box.w, person.box.h) < TINY)
    found = sorted(sides, key=lambda one: max(one[1].w, one[1].h))
    return Finding(
        findings.SMALL,
        tuple(Case((subjects.of_person(place),), f"{box.w:.3g} x {box.h:.3g} pixels") for place, box in found),
    )


def torsos_of_no_length(subjects: Subjects) -> Finding:
    skeleton = subjects.splits[0].skeleton
    zero = metrics.torso_sizes(_keypoints(subjects), skeleton) == 0
    return Finding(findings.NO_TORSO, tuple(_cases(subjects, zero)), known=metrics.has_torso(skeleton))


def unlabelled_persons(subjects: Subjects) -> Finding:
    labels = np.isfinite(_keypoints(subjects)[:, :, 0]).sum(axis=1)
    return Finding(findings.UNLABELLED, tuple(_cases(subjects, labels == 0)))


def _cases(subjects: Subjects, which: NDArray[np.bool_]) -> Iterator[Case]:
    for (place, _), found in zip(subjects.people(), which, strict=True):
        if found:
            yield Case((subjects.of_person(place),))


def _keypoints(subjects: Subjects) -> NDArray[np.float64]:
    """(N, J, 2) of all splits, one after the other."""
    return np.stack([person.keypoints for _, person in subjects.people()])
