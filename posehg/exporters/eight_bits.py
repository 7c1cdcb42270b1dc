"""An ONNX network that multiplies whole numbers of eight bits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from posehg.exporters.graph import INPUT
from posehg.images import Image

_TYPES = ["Conv", "Relu", "Add", "MaxPool", "Resize"]
"""Operators of the hourglasses; what makes heatmaps of the last convolution's output has others, and stays float32."""


def quantized(model: Any, crops: Sequence[Image]) -> Any:
    """The model of onnx, with ranges for every feature map that hold what the crops (H, W, 3) make of it.

    Weights have a scale for each channel. The last convolution, which makes the heatmaps, stays as it is.
    """
    onnx, q = import_module("onnx"), import_module("onnxruntime.quantization")

    last = [node.name for node in model.graph.node if node.op_type == "Conv"][-1]
    with tempfile.TemporaryDirectory(prefix="posehg-") as folder:  # the library goes from file to file
        source, target = Path(folder, "float.onnx"), Path(folder, "whole.onnx")
        onnx.save(model, str(source))
        q.quantize_static(
            str(source),
            str(target),
            _reader(q.CalibrationDataReader, crops),
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=_TYPES,
            nodes_to_exclude=[last],
            per_channel=True,
            reduce_range=True,  # processors without VNNI add two products in 16 bits, which eight-bit weights overflow
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
        )
        return onnx.load(str(target))


def _reader(base: Any, crops: Sequence[Image]) -> Any:
    class Reader(base):
        def __init__(self) -> None:
            self._crops: Iterator[Image] = iter(crops)

        def get_next(self) -> dict[str, Any] | None:
            crop = next(self._crops, None)
            if crop is None:
                return None
            return {INPUT: np.divide(crop.transpose(2, 0, 1)[None], np.float32(255), order="C")}

    return Reader()
