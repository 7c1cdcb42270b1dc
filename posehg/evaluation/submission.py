"""The submission file of MPII's single-person benchmark, whose test annotation is not public.

From the benchmark's instructions (http://human-pose.mpi-inf.mpg.de/#evaluation) and its toolkit (evaluatePCKh.m):
``pred`` is RELEASE.annolist(RELEASE.img_train == 0) with pred(i).annorect(r).annopoints.point(k).x, .y and .id, counted
from 1, the ids 0 .. 15 in MPII's order. All test images must be there, because the toolkit compares the number of
images and counts the rectangles with an objpos; it scores those that RELEASE.single_person names. A NaN joint is not
found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

Structs = NDArray[np.void]  # a MATLAB struct array whose fields are objects
Template = tuple[Structs, list[str]]  # what a submission fills in: the (M,) test images, and who each prediction is

_EXPECTED = f"MPII's {mpii.MAT} with the struct 'RELEASE'"


def prepare(data: Dataset) -> Template:
    """The template for MPII's test split, whose persons have ids of the form STEM:RECT.

    mpii_human_pose_v1_u12_1.mat lies in the folder of the data set or its annot/.
    Raises UsageError if the persons are not MPII's test split, NotAvailable without the official file.
    """
    people, root = [person.id for person in data.persons], data.persons[0].image.parent.parent
    paths = [root / mpii.MAT, root / "annot" / mpii.MAT]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        hint = f"Get it from {mpii.INFO['mpii'].url}: other annotations do not list the test images."
        raise NotAvailable(f"A submission needs MPII's own file, but {paths[0]} does not exist.", hint)
    content = read_matlab(path, ["RELEASE"], _EXPECTED)
    with expecting(path, _EXPECTED):
        release = content["RELEASE"][0, 0]
        images = release["annolist"].ravel()[release["img_train"].ravel() == 0]
        known = {name for image in images for name, _ in _rects(image)}
    if strangers := sorted({*people} - known):
        raise UsageError(f"{data.name} is not the test split of MPII: {strangers[0]} is not on its images.")
    return images, people


def write(path: Path, template: Template, predictions: Predictions, overwrite: bool = False) -> None:
    """Writes the file atomically. Raises as ``files.atomic`` does."""
    from scipy.io import savemat

    images, people = template
    poses, filled = dict(zip(people, (predictions.keypoints + 1).tolist(), strict=True)), images.copy()
    for number, image in enumerate(images):
        rects = _rects(image)
        for name, rect in rects:
            if name in poses:
                points = [{"x": x, "y": y, "id": float(joint)} for joint, (x, y) in enumerate(poses[name])]
                rect["annopoints"] = structs([{"point": structs(points)}])
        if any("annopoints" in rect for _, rect in rects):
            filled["annorect"][number] = structs([rect for _, rect in rects])
    with atomic(path, overwrite) as temporary:
        savemat(temporary, {"pred": filled[np.newaxis]}, appendmat=False, do_compression=True)


def _rects(image: Any) -> list[tuple[str, dict[str, Any]]]:
    """The id and the fields of each person of an image; MATLAB's [], where there is nobody, is not a struct array."""
    names, stem = image["annorect"].dtype.names or (), Path(str(image["image"][0, 0]["name"][0])).stem
    rects = [dict(zip(names, rect, strict=True)) for rect in image["annorect"].ravel() if names]
    return [(f"{stem}:{place}", rect) for place, rect in enumerate(rects, start=1)]


def structs(records: Sequence[Mapping[str, Any]]) -> Structs:
    """(1, R), a MATLAB struct array; a field that a record lacks is []."""
    names = dict.fromkeys(name for record in records for name in record)
    array = np.empty((1, len(records)), dtype=[(name, object) for name in names])
    for place, record in enumerate(records):
        for name in names:
            array[name][0, place] = record.get(name, np.zeros((0, 0)))
    return array
