"""Networks that onnxruntime runs; without torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import distributed
from posehg.config import KEY, ModelConfig
from posehg.errors import DeviceError, NotAvailable, UsageError, reason
from posehg.inference.engines import exported
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run
from posehg.inference.engines.exported import Described, Exported

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def recognises(file: Path) -> bool:
    """Whether a file is called an ONNX file."""
    return file.suffix.lower() == ".onnx" and file.is_file()


class Onnx(Exported):
    """A file of ``posehg export --format onnx``."""

    def __init__(self, file: Path, config: ModelConfig, session: Any, device: str, name: str) -> None:
        self.file, self.config, self.device, self.name = file, config, device, name
        self._session = session

    def outputs(self, crops: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        images = np.divide(crops.transpose(0, 3, 1, 2), np.float32(255), dtype=np.float32, order="C")
        found: Sequence[NDArray[np.float32]] = self._session.run(None, {self._session.get_inputs()[0].name: images})
        return found

    def ran_out(self, error: Exception) -> bool:
        return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


_NO_MEMORY = ("Failed to allocate memory", "bad allocation", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def described(file: Path) -> Described:
    """Raises NotAvailable for a file that is broken or not posehg's, and without onnxruntime."""
    texts = _session(file, "cpu").get_modelmeta().custom_metadata_map
    count = texts.get("parameters", "")
    config = exported.config_of(file, texts.get(KEY))
    form = f"ONNX, {texts.get('precision', 'fp32')}"
    return Described(file, config, form, int(count) if count.isascii() and count.isdigit() else 0)


def open(file: Path, run: Run = AS_IT_SUITS) -> Engine:
    """Raises NotAvailable for a file that is broken or not posehg's, and where there is no onnxruntime; DeviceError."""
    runtime = _onnxruntime()
    device = _device(run.device, runtime.get_available_providers())
    session = _session(file, device, run.threads)
    config = exported.config_of(file, session.get_modelmeta().custom_metadata_map.get(KEY))
    if device != "cpu" and session.get_providers()[0] != _CUDA:
        if run.device != "auto":
            raise DeviceError(f"onnxruntime cannot use {device}: its CUDA libraries do not fit.", "Try --device cpu.")
        device = "cpu"
    return Onnx(file, config, session, device, f"onnxruntime {runtime.__version__}")


def _session(file: Path, device: str, threads: int = 0) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # posehg reports errors itself
    try:
        return runtime.InferenceSession(str(file), options, providers=_providers(device))
    except Exception as error:  # its errors have nothing else in common
        raise exported.failed(file, reason(error)) from None


def _onnxruntime() -> Any:
    if find_spec("onnxruntime") is None:
        hint = "Install it: pipx inject posehg onnxruntime, or pip install 'posehg[onnx]'"
        raise NotAvailable("Running .onnx files needs onnxruntime.", hint)
    return import_module("onnxruntime")


def _device(asked: str, providers: list[str]) -> str:
    """cpu or cuda:N. Of several processes each gets a GPU of its own, unless one is named."""
    there = _CUDA in providers
    if asked == "cpu" or (asked == "auto" and not there):
        return "cpu"
    if asked == "mps":
        raise DeviceError("onnxruntime does not compute on mps.", "Try --device cpu.")
    if asked not in ("auto", "cuda") and not re.fullmatch(r"cuda:\d{1,4}", asked):
        raise UsageError(f"There is no kind of device {asked!r}.", "Known: auto, cpu, cuda, cuda:N, mps.")
    if not there:
        hint = "Install onnxruntime-gpu in its place, or try --device cpu."
        raise DeviceError(f"The device {asked} was asked for, but this onnxruntime has no CUDA.", hint)
    return asked if ":" in asked else f"cuda:{distributed.world().local_rank}"


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return [_CPU]
    return [(_CUDA, {"device_id": int(device.partition(":")[2])}), _CPU]
