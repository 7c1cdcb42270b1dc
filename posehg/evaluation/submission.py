"""The file with which a network takes part in MPII's single-person benchmark, whose test annotation is not public.

What it must hold, from the benchmark's own instructions (http://human-pose.mpi-inf.mpg.de/#evaluation) and from how its
toolkit (evalMPII.zip, evaluatePCKh.m) reads it:

    pred_keypoints_mpii.mat: one variable, pred = RELEASE.annolist(RELEASE.img_train == 0), in which
    pred(i).annorect(r).annopoints.point(k).x  .y  .id    are set, counted from 1, id 0 .. 15 in MPII's order

It is the whole list of test pictures, whoever is estimated: the toolkit compares its length and counts the rectangles
that have an objpos to tell who is who, so that one left out would move all those behind it. It scores the rectangles
that RELEASE.single_person names and passes over the others; a joint that is NaN counts as not found. The instructions
also say how often one may submit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import mpii
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, read_matlab
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.files import atomic
from posehg.metrics import Array
from posehg.skeletons import MPII

_TEST_SPLIT = "Estimate the whole test split of MPII: a submission is of it."

FILE = "pred_keypoints_mpii.mat"
"""The name that the benchmark asks for."""

Structs = NDArray[np.void]
"""A MATLAB struct array, its fields objects."""
Key = tuple[str, int]
"""A picture's name without its suffix, and the one-based place of a person in its annorect."""

_EXPECTED = f"MPII's {mpii.MAT} with the struct 'RELEASE'"


@dataclass(frozen=True, eq=False)
class Form:
    """What a submission is filled into: the test pictures, (M,), and who each of the estimated persons is."""

    pictures: Structs
    people: Sequence[Key]


def prepare(data: Dataset, official: Path | None = None) -> Form:
    """For the poses of MPII's test split, whose persons have the id STEM:RECT.

    official: MPII's mpii_human_pose_v1_u12_1.mat; by default that of the folder in which the set lies.
    Raises UsageError where the persons are not MPII's test split, NotAvailable without the official file.
    """
    if data.skeleton.joints != MPII.joints:
        raise UsageError(f"A submission to MPII has MPII's 16 joints in their order; {data.name} has others.")
    people = _keys(data)
    pictures, scored = _test_pictures(official or _beside(data))
    _check_people(data, people, _located(pictures), scored)
    return Form(pictures, people)


def write(path: Path, form: Form, predictions: Predictions, overwrite: bool = False) -> None:
    """As the benchmark reads it. Raises as ``files.atomic`` does."""
    from scipy.io import savemat

    poses = dict(zip(form.people, predictions.keypoints + 1, strict=True))
    with atomic(path, overwrite) as temporary:
        pred = _filled(form.pictures, poses)[np.newaxis]
        savemat(temporary, {"pred": pred}, appendmat=False, do_compression=True)


def _keys(data: Dataset) -> list[Key]:
    keys = []
    for person in data.persons:
        stem, _, place = person.id.rpartition(":")
        if not stem or not place.isdecimal():
            raise UsageError(f"{data.name} {data.split} is not MPII's: it has a person {person.id!r}.", _TEST_SPLIT)
        keys.append((stem, int(place)))
    return keys


def _beside(data: Dataset) -> Path:
    """The official file, beside the folder of pictures or in ``annot`` there; a packed set does not have it."""
    root = data.persons[0].image.parent.parent
    for path in (root / mpii.MAT, root / "annot" / mpii.MAT):
        if path.is_file():
            return path
    raise NotAvailable(
        f"A submission is made from MPII's own file, and there is no {root / mpii.MAT}.",
        f"Get it from {mpii.INFO['mpii'].url}: other annotations do not say which test pictures there are.",
    )


def _test_pictures(path: Path) -> tuple[Structs, set[Key]]:
    """The annolist of the M test pictures, (M,), and who of them is scored."""
    content = read_matlab(path, ["RELEASE"], _EXPECTED)
    with expecting(path, _EXPECTED):
        release = content["RELEASE"][0, 0]
        test = release["img_train"].ravel() == 0
        pictures = release["annolist"].ravel()[test]
        singles = release["single_person"].ravel()[test]
        located = _located(pictures)
        named = {(_stem(picture), int(r)) for picture, rs in zip(pictures, singles, strict=True) for r in np.ravel(rs)}
        return pictures, named & located


def _stem(picture: Any) -> str:
    return Path(str(picture["image"][0, 0]["name"][0])).stem


def _located(pictures: Structs) -> set[Key]:
    """Who has an objpos: the toolkit knows no others."""
    return {
        (_stem(picture), place)
        for picture in pictures
        for place, rect in enumerate(_rects(picture), start=1)
        if "objpos" in rect.dtype.names and rect["objpos"].size > 0
    }


def _rects(picture: Any) -> Structs:
    """(R,) the persons of a picture; MATLAB's [] is not a struct array."""
    rects: Structs = picture["annorect"]
    return rects.ravel() if rects.dtype.names else np.empty(0, dtype=[("objpos", object)])


def _check_people(data: Dataset, people: Collection[Key], located: set[Key], scored: set[Key]) -> None:
    strangers, missing = sorted(set(people) - located), sorted(scored - set(people))
    if strangers:
        raise UsageError(
            f"{len(strangers):,} of {len(people):,} persons of {data.name} {data.split} are not on MPII's test "
            f"pictures, as {_told(strangers[0])}.",
            _TEST_SPLIT,
        )
    if missing:
        raise UsageError(
            f"{len(missing):,} of {len(scored):,} persons whom the benchmark scores have no prediction, as "
            f"{_told(missing[0])}.",
            _TEST_SPLIT,
        )


def _told(key: Key) -> str:
    return f"{key[0]}:{key[1]}"


def _filled(pictures: Structs, poses: Mapping[Key, Array]) -> Structs:
    """The list with the poses, one-based (16, 2), in it."""
    filled = pictures.copy()
    for number, picture in enumerate(pictures):
        stem, rects = _stem(picture), _rects(picture)
        points = {i: _annopoints(poses[stem, i + 1]) for i in range(len(rects)) if (stem, i + 1) in poses}
        if points:
            filled["annorect"][number] = _with_points(rects, points)
    return filled


def _with_points(rects: Structs, points: Mapping[int, Structs]) -> Structs:
    """(R,) -> (1, R), with the field annopoints: what ``points`` has for the rect, else as it was, else MATLAB's []."""
    known = rects.dtype.names or ()
    names = tuple(dict.fromkeys((*known, "annopoints")))
    filled = np.empty((1, len(rects)), dtype=[(name, object) for name in names])
    for place, rect in enumerate(rects):
        for name in known:
            filled[name][0, place] = rect[name]
        if place in points:
            filled["annopoints"][0, place] = points[place]
        elif "annopoints" not in known:
            filled["annopoints"][0, place] = np.zeros((0, 0))
    return filled


def _annopoints(keypoints: Array) -> Structs:
    """annopoints.point(1 .. 16) with x, y and id."""
    point = np.empty((1, len(keypoints)), dtype=[(name, object) for name in ("x", "y", "id")])
    for joint, (x, y) in enumerate(keypoints.tolist()):
        point[0, joint] = (x, y, float(joint))
    annopoints = np.empty((1, 1), dtype=[("point", object)])
    annopoints["point"][0, 0] = point
    return annopoints
