from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg import datasets
from posehg.datasets import Dataset, load, on_skeleton
from posehg.datasets.dataset import concat
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton


def shade(person: Person) -> Image:
    return np.full((2, 3, 3), int(person.id.split("-")[1]), np.uint8)


def inverted_shade(person: Person) -> Image:
    return 255 - shade(person)


def person(skeleton: Skeleton, number: int = 1) -> Person:
    """All joints labelled and visible, at places that differ from joint to joint and from person to person."""
    joints = len(skeleton.joints)
    keypoints = np.arange(2.0 * joints).reshape(joints, 2) ** 2 + number
    return Person(Path("p.jpg"), Box(0, 0, 9, 9), keypoints, np.ones(joints, bool), id=f"{skeleton.name}-{number}")


def dataset(skeleton: Skeleton, persons: int = 2, read: object = shade) -> Dataset:
    return Dataset(skeleton.name, "train", skeleton, [person(skeleton, i + 1) for i in range(persons)], read)


class Lazy(Sequence[Person]):
    """Makes its persons when asked, and remembers who was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index):
        self.asked.append(index)
        return person(MPII, index)


def test_joints_are_matched_by_name() -> None:
    original = person(MPII)
    moved = on_skeleton(dataset(MPII), COCO).persons[0]
    for joint in COCO.joints:
        keypoint = moved.keypoints[COCO.index(joint)]
        if joint in MPII.joints:
            np.testing.assert_array_equal(keypoint, original.keypoints[MPII.index(joint)])
            assert moved.visible[COCO.index(joint)]
        else:
            assert np.isnan(keypoint).all()
            assert not moved.visible[COCO.index(joint)]


def test_a_midpoint_needs_both_ends() -> None:
    source = dataset(LSP, persons=1)
    source.persons[0].keypoints[LSP.index("left_hip")] = np.nan
    source.persons[0].visible[LSP.index("left_hip")] = False
    source.persons[0].visible[LSP.index("left_shoulder")] = False
    moved = on_skeleton(source, MPII).persons[0]
    assert np.isnan(moved.keypoints[MPII.index("pelvis")]).all()
    assert np.isfinite(moved.keypoints[MPII.index("thorax")]).all()
    assert not moved.visible[[MPII.index("pelvis"), MPII.index("thorax")]].any()


def test_skeletons_without_a_common_joint_are_refused() -> None:
    with pytest.raises(UsageError, match="'hand'"):
        on_skeleton(dataset(FLIC), Skeleton("hand", ("thumb",), ()))


def test_joined_sets_follow_one_another_and_are_read_each_by_its_own_reader() -> None:
    joined = concat([dataset(MPII, 2), dataset(LSP, 3, inverted_shade)], MPII)
    assert (joined.name, len(joined)) == ("mpii+lsp", 5)
    assert [p.id for p in joined.persons] == ["mpii-1", "mpii-2", "lsp-1", "lsp-2", "lsp-3"]
    assert [int(joined.read(p)[0, 0, 0]) for p in joined.persons] == [1, 2, 254, 253, 252]
    assert {p.keypoints.shape for p in joined.persons} == {(16, 2)}
    assert joined.persons[-1].id == "lsp-3"
    assert [p.id for p in joined.persons[1:3]] == ["mpii-2", "lsp-1"]
    with pytest.raises(IndexError):
        joined.persons[5]


def test_repeats_give_a_set_more_weight() -> None:
    joined = concat([dataset(MPII, 2), dataset(FLIC, 0), dataset(LSP, 1)], MPII, weights=(2, 5, 3))
    assert [p.id for p in joined.persons] == ["mpii-1", "mpii-2", "mpii-1", "mpii-2", "lsp-1", "lsp-1", "lsp-1"]


def test_whom_a_set_ignores_and_what_it_notes_is_kept() -> None:
    crowd, other = person(MPII, 7), person(LSP, 9)
    joined = concat(
        [
            replace(dataset(MPII), ignored=[crowd], note="Upright people."),
            replace(dataset(LSP), ignored=[other], note="People upside down."),
            dataset(FLIC),
        ],
        LSP,
    )
    assert joined.note == "mpii: Upright people. lsp: People upside down."
    assert [(p.id, p.source, p.keypoints.shape) for p in joined.ignored] == [
        ("mpii-7", "mpii", (14, 2)),
        ("lsp-9", "lsp", (14, 2)),
    ]
    np.testing.assert_array_equal(joined.ignored[0].keypoints[0], crowd.keypoints[0])


def test_lazy_persons_stay_lazy() -> None:
    lazy = Lazy()
    joined = concat([dataset(LSP, 2), Dataset("rendered", "train", MPII, lazy)], COCO, weights=(1, 3))
    assert lazy.asked == []
    assert joined.persons[2 + 10**9 + 7].id == "mpii-7"
    assert lazy.asked == [7]


def test_a_joined_set_can_be_sent_to_another_process() -> None:
    joined = pickle.loads(pickle.dumps(concat([dataset(MPII), dataset(LSP)], MPII)))
    assert joined.read(joined.persons[3])[0, 0, 0] == 2


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stand-ins of the real readers."""
    for name, skeleton in (("mpii", MPII), ("lspet", LSP), ("coco", COCO), ("synthetic", MPII)):
        members = [person(skeleton, 1), person(skeleton, 2)]
        monkeypatch.setitem(
            datasets.LOADERS, name, lambda root, split, n=name, s=skeleton, p=members: Dataset(n, split, s, p, shade)
        )
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    Path("p.jpg").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "skeleton", "persons"),
    [
        ("lspet", LSP, 2),
        ("mpii", MPII, 2),
        ("coco:3", COCO, 6),
        ("coco+lspet", COCO, 4),
        ("lspet+coco", LSP, 4),
        ("coco+mpii:2", MPII, 6),
        ("lspet + synthetic", MPII, 4),
        ("mpii:2+coco:2+lspet+synthetic", MPII, 12),
    ],
)
def test_names_are_joined_on_the_fullest_skeleton(
    names: str, skeleton: Skeleton, persons: int, small_sets: Path
) -> None:
    dataset = load(names, small_sets, "train")
    assert (dataset.skeleton, len(dataset)) == (skeleton, persons)
    assert {p.keypoints.shape for p in dataset.persons} == {(len(skeleton.joints), 2)}
    assert dataset.read(dataset.persons[0]).shape == (2, 3, 3)
