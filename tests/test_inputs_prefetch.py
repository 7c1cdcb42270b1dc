from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.errors import InputError
from posehg.io import ahead, prefetch

ROOT = Path(__file__).parent.parent


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.002)
    return holds()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


class Made:
    """Numbers, made one by one; knows how many it made, by whom, and whether it was closed."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False
        self.by: set[int] = set()

    def numbers(self, end: float = float("inf"), error: BaseException | None = None) -> Iterator[int]:
        try:
            while self.count < end:
                self.count += 1
                self.by.add(threading.get_ident())
                yield self.count
            if error:
                raise error
        finally:
            self.closed = True


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_the_items_come_as_they_are(items: list[int], count: int) -> None:
    assert list(ahead(items, count)) == items
    assert not threads()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_so_many_are_made_ahead_and_no_more(count: int) -> None:
    made = Made()
    with closing(ahead(made.numbers(), count)) as items:
        for number in itertools.islice(items, 7):
            assert eventually(lambda number=number: made.count == number + count)  # type: ignore[misc]
            time.sleep(0.01)
            assert made.count == number + count


def test_another_thread_makes_them() -> None:
    made = Made()
    list(ahead(made.numbers(3), 2))
    assert made.by
    assert threading.get_ident() not in made.by


def test_making_and_using_overlap() -> None:
    def slow() -> Iterator[int]:
        for number in range(10):
            time.sleep(0.03)
            yield number

    begin = time.monotonic()
    for _ in ahead(slow(), 2):
        time.sleep(0.03)
    assert time.monotonic() - begin < 0.5  # one after the other it is 0.6


def test_they_are_made_before_the_first_is_asked_for() -> None:
    made = Made()
    items = ahead(made.numbers(), 3)
    assert eventually(lambda: made.count == 3)
    items.close()  # type: ignore[attr-defined]
    assert made.closed
    assert not threads()


@pytest.mark.parametrize(
    "error", [InputError("bad file"), ValueError(), MemoryError(), KeyboardInterrupt(), SystemExit()]
)
def test_an_error_comes_in_its_place(error: BaseException) -> None:
    items = ahead(Made().numbers(3, error), 2)
    assert list(itertools.islice(items, 3)) == [1, 2, 3]
    with pytest.raises(type(error)) as caught:
        next(items)
    assert caught.value is error
    assert not threads()


def test_items_that_cannot_even_begin_raise_what_they_raise() -> None:
    with pytest.raises(TypeError):
        next(ahead(7, 2))  # type: ignore[call-overload]


def test_a_count_of_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="At least one"):
        ahead([1], 0)


def test_a_reader_that_stops_early_ends_the_thread_and_closes_the_items() -> None:
    made = Made()
    with closing(ahead(made.numbers(), 3)) as items:
        next(items)
    assert made.closed
    assert not threads()


def test_an_error_of_the_reader_ends_the_thread_and_closes_the_items() -> None:
    made = Made()

    def read() -> None:
        with closing(ahead(made.numbers(), 3)) as items:
            next(items)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read()
    assert made.closed
    assert not threads()


def test_a_reader_that_just_goes_away_ends_the_thread() -> None:
    made = Made()
    for _ in ahead(made.numbers(), 3):
        break
    assert eventually(lambda: made.closed and not threads())


def test_items_that_are_stuck_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()

    def numbers() -> Iterator[int]:
        yield 1
        stuck.wait()

    monkeypatch.setattr(prefetch, "_PATIENCE", 0.05)
    items = ahead(numbers(), 3)
    next(items)
    begin = time.monotonic()
    items.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begin < 1
    stuck.set()
    assert eventually(lambda: not threads())


@pytest.mark.parametrize(
    "items", ["itertools.count()", "each(expand(['-']))"], ids=["busy", "waiting for standard input"]
)
def test_ctrl_c_ends_the_program_at_once_and_quietly(items: str) -> None:
    code = f"""
import itertools, time
from contextlib import closing
from posehg.io import *
try:
    with closing(ahead({items}, 2)) as found:
        print("ready", flush=True)
        for _ in found:
            time.sleep(60)
except KeyboardInterrupt:
    print("stopped")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        begin = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == b"stopped\n"
        assert process.stderr.read() == b""
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - begin < 5
