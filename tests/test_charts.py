from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import charts
from posehg.charts import line_chart
from posehg.images import Image

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)
numbers = st.floats(-1e30, 1e30)


def painted(chart: Image, colour: tuple[int, int, int]) -> np.ndarray:
    """(n, 2) rows and columns of the lines' pixels of a colour, without those of the legend."""
    places = np.argwhere((chart == colour).all(axis=-1))
    return places[places[:, 0] > 60]


def test_a_line_goes_where_its_points_say() -> None:
    places = painted(line_chart("loss", "epoch", {"a": [(1, 0), (2, 10)]}, (360, 640)), BLUE)
    (top, right), (bottom, left) = places[places[:, 0].argmin()], places[places[:, 0].argmax()]
    assert right > 600 > 100 > left
    assert bottom - top > 200


def test_lines_have_colours_of_their_own() -> None:
    chart = line_chart("", "", {"low": [(1, 0), (2, 0)], "high": [(1, 10), (2, 10)]})
    assert painted(chart, BLUE)[:, 0].min() > painted(chart, ORANGE)[:, 0].max()


def test_the_names_stand_above_the_lines() -> None:
    lines = {"one name": [(1, 0), (2, 10)], "another name": [(1, 10), (2, 10)]}
    without, chart = (
        line_chart("t", "x", {"": lines["one name"], " ": lines["another name"]}),
        line_chart("t", "x", lines),
    )
    changed = np.argwhere((without != chart).any(axis=-1))
    assert len(changed) > 50
    assert changed[:, 0].max() < min(painted(chart, colour)[:, 0].min() for colour in (BLUE, ORANGE))


def test_what_is_not_finite_is_left_out() -> None:
    whole = line_chart("", "", {"a": [(1, 3), (3, 5)]})
    gaps = line_chart("", "", {"a": [(1, 3), (2, np.nan), (2, np.inf), (3, 5), (np.nan, 4)]})
    np.testing.assert_array_equal(whole, gaps)


@pytest.mark.parametrize("lines", [{}, {"a": []}, {"a": [(1, np.nan)]}])
def test_a_chart_without_points_is_a_title(lines: charts.Line) -> None:
    assert line_chart("loss", "epoch", lines, (211, 307)).shape == (211, 307, 3)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=5), st.lists(st.tuples(numbers, numbers), max_size=60))
def test_any_figures_can_be_drawn(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> None:
    assert line_chart("t", "x", {"a": a, "b": b}, (211, 307)).shape == (211, 307, 3)


@settings(max_examples=50, deadline=None)
@given(numbers, numbers, st.booleans())
def test_ticks_are_few_rise_and_enclose_the_figures(one: float, other: float, whole: bool) -> None:
    low, high = sorted((one, other))
    ticks = charts._ticks(low, high, whole)
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    close = 1e-9 * max(abs(low), abs(high))
    assert ticks[0] <= low + close
    assert ticks[-1] >= high - close


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 3, [1, 2, 3]),
        (1, 2, [1, 2]),
        (0.5, 1.5, [0, 1, 2]),
        (1, 13, [0, 5, 10, 15]),
        (1, 100, [0, 20, 40, 60, 80, 100]),
    ],
)
def test_epochs_are_whole_numbers(low: float, high: float, expected: list[float]) -> None:
    assert charts._ticks(low, high, whole=True) == expected


def test_shares_have_ticks_between_whole_numbers() -> None:
    assert charts._ticks(0, 0.5) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
