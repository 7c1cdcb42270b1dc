"""torch.export's form of a network: for torch 2.6 and later, its compilers and ExecuTorch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from posehg.checkpoints import Checkpoint
from posehg.config import KEY, LONGEST_SIDE, ModelConfig
from posehg.errors import UsageError
from posehg.exporters.form import Form
from posehg.exporters.graph import INPUT, Graph, config_of
from posehg.exporters.quiet import quietly

_NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")
"""Where each line came from: paths on this machine. They are for nobody."""


class _HalfStored(nn.Module):
    """A convolution whose weights are float16 where they lie, and float32 where they work."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight: Tensor
        self.register_buffer("weight", convolution.weight.half())  # the kind of the parameters is that of the products
        self.bias = convolution.bias
        self.stride, self.padding = convolution.stride, convolution.padding
        if not self.weight.isfinite().all():
            raise UsageError("Some weights of this model are too large for fp16.", "Give --precision fp32.")

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.float(), self.bias, self.stride, self.padding)


def export(checkpoint: Checkpoint, file: Path, form: Form) -> None:
    """fp16: the convolutions are stored as float16, which halves the file; they are float32 when the program runs."""
    graph = Graph(checkpoint, form.decoder).requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if form.precision == "fp16":
        _halve(graph)
    example, dims = _input(checkpoint.config, form)
    with quietly():
        program = torch.export.export(graph.eval(), (example,), dynamic_shapes={INPUT: dims})
        with suppress(ValueError):  # some releases of torch keep them, whatever one says
            program.example_inputs = None  # they would be stored, as large as so many pictures
        for node in program.graph.nodes:
            for note in _NOTES:
                node.meta.pop(note, None)
        torch.export.save(program, file, extra_files={KEY: config_of(checkpoint).to_json()})


def _halve(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(module, name, _HalfStored(child))
        else:
            _halve(child)


def _input(config: ModelConfig, form: Form) -> tuple[Tensor, dict[int, object]]:
    """An input to export with, and which of its dimensions may be others.

    torch.export takes what is 1 in the example for a constant, and what is equal for the same: here nothing is, down
    to the smallest map of the hourglass.
    """
    multiple = config.network.multiple
    if not form.dynamic_size:
        return torch.zeros(2, 3, *config.input_size), {0: Dim("batch", min=1)}
    rows, columns = (Dim(name, min=1, max=LONGEST_SIDE // multiple) for name in ("rows", "columns"))
    return torch.zeros(2, 3, 2 * multiple, 3 * multiple), {
        0: Dim("batch", min=1),
        2: multiple * rows,
        3: multiple * columns,
    }
