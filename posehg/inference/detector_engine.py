"""Runs an ONNX network: by onnxruntime where that is installed, by OpenCV otherwise. Both on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.errors import NotAvailable

Array = NDArray[Any]
Engine = Callable[[Array], Mapping[str, Array]]
"""From the input to the outputs by name. Raises NotAvailable where the network cannot be run."""

_OTHER = "OpenCV runs fewer networks than onnxruntime does: pip install onnxruntime, or pipx inject posehg onnxruntime."


def load(content: bytes, name: str, input: str, outputs: Sequence[str]) -> Engine:
    """content: of an ONNX file. name: what errors call it. Raises NotAvailable where it cannot be run."""
    make = _onnxruntime if find_spec("onnxruntime") is not None else _opencv
    return make(content, name, input, list(outputs))


def _onnxruntime(content: bytes, name: str, input: str, outputs: Sequence[str]) -> Engine:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is told by posehg

    def fail(error: Exception) -> NotAvailable:
        return NotAvailable(f"{name} cannot be run by onnxruntime ({_reason(error)}).", "Export the network again.")

    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have nothing else in common
        raise fail(error) from None

    def run(array: Array) -> Mapping[str, Array]:
        try:
            return dict(zip(outputs, session.run(outputs, {input: array}), strict=True))
        except Exception as error:
            raise fail(error) from None

    return run


def _opencv(content: bytes, name: str, input: str, outputs: Sequence[str]) -> Engine:
    def fail(error: cv2.error) -> NotAvailable:
        return NotAvailable(f"{name} cannot be run by OpenCV ({_reason(error)}).", _OTHER)

    with _silence():
        try:
            net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
        except cv2.error as error:
            raise fail(error) from None

    def run(array: Array) -> Mapping[str, Array]:
        with _silence():
            try:
                net.setInput(array.astype(np.float32) if array.dtype == np.float16 else array, input)
                return dict(zip(outputs, net.forward(outputs), strict=True))
            except cv2.error as error:
                raise fail(error) from None

    return run


@contextmanager
def _silence() -> Iterator[None]:
    """OpenCV itself would say, perhaps several times, that something cannot be read or run."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _reason(error: Exception) -> str:
    """What the library says, in one line that is not too long."""
    text = " ".join((getattr(error, "err", "") or str(error)).split())
    return text if len(text) <= 160 else f"{text[:160]}.."
