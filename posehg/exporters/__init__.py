"""Other forms of a trained network: a table of what there is. ``writing`` writes one, whole and proven or not at all.

Each format is a file of its name beside this one, with ``export(checkpoint, file, form)``, which writes to ``file`` (in
a folder to the first of its files) or raises UsageError or NotAvailable.
"""

from __future__ import annotations

from posehg.exporters.exporter import Exporter

_ALL = ("decoder", "dynamic_size")

EXPORTERS: dict[str, Exporter] = {
    "safetensors": Exporter("safetensors", files=("model.safetensors", "config.json"), precisions=("fp32", "fp16")),
    "onnx": Exporter("onnx", suffix=".onnx", precisions=("fp32", "fp16", "int8"), options=(*_ALL, "opset")),
    "torchscript": Exporter("torchscript", suffix=".torchscript", precisions=("fp32", "fp16"), options=_ALL),
    "pt2": Exporter("pt2", suffix=".pt2", precisions=("fp32", "fp16"), options=_ALL),
    "openvino": Exporter("openvino", files=("model.xml", "model.bin"), precisions=("fp32", "fp16"), options=_ALL),
}
"""By the name of the format."""

__all__ = ["EXPORTERS", "Exporter"]
