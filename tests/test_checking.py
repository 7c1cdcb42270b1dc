"""What is found in a data set, but for photos that it has twice and swapped sides, which have files of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg.checking.check import check
from posehg.checking.findings import LEVELS, Case, Finding
from posehg.checking.parallel import in_threads
from posehg.datasets import Dataset
from posehg.geometry import Box, Points
from posehg.poses import Person
from posehg.skeletons import MPII, Skeleton

T = TypeVar("T")

FIVE = Skeleton(
    "five", ("left_shoulder", "right_shoulder", "head", "left_hip", "right_hip"), (("left_shoulder", "left_hip"),)
)
STANDING = np.array([[60.0, 40], [40, 40], [50, 20], [57, 70], [43, 70]])
BOX = Box(30, 15, 40, 60)
COLUMNS, ROWS = 103, 97


def unwatched(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    return items


def write(path: Path, seed: int = 0, size: tuple[int, int] = (COLUMNS, ROWS)) -> Path:
    """A picture like no other one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    PillowImage.fromarray(coarse).resize(size, PillowImage.Resampling.BICUBIC).save(path)
    return path


def person(image: Path, id: str = "", keypoints: Points = STANDING, box: Box = BOX) -> Person:
    return Person(image, box, keypoints, np.ones(len(keypoints), dtype=bool), id=id)


def a_set(people: Sequence[Person], split: str = "train", skeleton: Skeleton = FIVE, **more: object) -> Dataset:
    return Dataset("toy", split, skeleton, people, **more)  # type: ignore[arg-type]


def found(*splits: Dataset) -> dict[str, Finding]:
    return {finding.kind.name: finding for finding in check(splits, unwatched)}


def who(cases: Sequence[Case]) -> list[tuple[str, ...]]:
    return [
        tuple(f"{subject.split} {subject.person or subject.picture}" for subject in case.subjects) for case in cases
    ]


def test_nothing_is_found_in_a_sound_set(tmp_path: Path) -> None:
    train = [person(write(tmp_path / f"{i}.png", i), str(i)) for i in range(5)]
    val = [person(write(tmp_path / f"{i}.png", i), str(i)) for i in range(5, 8)]
    assert not [one.kind.name for one in check([a_set(train), a_set(val, "val")], unwatched) if one.count]


def test_the_gravest_come_first_and_each_once(tmp_path: Path) -> None:
    findings = check([a_set([person(write(tmp_path / "a.png"))])], unwatched)
    levels = [LEVELS.index(finding.kind.level) for finding in findings]
    assert levels == sorted(levels)
    names = [finding.kind.name for finding in findings]
    assert len(set(names)) == len(names) == 15


def test_threads_keep_the_order_and_pass_errors_on() -> None:
    def square(number: int) -> int:
        if number == 7:
            raise ZeroDivisionError
        return number**2

    assert list(in_threads(square, range(7))) == [number**2 for number in range(7)]
    running = in_threads(square, range(100))
    assert [next(running) for _ in range(7)] == [number**2 for number in range(7)]
    with pytest.raises(ZeroDivisionError):
        next(running)


# ---- pictures ------------------------------------------------------------------------------------------------------


def test_missing_and_broken_pictures_are_told_each_once(tmp_path: Path) -> None:
    sound = write(tmp_path / "sound.jpg", 0, (203, 197))
    cut_short, empty, text = (tmp_path / f"{name}.jpg" for name in ("cut", "empty", "text"))
    content = sound.read_bytes()
    cut_short.write_bytes(content[: len(content) * 2 // 3])  # it opens, and tells its size
    empty.touch()
    text.write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    names = ("sound.jpg", "cut.jpg", "gone.jpg", "gone.jpg", "empty.jpg", "text.jpg", "folder.jpg", "no/where.jpg")
    findings = found(a_set([person(tmp_path / name, str(i)) for i, name in enumerate(names)]))
    assert who(findings["missing_pictures"].cases) == [("train gone.jpg",), ("train no/where.jpg",)]
    broken = findings["broken_pictures"].cases
    assert who(broken) == [(f"train {name}.jpg",) for name in ("cut", "empty", "text", "folder")]
    assert [case.detail.startswith(str(tmp_path)) for case in broken] == [True] * 4
    assert "broken or cut short" in broken[0].detail


def test_pictures_of_another_size_than_annotated_are_told(tmp_path: Path) -> None:
    wide, tall, unknown = (
        write(tmp_path / f"{name}.png", i, size)
        for i, (name, size) in enumerate([("a", (31, 37)), ("b", (41, 43)), ("c", (5, 7))])
    )
    people = [person(path) for path in (wide, tall, unknown)]
    findings = found(a_set(people, sizes={wide: (31, 37), tall: (43, 41), tmp_path / "other.png": (1, 1)}))
    (case,) = findings["other_sizes"].cases
    assert case.detail == "41 x 43 pixels, annotated as 43 x 41"
    assert case.subjects[0].picture == "b.png"


def test_without_annotated_sizes_and_without_a_second_split_that_is_not_known(tmp_path: Path) -> None:
    findings = found(a_set([person(write(tmp_path / "a.png"))]))
    assert {name for name, finding in findings.items() if not finding.known} == {"other_sizes", "leaks", "alike_leaks"}


def test_joints_outside_the_picture_are_counted_from_the_edge_of_its_pixels_on(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    edge = STANDING.copy()
    edge[0], edge[1] = (COLUMNS - 0.5, ROWS - 0.5), (-0.5, -0.5)
    near, far, two = edge.copy(), edge.copy(), edge.copy()
    near[0, 0] += 0.25
    far[1, 1] -= 31
    two[0, 1], two[1, 0], two[2] = ROWS + 2.5, -2, np.nan
    people = [person(image, name, points) for name, points in zip("enft", (edge, near, far, two), strict=True)]
    finding = found(a_set(people))["joints_outside"]
    assert who(finding.cases) == [("train f",), ("train t",), ("train n",)]
    assert finding.count == 4
    assert [case.detail for case in finding.cases] == [
        "1 joint, up to 31 pixels",
        "2 joints, up to 3 pixels",
        "1 joint, up to 0.25 pixels",
    ]


def test_persons_beside_their_picture_are_told(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    boxes = {"in": Box(-40, 0, 41, 50), "left": Box(-40, 0, 40, 50), "below": Box(10, ROWS, 20, 20)}
    people = [person(image, name, box=box) for name, box in boxes.items()]
    assert who(found(a_set(people))["persons_outside"].cases) == [("train left",), ("train below",)]


# ---- annotation ----------------------------------------------------------------------------------------------------


def test_an_id_that_a_split_has_twice_is_told_and_no_id_is_none(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.png", 1), write(tmp_path / "b.png", 2)
    train = a_set([person(a, "7"), person(b, "8"), person(b, "7", STANDING + 30), person(a, ""), person(b, "")])
    val = a_set([person(write(tmp_path / "c.png", 3), "8")], "val")
    (case,) = found(train, val)["duplicate_ids"].cases
    assert [subject.picture for subject in case.subjects] == ["a.png", "b.png"]
    assert case.detail == "2 persons"


def test_a_person_annotated_twice_on_a_picture_is_told(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.png", 1), write(tmp_path / "b.png", 2)
    partly = STANDING + 1.2
    partly[[1, 3]] = np.nan
    two_joints = STANDING.copy()
    two_joints[:3] = np.nan
    people = [
        person(a, "one"),
        person(a, "same", partly),  # 1.7 pixels apart, of 60
        person(a, "near", STANDING + 5),
        person(a, "too few joints", two_joints),
        person(b, "another picture"),
    ]
    finding = found(a_set(people))["duplicate_persons"]
    assert who(finding.cases) == [("train one", "train same")]
    assert finding.cases[0].detail == "1.7 pixels apart"


def test_persons_in_tiny_boxes_are_told_the_smallest_first(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    sides = {"thin": (3, 16), "small": (15.5, 12), "nothing": (0, 0)}
    people = [person(image, name, box=Box(20, 20, w, h)) for name, (w, h) in sides.items()]
    cases = found(a_set(people))["small_persons"].cases
    assert who(cases) == [("train nothing",), ("train small",)]
    assert cases[1].detail == "15.5 x 12 pixels"


def test_torsos_of_no_length_are_told_where_the_skeleton_has_one(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    flat, unknown = STANDING.copy(), STANDING.copy()
    flat[4] = flat[0]
    unknown[4] = np.nan
    people = [person(image, "flat", flat), person(image, "unknown", unknown), person(image, "fine")]
    assert who(found(a_set(people))["torso_zero"].cases) == [("train flat",)]
    tree = Skeleton("tree", tuple("abcde"), ())
    assert not found(a_set(people, skeleton=tree))["torso_zero"].known


def test_persons_without_a_labelled_joint_are_for_note(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    finding = found(a_set([person(image, "some"), person(image, "none", np.full((5, 2), np.nan))]))[
        "unlabelled_persons"
    ]
    assert who(finding.cases) == [("train none",)]
    assert finding.kind.level == "note"


def test_swapped_sides_are_found_across_the_splits(tmp_path: Path) -> None:
    wide = np.zeros((16, 2))
    wide[:] = [50, 50]
    wide[[MPII.index(j) for j in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]] = [
        *((20, 30), (80, 30)),
        *((75, 70), (25, 70)),
    ]
    images = [write(tmp_path / f"{i}.png", i) for i in range(2)]
    splits = [
        a_set([person(image, split, wide)], split, MPII) for image, split in zip(images, ("train", "val"), strict=True)
    ]
    finding = found(*splits)["swapped_sides"]
    assert who(finding.cases) == [("train train",), ("val val",)]
    assert finding.cases[0].detail == "shoulders and hips point opposite ways"


# ---- names ---------------------------------------------------------------------------------------------------------


def test_pictures_are_named_from_the_folder_on_that_they_share(tmp_path: Path) -> None:
    train = a_set([person(tmp_path / "set/train/x/1.png")])
    val = a_set([person(tmp_path / "set/val/1.png")], "val")
    cases = found(train, val)["missing_pictures"].cases
    assert [subject.picture for case in cases for subject in case.subjects] == ["train/x/1.png", "val/1.png"]


def test_a_person_without_an_id_is_named_by_a_number(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    cases = found(a_set([person(image), person(image, box=Box(1, 1, 2, 2))]))["small_persons"].cases
    assert who(cases) == [("train number 1",)]


@pytest.mark.parametrize("relative", [True, False])
def test_relative_and_absolute_paths_may_be_mixed(
    tmp_path: Path, relative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = Path("a.png") if relative else tmp_path / "a.png"
    cases = found(a_set([person(first), person(tmp_path / "b.png")]))["missing_pictures"].cases
    assert [case.subjects[0].picture for case in cases] == ["a.png", "b.png"]
