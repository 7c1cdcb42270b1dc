"""Reading ahead by a background thread, with a limit on what waits."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

AHEAD = 2
"""Frames that are read before they are asked for, and results that wait to be written."""


@contextmanager
def read_ahead(items: Generator[T], count: int = AHEAD) -> Iterator[Iterator[T]]:
    """The items, in order; from now on a thread prepares the next ``count`` before they are asked for.

    What preparing an item raises is raised in its place. With a count of 0 items are prepared when they are asked for.
    Leaving the block waits for the item in preparation.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        pending: deque[Future[T]] = deque(pool.submit(next, items, end) for _ in range(count))

        def ahead() -> Iterator[T]:
            while (item := pending.popleft().result()) is not end:
                pending.append(pool.submit(next, items, end))
                yield item

        try:
            yield ahead() if count else items
        finally:
            pool.shutdown(cancel_futures=True)
            items.close()
