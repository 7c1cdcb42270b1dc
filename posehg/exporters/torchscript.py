"""TorchScript: for torch in C++ and on phones, and for Python without posehg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import KEY
from posehg.errors import UsageError
from posehg.exporters.form import Form
from posehg.exporters.graph import Graph, config_of
from posehg.exporters.quiet import quietly
from posehg.inference.engines import archives, torchscript


def export(checkpoint: Checkpoint, file: Path, form: Form) -> None:
    """fp16: the convolutions are stored as float16, which halves the file; they are float32 when the program runs.

    The program takes pictures of any size in any case, and follows the device that it is loaded to.
    """
    program = traced(Graph(checkpoint, form.decoder).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    _follow_the_device(program.graph)
    if form.precision == "fp16":
        _halve(program.graph)
    with quietly():
        torch.jit.save(program, file, _extra_files={KEY: config_of(checkpoint).to_json()})
    content = archives.entries(file, torchscript.ENTRIES, unread=torchscript.NOTES)
    file.write_bytes(archives.packed(content).getvalue())


def traced(graph: Graph) -> Any:
    """A program of torch's for any number of pictures of any size; its numbers are a part of it."""
    example = torch.zeros(2, 3, *graph.config.input_size)
    with quietly(), torch.no_grad():
        return torch.jit.freeze(torch.jit.trace(graph.eval(), example, check_trace=False))


def _follow_the_device(graph: Any) -> None:
    """Where a trace has the device on which it was made, the program gets that of its input."""
    images = list(graph.inputs())[1]  # the first is the program itself
    device = graph.create("prim::device", [images])
    device.output().setType(torch._C.DeviceObjType.get())
    graph.prependNode(device)
    for constant in graph.findAllNodes("prim::Constant"):
        if constant.output().type().kind() == "DeviceObjType":
            constant.output().replaceAllUsesWith(device.output())
    graph.lint()


def _halve(graph: Any) -> None:
    """The weights of convolutions become float16, and float32 again before they are used."""
    for convolution in graph.findAllNodes("aten::_convolution"):
        graph.setInsertPoint(convolution)
        half = convolution.inputsAt(1).toIValue().half()
        if not half.isfinite().all():
            raise UsageError("Some weights of this model are too large for fp16.", "Give --precision fp32.")
        arguments = [graph.insertConstant(value) for value in (half, torch.float32, False, False, None)]
        whole = graph.create("aten::to", arguments)
        whole.output().setType(torch._C.TensorType.get())
        graph.insertNode(whole)
        convolution.replaceInput(1, whole.output())
    graph.lint()
