"""ONNX: for onnxruntime and most other programs that run networks."""

import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posehg.checkpoints import Checkpoint
from posehg.errors import NotAvailable, UsageError, reason
from posehg.exporters import ExportOptions
from posehg.exporters.common import INPUT, Graph, dynamic_shapes, metadata, suppress_output
from posehg.images import Image

OPSET = 18
"""The version that torch writes natively and onnxruntime reads since 1.14. Others are converted from it."""

_OPSETS = range(17, 24)
_INT8_OPERATORS = ["Conv", "Relu", "Add", "MaxPool", "Resize"]
"""Operators of the hourglasses. Those that turn the last convolution's output into heatmaps stay float32."""


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """Raises UsageError for an opset that torch cannot write, NotAvailable if a package is missing or torch fails."""
    missing = " ".join(name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None)
    if missing:
        hint = f"Install it: pipx inject posehg {missing}, or pip install 'posehg[onnx]'"
        raise NotAvailable(f"Writing ONNX requires {missing}.", hint)
    opset = options.opset or OPSET
    if opset not in _OPSETS:
        what = f"--opset must be between {_OPSETS[0]} and {_OPSETS[-1]}, not {opset}."
        raise UsageError(what, f"Without --opset it is {OPSET}.")
    with suppress_output():
        graph = Graph(checkpoint, options.decoder, half=options.precision == "fp16")
        try:
            program: Any = torch.onnx.export(
                graph,
                (torch.rand(2, 3, *checkpoint.config.input_size),),  # a batch of 1 would become a constant
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=graph.outputs,
                dynamic_shapes=dynamic_shapes(checkpoint.config, options),
            )
            model = program.model_proto
        except Exception as error:  # errors of torch's exporter have no common class
            raise NotAvailable(f"torch {torch.__version__} cannot export the network ({reason(error)}).") from error
        if opset not in [one.version for one in model.opset_import if not one.domain]:
            raise NotAvailable(f"The network cannot be converted to opset {opset}.")
        nodes = model.graph
        for part in (*nodes.node, *nodes.value_info, *nodes.input, *nodes.output, *nodes.initializer):
            del part.metadata_props[:]  # where in which Python file each operator comes from
            part.doc_string = ""
        del nodes.metadata_props[:], model.metadata_props[:]
        if options.precision == "int8":
            model = quantize(model, options.calibration)
        texts = metadata(checkpoint, options)
        model.producer_name, model.producer_version = "posehg", texts["version"]
        for key, text in texts.items():
            model.metadata_props.add(key=key, value=text)
        file.write_bytes(model.SerializeToString())


def quantize(model: Any, crops: Sequence[Image]) -> Any:
    """The model with int8 convolutions. The crops (H, W, 3) give the range of values of each feature map.

    Weights have a scale per channel. The last convolution, which makes the heatmaps, stays as it is.
    """
    onnx, library = import_module("onnx"), import_module("onnxruntime.quantization")

    class Reader(library.CalibrationDataReader):  # type: ignore[name-defined]
        feeds = ({INPUT: np.divide(crop.transpose(2, 0, 1)[None], np.float32(255), order="C")} for crop in crops)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory(prefix="posehg-") as folder:  # the library reads and writes files
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, str(source))
        library.quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=library.QuantFormat.QDQ,
            op_types_to_quantize=_INT8_OPERATORS,
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "Conv"][-1:],
            per_channel=True,
            reduce_range=True,  # CPUs without VNNI add products in 16 bits, which eight-bit weights would overflow
            activation_type=library.QuantType.QUInt8,
            weight_type=library.QuantType.QInt8,
        )
        return onnx.load(str(target))
