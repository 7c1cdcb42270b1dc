"""Networks of ``posehg export --format openvino``, run by Intel's OpenVINO on the CPU: model.xml with model.bin."""

import sys
import threading
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

from posehg.checkpoints.format import Metadata
from posehg.config import KEY
from posehg.errors import DeviceError, NotAvailable
from posehg.inference.engines import EngineOptions, ExportedEngine, cannot_run, config_of, onnxruntime

_TELEMETRY = "openvino_telemetry"


def library() -> ModuleType:
    """The package openvino. Raises NotAvailable if it is not installed.

    By openvino-telemetry it reports each import and conversion to its maker: that is hidden during the import.
    """
    installed = sys.modules.pop(_TELEMETRY, None)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's mark of a package that is not installed
    try:
        return import_module("openvino")
    except ImportError:
        hint = "Install it: pipx inject posehg openvino, or pip install 'posehg[openvino]'"
        raise NotAvailable("OpenVINO models need openvino, which is not installed.", hint) from None
    finally:
        del sys.modules[_TELEMETRY]
        if installed is not None:
            sys.modules[_TELEMETRY] = installed


def describe(place: Path) -> tuple[Path, Metadata]:
    """Reads model.xml without openvino. Raises NotAvailable for files that posehg did not export."""
    file = place / "model.xml" if place.is_dir() else place
    weights = file.with_suffix(".bin")
    if not weights.is_file():
        raise NotAvailable(f"{file} has no {weights.name} beside it.", "The two files belong together: copy both.")
    try:
        found = ElementTree.parse(file).find(f"./rt_info/{KEY}")
    except (OSError, ElementTree.ParseError) as error:
        raise cannot_run(file, error) from None
    return weights, Metadata(config_of(file, None if found is None else found.get("value")), 0, ("OpenVINO",))


def open_file(place: Path, options: EngineOptions) -> ExportedEngine:
    """Also runs .onnx files.

    Raises NotAvailable for files that posehg did not export, DeviceError for a device other than the CPU.
    """
    if options.device not in ("auto", "cpu"):
        raise DeviceError(f"OpenVINO models run on the CPU, not on {options.device}.", "Give --device cpu.")
    file, weights = place / "model.xml" if place.is_dir() else place, ""
    if place.suffix.lower() == ".onnx":
        copied = onnxruntime.open_file(place, EngineOptions("cpu"))  # only its metadata is needed
        config, weights = copied.config, copied.weights
    else:
        config = describe(place)[1].config
    version = library().__version__.partition("-")[0]
    # On a processor with fast bfloat16, OpenVINO would use it by default, which moves joints by pixels.
    properties = {"NUM_STREAMS": str(options.callers), "INFERENCE_PRECISION_HINT": "f32"}
    if options.threads:
        properties["INFERENCE_NUM_THREADS"] = str(options.threads)
    try:
        compiled = _core().compile_model(_core().read_model(file), "CPU", properties)
    except (RuntimeError, ValueError, TypeError) as error:
        raise cannot_run(file, error) from None
    requests = threading.local()  # two threads cannot share one

    def run(images: Any) -> Any:
        if not hasattr(requests, "own"):
            requests.own = compiled.create_infer_request()
        return requests.own.infer(images).to_tuple()

    return ExportedEngine(file, config, "cpu", f"openvino {version}", run, weights)


@cache
def _core() -> Any:
    """OpenVINO's core, one for the process: the second of two would restore a signal stack that the first has freed."""
    return library().Core()
