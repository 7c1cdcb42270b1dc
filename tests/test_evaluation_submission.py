from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from posehg.datasets import Dataset, mpii
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.predictions import Predictions, mpii_test_images, structs, submit
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import MPII

J = 16


def rect(x: float, **more: Any) -> dict[str, Any]:
    return {"scale": x / 50, "objpos": structs([{"x": x, "y": x + 1}]), **more}


CROWD = {"x1": 7.0, "x2": 11.0}
IMAGES: list[tuple[str, int, list[dict[str, Any]], list[int]]] = [
    ("001.jpg", 0, [rect(100), rect(110), CROWD], [1]),
    ("002.jpg", 1, [rect(200, annopoints=structs([{"point": structs([{"x": 3.0, "y": 4.0, "id": 9.0}])}]))], [1]),
    ("003.jpg", 0, [], []),
    ("005.jpg", 0, [CROWD, rect(300)], [1, 2]),
    ("007.jpg", 0, [rect(400), rect(410), rect(420)], [3, 1]),
]
"""name, img_train, annorect, single_person; all but the second are test images. A crowd cannot be placed."""
ESTIMATED = ["007:3", "001:1", "005:2", "001:2", "007:1"]
"""Who is estimated, in another order than the file's. All but 001:2 are scored; 007:2 is not estimated."""


def release(folder: Path, images: Sequence[Any] = IMAGES) -> Path:
    annolist = structs(
        [
            {"image": structs([{"name": name}]), "annorect": structs(rects) if rects else np.zeros((0, 0)), "vididx": i}
            for i, (name, _, rects, _) in enumerate(images)
        ]
    )
    singles = np.empty((len(images), 1), dtype=object)
    for place, (*_, single) in enumerate(images):
        singles[place, 0] = np.array(single, dtype=float)[:, None] if single else np.zeros((0, 0))
    train = np.array([[train for _, train, _, _ in images]], dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    content = structs([{"annolist": annolist, "img_train": train, "single_person": singles, "version": "12"}])
    savemat(folder / mpii.MAT, {"RELEASE": content}, do_compression=True)
    return folder / mpii.MAT


def split_of(folder: Path, ids: Sequence[str] = ESTIMATED) -> Dataset:
    nothing, unseen = np.full((J, 2), np.nan), np.zeros(J, dtype=bool)
    persons = [
        Person(folder / "images" / f"{id.split(':')[0]}.jpg", Box(0, 0, 9, 9), nothing, unseen, id=id) for id in ids
    ]
    return Dataset("mpii", "test", MPII, persons, origin=1)


KEYPOINTS = np.random.default_rng(3).uniform(-5, 900, (len(ESTIMATED), J, 2))


def written(folder: Path) -> np.ndarray:
    """(M,) ``pred`` of a submission, read back."""
    release(folder)
    found = Predictions(KEYPOINTS, np.full(KEYPOINTS.shape[:2], 0.5))
    data = split_of(folder)
    submit(folder / "s.mat", data, mpii_test_images(data), found)
    content = loadmat(folder / "s.mat")
    assert [name for name in content if not name.startswith("__")] == ["pred"]
    assert content["pred"].shape == (1, 4)
    return content["pred"][0]


def as_the_toolkit_reads(pred: np.ndarray) -> np.ndarray:
    """(persons, 16, 2) of the scored persons, as evaluatePCKh.m, flatten_annolist.m and annolist2matrix.m find them.

    They walk through the rectangles with an objpos and keep those whose place is in single_person.
    """
    poses = []
    for image, (*_, singles) in zip(pred, [p for p in IMAGES if not p[1]], strict=True):
        rects = image["annorect"]
        for place in range(rects.size):
            found = rects.ravel()[place]
            if found["objpos"].size and place + 1 in singles:
                points = np.full((J, 2), np.nan)
                for point in found["annopoints"][0, 0]["point"].ravel():
                    points[int(point["id"].item())] = point["x"].item(), point["y"].item()
                poses.append(points)
    return np.array(poses)


def test_the_benchmark_finds_each_pose_counted_from_1(tmp_path: Path) -> None:
    order = [ESTIMATED.index(id) for id in ("001:1", "005:2", "007:1", "007:3")]
    np.testing.assert_array_equal(as_the_toolkit_reads(written(tmp_path)), KEYPOINTS[order] + 1)


def test_every_test_image_is_there_in_its_order_with_all_that_it_had(tmp_path: Path) -> None:
    pred = written(tmp_path)
    official = loadmat(tmp_path / mpii.MAT)["RELEASE"]["annolist"][0, 0][0][[0, 2, 3, 4]]
    for ours, theirs in zip(pred, official, strict=True):
        assert ours["image"][0, 0]["name"] == theirs["image"][0, 0]["name"]
        assert ours["vididx"] == theirs["vididx"]
        assert ours["annorect"].shape == theirs["annorect"].shape
        for name in theirs["annorect"].dtype.names or ():
            for one, other in zip(ours["annorect"][name].ravel(), theirs["annorect"][name].ravel(), strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stranger", ["002:1", "007:4", "im00001"])
def test_others_than_those_of_the_test_split_are_refused(stranger: str, tmp_path: Path) -> None:
    release(tmp_path)
    with pytest.raises(UsageError, match=stranger):
        mpii_test_images(split_of(tmp_path, [*ESTIMATED, stranger]))


def test_without_the_official_file_it_is_said_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=mpii.MAT) as caught:
        mpii_test_images(split_of(tmp_path))
    assert mpii.INFO["mpii"].url in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        {"other": 7},
        {"RELEASE": structs([{"annolist": structs([{"image": 7}]), "img_train": 0, "single_person": 7}])},
    ],
)
def test_another_matlab_file_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    savemat(tmp_path / mpii.MAT, content)
    with pytest.raises(NotAvailable, match=mpii.MAT):
        mpii_test_images(split_of(tmp_path))
