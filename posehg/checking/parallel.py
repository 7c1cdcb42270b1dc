"""Work on many pictures at once: decoding and cv2 let other threads run meanwhile."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """The function of each item, in their order, by as many threads as there are cores for this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Reading a picture silences Pillow for a moment; threads would undo that for one another.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = ThreadPoolExecutor(cores)
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)
