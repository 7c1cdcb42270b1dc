"""Several processes as torchrun starts them, but forked: to start one takes seconds."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from posehg import distributed
from posehg.errors import PosehgError

CPU = "cpu"
GONE = "gone"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def variables(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in place.items()}


def launch(size: int, work: Callable[[distributed.World], object]) -> list[Any]:
    """What ``work`` gives in each of the processes, or the PosehgError that it raised; GONE for one that ended."""
    context = multiprocessing.get_context("fork")
    port, ends, children = free_port(), [], []
    for rank in range(size):
        mine, its = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(work, variables(rank, size, port), its), daemon=True)
        child.start()
        its.close()
        ends.append(mine)
        children.append(child)
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


def _child(work: Callable[[distributed.World], object], place: dict[str, str], end: Connection) -> None:
    os.environ.update(place)
    try:
        with distributed.joined(CPU) as world:
            answer = work(world)
    except PosehgError as error:
        answer = error
    end.send("still joined" if torch.distributed.is_initialized() else answer)
