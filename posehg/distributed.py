"""Several processes started by ``torchrun``: this process's place among them, and what they exchange.

In a single process every function can be called as well: it returns at once and needs no torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from posehg.errors import DeviceError, PosehgError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

_CONNECTING = timedelta(minutes=2)
_WAITING = timedelta(days=1)  # for a process that computes; one that ends is noticed at once
_START = "Start several processes with: torchrun --nproc-per-node NUMBER -m posehg ..."


class ProcessLost(DeviceError):
    """Another process of the run ended or cannot be reached."""


@dataclass(frozen=True)
class World:
    """This process's rank among ``size`` processes, and its rank among those of its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0


ALONE = World()


def world() -> World:
    """Reads this process's place from the variables that torchrun sets. Raises UsageError if they are inconsistent."""
    if os.environ.get("WORLD_SIZE") == "1" or not (os.environ.get("RANK") or os.environ.get("WORLD_SIZE")):
        return ALONE
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        value = os.environ.get(name, "")
        if not re.fullmatch(".+" if name == "MASTER_ADDR" else "[0-9]+", value):
            raise UsageError(f"This is one of several processes, but {name} is {value or 'not set'}.", _START)
    return World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Connects the processes inside the block; does nothing in a single process or if they are connected.

    device: what this process computes on, such as cpu or cuda:0.
    """
    here = world()
    if here.size > 1:
        import torch
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous
    if here.size == 1 or dist.is_initialized():
        yield here
        return
    kind = torch.device(device)
    if kind.type == "mps":
        raise DeviceError("Several processes cannot compute together on mps.", "Try --device cpu.")
    if kind.type == "cuda":
        torch.cuda.set_device(kind.index or 0)
    # CPU tensors go through gloo, which notices at once when a process ends.
    backend = "cpu:gloo,cuda:nccl" if kind.type == "cuda" else "gloo"
    try:
        store, _, _ = next(rendezvous("env://", here.rank, here.size, timeout=_CONNECTING))
        store.set_timeout(_WAITING)  # until the slowest process has read its data
        dist.init_process_group(backend, store=store, rank=here.rank, world_size=here.size, timeout=_WAITING)
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise DeviceError(f"The processes of this run did not find each other at {where}.", _START) from error
    try:
        yield here
    except BaseException:
        # The others notice at once. On GPUs NCCL may wait for a lost process: there the error is reported first, and
        # the end of the process leaves the group.
        if kind.type != "cuda":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def share(items: Sequence[T], world: World) -> Sequence[T]:
    """Returns this process's items, dealt like cards."""
    return items if world.size == 1 else items[world.rank :: world.size]


def gather(value: T) -> list[T]:
    """Returns the values of all processes, by rank, in every process."""
    values = [value] * world().size
    if len(values) > 1:
        import torch.distributed as dist

        with watched():
            dist.all_gather_object(values, value)
    return values


def alike(work: Callable[[], T]) -> T:
    """Returns this process's result of ``work``. A PosehgError in one process is raised in all of them."""
    mine: PosehgError | None = None
    try:
        result = work()
    except ProcessLost:
        raise
    except PosehgError as error:
        mine = error
    for failure in (mine, *gather(mine)):  # its own error before the copy, which has no traceback
        if failure is not None:
            raise failure
    return result


def collect(work: Callable[[], Sequence[T]]) -> list[T]:
    """Returns the items of all processes in order; ``work`` makes those of this one's ``share``.

    A PosehgError in one process is raised in all of them.
    """
    parts = gather(alike(work))
    rounds = range(max(map(len, parts)))
    return [part[place] for place in rounds for part in parts if place < len(part)]


def total(tensor: Tensor) -> Tensor:
    """Returns the sum over all processes, a new tensor; in a single process, the tensor itself."""
    if world().size == 1:
        return tensor
    import torch.distributed as dist

    result = tensor.detach().contiguous().clone()
    with watched():
        dist.all_reduce(result)
    return result


def wait() -> None:
    """Waits until every process has called this."""
    gather(None)


@contextmanager
def watched(hint: str = "") -> Iterator[None]:
    """Raises ProcessLost, with this hint, if another process is lost during the block, as in a backward pass."""
    message = "Another process of this run was lost."
    try:
        yield
    except ProcessLost as error:
        raise (ProcessLost(message, hint) if hint else error) from error.__cause__
    except RuntimeError as error:
        import torch.distributed as dist

        # gloo raises a plain RuntimeError that names the source file of its connections.
        if isinstance(error, dist.DistError) or "gloo/transport" in str(error):
            raise ProcessLost(message, hint or "See its own error message.") from error
        raise
