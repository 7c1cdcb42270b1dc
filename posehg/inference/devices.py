"""Which device computes, and with how many CPU threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from posehg import distributed
from posehg.errors import DeviceError, UsageError

_NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "out of memory"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)
"""Phrases in errors of torch and of the libraries that it uses."""


def resolve(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Each of several processes gets its own GPU, unless one is named. Raises DeviceError for a device that is not
    available, UsageError for an unknown kind.
    """
    device = _best() if name == "auto" else _named(name)
    here = distributed.world()
    return _own_gpu(here.local_rank) if device == torch.device("cuda") and here.size > 1 else device


def use_threads(count: int) -> None:
    """Sets the number of CPU threads for the whole process: for commands, which own it."""
    torch.set_num_threads(count)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Inside the block torch computes with ``count`` CPU threads (0: no change), afterwards with as many as before.

    torch keeps this number for each thread of the process, so blocks in several threads do not disturb one another.
    """
    before = torch.get_num_threads()
    if count in (0, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait(device: torch.device) -> None:
    """Blocks until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch ran out of memory: on a GPU, or on the CPU, for which it has no exception class."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _best() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")


def _named(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"There is no kind of device {name!r}.", "Known: auto, cpu, cuda, cuda:N, mps.") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"posehg does not compute on {name!r}.", "Known: auto, cpu, cuda, cuda:N, mps.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"The device {name} is not available: torch finds {_cuda_devices()}.", "Try --device cpu.")
    if device.type == "mps" and not _has_mps():
        raise DeviceError("The device mps is not available: this is not a Mac with Metal.", "Try --device cpu.")
    return device


def _own_gpu(number: int) -> torch.device:
    count = torch.cuda.device_count()
    if number >= count:
        hint = f"Start at most one process a GPU: --nproc-per-node {count}."
        raise DeviceError(f"Process {number + 1} of this machine has no GPU: torch finds {_cuda_devices()}.", hint)
    return torch.device("cuda", number)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, so that they are faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # AMX is in Intel's server processors since 2023; torch has no public function that tells.
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device.type == "cpu" and amx is not None and bool(amx())


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _cuda_devices() -> str:
    count = torch.cuda.device_count()
    return f"{count} CUDA device{'s' if count > 1 else ''}" if count else "no CUDA device"
