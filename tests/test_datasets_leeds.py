from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from posehg.datasets import load, lsp, lspet, packing
from posehg.datasets.parts import Reach
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.skeletons import LSP
from tests.leeds_files import make_lsp, make_lspet, write

both = pytest.mark.parametrize(("module", "make"), [(lsp, make_lsp), (lspet, make_lspet)], ids=["lsp", "lspet"])

# ---- LSP ---------------------------------------------------------------------------------------------------------


def test_lsp_labels_every_joint_in_zero_based_pixels(tmp_path: Path) -> None:
    joints = make_lsp(tmp_path)
    dataset = lsp.load(tmp_path, "train")
    assert [person.id for person in dataset.persons] == ["im0001", "im0002", "im0003"]
    person = dataset.persons[1]
    np.testing.assert_array_equal(person.keypoints, joints[:2, :, 1].T - 1)
    assert person.box == Box.bounding(joints[:2, :, 1].T - 1)
    assert person.image == tmp_path / "images/im0002.jpg"
    assert (dataset.skeleton, dataset.origin) == (LSP, 1)
    assert "person-centric" in dataset.note


def test_lsp_marks_what_is_hidden(tmp_path: Path) -> None:
    make_lsp(tmp_path)
    for person in lsp.load(tmp_path, "train").persons:
        assert person.visible.tolist() == [joint % 5 != 0 for joint in range(14)]


def test_lsp_trains_on_the_first_thousand_and_is_tested_on_the_others(tmp_path: Path) -> None:
    write(tmp_path, np.random.default_rng(0).uniform(1, 90, (3, 14, 1003)).round(2))
    parts = {split: [person.id for person in lsp.load(tmp_path, split).persons] for split in ("train", "val", "test")}
    assert (len(parts["train"]), parts["train"][0], parts["train"][-1]) == (1000, "im0001", "im1000")
    assert parts["val"] == parts["test"] == ["im1001", "im1002", "im1003"]


def test_lsp_calls_its_test_split_val(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_lsp(tmp_path / "lsp")
    monkeypatch.setattr(lsp, "SPLITS", {"train": slice(0, 1), "val": slice(1, None)})
    whole = load("lsp", tmp_path, "test")
    assert whole.split == "val"
    (tmp_path / "packs").mkdir()
    packing.pack(tmp_path / "packs/lsp-val.zip", whole, Reach(1.0, 9))
    from_pack = load("lsp", tmp_path / "packs", "test")
    assert [person.id for person in from_pack.persons] == ["im0002", "im0003"]
    assert (from_pack.note, from_pack.origin) == (lsp.NOTE, 1)


def test_a_joint_that_lies_nowhere_is_not_labelled(tmp_path: Path) -> None:
    joints = make_lsp(tmp_path, 2)
    joints[1, 3, 0] = np.nan
    joints[:2, :, 1] = np.nan
    write(tmp_path, joints)
    (person,) = lsp.load(tmp_path, "train").persons  # nothing is known of the second
    assert np.isnan(person.keypoints).all(axis=1).tolist() == [joint == 3 for joint in range(14)]
    assert not person.visible[3]


# ---- LSPET -------------------------------------------------------------------------------------------------------


def test_lspet_shifts_to_zero_based_pixels_and_leaves_out_missing_joints(tmp_path: Path) -> None:
    joints = make_lspet(tmp_path)
    dataset = lspet.load(tmp_path, "train")
    assert [person.id for person in dataset.persons] == ["im00001", "im00003"]  # the second has one joint only
    person = dataset.persons[1]
    expected = joints[:, :2, 2] - 1
    expected[2] = np.nan
    np.testing.assert_array_equal(person.keypoints, expected)
    assert person.visible.tolist() == [k != 2 for k in range(14)]
    assert person.box == Box.bounding(expected)
    assert person.image == tmp_path / "images/im00003.jpg"
    assert (dataset.skeleton, dataset.origin) == (LSP, 1)


def test_a_labelled_joint_of_lspet_that_lies_nowhere_is_not_labelled(tmp_path: Path) -> None:
    joints = make_lspet(tmp_path, 1)
    joints[3, 0, 0] = np.nan
    write(tmp_path, joints)
    (person,) = lspet.load(tmp_path, "train").persons
    assert not person.visible[3]
    assert np.isnan(person.keypoints[3]).all()


def test_lspet_counts_whom_it_leaves_out(tmp_path: Path) -> None:
    make_lspet(tmp_path)
    assert lspet.load(tmp_path, "train").note == "1 without a box and with fewer than two joints is left out."


def test_lspet_validates_on_what_comes_after_the_first_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_lspet(tmp_path)
    monkeypatch.setattr(lspet, "SPLITS", {"train": slice(0, 2), "val": slice(2, None)})
    assert [person.id for person in lspet.load(tmp_path, "val").persons] == ["im00003"]


# ---- both --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "sides"), [(lsp, (3, 14)), (lspet, (14, 3))], ids=["lsp", "lspet"])
def test_a_set_of_one_person_is_read(tmp_path: Path, module: ModuleType, sides: tuple[int, int]) -> None:
    write(tmp_path, np.arange(42.0).reshape(*sides, 1) + 1)
    assert len(module.load(tmp_path, "train")) == 1


@pytest.mark.parametrize("persons", [1, 2, 3, 14])
@both
def test_neither_is_read_as_the_other(
    tmp_path: Path, module: ModuleType, make: Callable[..., np.ndarray], persons: int
) -> None:
    make(tmp_path, persons)
    wrong, right = (lspet, "lsp") if module is lsp else (lsp, "lspet")
    with pytest.raises(NotAvailable, match=rf"joints\.mat is not .*it is that of {right}") as caught:
        wrong.load(tmp_path, "train")
    assert caught.value.hint == f"Read it with --dataset {right}."


@pytest.mark.parametrize("shape", [(3, 14), (14, 3), (16, 3, 5), (3, 3, 14), (5,), (2, 3, 14, 7)])
def test_joints_of_another_shape_are_not_guessed_at(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path, np.ones(shape))
    modules = {(3, 14): [lspet], (14, 3): [lsp]}.get(shape, [lsp, lspet])
    for module in modules:
        with pytest.raises(NotAvailable, match=r"joints\.mat is not the joints\.mat of Leeds Sports Pose"):
            module.load(tmp_path, "train")


@both
def test_a_misspelt_split_is_answered_with_the_known_ones(
    tmp_path: Path, module: ModuleType, make: Callable[..., np.ndarray]
) -> None:
    make(tmp_path)
    with pytest.raises(UsageError, match="no split 'tset'") as caught:
        module.load(tmp_path, "tset")
    assert caught.value.hint == "It has: train, val."


@both
def test_a_joint_beyond_all_pictures_is_named(
    tmp_path: Path, module: ModuleType, make: Callable[..., np.ndarray]
) -> None:
    joints = make(tmp_path)
    place = (1, 3, 2) if module is lsp else (3, 1, 2)
    joints[place] = 1e9
    write(tmp_path, joints)
    with pytest.raises(NotAvailable, match=r"joints\.mat, im0+3: a joint lies at 1e\+09"):
        module.load(tmp_path, "train")


# ---- the real sets -----------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_lsp_is_read(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "joints.mat").symlink_to(shared / "samples/lsp_joints_first50_3x14xN.mat")
    persons = lsp.load(tmp_path, "train").persons
    assert len(persons) == 50
    keypoints = np.stack([person.keypoints for person in persons])
    assert np.isfinite(keypoints).all()
    # Most of a sportsman is in sight: the flag is not upside down.
    assert 0.8 < np.stack([person.visible for person in persons]).mean() < 1
    # Heads are above ankles in most pictures, so neither x and y nor joints have changed places.
    assert (keypoints[:, LSP.index("head_top"), 1] < keypoints[:, LSP.index("left_ankle"), 1]).mean() > 0.8


@pytest.mark.shared
def test_the_real_files_are_told_apart(shared: Path, tmp_path: Path) -> None:
    for module, file in ((lspet, "lsp_joints_first50_3x14xN.mat"), (lsp, "lspet_joints_first50_14x3xN.mat")):
        (tmp_path / "joints.mat").unlink(missing_ok=True)
        (tmp_path / "joints.mat").symlink_to(shared / "samples" / file)
        with pytest.raises(NotAvailable, match="it is that of"):
            module.load(tmp_path, "train")
