"""What a machine is and can do at most, and the clock by which it is measured."""

from __future__ import annotations

import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from posehg import distributed
from posehg.config import HourglassConfig
from posehg.errors import UsageError
from posehg.inference.devices import wait
from posehg.network import StackedHourglass

_KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SIDES = {"cpu": (512, 1024, 2048)}
_SIDES_ON_GPU = (2048, 4096, 8192)
"""Rows and columns of the matrices whose products are timed: large enough that a small part of it is overhead."""


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Clocked:
    batches: int
    pictures: int
    seconds: float

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds


def check_alone() -> None:
    """Raises UsageError in one of several processes: each would stop by its own clock, and the others wait for it."""
    if distributed.world().size > 1:
        raise UsageError("Speed is measured in one process.", "Start posehg bench without torchrun.")


def name_of(device: torch.device) -> str:
    """The name of the GPU or processor, as its maker has it where the system tells that."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() or platform.processor() or platform.machine()


def _processor() -> str:
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def batches_ahead(device: torch.device) -> int:
    """Batches between two waits for the device: a GPU should have work ahead while the processor prepares more."""
    return 10 if device.type == "cuda" else 1


def clocked(device: torch.device, take: Callable[[], int], seconds: float, most: float = math.inf) -> Clocked:
    """Take batches until the time is over or there were so many, the device's work included.

    take: does something with a batch and gives its number of pictures.
    """
    ahead = batches_ahead(device)
    taken = pictures = 0
    passed = 0.0
    wait(device)
    began = time.perf_counter()
    while passed < seconds and taken < most:
        pictures += take()
        taken += 1
        if taken % ahead == 0 or taken >= most:
            wait(device)
            passed = time.perf_counter() - began
    return Clocked(taken, pictures, passed)


def forward_flop(config: HourglassConfig, side: int) -> int:
    """FLOP of the network's convolutions for one picture of side x side pixels."""
    with torch.device("meta"):
        return count_flop(StackedHourglass(config), torch.empty(1, 3, side, side))


def count_flop(network: nn.Module, pictures: Tensor) -> int:
    """FLOP of the network's convolutions for these pictures. On the meta device nothing is computed for it."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(pictures)
    return counter.get_total_flops()


def product_rate(device: torch.device, precision: str, seconds: float) -> float:
    """The most FLOP a second that products of large square matrices reach, over some sizes and ``seconds`` in all."""
    sides = _SIDES.get(device.type, _SIDES_ON_GPU)
    with _as_in_convolutions(device):
        return max(_product_rate(device, _KINDS[precision], side, seconds / len(sides)) for side in sides)


def _product_rate(device: torch.device, kind: torch.dtype, side: int, seconds: float) -> float:
    left, right = (torch.rand(side, side, device=device).to(kind) for _ in range(2))
    result = torch.mm(left, right)
    best = 0.0

    def product() -> int:
        torch.mm(left, right, out=result)
        return 1

    end = time.perf_counter() + seconds
    while best == 0 or time.perf_counter() < end:
        some = clocked(device, product, math.inf, most=batches_ahead(device))
        best = max(best, some.rate * 2 * side**3)
    return best


@contextmanager
def _as_in_convolutions(device: torch.device) -> Iterator[None]:
    """Products of float32 are rounded as cuDNN rounds in convolutions, where torch allows TF32 from the beginning."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def peak_memory(device: torch.device) -> int | None:
    """Bytes at the highest: the GPU's that this process took, else this process's; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
