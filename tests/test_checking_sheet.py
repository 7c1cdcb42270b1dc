from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg import drawing
from posehg.checking import sheet
from posehg.checking.findings import LEAKS, OUTSIDE, SWAPS, Case, Finding, Subject
from posehg.datasets import Dataset, synthetic
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from tests import toy


def shape(cells: int, columns: int, lines: int) -> tuple[int, ...]:
    """Of a sheet with so many lines under each cell."""
    blank = np.zeros((1, 1, 3), dtype=np.uint8)
    captions = ["\n" * (lines - 1)] * cells
    return drawing.contact_sheet([blank] * cells, columns, sheet.CELL, captions=captions).shape


def colours(image: Image) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}


# ---- who is drawn --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "chosen"), [(3, [0, 2, 4]), (7, list(range(7))), (50, list(range(7))), (1, [0])])
def test_persons_are_evenly_spread(count: int, chosen: list[int]) -> None:
    assert sheet.spread(toy.dataset(7), count) == chosen


def test_a_seed_draws_the_same_persons_again_and_each_once() -> None:
    data = synthetic.load("synthetic", None, "train")
    first = sheet.drawn(data, 11, seed=5)
    assert first == sheet.drawn(data, 11, seed=5) == sorted(set(first))
    assert len(first) == 11
    assert first != sheet.drawn(data, 11, seed=6)
    assert sheet.drawn(toy.dataset(3), 11, seed=0) == [0, 1, 2]


def test_persons_are_named_by_their_ids_in_any_order() -> None:
    assert sheet.named(toy.dataset(7), ["5", "0", "5"]) == [5, 0, 5]
    with pytest.raises(UsageError, match="toy train has no person 'x'") as told:
        sheet.named(toy.dataset(7), ["5", "x"])
    assert told.value.hint == "Its ids are such as 0."


# ---- what is drawn -------------------------------------------------------------------------------------------------


def one(visible: list[bool], keypoints: np.ndarray, value: int = 128) -> Dataset:
    gray = np.full((200, 200, 3), value, dtype=np.uint8)
    person = Person(Path("a.png"), Box(20, 20, 160, 160), keypoints, np.array(visible), id="somebody")
    return Dataset("one", "train", toy.SKELETON, [person], read=lambda person: gray)


POINTS = np.array([[60.0, 60], [140, 60], [100, 40], [70, 140], [130, 140]])


def test_a_cell_shows_the_square_around_the_person_with_its_labels() -> None:
    cell = sheet.cell(one([True] * 5, POINTS), 0)
    assert cell.shape == (sheet.CELL, sheet.CELL, 3)
    scale = sheet.CELL / 200  # 1.25 times the box is the whole picture
    changed = (cell != 128).any(axis=2)
    for x, y in POINTS * scale:
        assert changed[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].any()
    assert changed.mean() < 0.05


def test_hidden_joints_look_different_and_unlabelled_ones_are_not_drawn() -> None:
    head, scale = toy.SKELETON.index("head"), sheet.CELL / 200
    x, y = (POINTS[head] * scale).round().astype(int)
    around = np.s_[y - 8 : y + 9, x - 8 : x + 9]
    visible, hidden = (sheet.cell(one([True, True, shown, True, True], POINTS), 0) for shown in (True, False))
    unlabelled = POINTS.copy()
    unlabelled[head] = np.nan
    absent = sheet.cell(one([True, True, False, True, True], unlabelled), 0)
    assert (absent[around] == 128).all()
    # A ring: dark in the middle, where the visible one has its colour, and wider.
    assert hidden[y, x].max() < 40 < 200 < visible[y, x].max()
    bright = [int((cell[around].min(axis=2) > 200).any(axis=0).sum()) for cell in (visible, hidden)]
    assert bright[0] < bright[1]
    elsewhere = np.ones(visible.shape[:2], dtype=bool)
    elsewhere[around] = False
    assert (visible[elsewhere] == hidden[elsewhere]).all()


def test_the_sides_have_their_colours() -> None:
    cell = sheet.cell(one([True] * 5, POINTS), 0).astype(int)
    scale = sheet.CELL / 200
    for joint, warm in (("right_shoulder", True), ("right_hip", True), ("left_shoulder", False), ("left_hip", False)):
        x, y = (POINTS[toy.SKELETON.index(joint)] * scale).round().astype(int)
        red, _, blue = cell[y, x]
        assert (red > blue) == warm


def test_a_sheet_has_a_cell_a_person_in_rows_of_six() -> None:
    data = toy.dataset(7)
    assert sheet.sheet(data, range(7)).shape == shape(7, columns=6, lines=1)
    assert sheet.sheet(data, [3, 3]).shape == shape(2, columns=2, lines=1)


def test_the_id_stands_under_the_cell() -> None:
    names = [toy.dataset(2), toy.dataset(2)]
    page = sheet.sheet(names[0], [0, 1])
    below = page[sheet.CELL + 4 :]
    under = [below[:, 4 + i * (sheet.CELL + 4) : 4 + (i + 1) * (sheet.CELL + 4)] for i in range(2)]
    assert all((part < 100).any() for part in under)
    assert not np.array_equal(under[0], under[1])


# ---- suspects ------------------------------------------------------------------------------------------------------


def subject(split: str, index: int) -> Subject:
    return Subject(split, f"{index}.png", str(index), index)


def test_suspects_of_every_kind_are_drawn_and_what_is_for_note_is_not() -> None:
    splits = [toy.dataset(20), toy.dataset(3, split="val")]
    found = [
        Finding(LEAKS, (Case((subject("train", 4), subject("val", 2)), "agreement 0.97"),)),
        Finding(SWAPS, tuple(Case((subject("train", i),)) for i in range(20))),
        Finding(OUTSIDE, (Case((subject("train", 9),)),)),
    ]
    page = sheet.of_findings(splits, found)
    assert page is not None
    assert page.shape == shape(2 + 12, columns=6, lines=2)  # 12 of 20
    assert sheet.of_findings(splits, found[2:]) is None


def test_suspects_on_broken_pictures_are_left_out(tmp_path: Path) -> None:
    PillowImage.new("RGB", (64, 64), (9, 99, 9)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    people = [Person(tmp_path / f"{i}.png", Box(0, 0, 60, 60), POINTS / 4, np.ones(5, dtype=bool)) for i in range(3)]
    data = Dataset("toy", "train", toy.SKELETON, people)
    page = sheet.of_findings([data], [Finding(SWAPS, tuple(Case((subject("train", i),)) for i in range(3)))])
    assert page is not None
    assert page.shape == shape(1, columns=1, lines=2)
    assert (9, 99, 9) in colours(page)
