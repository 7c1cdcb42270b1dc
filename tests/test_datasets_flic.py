"""FLIC from both of its formats, observer- and person-centric."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from posehg.datasets import flic, load_one
from posehg.errors import NotAvailable, UsageError
from posehg.metrics import torso_sizes
from posehg.skeletons import FLIC
from tests.flic_files import FRAMES, MISSING, center, flic_arrays, joints, make_examples, make_flic, make_flic_pc
from tests.mpii_files import make_mpii_h5, structs, write_h5

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
    assert data.origin == 1
    for number, person in enumerate(data.persons):
        np.testing.assert_allclose(person.keypoints, joints(number) - 1)
        assert person.visible.tolist() == [not (number == 1 and k == MISSING) for k in range(11)]


def test_a_person_is_named_by_the_frame_and_its_number_on_it(root: Path) -> None:
    persons = flic.load("flic", root, "train").persons
    assert [person.id for person in persons] == ["film-00000011:1", "film-00000013:1", "film-00000011:2"]
    assert [person.image for person in persons] == [root / "images" / frame for frame in FRAMES]


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


def test_an_unknown_split_is_answered_with_the_known_ones(root: Path) -> None:
    with pytest.raises(UsageError, match="data set flic has no split 'valid'"):
        flic.load("flic", root, "valid")


@pytest.mark.parametrize("missing", [np.nan, 0, -1])
def test_joints_that_are_not_labelled_are_known_by_any_sign(missing: float, tmp_path: Path) -> None:
    arrays = flic_arrays()
    arrays["part"][2, 4] = missing
    write_h5(tmp_path / "train.h5", arrays)
    person = flic.load("flic", tmp_path, "train").persons[2]
    assert np.isnan(person.keypoints[4]).all()
    assert not person.visible[4]
    assert np.isfinite(np.delete(person.keypoints, 4, axis=0)).all()


def test_a_hidden_joint_of_the_h5_is_labelled(tmp_path: Path) -> None:
    arrays = flic_arrays()
    arrays["visible"][2, 4] = 0
    write_h5(tmp_path / "train.h5", arrays)
    person = flic.load("flic", tmp_path, "train").persons[2]
    assert np.isfinite(person.keypoints[4]).all()
    assert not person.visible[4]


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


def test_examples_of_a_single_person_are_read(tmp_path: Path) -> None:
    coords = np.ones((2, 29))
    box = np.array([[2.0, 3.0, 5.0, 7.0]])
    row = {"filepath": "a.jpg", "coords": coords, "torsobox": box, "istrain": 1.0, "istest": 0.0}
    savemat(tmp_path / "examples.mat", {"examples": structs(row)})
    assert [person.id for person in flic.load("flic", tmp_path, "train").persons] == ["a:1"]


# ---- left and right ----------------------------------------------------------------------------------------------


def test_the_two_sets_say_how_left_and_right_are_meant(tmp_path: Path) -> None:
    make_flic(tmp_path)
    make_flic_pc(tmp_path)
    assert flic.load("flic", tmp_path, "train").note.startswith("Observer-centric: ")
    assert flic.load("flic-pc", tmp_path, "train").note.startswith("Person-centric: ")


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


def test_the_person_centric_set_needs_files_of_its_own(tmp_path: Path) -> None:
    make_examples(tmp_path)
    make_flic(tmp_path)
    with pytest.raises(NotAvailable, match=r"(?m)holds no train_personcentric\.h5\.$") as caught:
        flic.load("flic-pc", tmp_path, "train")
    assert "in a folder flic:" in caught.value.hint


# ---- broken files ------------------------------------------------------------------------------------------------


def test_a_folder_without_annotations_is_told_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"(?m)holds neither valid\.h5 nor examples\.mat\.$") as caught:
        flic.load("flic", tmp_path, "val")
    assert flic.INFO["flic"].url in caught.value.hint


@pytest.mark.parametrize("make", [make_flic, make_examples])
def test_a_split_without_persons_is_not_available(make: Any, tmp_path: Path) -> None:
    make(tmp_path)
    if make is make_flic:
        write_h5(tmp_path / "valid.h5", {name: array[:0] for name, array in flic_arrays().items()})
    with pytest.raises(NotAvailable, match="no annotated persons of the split val"):
        load_one("flic", tmp_path, "val")


def test_a_person_who_is_there_twice_is_named(tmp_path: Path) -> None:
    write_h5(tmp_path / "train.h5", flic_arrays((0, 1, 1)))
    with pytest.raises(NotAvailable, match="person 18 is in it 2 times"):
        flic.load("flic", tmp_path, "train")


def test_an_h5_of_mpii_is_not_one_of_flic(tmp_path: Path) -> None:
    make_mpii_h5(tmp_path)
    with pytest.raises(NotAvailable, match=r"train\.h5 is not the hourglass authors' \.h5 of FLIC"):
        flic.load("flic", tmp_path, "train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"part": np.zeros((3, 16, 2))}, r"'part' is float64 of shape \(3, 16, 2\)"),
        ({"scale": np.zeros(3)}, "a person has no scale"),
        ({"scale": np.zeros(2)}, "'scale'"),
        ({"imgname": np.array([b"a.jpg"])}, "1 names of 3 persons"),
    ],
)
def test_an_h5_of_another_form_is_named(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    write_h5(tmp_path / "train.h5", flic_arrays() | change)
    with pytest.raises(NotAvailable, match=rf"train\.h5.*{words}"):
        flic.load("flic", tmp_path, "train")


@pytest.mark.parametrize("change", [{"coords": np.zeros((2, 5))}, {"torsobox": np.zeros((1, 3))}, {"coords": "x"}])
def test_examples_of_another_form_are_named(change: dict[str, Any], tmp_path: Path) -> None:
    make_examples(tmp_path, **change)
    with pytest.raises(NotAvailable, match=r"examples\.mat is not FLIC's"):
        flic.load("flic", tmp_path, "train")


def test_without_h5py_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_flic(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(NotAvailable, match=r"Reading \.h5 files needs h5py\.") as caught:
        flic.load("flic", tmp_path, "train")
    assert "pip install 'posehg[h5]'" in caught.value.hint


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
