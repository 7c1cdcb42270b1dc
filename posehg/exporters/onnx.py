"""ONNX: for onnxruntime and most other programs that run networks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import LONGEST_SIDE, ModelConfig
from posehg.errors import NotAvailable, UsageError, reason
from posehg.exporters.facts import facts
from posehg.exporters.form import Form
from posehg.exporters.graph import INPUT, Graph
from posehg.exporters.quiet import quietly

OPSET = 18
"""What torch writes by itself, and onnxruntime has known since 1.14; another one is converted from it."""
_OPSETS = range(17, 24)


def export(checkpoint: Checkpoint, file: Path, form: Form) -> None:
    """int8: the same with its convolutions in eight bits, by the ranges that the calibration pictures show."""
    _check_installed(form)
    if form.opset and form.opset not in _OPSETS:
        what = f"ONNX is not written with opset {form.opset}, but with {_OPSETS[0]} to {_OPSETS[-1]}"
        raise UsageError(f"{what}.", f"Without --opset it is {OPSET}.")
    with quietly():
        model = _exported(checkpoint, form)
        _strip(model)
        if form.precision == "int8":
            from posehg.exporters import eight_bits

            model = eight_bits.quantized(model, form.calibration)
        _describe(model, facts(checkpoint, form))
        file.write_bytes(model.SerializeToString())


def _check_installed(form: Form) -> None:
    needed = ["onnx", "onnxscript", *(["onnxruntime"] if form.precision == "int8" else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        hint = f"Install: pipx inject posehg {names}, or pip install 'posehg[onnx]'"
        raise NotAvailable(f"Writing ONNX needs {' and '.join(missing)}.", hint)


def _exported(checkpoint: Checkpoint, form: Form) -> Any:
    """The model as onnx has it."""
    graph = Graph(checkpoint, form.decoder, half=form.precision == "fp16").eval()
    opset = form.opset or OPSET
    try:
        program = torch.onnx.export(
            graph,
            (torch.rand(2, 3, *checkpoint.config.input_size),),  # of a batch of 1 the exporter makes a constant
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=graph.outputs,
            dynamic_shapes={INPUT: _shapes(checkpoint.config, form)},
        )
        model = program.model_proto  # type: ignore[union-attr]
    except Exception as error:  # what the exporter of one version of torch cannot do has no class of its own
        raise NotAvailable(f"torch {torch.__version__} cannot export the network ({reason(error)}).") from error
    found = next(one.version for one in model.opset_import if not one.domain)
    if found != opset:
        raise NotAvailable(f"The network could not be brought to opset {opset}; it stayed at {found}.")
    return model


def _shapes(config: ModelConfig, form: Form) -> dict[int, Any]:
    shapes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if form.dynamic_size:
        multiple = config.network.multiple
        for axis, name in ((2, "rows"), (3, "columns")):
            shapes[axis] = multiple * torch.export.Dim(name, min=1, max=LONGEST_SIDE // multiple)
    return shapes


def _strip(model: Any) -> None:
    """Take out where in whose folders of Python files each operator was written: that is for torch's developers."""
    graph = model.graph
    for one in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del one.metadata_props[:]
        one.doc_string = ""
    del graph.metadata_props[:], model.metadata_props[:]


def _describe(model: Any, texts: dict[str, str]) -> None:
    model.producer_name, model.producer_version = "posehg", texts["version"]
    for key, text in texts.items():
        model.metadata_props.add(key=key, value=text)
