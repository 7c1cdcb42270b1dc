from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posehg.datasets import load, lsp
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.skeletons import LSP
from tests.lsp_files import make_lsp, make_lspet, write

both = pytest.mark.parametrize(("name", "make"), [("lsp", make_lsp), ("lspet", make_lspet)], ids=["lsp", "lspet"])
Make = Callable[..., np.ndarray]


def ids(root: Path, name: str, split: str) -> list[str]:
    return [person.id for person in lsp.load(name, root, split).persons]


def test_lsp_labels_every_joint_in_zero_based_pixels_and_inverts_its_visibility(tmp_path: Path) -> None:
    joints = make_lsp(tmp_path)
    dataset = lsp.load("lsp", tmp_path, "train")
    assert ids(tmp_path, "lsp", "train") == ["im0001", "im0002", "im0003"]
    person = dataset.persons[1]
    np.testing.assert_array_equal(person.keypoints, joints[:2, :, 1].T - 1)
    assert person.box == Box.bounding(joints[:2, :, 1].T - 1)
    assert person.image == tmp_path / "images/im0002.jpg"
    assert (dataset.skeleton, dataset.origin, dataset.note) == (LSP, 1, lsp.NOTES["lsp"])
    assert person.visible.tolist() == [joint % 5 != 0 for joint in range(14)]


def test_lsp_trains_on_the_first_thousand_and_its_test_split_is_val(tmp_path: Path) -> None:
    write(tmp_path, np.random.default_rng(0).uniform(1, 90, (3, 14, 1003)).round(2))
    train = ids(tmp_path, "lsp", "train")
    assert (len(train), train[0], train[-1]) == (1000, "im0001", "im1000")
    assert ids(tmp_path, "lsp", "val") == ids(tmp_path, "lsp", "test") == ["im1001", "im1002", "im1003"]


def test_lspet_shifts_to_zero_based_pixels_and_leaves_out_missing_joints(tmp_path: Path) -> None:
    joints = make_lspet(tmp_path)
    dataset = lsp.load("lspet", tmp_path, "train")
    assert [person.id for person in dataset.persons] == ["im00001", "im00003"]  # the second has one joint only
    assert " 1 person " in dataset.note
    person = dataset.persons[1]
    expected = joints[:, :2, 2] - 1
    expected[2] = np.nan
    np.testing.assert_array_equal(person.keypoints, expected)
    assert person.visible.tolist() == [k != 2 for k in range(14)]
    assert person.box == Box.bounding(expected)
    assert (dataset.skeleton, dataset.origin) == (LSP, 1)


def test_lspet_validates_on_the_images_after_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_lspet(tmp_path)
    monkeypatch.setitem(lsp.TRAINING_IMAGES, "lspet", 2)
    assert ids(tmp_path, "lspet", "val") == ["im00003"]
    assert load("lspet", tmp_path, "val").split == "val"


@both
def test_a_joint_without_coordinates_is_not_labelled(tmp_path: Path, name: str, make: Make) -> None:
    joints = make(tmp_path, 2)
    joints[(1, 3, 0) if name == "lsp" else (3, 0, 0)] = np.nan
    write(tmp_path, joints)
    person = lsp.load(name, tmp_path, "train").persons[0]
    assert not person.visible[3]
    assert np.isnan(person.keypoints[3]).all()


@both
def test_a_set_of_one_person_is_read(tmp_path: Path, name: str, make: Make) -> None:
    make(tmp_path, 1)
    assert len(lsp.load(name, tmp_path, "train")) == 1


@pytest.mark.parametrize("persons", [1, 3, 14])
@both
def test_neither_is_read_as_the_other(tmp_path: Path, name: str, make: Make, persons: int) -> None:
    make(tmp_path, persons)
    with pytest.raises(NotAvailable, match=r"joints\.mat") as caught:
        lsp.load("lspet" if name == "lsp" else "lsp", tmp_path, "train")
    assert f"--dataset {name}" in caught.value.hint


@pytest.mark.parametrize("shape", [(3, 14), (14, 3), (16, 3, 5), (3, 3, 14), (5,), (2, 3, 14, 7)])
def test_joints_of_another_shape_are_not_guessed_at(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path, np.ones(shape))
    for name in {(3, 14): ["lspet"], (14, 3): ["lsp"]}.get(shape, ["lsp", "lspet"]):
        with pytest.raises(NotAvailable, match=r"joints\.mat"):
            lsp.load(name, tmp_path, "train")


@both
def test_a_misspelt_split_and_a_joint_beyond_all_images_are_named(tmp_path: Path, name: str, make: Make) -> None:
    joints = make(tmp_path)
    joints[(1, 3, 2) if name == "lsp" else (3, 1, 2)] = 1e9
    write(tmp_path, joints)
    with pytest.raises(UsageError, match="'tset'") as wrong_split:
        lsp.load(name, tmp_path, "tset")
    assert "train, val" in wrong_split.value.hint
    with pytest.raises(NotAvailable, match=r"joints\.mat, im0+3: .*1e\+09"):
        lsp.load(name, tmp_path, "train")


@pytest.mark.shared
def test_the_real_lsp_is_read(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "joints.mat").symlink_to(shared / "samples/lsp_joints_first50_3x14xN.mat")
    persons = lsp.load("lsp", tmp_path, "train").persons
    assert len(persons) == 50
    keypoints = np.stack([person.keypoints for person in persons])
    assert np.isfinite(keypoints).all()
    # Most joints of athletes are visible: the flag is not upside down.
    assert 0.8 < np.stack([person.visible for person in persons]).mean() < 1
    # Heads are above ankles in most images, so neither x and y nor joints have changed places.
    assert (keypoints[:, LSP.index("head_top"), 1] < keypoints[:, LSP.index("left_ankle"), 1]).mean() > 0.8


@pytest.mark.shared
def test_the_real_files_are_told_apart(shared: Path, tmp_path: Path) -> None:
    for name, file in (("lspet", "lsp_joints_first50_3x14xN.mat"), ("lsp", "lspet_joints_first50_14x3xN.mat")):
        (tmp_path / "joints.mat").unlink(missing_ok=True)
        (tmp_path / "joints.mat").symlink_to(shared / "samples" / file)
        with pytest.raises(NotAvailable, match="joints"):
            lsp.load(name, tmp_path, "train")
