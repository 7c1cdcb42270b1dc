"""Engines run a network: torch, or the library of the program that it was exported to.

The model's file, the device and the user decide (``open_engine``):

    a folder with model.safetensors and model.onnx       onnxruntime on a CPU, else torch
    a safetensors file, or another project's checkpoint  torch
    a file that ends in .onnx                            onnxruntime
    model.xml with model.bin beside it, or their folder  OpenVINO

A model.onnx beside weights names their hash. One that is of other weights or damaged is not used, with a note.
This file imports no torch, so that a network that onnxruntime runs does not wait seconds for that import.
"""

import os
import platform
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posehg.checkpoints import Note
from posehg.checkpoints.format import ONNX, WEIGHTS, Metadata, parse_config
from posehg.config import ModelConfig
from posehg.errors import NotAvailable, UsageError, reason
from posehg.files import sha256

Precision = Literal["fp32", "bf16", "fp16"]
Library = Literal["auto", "torch", "onnxruntime", "openvino"]

# onnxruntime reports its use to its maker unless it finds this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

EXPORT_AGAIN = "Export the model again: posehg export MODEL"

_NO_MEMORY = re.compile(r"[Ff]ailed to allocate|can't allocate|not enough memory|out of memory|bad.alloc|ALLOC_FAILED")
"""In errors of torch, onnxruntime, OpenVINO and the libraries that they use."""

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""Files of the GPU drivers that torch computes with on Linux: NVIDIA's, WSL's and AMD's."""


@dataclass(frozen=True)
class EngineOptions:
    """How to run a network.

    device: auto, cpu, cuda, cuda:N or mps. threads: CPU threads; 0: as many as the engine chooses. precision: of the
    network's products in torch; an exported network keeps its own. library: which one runs the network. callers: how
    many threads call it at the same time, among which the CPU threads are divided.
    """

    device: str = "auto"
    threads: int = 0
    precision: Precision = "fp32"
    library: Library = "auto"
    callers: int = 1

    @property
    def threads_of_a_call(self) -> int:
        """0: as many as the engine chooses."""
        return self.threads if self.callers == 1 else max(1, (self.threads or cores()) // self.callers)


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _may_have_gpu() -> bool:
    if sys.platform == "linux":
        return any(driver.exists() for driver in _DRIVERS)
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    from ctypes.util import find_library

    return find_library("nvcuda") is not None


class Engine(ABC):
    """A network that can be called. What its output means is in ``config.output``.

    device: where it computes, such as cpu or cuda:0. name: the library that computes, with its version. fitting: the
    number of crops in one call for which there was memory so far.
    """

    config: ModelConfig
    device: str
    name: str
    fitting: int = 1 << 30

    @property
    def batch(self) -> int:
        """The number of crops at which one call is most efficient."""
        if self.device != "cpu":
            return 64
        # Small crops are faster together (at 128 x 128 twice as fast), large ones hardly: two of 256 x 256 or as many
        # smaller ones as have that area, rounded down to a power of two.
        rows, columns = self.config.input_size
        return 1 << (max(1, 2**17 // (rows * columns)).bit_length() - 1)

    @abstractmethod
    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        """RGB crops (B, H, W, 3) -> the last stack's output, float32 (B, J, h, w): numpy, or torch on its device."""

    def ran_out(self, error: Exception) -> bool:
        """Whether an error means that so many crops at once need more memory than there is."""
        return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def as_array(output: Any) -> NDArray[np.float32]:
    """What an engine returns, on the CPU as numpy."""
    array: NDArray[np.float32] = output if isinstance(output, np.ndarray) else output.cpu().numpy()
    return array


@dataclass(eq=False)
class ExportedEngine(Engine):
    """The engine of a file that ``posehg export`` wrote. Its first output is heatmaps.

    run: gives all outputs of the file for images (B, 3, H, W) in 0 .. 1, and raises what its library raises.
    weights: the SHA-256 of the safetensors file that the network was exported from; empty if that is not known.
    """

    file: Path
    config: ModelConfig
    device: str
    name: str
    run: Callable[[Any], Sequence[Any]]
    weights: str = ""

    def outputs(self, crops: NDArray[np.uint8]) -> Sequence[Any]:
        """All outputs of the file for crops (B, H, W, 3)."""
        return self.run(np.divide(crops.transpose(0, 3, 1, 2), np.float32(255), dtype=np.float32, order="C"))

    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        try:
            maps = self.outputs(crops)[0]
        except Exception as error:  # the libraries' errors have no other class in common
            if self.ran_out(error):
                raise
            raise cannot_run(self.file, error) from None
        if maps.shape[1] != self.config.network.joints:
            what = f"{maps.shape[1]} heatmaps for the {self.config.network.joints} joints of its config"
            raise NotAvailable(f"The network in {self.file} gives {what}.", EXPORT_AGAIN)
        return maps


_AHEAD: dict[Path, Future[ExportedEngine]] = {}
"""Models that are being opened, or are open but not used yet."""


def open_ahead(places: Sequence[Path]) -> None:
    """Begins to open models with the default options, while the program does something else."""
    if not _may_have_gpu():
        pool = ThreadPoolExecutor(len(places), "open-ahead")
        _AHEAD.update((place, pool.submit(_open_copy, place, EngineOptions(), "onnxruntime")) for place in places)


def open_engine(place: Path, options: EngineOptions = EngineOptions(), note: Note | None = None) -> Engine:
    """The engine of the model in a folder or file: the one asked for, or else the fastest that the model allows.

    note: takes a sentence if a model.onnx beside the weights cannot be used.
    Raises NotAvailable for a missing, broken or foreign file, UsageError for a library that does not run such files,
    DeviceError for a device that is not available.
    """
    library = options.library
    if (name := library_of(place)) is not None:
        if library not in ("auto", name) and (library, name) != ("openvino", "onnxruntime"):
            raise UsageError(f"{place} is run by {name}, not by {library}.", "Leave --engine out.")
        if options.precision != "fp32":
            raise UsageError(f"{place} was exported with a fixed number format.", "Leave --precision out.")
        return _open(place, options, name if library == "auto" else library)
    copy = place / ONNX
    exists = place.is_dir() and copy.is_file()
    if library in ("onnxruntime", "openvino"):
        if not exists:
            hint = "posehg export MODEL --out FOLDER writes one beside the weights."
            raise NotAvailable(f"{place} has no {ONNX}, so {library} cannot run it.", hint)
        return _open_copy(place, options, library)
    on_cpu = options.device == "cpu" or (options.device == "auto" and not _may_have_gpu())
    if library == "auto" and exists and on_cpu and options.precision == "fp32":
        try:
            coming = _AHEAD.pop(place, None) if options == EngineOptions() else None
            return coming.result() if coming else _open_copy(place, options, "onnxruntime")
        except NotAvailable as error:
            if note is not None:
                note(f"{error} The network is run by torch instead, which starts more slowly.")
    from posehg import checkpoints
    from posehg.inference.engines.torch import from_checkpoint

    return from_checkpoint(checkpoints.load(place), options)


def _open(place: Path, options: EngineOptions, library: str) -> ExportedEngine:
    opened: ExportedEngine = import_module(f"{__name__}.{library}").open_file(place, options)
    return opened


def _open_copy(place: Path, options: EngineOptions, library: str) -> ExportedEngine:
    """The engine of the model.onnx in a model's folder. Raises NotAvailable if it is not of the weights beside it."""
    engine = _open(place / ONNX, options, library)
    if engine.weights != sha256(place / WEIGHTS):
        raise NotAvailable(f"{place / ONNX} was not exported from the {WEIGHTS} beside it.", "Export the model again.")
    return engine


def describe(place: Path) -> tuple[Path, Metadata] | None:
    """The file with the weights of an exported network, and what it says about itself; None for any other place.

    Raises NotAvailable if posehg did not export it, or it is broken.
    """
    name = library_of(place)
    return None if name is None else import_module(f"{__name__}.{name}").describe(place)


def runs_by(place: Path) -> str:
    """What runs a model, in words."""
    if (library := library_of(place)) is not None:
        return library
    return "onnxruntime on a CPU, otherwise torch" if place.is_dir() and (place / ONNX).is_file() else "torch"


def config_of(file: Path, text: str | None) -> ModelConfig:
    """The config that ``posehg export`` wrote into a file. Raises NotAvailable if it is missing or not valid."""
    if text is None:
        raise NotAvailable(f"{file} was not exported by posehg: its joints are unknown.", EXPORT_AGAIN)
    return parse_config(file, text)


def cannot_run(file: Path, error: Exception) -> NotAvailable:
    """The error for a file that its library cannot read or run."""
    # OpenVINO's errors begin with lines about its source files; the first other line says what is wrong.
    useful = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    why = reason(RuntimeError(useful[0])) if useful else reason(error)
    return NotAvailable(f"{file} cannot be run ({why}).", EXPORT_AGAIN)


def library_of(place: Path) -> str | None:
    """The library that alone runs an exported folder or file; None for others, and if there is no such file."""
    if place.is_file():
        return {".onnx": "onnxruntime", ".xml": "openvino"}.get(place.suffix.lower())
    return "openvino" if (place / "model.xml").is_file() and not (place / WEIGHTS).exists() else None
