"""One launch of several processes, as ``torchrun`` starts them: who this one is, and what they tell each other.

In a run of one process every function may be called all the same; it has nobody to wait for, and needs no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from posehg.errors import DeviceError, PosehgError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

_CONNECTING = timedelta(minutes=2)
_WAITING = timedelta(days=1)
"""How long another may compute before it is taken for lost. One that ended is noticed at once."""

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_START = "Several processes are started by: torchrun --nproc-per-node NUMBER -m posehg ..."


class ProcessLost(DeviceError):
    """Another process ended, or cannot be reached any more."""


@dataclass(frozen=True)
class World:
    """rank: which of the launch's ``size`` processes this is. local_rank: which of those on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0


def world() -> World:
    """This process's place in the launch, from the variables that torchrun sets; alone without them.

    Raises UsageError where they contradict each other.
    """
    given = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    if not given.keys() & {"RANK", "WORLD_SIZE"} or given.get("WORLD_SIZE") == "1":
        return World()
    missing = [name for name in _VARIABLES if name not in given]
    if missing:
        raise UsageError(f"This is to be one of several processes, but {missing[0]} is not set.", _START)
    rank, size, local_rank, _ = (_number(name, given[name]) for name in _VARIABLES if name != "MASTER_ADDR")
    if rank >= size:
        raise UsageError(f"RANK={rank} is none of WORLD_SIZE={size} processes, which count from 0.", _START)
    return World(rank, size, local_rank)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{name}={text} is not a number.", _START)
    return int(text)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Inside, the launch's processes can tell each other things. Alone, or joined already, nothing happens.

    device: what this process computes on, such as cpu or cuda:0.
    """
    here = world()
    if here.size == 1:
        yield here
        return
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        yield here
        return
    _connect(here, torch.device(device))
    try:
        yield here
    except BaseException:
        # The others notice at once. But NCCL, on GPUs, may wait for one that is gone: the error is to be told first,
        # and the end of the process leaves the group too.
        if not device.startswith("cuda"):
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _connect(here: World, device: torch.device) -> None:
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    if device.type == "mps":
        raise DeviceError("Several processes cannot compute together on mps.", "Start one, or give --device cpu.")
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
    # What is not on a GPU goes by gloo, which notices at once when a process ends.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store, _, _ = next(rendezvous("env://", here.rank, here.size, timeout=_CONNECTING))
        store.set_timeout(_WAITING)  # until the slowest has read its data
        dist.init_process_group(backend, store=store, rank=here.rank, world_size=here.size, timeout=_WAITING)
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise DeviceError(f"The processes of this run did not find each other at {where}.", _START) from error


def share(items: Sequence[T], world: World) -> Sequence[T]:
    """This process's part of the items: as cards are dealt."""
    return items if world.size == 1 else items[world.rank :: world.size]


def interleaved(parts: Sequence[Sequence[T]]) -> list[T]:
    """All items in their order, from the parts that ``share`` gave to the processes."""
    longest = max(map(len, parts), default=0)
    return [part[place] for place in range(longest) for part in parts if place < len(part)]


def gather(value: T) -> list[T]:
    """Every process's value, in the order of their ranks, on every process."""
    size = world().size
    if size == 1:
        return [value]
    import torch.distributed as dist

    values = [value] * size
    with watched():
        dist.all_gather_object(values, value)
    return values


def agreed(work: Callable[[], T]) -> list[T]:
    """What ``work`` gives in every process, as ``gather``. A PosehgError that one meets is raised in all of them."""
    mine: T | PosehgError
    try:
        mine = work()
    except ProcessLost:
        raise
    except PosehgError as error:
        mine = error
    results = gather(mine)
    for result in (mine, *results):  # its own before its copy, which has no traceback
        if isinstance(result, PosehgError):
            raise result
    return [result for result in results if not isinstance(result, PosehgError)]


def total(tensor: Tensor) -> Tensor:
    """The sum over the processes, on every one of them: a new tensor; alone, the tensor itself."""
    if world().size == 1:
        return tensor
    import torch
    import torch.distributed as dist

    result = tensor.detach().clone(memory_format=torch.contiguous_format)
    with watched():
        dist.all_reduce(result)
    return result


def spread(tensors: Iterable[Tensor]) -> None:
    """Give these tensors, in place, the values that they have in the first process."""
    if world().size > 1:
        import torch.distributed as dist

        with watched():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def alike(work: Callable[[], T]) -> T:
    """What ``work`` gives here. A PosehgError that one process meets is raised in all of them."""
    results: list[T] = []
    agreed(lambda: results.append(work()))
    return results[0]


def wait() -> None:
    """Until every process has come here."""
    gather(None)


@contextmanager
def watched(hint: str = "") -> Iterator[None]:
    """Where another process is lost while the block waits for it, ProcessLost with this hint.

    It is for what talks to the others by itself, as a backward pass does, or for a better hint.
    """
    try:
        yield
    except ProcessLost as error:
        raise (_lost(hint) if hint else error) from error.__cause__
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise _lost(hint or _told(error)) from error


def _lost(hint: str) -> ProcessLost:
    return ProcessLost("Another process of this run was lost.", hint or "Its own message says why, if it had time.")


def _is_loss(error: RuntimeError) -> bool:
    import torch.distributed as dist

    # gloo raises a bare RuntimeError; it names the part of its source that keeps the connections.
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)


def _told(error: RuntimeError) -> str:
    """What the transport says, where that is more than that somebody has gone: that two share a GPU, for instance."""
    return "" if "gloo/transport" in str(error) else f"It was told: {str(error).splitlines()[0][:300]}"
