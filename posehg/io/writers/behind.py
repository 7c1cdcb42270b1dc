"""What is done with results while the next ones are computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue

Work = Callable[[], None]


@contextmanager
def behind(room: int = 2) -> Iterator[Callable[[Work], None]]:
    """A function that has work done by a background thread, in order; it waits where so much is waiting already.

        with behind() as later:
            for result in ...:
                later(partial(write, result))

    When the block ends all is done. What the work raises is raised by the next call, or at the end, and nothing more is
    done; neither is what still waits when the block is left by an error.
    """
    waiting: Queue[Work | None] = Queue(room)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        while (task := waiting.get()) is not None:
            if stopped.is_set():
                continue  # so that whoever waits for room gets it
            try:
                task()
            except BaseException as error:  # also Ctrl-C's: the thread must go on to empty the queue
                errors.append(error)
                stopped.set()

    def later(task: Work) -> None:
        if errors:
            raise errors[0]
        waiting.put(task)

    worker = threading.Thread(target=work, name="behind", daemon=True)
    worker.start()
    try:
        yield later
    except BaseException:
        stopped.set()
        raise
    finally:
        waiting.put(None)
        worker.join()
    if errors:
        raise errors[0]
