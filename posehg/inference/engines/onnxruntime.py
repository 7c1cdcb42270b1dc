"""ONNX files of ``posehg export --format onnx``, run by onnxruntime; without torch."""

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from posehg import distributed
from posehg.checkpoints.format import Metadata
from posehg.config import KEY, WEIGHTS_KEY
from posehg.errors import DeviceError, NotAvailable, UsageError, reason
from posehg.inference.engines import EngineOptions, ExportedEngine, config_of

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def session(file: Path, options: EngineOptions) -> tuple[Any, str]:
    """An InferenceSession that logs nothing, and the device that it uses.

    Raises NotAvailable for a file that onnxruntime cannot load, and without onnxruntime; DeviceError.
    """
    if find_spec("onnxruntime") is None:
        hint = "Install it: pipx inject posehg onnxruntime, or pip install onnxruntime"
        raise NotAvailable("ONNX files need onnxruntime, which is not installed.", hint)
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:  # such as for a system library that is missing
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None  # onnxruntime catches Ctrl-C
        raise NotAvailable(f"onnxruntime cannot be imported ({reason(error)}).", "Install onnxruntime again.") from None
    device = _device(options.device, runtime.get_available_providers())
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = options.threads_of_a_call
    # Threads that wait for each other spin this long, then they sleep. By default they spin for milliseconds: a photo
    # takes twice the CPU time, and thrice as long on a busy machine. Without spinning a crop takes a fifth longer.
    settings.add_session_config_entry("session.intra_op.spin_duration_us", "100")
    settings.log_severity_level = 4  # its errors are raised, and reported by posehg
    providers = [_CPU] if device == "cpu" else [(_CUDA, {"device_id": int(device.partition(":")[2])}), _CPU]
    try:
        opened = runtime.InferenceSession(str(file), settings, providers=providers)
    except Exception as error:  # onnxruntime's errors have no other class in common
        if "Protobuf parsing failed" in str(error) or "No graph was found" in str(error):
            raise NotAvailable(f"{file} is not an ONNX file, or is damaged.", "Export it again.") from None
        why = reason(error).rpartition("failed:")[2].removesuffix(".")
        raise NotAvailable(f"{file} cannot be run by onnxruntime ({why}).", "Export it again.") from None
    if device != "cpu" and opened.get_providers()[0] != _CUDA:
        if options.device != "auto":
            raise DeviceError(f"onnxruntime cannot use {device}: its CUDA libraries do not fit.", "Try --device cpu.")
        device = "cpu"
    return opened, device


def describe(file: Path) -> tuple[Path, Metadata]:
    """Raises NotAvailable for a file that is broken or not posehg's, and without onnxruntime."""
    notes = session(file, EngineOptions("cpu"))[0].get_modelmeta().custom_metadata_map
    count = re.fullmatch("[0-9]{1,18}", notes.get("parameters", ""))
    storage = ("ONNX, " + notes.get("precision", "fp32"),)
    return file, Metadata(config_of(file, notes.get(KEY)), int(count[0]) if count else 0, storage)


def open_file(file: Path, options: EngineOptions) -> ExportedEngine:
    """Raises NotAvailable for a file that is broken or not posehg's, and without onnxruntime; DeviceError."""
    opened, device = session(file, options)
    notes = opened.get_modelmeta().custom_metadata_map
    config = config_of(file, notes.get(KEY))
    name, library = opened.get_inputs()[0].name, f"onnxruntime {import_module('onnxruntime').__version__}"
    weights = notes.get(WEIGHTS_KEY, "")
    return ExportedEngine(file, config, device, library, lambda images: opened.run(None, {name: images}), weights)


def _device(asked: str, providers: Sequence[str]) -> str:
    """cpu or cuda:N. Each of several processes gets its own GPU, unless one is named."""
    if asked == "cpu" or (asked == "auto" and _CUDA not in providers):
        return "cpu"
    if asked == "mps":
        raise DeviceError("onnxruntime does not compute on mps.", "Try --device cpu.")
    if not re.fullmatch(r"auto|cuda(:\d{1,4})?", asked):
        raise UsageError(f"There is no kind of device {asked!r}.", "Known: auto, cpu, cuda, cuda:N, mps.")
    if _CUDA not in providers:
        hint = "Install onnxruntime-gpu in its place, or try --device cpu."
        raise DeviceError(f"This onnxruntime has no CUDA, so the device {asked} is not available.", hint)
    return asked if ":" in asked else f"cuda:{distributed.world().local_rank}"
