"""What this machine is called, how fast it multiplies matrices, and how fast anything else runs on it."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from posehg.config import HourglassConfig
from posehg.inference.devices import wait
from posehg.network import StackedHourglass

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_SIDES = {"cpu": (512, 1024, 2048)}
_SIDES_ON_GPU = (2048, 4096, 8192)
"""Rows and columns of the matrices to multiply: so large that overhead does not count."""


def name_of(device: torch.device) -> str:
    """The name of the GPU or processor, as far as the system knows it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        else:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
            name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        name = ""
    return name or platform.processor() or platform.machine()


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that this process has used, of the GPU if it has one; None if the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def batches_ahead(device: torch.device) -> int:
    """Batches between two waits for the device. A GPU needs work in its queue while the CPU prepares more."""
    return 10 if device.type == "cuda" else 1


def clocked(
    device: torch.device, take: Callable[[], int], seconds: float, most: float = math.inf
) -> tuple[int, int, float]:
    """Call ``take``, which processes a batch and returns its size, for so many seconds or at most ``most`` times.

    Returns the number of calls, the sum of what they returned, and the seconds until the device was done.
    """
    calls = items = 0
    passed = 0.0
    wait(device)
    began = time.perf_counter()
    while passed < seconds and calls < most:
        items += take()
        calls += 1
        if calls % batches_ahead(device) == 0 or calls >= most:
            wait(device)
            passed = time.perf_counter() - began
    return calls, items, passed


def forward_flop(config: HourglassConfig, size: tuple[int, int]) -> int:
    """FLOP of the network's convolutions for one image of ``size`` (rows, columns). A multiply-add counts as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():  # computes nothing
        StackedHourglass(config).eval()(torch.empty(1, 3, *size))
    return counter.get_total_flops()


def product_rate(device: torch.device, precision: str, seconds: float) -> float:
    """The highest FLOP per second that products of large matrices reach, measured for ``seconds`` over some sizes."""
    sides, best = _SIDES.get(device.type, _SIDES_ON_GPU), 0.0
    count = batches_ahead(device)
    with _tf32_as_in_convolutions(device):
        for side in sides:
            left, right = (torch.rand(side, side, device=device).to(_DTYPES[precision]) for _ in range(2))
            result = torch.mm(left, right)
            end = time.perf_counter() + seconds / len(sides)
            while True:
                wait(device)
                began = time.perf_counter()
                for _ in range(count):
                    torch.mm(left, right, out=result)
                wait(device)
                now = time.perf_counter()
                best = max(best, count * 2 * side**3 / (now - began))
                if now >= end:
                    break
    return best


@contextmanager
def _tf32_as_in_convolutions(device: torch.device) -> Iterator[None]:
    """Let float32 products on GPUs use TF32 if convolutions do, as torch allows by default."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
