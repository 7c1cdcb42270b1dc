import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.io.frames import AHEAD, in_parallel, read_ahead


@given(st.lists(st.integers(), max_size=17), st.integers(0, 5))
@settings(max_examples=30)
def test_items_keep_their_order(numbers: list[int], count: int) -> None:
    with read_ahead((number for number in numbers), count) as items:
        assert list(items) == numbers


def test_reading_starts_at_once_stays_within_the_limit_and_is_closed() -> None:
    read: list[int] = []
    started = threading.Event()

    def items() -> Iterator[int]:
        try:
            for number in range(23):
                read.append(number)
                started.set()
                yield number
        finally:
            read.append(-1)

    with pytest.raises(KeyboardInterrupt), read_ahead(items(), 3) as ahead:  # noqa: PT012
        assert started.wait(10)
        assert [next(ahead), next(ahead)] == [0, 1]
        raise KeyboardInterrupt
    assert len(read) <= 2 + 3 + 1 + 1
    assert read[-1] == -1


def test_an_error_of_the_reader_is_raised_in_its_place() -> None:
    with read_ahead(1 / (1 - number) for number in range(3)) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ZeroDivisionError):
            next(ahead)


@given(st.lists(st.integers(), max_size=17), st.integers(1, 5))
@settings(max_examples=30)
def test_parallel_results_keep_the_order_of_their_items(numbers: list[int], count: int) -> None:
    with in_parallel(lambda number: number + 1, numbers, count) as results:
        assert list(results) == [number + 1 for number in numbers]


def test_parallel_calls_meet_each_other_and_stay_within_the_limit() -> None:
    meeting, taken = threading.Barrier(3), []

    def items() -> Iterator[int]:
        for number in range(18):
            taken.append(number)
            yield number

    with in_parallel(lambda _: meeting.wait(10), items(), 3) as results:
        next(results)
        assert len(taken) <= 3 + AHEAD
        assert len(list(results)) == 17


def test_what_a_parallel_call_raises_is_raised_in_its_place() -> None:
    with in_parallel(lambda number: 1 / (1 - number), range(3), 2) as results:
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
