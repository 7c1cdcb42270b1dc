"""The submission file of MPII's single-person benchmark, whose test annotation is not public.

From the benchmark's instructions (http://human-pose.mpi-inf.mpg.de/#evaluation) and its toolkit (evaluatePCKh.m):
``pred`` is RELEASE.annolist(RELEASE.img_train == 0) with pred(i).annorect(r).annopoints.point(k).x, .y and .id, counted
from 1, the ids 0 .. 15 in MPII's order. All test images must be there, because the toolkit compares the number of
images and counts the rectangles with an objpos; it scores those that RELEASE.single_person names. A NaN joint is not
found. The instructions also limit how often you may submit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets import mpii
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, read_matlab
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.predictions import Predictions
from posehg.files import atomic
from posehg.metrics import Array
from posehg.skeletons import MPII

FILE = "pred_keypoints_mpii.mat"  # the name that the benchmark asks for

Structs = NDArray[np.void]  # a MATLAB struct array whose fields are objects
Key = tuple[str, int]  # an image's name without its suffix, and the one-based index of a person in its annorect

_EXPECTED = f"MPII's {mpii.MAT} with the struct 'RELEASE'"
_WHOLE = "A submission needs the whole test split of MPII."


@dataclass(frozen=True, eq=False)
class Template:
    """What a submission fills in: the (M,) test images, and which person of them each prediction is."""

    images: Structs
    people: Sequence[Key]


def prepare(data: Dataset, official: Path | None = None) -> Template:
    """The template for MPII's test split, whose persons have ids of the form STEM:RECT.

    official: mpii_human_pose_v1_u12_1.mat, by default in the folder of the data set.
    Raises UsageError if the persons are not MPII's test split, NotAvailable without the official file.
    """
    if data.skeleton.joints != MPII.joints:
        raise UsageError(f"A submission needs MPII's 16 joints in their order; {data.name} has others.")
    people = []
    for person in data.persons:
        stem, _, place = person.id.rpartition(":")
        if not stem or not place.isdecimal():
            raise UsageError(f"{data.name} {data.split} has a person {person.id!r}, who is not MPII's.", _WHOLE)
        people.append((stem, int(place)))
    root = data.persons[0].image.parent.parent
    paths = [official] if official else [root / mpii.MAT, root / "annot" / mpii.MAT]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        hint = f"Get it from {mpii.INFO['mpii'].url}: other annotations do not list the test images."
        raise NotAvailable(f"A submission needs MPII's own file, but there is no {paths[0]}.", hint)
    images, scored = _test_images(found)
    strangers, missing = sorted(set(people) - _with_objpos(images)), sorted(scored - set(people))
    for wrong, what in ((strangers, "not on MPII's test images"), (missing, "not predicted, but scored")):
        if wrong:
            raise UsageError(f"{len(wrong):,} persons are {what}, such as {wrong[0][0]}:{wrong[0][1]}.", _WHOLE)
    return Template(images, people)


def write(path: Path, template: Template, predictions: Predictions, overwrite: bool = False) -> None:
    """Writes the file atomically. Raises as ``files.atomic`` does."""
    from scipy.io import savemat

    poses = dict(zip(template.people, predictions.keypoints + 1, strict=True))
    filled = template.images.copy()
    for number, image in enumerate(template.images):
        stem, rects = _stem(image), _rects(image)
        points = {i: _annopoints(poses[stem, i + 1]) for i in range(len(rects)) if (stem, i + 1) in poses}
        if points:
            filled["annorect"][number] = _with_points(rects, points)
    with atomic(path, overwrite) as temporary:
        savemat(temporary, {"pred": filled[np.newaxis]}, appendmat=False, do_compression=True)


def _test_images(path: Path) -> tuple[Structs, set[Key]]:
    """The annolist of the M test images, (M,), and the persons that are scored."""
    content = read_matlab(path, ["RELEASE"], _EXPECTED)
    with expecting(path, _EXPECTED):
        release = content["RELEASE"][0, 0]
        test = release["img_train"].ravel() == 0
        images = release["annolist"].ravel()[test]
        singles = release["single_person"].ravel()[test]
        named = {(_stem(image), int(r)) for image, rects in zip(images, singles, strict=True) for r in np.ravel(rects)}
        return images, named & _with_objpos(images)


def _stem(image: Any) -> str:
    return Path(str(image["image"][0, 0]["name"][0])).stem


def _with_objpos(images: Structs) -> set[Key]:
    """The persons with an objpos; the toolkit does not count others."""
    return {
        (_stem(image), place)
        for image in images
        for place, rect in enumerate(_rects(image), start=1)
        if "objpos" in rect.dtype.names and rect["objpos"].size > 0
    }


def _rects(image: Any) -> Structs:
    """(R,) the persons of an image; MATLAB's [] is not a struct array."""
    rects: Structs = image["annorect"]
    return rects.ravel() if rects.dtype.names else np.empty(0, dtype=[("objpos", object)])


def _with_points(rects: Structs, points: Mapping[int, Structs]) -> Structs:
    """(R,) -> (1, R) with the field annopoints: from ``points``, or else as it was, or MATLAB's []."""
    known = rects.dtype.names or ()
    filled = np.empty((1, len(rects)), dtype=[(name, object) for name in dict.fromkeys((*known, "annopoints"))])
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
