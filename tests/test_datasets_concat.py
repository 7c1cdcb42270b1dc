"""Sets on another skeleton, in part, and joined."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posehg import datasets
from posehg.datasets import Dataset, load, on_skeleton, spread
from posehg.datasets.dataset import LazyPersons, concat, people_by_image
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


def ids(data: Dataset) -> list[str]:
    return [one.id for one in data.persons]


def test_joints_are_matched_by_name() -> None:
    original = person(MPII)
    moved = on_skeleton(dataset(MPII), COCO).persons[0]
    for joint in COCO.joints:
        channel, known = COCO.index(joint), joint in MPII.joints
        expected = original.keypoints[MPII.index(joint)] if known else (np.nan, np.nan)
        np.testing.assert_array_equal(moved.keypoints[channel], expected)
        assert moved.visible[channel] == known
    with pytest.raises(UsageError, match="'hand'"):
        on_skeleton(dataset(FLIC), Skeleton("hand", ("thumb",), ()))


def test_a_midpoint_needs_both_ends() -> None:
    source = dataset(LSP, persons=1)
    source.persons[0].keypoints[LSP.index("left_hip")] = np.nan
    source.persons[0].visible[[LSP.index("left_hip"), LSP.index("left_shoulder")]] = False
    moved = on_skeleton(source, MPII).persons[0]
    assert np.isnan(moved.keypoints[MPII.index("pelvis")]).all()
    assert np.isfinite(moved.keypoints[MPII.index("thorax")]).all()
    assert not moved.visible[[MPII.index("pelvis"), MPII.index("thorax")]].any()


def test_joined_sets_follow_one_another_are_read_each_by_its_own_reader_and_can_be_pickled() -> None:
    joined = pickle.loads(pickle.dumps(concat([dataset(MPII, 2), dataset(LSP, 3, inverted_shade)], MPII, (1, 1))))
    assert (joined.name, len(joined)) == ("mpii+lsp", 5)
    assert ids(joined) == ["mpii-1", "mpii-2", "lsp-1", "lsp-2", "lsp-3"]
    assert [int(joined.read(p)[0, 0, 0]) for p in joined.persons] == [1, 2, 254, 253, 252]
    assert {p.keypoints.shape for p in joined.persons} == {(16, 2)}
    assert [p.id for p in joined.persons[1:3]] == ["mpii-2", "lsp-1"]
    with pytest.raises(IndexError):
        joined.persons[5]


def test_weights_repeat_a_set_or_take_its_first_part() -> None:
    joined = concat([dataset(MPII, 2), dataset(FLIC, 0), dataset(LSP, 1), dataset(COCO, 4)], MPII, (2, 5, 3, 0.5))
    assert ids(joined) == [*["mpii-1", "mpii-2"] * 2, *["lsp-1"] * 3, "coco-1", "coco-2"]
    with pytest.raises(UsageError, match=r"0\.1 .*lsp"):
        concat([dataset(MPII), dataset(LSP)], MPII, (1, 0.1))
    with pytest.raises(UsageError, match="twice"):
        concat([dataset(MPII), dataset(MPII)], MPII, (1, 1))


def test_ignored_people_and_notes_of_a_set_are_kept() -> None:
    crowd, other = person(MPII, 7), person(LSP, 9)
    first = replace(dataset(MPII), ignored=[crowd], note="Upright people.")
    second = replace(dataset(LSP), ignored=[other], note="People upside down.")
    joined = concat([first, second, dataset(FLIC)], LSP, (1, 1, 1))
    assert joined.note == "mpii: Upright people. lsp: People upside down."
    ignored = [(p.id, p.source, p.keypoints.shape) for p in joined.ignored]
    assert ignored == [("mpii-7", "mpii", (14, 2)), ("lsp-9", "lsp", (14, 2))]
    np.testing.assert_array_equal(joined.ignored[0].keypoints[0], crowd.keypoints[0])


def test_lazy_persons_stay_lazy() -> None:
    asked = []

    def make(index: int) -> Person:
        asked.append(index)
        return person(MPII, index)

    lazy = Dataset("rendered", "train", MPII, LazyPersons(10**9, make))
    joined = concat([dataset(LSP, 2), lazy], COCO, weights=(1, 3))
    assert asked == []
    assert joined.persons[2 + 10**9 + 7].id == "mpii-7"
    assert asked == [7]
    few = spread(lazy, 4)
    assert (ids(few), few.ignored) == (["mpii-0", "mpii-250000000", "mpii-500000000", "mpii-750000000"], ())


def test_people_whom_a_limit_leaves_out_are_still_on_the_images() -> None:
    few = spread(dataset(MPII, 3), 2)
    assert (ids(few), [one.id for one in few.ignored]) == (["mpii-1", "mpii-2"], ["mpii-3"])
    assert people_by_image(few) == {("", Path("p.jpg")): [(index, Box(0, 0, 9, 9)) for index in (0, 1, -1)]}


@pytest.mark.parametrize(
    ("names", "skeleton", "persons"),
    [
        *(("lspet", LSP, 2), ("mpii", MPII, 2), ("coco:3", COCO, 6), ("coco+lspet", COCO, 4), ("lspet+coco", LSP, 4)),
        *(("coco+mpii:2", MPII, 6), ("lspet + synthetic", MPII, 4), ("mpii:2+coco:2+lspet+synthetic", MPII, 12)),
    ],
)
def test_names_are_joined_on_the_fullest_skeleton(
    names: str, skeleton: Skeleton, persons: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.jpg").touch()
    own = {"mpii": MPII, "lspet": LSP, "coco": COCO, "synthetic": MPII}
    monkeypatch.setattr(datasets, "load_known", lambda name, root, split: replace(dataset(own[name]), name=name))
    for name in own:
        (tmp_path / name).mkdir()
    data = load(names, tmp_path, "train")
    assert (data.skeleton, len(data)) == (skeleton, persons)
    assert {p.keypoints.shape for p in data.persons} == {(len(skeleton.joints), 2)}
    assert data.read(data.persons[0]).shape == (2, 3, 3)
