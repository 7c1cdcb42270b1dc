"""Engines run a network: torch, or the library of the program that it was exported to.

The model's file decides (``open_engine``):

    model.safetensors, or another project's checkpoint   torch, or onnxruntime from the cache of exported networks
    a file that ends in .onnx                            onnxruntime
    model.xml with model.bin beside it, or their folder  OpenVINO

This file imports no torch, so that a network that onnxruntime runs does not wait seconds for that import.
"""

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posehg.checkpoints import cache
from posehg.checkpoints.format import WEIGHTS, Metadata, parse_config, weights_file
from posehg.config import ModelConfig
from posehg.errors import NotAvailable, reason

Precision = Literal["fp32", "bf16", "fp16"]

EXPORT_AGAIN = "Export the model again: posehg export MODEL"

_NO_MEMORY = re.compile(r"[Ff]ailed to allocate|can't allocate|not enough memory|out of memory|bad.alloc|ALLOC_FAILED")
"""In errors of torch, onnxruntime, OpenVINO and the libraries that they use."""

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""Files of the GPU drivers that torch computes with on Linux: NVIDIA's, WSL's and AMD's."""


@dataclass(frozen=True)
class EngineOptions:
    """How to run a network.

    device: auto, cpu, cuda, cuda:N or mps. threads: CPU threads; 0: as many as the engine chooses. precision: of the
    network's products in torch; an exported network keeps its own.
    """

    device: str = "auto"
    threads: int = 0
    precision: Precision = "fp32"


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


class ExportedEngine(Engine):
    """The engine of a file that ``posehg export`` wrote. Its first output is heatmaps.

    run: gives all outputs of the file for images (B, 3, H, W) in 0 .. 1, and raises what its library raises.
    """

    def __init__(
        self, file: Path, config: ModelConfig, device: str, name: str, run: Callable[[Any], Sequence[Any]]
    ) -> None:
        self.file, self.config, self.device, self.name, self._run = file, config, device, name, run

    def outputs(self, crops: NDArray[np.uint8]) -> Sequence[Any]:
        """All outputs of the file for crops (B, H, W, 3)."""
        return self._run(np.divide(crops.transpose(0, 3, 1, 2), np.float32(255), dtype=np.float32, order="C"))

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


def open_engine(place: Path, options: EngineOptions = EngineOptions()) -> Engine:
    """The engine of the model in a folder or file; of the ONNX copy of ``posehg export --cache`` on a CPU, in fp32.

    Raises NotAvailable for a missing, broken or foreign file, and DeviceError for a device that is not available.
    """
    # As far as is known without importing torch.
    may_have_gpu = sys.platform != "linux" or any(driver.exists() for driver in _DRIVERS)
    on_cpu = options.device == "cpu" or (options.device == "auto" and not may_have_gpu)
    has_cache = weights_file(place).is_file() and (cache.home() / "onnx").is_dir()  # hashing a large file takes a while
    if on_cpu and options.precision == "fp32" and find_spec("onnxruntime") is not None and has_cache:
        copy = cache.onnx_file(place)
        place = copy if copy.is_file() else place
    if (module := _module(place)) is not None:
        exported: Engine = module.open_file(place, options)
        return exported
    from posehg import checkpoints
    from posehg.inference.engines.torch import from_checkpoint

    return from_checkpoint(checkpoints.load(place), options)


def is_exported(place: Path) -> bool:
    """Whether a folder or file is an exported network: only its own library runs it, and it cannot be trained."""
    return _module(place) is not None


def describe(place: Path) -> tuple[Path, Metadata] | None:
    """The file with the weights of an exported network, and what it says about itself; None for any other place.

    Raises NotAvailable if posehg did not export it, or it is broken.
    """
    module = _module(place)
    return None if module is None else module.describe(place)


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


def _module(place: Path) -> Any:
    """The module that runs an exported folder or file; None for other files, and if there is no such file."""
    if place.is_file():
        name = {".onnx": "onnxruntime", ".xml": "openvino"}.get(place.suffix.lower())
    else:
        name = "openvino" if (place / "model.xml").is_file() and not (place / WEIGHTS).exists() else None
    return import_module(f"{__name__}.{name}") if name else None
