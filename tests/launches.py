"""Several processes as torchrun starts them, but forked: to start one takes seconds."""

import faulthandler
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import cv2
import torch
from torch.distributed import TCPStore

from posehg import distributed
from posehg.errors import PosehgError

CPU = "cpu"
GONE = "gone"


def variables(rank: int, size: int, port: int = 1) -> dict[str, str]:
    """What torchrun tells a process."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in place.items()}


def meeting() -> TCPStore:
    """Where processes meet, as torchrun has it. A free port that is only looked up can be lost until it is used."""
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def places(size: int, store: TCPStore) -> list[dict[str, str]]:
    """The variables of each process that meets the others there."""
    return [variables(rank, size, store.port) | {"TORCHELASTIC_USE_AGENT_STORE": "True"} for rank in range(size)]


def launch(size: int, work: Callable[[distributed.World], object]) -> list[Any]:
    """What ``work`` gives in each of the processes, or the PosehgError that it raised; GONE for one that ended."""
    context = multiprocessing.get_context("fork")
    cv2.setNumThreads(1)  # a forked process has none of the threads, and would wait for them
    ends, children = [], []
    for _ in range(size):
        mine, its = context.Pipe()
        child = context.Process(target=_child, args=(work, its), daemon=True)
        child.start()
        its.close()
        ends.append(mine)
        children.append(child)
    store = meeting()  # it has a thread: beside that a fork can hang
    for end, place in zip(ends, places(size, store), strict=True):
        end.send(place)
    try:
        return [_answer(end) for end in ends]
    finally:
        for child in children:
            child.kill()
            child.join()


def _answer(end: Connection) -> Any:
    assert end.poll(240), "A process hangs."
    try:
        return end.recv()
    except EOFError:
        return GONE


def _child(work: Callable[[distributed.World], object], end: Connection) -> None:
    os.environ.update(end.recv())
    faulthandler.dump_traceback_later(200)  # before the test gives up: where this process hangs
    try:
        with distributed.joined(CPU) as world:
            answer = work(world)
    except PosehgError as error:
        answer = error
    end.send("still joined" if torch.distributed.is_initialized() else answer)
