"""FLIC from both of its formats, observer- and person-centric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from posehg.datasets import flic, load_one
from posehg.errors import NotAvailable
from posehg.metrics import torso_sizes
from posehg.skeletons import FLIC
from tests.flic_files import FRAMES, MISSING, center, flic_arrays, joints, make_examples, make_flic, make_flic_pc
from tests.mpii_files import make_mpii_h5, write_h5

MAKERS = [make_flic, make_examples]
FILES = {make_flic: "train.h5", make_examples: "examples.mat"}
PATIENT = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=MAKERS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with three persons in training, in one of the formats."""
    request.param(tmp_path)
    return tmp_path


# ---- the same people from both files -----------------------------------------------------------------------------


def test_joints_are_shifted_to_zero_based_pixels(root: Path) -> None:
    data = flic.load("flic", root, "train")
    assert data.skeleton is FLIC
    assert (data.origin, data.note) == (1, flic.NOTES["flic"])
    assert [person.id for person in data.persons] == ["film-00000011:1", "film-00000013:1", "film-00000011:2"]
    assert [person.image for person in data.persons] == [root / "images" / frame for frame in FRAMES]
    for number, person in enumerate(data.persons):
        np.testing.assert_allclose(person.keypoints, joints(number) - 1)
        assert person.visible.tolist() == [not (number == 1 and k == MISSING) for k in range(11)]


def test_the_box_makes_the_papers_crop_of_440_pixels(root: Path) -> None:
    for number, person in enumerate(flic.load("flic", root, "train").persons):
        np.testing.assert_allclose(person.box.square(1.25).w, 440)
        np.testing.assert_allclose((person.box.w, person.box.h), 352)
        np.testing.assert_allclose(person.box.center, (center(number) - 1, 239))


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_official_test_persons_are_the_validation_split(split: str, tmp_path: Path) -> None:
    make_examples(tmp_path / "mat", test=(1,))
    make_flic(tmp_path / "h5", "valid")
    from_mat, from_h5 = flic.load("flic", tmp_path / "mat", split), flic.load("flic", tmp_path / "h5", split)
    assert from_mat.split == from_h5.split == "val"
    assert [person.id for person in from_mat.persons] == ["film-00000013:1"]
    assert len(from_h5) == 3
    assert [person.id for person in flic.load("flic", tmp_path / "mat", "train").persons] == [
        "film-00000011:1",
        "film-00000011:2",
    ]


@pytest.mark.parametrize("missing", [np.nan, 0, -1])
def test_joints_that_are_not_labelled_are_known_by_any_sign(missing: float, tmp_path: Path) -> None:
    arrays = flic_arrays()
    arrays["part"][2, 4] = missing
    write_h5(tmp_path / "train.h5", arrays)
    person = flic.load("flic", tmp_path, "train").persons[2]
    assert np.isnan(person.keypoints[4]).all()
    assert not person.visible[4]
    assert np.isfinite(np.delete(person.keypoints, 4, axis=0)).all()


def test_persons_without_joints_are_not_trained_on_but_are_in_the_validation_split(tmp_path: Path) -> None:
    arrays = flic_arrays()
    arrays["part"][0] = -1
    for name in ("train.h5", "valid.h5"):
        write_h5(tmp_path / name, arrays)
    assert [person.id for person in flic.load("flic", tmp_path, "train").persons] == [
        "film-00000013:1",
        "film-00000011:2",
    ]
    assert len(flic.load("flic", tmp_path, "val")) == 3


def test_the_h5_is_preferred_and_either_may_lie_in_the_folder_annot(tmp_path: Path) -> None:
    make_examples(tmp_path)
    write_h5(tmp_path / "annot" / "train.h5", flic_arrays((0, 1)))
    assert len(flic.load("flic", tmp_path, "train")) == 2
    (tmp_path / "annot" / "train.h5").unlink()
    (tmp_path / "examples.mat").rename(tmp_path / "annot" / "examples.mat")
    assert len(flic.load("flic", tmp_path, "train")) == 3


# ---- left and right ----------------------------------------------------------------------------------------------


def test_the_person_centric_set_has_the_same_people_with_sides_of_their_own(tmp_path: Path) -> None:
    make_flic(tmp_path)
    make_flic_pc(tmp_path)
    observed, own = flic.load("flic", tmp_path, "train"), flic.load("flic-pc", tmp_path, "train")
    assert [person.id for person in observed.persons] == [person.id for person in own.persons]
    assert [person.box for person in observed.persons] == [person.box for person in own.persons]
    left, right = FLIC.index("left_wrist"), FLIC.index("right_wrist")
    turned = observed.persons[1].keypoints
    np.testing.assert_array_equal(own.persons[1].keypoints[[left, right]], turned[[right, left]])
    np.testing.assert_array_equal(own.persons[0].keypoints, observed.persons[0].keypoints)


@pytest.mark.parametrize("name", ["flic", "flic-pc"])
def test_both_lie_in_the_folder_flic(name: str, tmp_path: Path) -> None:
    make_flic(tmp_path / "flic")
    make_flic_pc(tmp_path / "flic")
    data = load_one(name, tmp_path, "train")
    assert (data.name, len(data)) == (name, 3)


# ---- broken files ------------------------------------------------------------------------------------------------


def h5(**changes: Any) -> Callable[[Path], None]:
    return lambda root: write_h5(root / "train.h5", flic_arrays() | changes)


def mat(**changes: Any) -> Callable[[Path], None]:
    return lambda root: make_examples(root, **changes)


@pytest.mark.parametrize(
    ("make", "name", "named"),
    [
        (lambda root: None, "flic", "train.h5 nor examples.mat"),
        (make_flic, "flic-pc", "train_personcentric.h5"),
        (lambda root: write_h5(root / "train.h5", flic_arrays((0, 1, 1))), "flic", "person 18"),
        (make_mpii_h5, "flic", "train.h5"),
        (h5(part=np.zeros((3, 16, 2))), "flic", r"train\.h5.*'part'"),
        (h5(scale=np.zeros(3)), "flic", "scale"),
        (h5(scale=np.zeros(2)), "flic", "'scale'"),
        (h5(imgname=np.array([b"a.jpg"])), "flic", "1 names"),
        *(
            (mat(**{name: value}), "flic", r"examples\.mat")
            for name, value in (("coords", np.zeros((2, 5))), ("coords", "x"))
        ),
        (mat(torsobox=np.zeros((1, 3))), "flic", r"examples\.mat"),
    ],
)
def test_a_missing_or_wrong_file_is_named(make: Callable[[Path], None], name: str, named: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(NotAvailable, match=named) as caught:
        flic.load(name, tmp_path, "train")
    assert caught.value.hint


@pytest.mark.parametrize("make", MAKERS)
@PATIENT
@given(share=st.floats(0, 1))
@example(share=1.0)
def test_a_file_that_is_cut_short_is_named(share: float, make: Any, tmp_path: Path) -> None:
    path = tmp_path / FILES[make]
    if not path.is_file():
        make(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(share * len(whole)), len(whole) - 1)])
    try:
        with pytest.raises(NotAvailable, match=rf"{path.name} is not .*, or was cut short") as caught:
            flic.load("flic", tmp_path, "train")
        assert caught.value.hint
    finally:
        path.write_bytes(whole)


# ---- the real set ------------------------------------------------------------------------------------------------


def linked(target: Path, folder: Path, name: str) -> Path:
    folder.mkdir()
    (folder / name).symlink_to(target)
    return folder


SAMPLES = [("train", "train.h5", "train"), ("val", "valid.h5", "valid")]


@pytest.mark.shared
@pytest.mark.parametrize(("split", "name", "sample"), SAMPLES)
def test_the_real_files_hold_the_same_people(split: str, name: str, sample: str, shared: Path, tmp_path: Path) -> None:
    target = shared / "samples" / f"pose_hg_flic_{sample}_first50.h5"
    from_h5 = flic.load("flic", linked(target, tmp_path / "h5", name), split)
    from_mat = flic.load("flic", shared / "samples" / "flic", split)
    assert len(from_h5) == 50
    assert [person.id for person in from_h5.persons] == [person.id for person in from_mat.persons]
    for person, other in zip(from_h5.persons, from_mat.persons, strict=True):
        np.testing.assert_allclose(person.keypoints, other.keypoints, atol=1e-4)
        np.testing.assert_array_equal(person.visible, other.visible)
        # The sample's torso boxes are made of its joints, where a detector found the official ones: x is not compared.
        np.testing.assert_allclose(person.box.as_tuple()[1:], other.box.as_tuple()[1:])


@pytest.mark.shared
@pytest.mark.parametrize(("split", "name", "sample"), [*SAMPLES, ("val", "valid.h5", "valid_personcentric")])
def test_the_torso_is_what_the_real_h5_is_normalised_by(
    split: str, name: str, sample: str, shared: Path, tmp_path: Path
) -> None:
    target = shared / "samples" / f"pose_hg_flic_{sample}_first50.h5"
    data = flic.load("flic", linked(target, tmp_path / "h5", name), split)
    torsos = torso_sizes(np.stack([person.keypoints for person in data.persons]), data.skeleton)
    with h5py.File(target) as file:
        published = file["normalize"][()]
    assert np.median(torsos) == pytest.approx(np.median(published), rel=0.02)
    assert np.median(np.abs(torsos / published - 1)) < 0.02


@pytest.mark.shared
def test_the_real_observer_centric_left_is_on_the_right(shared: Path) -> None:
    left, right = FLIC.index("left_shoulder"), FLIC.index("right_shoulder")
    for split in ("train", "val"):
        for person in flic.load("flic", shared / "samples" / "flic", split).persons:
            assert person.keypoints[left, 0] > person.keypoints[right, 0]
