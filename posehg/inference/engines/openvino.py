"""Networks that Intel's OpenVINO runs, on the CPU: model.xml with its numbers beside it in model.bin."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from posehg.checkpoints.metadata import WEIGHTS
from posehg.config import KEY, ModelConfig
from posehg.errors import DeviceError, NotAvailable, reason
from posehg.inference.engines import exported
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run
from posehg.inference.engines.exported import Described, Exported

FILE = "model.xml"
_TELEMETRY = "openvino_telemetry"


class OpenVino(Exported):
    def __init__(self, file: Path, config: ModelConfig, compiled: Any, version: str) -> None:
        self.config, self.device, self.name = config, "cpu", f"openvino {version}"
        self.file, self._compiled = file, compiled

    def outputs(self, crops: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        images = np.divide(crops.transpose(0, 3, 1, 2), np.float32(255), dtype=np.float32, order="C")
        found = self._compiled(images)
        return [found[index] for index in range(len(self._compiled.outputs))]

    def told(self, error: Exception) -> str:
        return _reason(error)

    def ran_out(self, error: Exception) -> bool:
        return isinstance(error, MemoryError) or "bad_alloc" in str(error)


def library() -> ModuleType:
    """The package openvino. Raises NotAvailable where it is not installed.

    It tells its maker of every import and conversion, by the package openvino-telemetry and without having asked. It
    does without where that is missing, and so it is made to believe.
    """
    there = sys.modules.pop(_TELEMETRY, None)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what Python takes for "not installed"
    try:
        return import_module("openvino")
    except ImportError:
        hint = "Install it: pipx inject posehg openvino, or pip install 'posehg[openvino]'"
        raise NotAvailable("Models in OpenVINO's form need openvino.", hint) from None
    finally:
        del sys.modules[_TELEMETRY]
        if there is not None:
            sys.modules[_TELEMETRY] = there


def recognises(file: Path) -> bool:
    """Whether it is a description of a network as OpenVINO writes them, or a folder that has one and no other model."""
    if file.is_dir() and (file / WEIGHTS).exists():
        return False
    try:
        with _description(file).open("rb") as content:
            start = content.read(4096)
    except OSError:
        return False
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<?xml") and b"<net " in start


def described(file: Path) -> Described:
    """Raises NotAvailable for files that posehg did not export; without openvino."""
    file = _description(file)
    try:
        found = ElementTree.parse(file).find(f"./rt_info/{KEY}")
    except (OSError, ElementTree.ParseError) as error:
        raise exported.failed(file, reason(error)) from None
    text = None if found is None else found.get("value")
    return Described(_numbers(file), exported.config_of(file, text), "OpenVINO")


def open(file: Path, run: Run = AS_IT_SUITS) -> Engine:
    """Raises NotAvailable for files that posehg did not export, DeviceError for a device other than the CPU."""
    if run.device not in ("auto", "cpu"):
        raise DeviceError(f"A model in OpenVINO's form is run on the CPU, not on {run.device}.", "Give --device cpu.")
    file, openvino = _description(file), library()
    _numbers(file)
    # A processor that multiplies bfloat16 faster would be given it, and joints would move by pixels.
    properties = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if run.threads:
        properties["INFERENCE_NUM_THREADS"] = str(run.threads)
    try:
        core = _core()
        model = core.read_model(file)
        text = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
        config = exported.config_of(file, text)
        compiled = core.compile_model(model, "CPU", properties)
    except (RuntimeError, ValueError, TypeError) as error:
        raise exported.failed(file, _reason(error)) from None
    return OpenVino(file, config, compiled, openvino.__version__.partition("-")[0])


@cache
def _core() -> Any:
    """One for the process. Each that loads the CPU's plugin replaces the stack on which its thread takes signals, and
    puts back what it found when it ends: of two that end in the order they began, the second puts back freed memory.
    """
    return library().Core()


def _description(place: Path) -> Path:
    return place / FILE if place.is_dir() else place


def _numbers(file: Path) -> Path:
    if not (numbers := file.with_suffix(".bin")).is_file():
        raise NotAvailable(f"{file} has no {numbers.name} beside it.", "The two files belong together: copy both.")
    return numbers


def _reason(error: Exception) -> str:
    """OpenVINO's errors begin with the lines of its sources that they come through."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith("Exception from ")]
    return reason(RuntimeError(told[0] if told else str(error)))
