"""Words beside points: where they stand, and that they are all there."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import labels
from posehg.labels import Label, Obstacles, Wish

SHAPE = (307, 410)
RIGHT = np.array([1.0, 0.0])


def wish(
    x: float, y: float, text: str = "left knee", outward: np.ndarray = RIGHT, rank: int = 0, needed: bool = False
) -> Wish:
    return Wish(text, np.array([x, y]), 3.0, 11.0, outward, rank, needed)


def dots(*points: tuple[float, float], radius: float = 3.0) -> np.ndarray:
    return np.array([(*point, radius) for point in points], dtype=np.float64).reshape(-1, 3)


NOTHING = Obstacles()


def only(wish: Wish, obstacles: Obstacles = NOTHING) -> Label:
    (label,) = labels.place([wish], obstacles, SHAPE)
    return label


def overlap(a: Label, b: Label) -> bool:
    return max(a.place[0], b.place[0]) < min(a.place[2], b.place[2]) and max(a.place[1], b.place[1]) < min(
        a.place[3], b.place[3]
    )


def gap(label: Label, x: float, y: float) -> float:
    """How far a pixel's centre lies from a label, 0 within."""
    left, top, right, bottom = label.place
    return float(np.hypot(max(left - x - 0.5, 0, x + 0.5 - right), max(top - y - 0.5, 0, y + 0.5 - bottom)))


@pytest.mark.parametrize("outward", [(1, 0), (-1, 0), (0, -1), (0, 1)])
def test_alone_a_label_stands_outward_beside_its_point(outward: tuple[int, int]) -> None:
    label = only(wish(200, 150, outward=np.array(outward, dtype=np.float64)), Obstacles(dots((200, 150))))
    left, top, right, bottom = label.place
    assert np.dot(((left + right) / 2 - 200, (top + bottom) / 2 - 150), outward) > 0
    assert 3 < gap(label, 200, 150) < 6
    assert label.leader is None


def test_a_label_avoids_a_line_and_a_dot_where_there_is_room() -> None:
    """The arm goes outward, with a joint at its end."""
    lines = np.array([(200, 150, 300, 150, 2.0)])
    label = only(wish(200, 150), Obstacles(dots((200, 150), (230, 150)), lines))
    assert label.place[3] <= 148 or label.place[1] >= 152 or label.place[2] <= 197
    assert gap(label, 230, 150) > 3


def test_a_label_is_nearer_to_its_own_point_than_to_another() -> None:
    points = [(200.0, 150.0), (208.0, 163.0), (191.0, 140.0)]
    found = labels.place([wish(*point) for point in points], Obstacles(dots(*points)), SHAPE)
    assert len(found) == 3
    for label in found:
        if label.leader is None:
            assert min(gap(label, *point) for point in points) < 6


def test_a_label_that_is_not_beside_its_point_has_a_line_to_it() -> None:
    crowd = [(200 + 17.0 * np.cos(turn), 150 + 12.0 * np.sin(turn)) for turn in np.linspace(0, 6, 15)]
    label = only(wish(200, 150, needed=True), Obstacles(dots((200, 150), *crowd)))
    assert label.leader is not None
    assert np.hypot(*(label.leader[0] - (200, 150))) == pytest.approx(3, abs=0.01)
    assert gap(label, *label.leader[1]) < 0.01


def test_who_finds_no_good_place_is_left_out_unless_needed() -> None:
    columns, rows = np.meshgrid(np.arange(100, 300, 7.0), np.arange(60, 240, 7.0))
    crowd = Obstacles(dots(*zip(columns.ravel(), rows.ravel(), strict=True)))
    assert not labels.place([wish(200, 150)], crowd, SHAPE)
    assert labels.place([wish(200, 150, needed=True)], crowd, SHAPE)


def test_lower_ranks_choose_first() -> None:
    many = [wish(200, 150, text=f"n{number}", rank=-number) for number in range(60)]
    found = labels.place(many, Obstacles(dots((200, 150))), SHAPE)
    assert 3 < len(found) < 60
    assert found[0].text == "n59"
    assert found[0].leader is None
    assert {label.text for label in found[:3]} == {"n59", "n58", "n57"}


def test_what_is_too_large_for_the_picture_is_left_out() -> None:
    assert labels.place([wish(60, 60, "knee")], Obstacles(), (128, 128))
    assert not labels.place([wish(60, 60, "left shoulder")], Obstacles(), (128, 128))
    assert not labels.place([wish(60, 60, "knee")], Obstacles(), (40, 128))


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(0, 409), st.floats(0, 306)), min_size=1, max_size=24),
    needed=st.booleans(),
)
def test_labels_neither_overlap_nor_leave_the_picture(points: list[tuple[float, float]], needed: bool) -> None:
    lines = np.array([(*a, *b, 2.0) for a, b in pairwise(points)]).reshape(-1, 5)
    wishes = [wish(*point, needed=needed) for point in points]
    found = labels.place(wishes, Obstacles(dots(*points), lines), SHAPE)
    assert not any(overlap(a, b) for a, b in combinations(found, 2))
    for label in found:
        left, top, right, bottom = label.place
        assert 0 <= left < right <= SHAPE[1]
        assert 0 <= top < bottom <= SHAPE[0]
    assert [label.place for label in labels.place(wishes, Obstacles(dots(*points), lines), SHAPE)] == [
        label.place for label in found
    ]


def test_the_length_of_a_line_in_a_place() -> None:
    place = np.array([(10.0, 20, 30, 40)])
    lines = np.array(
        [(0, 30, 100, 30, 0), (20, 0, 20, 25, 0), (0, 0, 5, 5, 0), (0, 44, 100, 44, 5), (20, 30, 20, 30, 0)]
    )
    np.testing.assert_allclose(labels._within(lines, place)[:, 0], [20, 5, 0, 30, 0], atol=1e-6)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_letters_are_white_with_a_black_edge_and_stay_in_their_place(value: int) -> None:
    canvas = np.full((*SHAPE, 3), value, dtype=np.uint8)
    label = only(wish(200, 150, "right hip"))
    labels.write(canvas, [label])
    left, top, right, bottom = label.place
    inside = canvas[top:bottom, left:right].copy()
    assert inside.max() > 240
    assert inside.min() == 0
    canvas[top:bottom, left:right] = value
    assert (canvas == value).all()


def test_words_stay_apart() -> None:
    canvas = np.full((*SHAPE, 3), 90, dtype=np.uint8)
    label = only(wish(200, 150, "right hip"))
    labels.write(canvas, [label])
    left, top, right, bottom = label.place
    free = (canvas[top:bottom, left:right] == 90).all(axis=(0, 2))
    runs = "".join("." if column else "x" for column in free).strip(".").split("x")
    assert max(map(len, runs)) >= 2
