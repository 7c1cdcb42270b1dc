"""FLIC from both of its formats, observer- and person-centric."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from posehg.datasets import Dataset, flic, load_known, load_one
from posehg.errors import NotAvailable
from posehg.metrics import torso_sizes
from posehg.skeletons import FLIC
from tests.flic_files import FRAMES, MISSING, center, flic_arrays, joints, make_examples, make_flic, make_flic_pc
from tests.mpii_files import make_mpii_h5, write_h5

IDS = ["film-00000011:1", "film-00000013:1", "film-00000011:2"]


def load(root: Path, split: str = "train", name: str = "flic") -> Dataset:
    return load_known(name, root, split)


def ids(data: Dataset) -> list[str]:
    return [person.id for person in data.persons]


@pytest.mark.parametrize("make", [make_flic, make_examples])
def test_joints_are_zero_based_and_the_box_makes_the_papers_crop_of_440_pixels(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path)
    data = load(tmp_path)
    assert (data.skeleton, data.origin, data.note) == (FLIC, 1, flic.NOTES["flic"])
    assert ids(data) == IDS
    assert [person.image for person in data.persons] == [tmp_path / "images" / frame for frame in FRAMES]
    for number, person in enumerate(data.persons):
        np.testing.assert_allclose(person.keypoints, joints(number) - 1)
        assert person.visible.tolist() == [not (number == 1 and k == MISSING) for k in range(11)]
        np.testing.assert_allclose(person.box.square(1.25).w, 440)
        np.testing.assert_allclose((person.box.w, person.box.h), 352)
        np.testing.assert_allclose(person.box.center, (center(number) - 1, 239))


def test_the_official_test_persons_are_the_validation_split(tmp_path: Path) -> None:
    make_examples(tmp_path, test=(1,))
    assert load(tmp_path, "test").split == "val"
    assert ids(load(tmp_path, "val")) == ids(load(tmp_path, "test")) == IDS[1:2]
    assert ids(load(tmp_path)) == [IDS[0], IDS[2]]


@pytest.mark.parametrize("missing", [np.nan, 0, -1])
def test_joints_that_are_not_labelled_are_known_by_any_sign(missing: float, tmp_path: Path) -> None:
    arrays = flic_arrays()
    arrays["part"][0], arrays["part"][2, 4] = -1, missing
    for name in ("train.h5", "valid.h5"):
        write_h5(tmp_path / name, arrays)
    person = load(tmp_path).persons[1]
    assert np.flatnonzero(np.isnan(person.keypoints).all(axis=1)).tolist() == [4]
    assert not person.visible[4]
    assert (ids(load(tmp_path)), ids(load(tmp_path, "val"))) == (IDS[1:], IDS)  # without joints nobody is trained on


def test_the_h5_is_preferred_and_either_may_lie_in_the_folder_annot(tmp_path: Path) -> None:
    make_examples(tmp_path)
    write_h5(tmp_path / "annot" / "train.h5", flic_arrays((0, 1)))
    assert len(load(tmp_path)) == 2
    (tmp_path / "annot" / "train.h5").unlink()
    (tmp_path / "examples.mat").rename(tmp_path / "annot" / "examples.mat")
    assert len(load(tmp_path)) == 3


def test_the_person_centric_set_has_the_same_people_with_sides_of_their_own(tmp_path: Path) -> None:
    make_flic(tmp_path / "flic")
    make_flic_pc(tmp_path / "flic")
    observed, own = (load_one(name, tmp_path, "train") for name in ("flic", "flic-pc"))
    assert (observed.name, own.name, ids(own)) == ("flic", "flic-pc", ids(observed))
    assert [person.box for person in observed.persons] == [person.box for person in own.persons]
    sides = [FLIC.index("left_wrist"), FLIC.index("right_wrist")]
    turned = observed.persons[1].keypoints
    np.testing.assert_array_equal(own.persons[1].keypoints[sides], turned[sides[::-1]])
    np.testing.assert_array_equal(own.persons[0].keypoints, observed.persons[0].keypoints)


def h5(**changes: Any) -> Callable[[Path], None]:
    return lambda root: write_h5(root / "train.h5", flic_arrays() | changes)


def mat(**changes: Any) -> Callable[[Path], None]:
    return lambda root: make_examples(root, **changes)


@pytest.mark.parametrize(
    ("make", "name", "named"),
    [
        (lambda root: None, "flic", "train.h5 .*examples.mat"),
        (make_flic, "flic-pc", "train_personcentric.h5"),
        (make_mpii_h5, "flic", "train.h5"),
        (h5(part=np.zeros((3, 16, 2))), "flic", r"train\.h5.*'part'"),
        (h5(scale=np.zeros(3)), "flic", "size"),
        (h5(scale=np.zeros(2)), "flic", "'scale'"),
        (h5(imgname=np.array([b"a.jpg"])), "flic", "'center'"),
        (mat(coords=np.zeros((2, 5))), "flic", r"examples\.mat"),
        (mat(coords="x"), "flic", r"examples\.mat"),
        (mat(torsobox=np.zeros((1, 3))), "flic", r"examples\.mat"),
    ],
)
def test_a_missing_or_wrong_file_is_named(make: Callable[[Path], None], name: str, named: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(NotAvailable, match=named) as caught:
        load(tmp_path, name=name)
    assert caught.value.hint


def linked(shared: Path, folder: Path, sample: str, name: str) -> Path:
    (folder / name).symlink_to(shared / "samples" / f"pose_hg_flic_{sample}_first50.h5")
    return folder


@pytest.mark.shared
@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("val", "valid")])
def test_the_real_files_hold_the_same_people(split: str, name: str, shared: Path, tmp_path: Path) -> None:
    from_h5 = load(linked(shared, tmp_path, name, f"{name}.h5"), split)
    from_mat = load(shared / "samples" / "flic", split)
    assert len(from_h5) == 50
    assert ids(from_h5) == ids(from_mat)
    left, right = FLIC.index("left_shoulder"), FLIC.index("right_shoulder")
    for person, other in zip(from_h5.persons, from_mat.persons, strict=True):
        np.testing.assert_allclose(person.keypoints, other.keypoints, atol=1e-4)
        np.testing.assert_array_equal(person.visible, other.visible)
        # The sample's torso boxes are made of its joints, where a detector found the official ones: x is not compared.
        np.testing.assert_allclose(tuple(person.box)[1:], tuple(other.box)[1:])
        assert other.keypoints[left, 0] > other.keypoints[right, 0]  # as the observer sees them


@pytest.mark.shared
@pytest.mark.parametrize("sample", ["valid", "valid_personcentric"])
def test_the_torso_is_what_the_real_h5_is_normalised_by(sample: str, shared: Path, tmp_path: Path) -> None:
    data = load(linked(shared, tmp_path, sample, "valid.h5"), "val")
    torsos = torso_sizes(np.stack([person.keypoints for person in data.persons]), data.skeleton)
    with h5py.File(tmp_path / "valid.h5") as file:
        published = file["normalize"][()]
    assert np.median(torsos) == pytest.approx(np.median(published), rel=0.02)
    assert np.median(np.abs(torsos / published - 1)) < 0.02
