"""Which device computes, with how many CPU threads, and how fast it is."""

import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from posehg import distributed
from posehg.config import HourglassConfig
from posehg.errors import DeviceError, UsageError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Each of several processes gets its own GPU, unless one is named. Raises DeviceError for a device that is not
    available, UsageError for an unknown kind.
    """
    has_mps, here = torch.backends.mps.is_available(), distributed.world()
    best = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        device = torch.device(best if name == "auto" else name)
    except RuntimeError:
        device = torch.device("meta")  # as refused as any other
    if device.type not in ("cpu", "cuda", "mps"):
        number = f":{name}" if name.isdigit() else ""  # as other programs call GPUs
        hint = f"For an NVIDIA GPU: --device cuda{number}" if name == "gpu" or number else ""
        raise UsageError(f"--device must be auto, cpu, cuda, cuda:N or mps, not {name!r}.", hint)
    if device.type == "mps" and not has_mps:
        raise DeviceError("The device mps is not available: this is not a Mac with Metal.", "Try --device cpu.")
    if device.type == "cuda":
        alone, count = here.size == 1 or device.index is not None, torch.cuda.device_count()
        index = (device.index or 0) if alone else here.local_rank
        if index >= count:
            hint = "Try --device cpu." if alone else f"Start one process per GPU: --nproc-per-node {count}."
            raise DeviceError(f"The device cuda:{index} is not available: torch finds {count} CUDA devices.", hint)
        return device if alone else torch.device("cuda", index)
    return device


def wait(device: torch.device) -> None:
    """Blocks until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, so that they are faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # AMX is in Intel's server processors since 2023, AVX-512 with bfloat16 in AMD's processors since 2022: a training
    # step takes six tenths of the time by the latter. torch has no public function that tells.
    tells = (getattr(torch.cpu, f"_is_{name}_supported", lambda: False) for name in ("amx_tile", "avx512_bf16"))
    return device.type == "cpu" and any(tell() for tell in tells)


_SIDES = (512, 1024, 2048)
"""Rows and columns of the matrices to multiply: so large that overhead does not count; on a GPU four times that."""


def name_of(device: torch.device) -> str:
    """The name of the GPU or processor, as far as Linux or Python knows it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    system = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", system.read_text("utf-8") if system.exists() else "", re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


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


def clocked(device: torch.device, call: Callable[[], object], seconds: float) -> tuple[int, float]:
    """Make a call for so many seconds. Returns how often, and the seconds until the device was done."""
    calls, passed = 0, 0.0
    wait(device)
    began = time.perf_counter()
    while passed < seconds:
        call()
        calls += 1
        if calls % batches_ahead(device) == 0:
            wait(device)
            passed = time.perf_counter() - began
    return calls, passed


def forward_flop(config: HourglassConfig, size: tuple[int, int]) -> int:
    """FLOP of the network's convolutions for one image of ``size`` (rows, columns). A multiply-add counts as two."""
    from torch.utils.flop_counter import FlopCounterMode

    from posehg.network import StackedHourglass

    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():  # computes nothing
        StackedHourglass(config).eval()(torch.empty(1, 3, *size))
    return counter.get_total_flops()


def product_rate(device: torch.device, precision: str, seconds: float) -> float:
    """The highest FLOP per second that products of large matrices reach, measured for ``seconds`` over some sizes."""
    best = 0.0
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32  # if convolutions use it
    for side in _SIDES if device.type == "cpu" else [4 * side for side in _SIDES]:
        left, right = (torch.rand(side, side, device=device).to(DTYPES[precision]) for _ in range(2))
        result, passed = torch.mm(left, right), 0.0
        while passed < seconds / len(_SIDES):  # each time until the device has been waited for
            count, taken = clocked(device, lambda: torch.mm(left, right, out=result), 1e-9)  # noqa: B023
            passed += taken
            best = max(best, count * 2 * side**3 / taken)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    return best
