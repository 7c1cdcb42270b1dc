"""What comes next is prepared while what is there is worked on."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

T = TypeVar("T")

AHEAD = 2
"""Frames that predict reads before it asks about them."""

_PATIENCE = 2.0
"""Seconds that a thread is given to end. One that waits for a server or a pipe ends with the program."""


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    """error: what the items ended with, if it was not their end."""

    error: BaseException | None = None


def ahead(items: Iterable[T], count: int) -> Generator[T]:
    """The items, in order, of which a background thread makes up to ``count`` before they are asked for, from now on.

    What making an item raises is raised in its place. Use it in ``with contextlib.closing(..)``: when it is closed, the
    thread ends, and closes the items where they are a generator. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"At least one item can be made ahead, not {count}.")
    made = _ahead(items, count)
    next(made)
    return cast(Generator[T], made)


def _ahead(items: Iterable[T], count: int) -> Generator[T | None]:
    """The first is None, and says that the thread has begun."""
    ready: SimpleQueue[_Item[T] | _End] = SimpleQueue()
    room = threading.Semaphore(count)
    stopped = threading.Event()
    worker = threading.Thread(target=_make, args=(items, ready, room, stopped), name="ahead", daemon=True)
    worker.start()
    try:
        yield None
        while isinstance(made := ready.get(), _Item):
            room.release()
            yield made.value
        if made.error is not None:
            raise made.error
    finally:
        stopped.set()
        room.release()
        worker.join(_PATIENCE)


def _make(
    items: Iterable[T], ready: SimpleQueue[_Item[T] | _End], room: threading.Semaphore, stopped: threading.Event
) -> None:
    end = _End()
    try:
        iterator = iter(items)
        try:
            while room.acquire() and not stopped.is_set():
                try:
                    ready.put(_Item(next(iterator)))
                except StopIteration:
                    break
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
    except BaseException as error:
        end = _End(error)
    ready.put(end)
