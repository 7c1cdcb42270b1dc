from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.io.writers.behind import behind


@given(st.lists(st.integers(), max_size=23), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_all_is_done_in_order_by_the_end_of_the_block(numbers: list[int], room: int) -> None:
    done: list[int] = []
    with behind(room) as later:
        for number in numbers:
            later(partial(done.append, number))
    assert done == numbers


def test_it_is_done_by_another_thread_while_the_block_goes_on() -> None:
    threads: list[threading.Thread] = []
    met = threading.Event()
    with behind() as later:
        later(lambda: threads.append(threading.current_thread()))
        later(met.set)
        assert met.wait(10)
    assert threads != [threading.current_thread()]


def test_no_more_waits_than_there_is_room_for() -> None:
    gate, given_in = threading.Event(), []

    def fill() -> None:
        with behind(2) as later:
            for number in range(7):
                later(gate.wait)  # type: ignore[arg-type]
                given_in.append(number)

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join(0.3)
    assert len(given_in) <= 3  # one at work and two that wait
    gate.set()
    thread.join(10)
    assert given_in == list(range(7))


def fail() -> None:
    raise ValueError("the disk is full")


def test_what_the_work_raises_is_raised_at_the_end_and_nothing_more_is_done() -> None:
    done: list[int] = []

    def block() -> None:
        with behind() as later:
            later(fail)
            later(partial(done.append, 1))

    with pytest.raises(ValueError, match="the disk is full"):
        block()
    assert done == []


def test_what_the_work_raises_ends_an_endless_block() -> None:
    def block() -> None:
        with behind() as later:
            later(fail)
            while True:
                later(lambda: None)

    with pytest.raises(ValueError, match="the disk is full"):
        block()


def test_a_block_that_is_left_by_an_error_leaves_what_waits_undone() -> None:
    begun, gate, done = threading.Event(), threading.Event(), list[int]()

    def first() -> None:
        begun.set()
        gate.wait(10)
        done.append(1)

    def block() -> None:
        with behind() as later:
            later(first)
            later(partial(done.append, 2))
            assert begun.wait(10)
            threading.Timer(0.2, gate.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == [1]
