"""LSP and LSPET, whose files have the same name and opposite flags."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posehg.datasets import load, load_known, lsp
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import LSP
from tests.lsp_files import make_lsp, make_lspet, write

Make = Callable[..., np.ndarray]
both = pytest.mark.parametrize(("name", "make"), [("lsp", make_lsp), ("lspet", make_lspet)], ids=["lsp", "lspet"])


def people(root: Path, name: str, split: str = "train") -> list[Person]:
    return list(load_known(name, root, split).persons)


def ids(root: Path, name: str, split: str) -> list[str]:
    return [person.id for person in people(root, name, split)]


def test_lsp_labels_every_joint_in_zero_based_pixels_and_inverts_its_visibility(tmp_path: Path) -> None:
    joints = make_lsp(tmp_path)
    dataset = load_known("lsp", tmp_path, "train")
    assert ids(tmp_path, "lsp", "train") == ["im0001", "im0002", "im0003"]
    person = dataset.persons[1]
    np.testing.assert_array_equal(person.keypoints, joints[:2, :, 1].T - 1)
    assert person.box == Box.bounding(joints[:2, :, 1].T - 1)
    assert person.image == tmp_path / "images/im0002.jpg"
    assert (dataset.skeleton, dataset.origin, dataset.note) == (LSP, 1, lsp.NOTES["lsp"])
    assert person.visible.tolist() == [joint % 5 != 0 for joint in range(14)]


def test_lspet_shifts_to_zero_based_pixels_and_leaves_out_missing_joints(tmp_path: Path) -> None:
    joints = make_lspet(tmp_path)
    dataset = load_known("lspet", tmp_path, "train")
    assert [person.id for person in dataset.persons] == ["im00001", "im00003"]  # the second has one joint only
    assert " 1." in dataset.note
    person = dataset.persons[1]
    expected = joints[:, :2, 2] - 1
    expected[2] = np.nan
    np.testing.assert_array_equal(person.keypoints, expected)
    assert person.visible.tolist() == [k != 2 for k in range(14)]
    assert person.box == Box.bounding(expected)
    assert (dataset.skeleton, dataset.origin) == (LSP, 1)


def test_the_first_images_are_trained_on_and_lsps_test_split_is_val(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, np.random.default_rng(0).uniform(1, 90, (3, 14, 1003)).round(2))
    train = ids(tmp_path, "lsp", "train")
    assert (len(train), train[0], train[-1]) == (1000, "im0001", "im1000")
    assert ids(tmp_path, "lsp", "val") == ids(tmp_path, "lsp", "test") == ["im1001", "im1002", "im1003"]
    make_lspet(tmp_path)
    monkeypatch.setitem(lsp.TRAINING_IMAGES, "lspet", 2)
    assert ids(tmp_path, "lspet", "val") == ["im00003"]


@both
def test_a_joint_without_coordinates_is_not_labelled_and_one_beyond_all_images_is_named(
    tmp_path: Path, name: str, make: Make
) -> None:
    joints = make(tmp_path, 2)
    joints[(1, 3, 0) if name == "lsp" else (3, 0, 0)] = np.nan
    write(tmp_path, joints)
    person = people(tmp_path, name)[0]
    assert not person.visible[3]
    assert np.isnan(person.keypoints[3]).all()
    joints[(1, 3, 1) if name == "lsp" else (3, 1, 1)] = 1e9
    joints[(2, 3, 1) if name == "lsp" else (3, 2, 1)] = 1
    write(tmp_path, joints)
    with pytest.raises(NotAvailable, match=r"joints\.mat, im0+2: .*1e\+09"):
        people(tmp_path, name)


@pytest.mark.parametrize("persons", [1, 3, 14])
@both
def test_each_is_read_and_neither_as_the_other(tmp_path: Path, name: str, make: Make, persons: int) -> None:
    make(tmp_path, persons)
    assert people(tmp_path, name)
    with pytest.raises(NotAvailable, match=r"joints\.mat") as caught:
        people(tmp_path, "lspet" if name == "lsp" else "lsp")
    assert f"--dataset {name}" in caught.value.hint


@pytest.mark.parametrize("shape", [(3, 14), (14, 3), (16, 3, 5), (3, 3, 14), (5,), (2, 3, 14, 7)])
def test_joints_of_another_shape_are_not_guessed_at(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path, np.ones(shape))
    for name in {(3, 14): ["lspet"], (14, 3): ["lsp"]}.get(shape, ["lsp", "lspet"]):
        with pytest.raises(NotAvailable, match=r"joints\.mat"):
            people(tmp_path, name)


@pytest.mark.shared
def test_the_real_files_are_read_and_told_apart(shared: Path, tmp_path: Path) -> None:
    for name, other, file in (
        ("lspet", "lsp", "lspet_joints_first50_14x3xN.mat"),
        ("lsp", "lspet", "lsp_joints_first50_3x14xN.mat"),
    ):
        (tmp_path / "joints.mat").unlink(missing_ok=True)
        (tmp_path / "joints.mat").symlink_to(shared / "samples" / file)
        with pytest.raises(NotAvailable, match="joints"):
            load(other, tmp_path, "train")
        assert len(people(tmp_path, name)) == 50
    persons = people(tmp_path, "lsp")
    keypoints = np.stack([person.keypoints for person in persons])
    assert np.isfinite(keypoints).all()
    # Most joints of athletes are visible: the flag is not upside down.
    assert 0.8 < np.stack([person.visible for person in persons]).mean() < 1
    # Heads are above ankles in most images, so neither x and y nor joints have changed places.
    assert (keypoints[:, LSP.index("head_top"), 1] < keypoints[:, LSP.index("left_ankle"), 1]).mean() > 0.8
