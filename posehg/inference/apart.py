"""An engine in a process of its own, with memory and threads that nothing else in this one has had a hand in."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.errors import DeviceError
from posehg.inference.engines import Engine
from posehg.inference.estimator import as_array

Crops = NDArray[np.uint8]
Timed = Callable[[Engine, Crops, float], float]


class Apart(Engine):
    """What ``make`` gives in a new process. To be closed.

    make, timed: functions of modules, or partials of such. timed: called there by ``seconds``.
    """

    def __init__(self, make: Callable[[], Engine], timed: Timed) -> None:
        """Raises DeviceError where the process ends, and what ``make`` raises."""
        start = multiprocessing.get_context("spawn")
        self._pipe, theirs = start.Pipe()
        self._process = start.Process(target=_serve, args=(theirs, make, timed), daemon=True)
        with _ctrl_c_ignored():  # by the new process, which ends with this one
            self._process.start()
        theirs.close()
        self.config, self.device, self.name = self._answer()

    def __call__(self, crops: Crops) -> NDArray[np.float32]:
        maps: NDArray[np.float32] = self._asked(crops, None)
        return maps

    def seconds(self, crops: Crops, seconds: float) -> float:
        """What ``timed`` says of the engine and these."""
        return float(self._asked(crops, seconds))

    def close(self) -> None:
        self._pipe.close()
        self._process.join()

    def _asked(self, *question: Any) -> Any:
        self._pipe.send(question)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise DeviceError("A process that was started for a comparison has ended.", "Is there memory?") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, make: Callable[[], Engine], timed: Timed) -> None:
    try:
        engine = make()
        pipe.send((engine.config, engine.device, engine.name))
        while True:
            crops, seconds = pipe.recv()
            pipe.send(as_array(engine(crops)) if seconds is None else timed(engine, crops, seconds))
    except (EOFError, BrokenPipeError):  # the other end is closed
        return
    except Exception as error:
        pipe.send(error)
