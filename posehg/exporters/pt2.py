"""torch.export's format: for torch 2.6 and later, its compilers and ExecuTorch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from posehg.checkpoints import Checkpoint
from posehg.config import KEY, LONGEST_SIDE
from posehg.exporters import ExportOptions
from posehg.exporters.common import INPUT, config_of, graph_of, suppress_output

_NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")
"""Where each operation came from, with paths of this machine."""


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """fp16 halves the size of the file; products stay float32. Raises UsageError for weights too large for fp16."""
    multiple, size = checkpoint.config.network.multiple, checkpoint.config.input_size
    shapes: dict[int, Any] = {0: Dim("batch", min=1)}
    if options.dynamic_size:
        # torch.export takes a 1 in the example for a constant and equal sizes for the same one, at every depth.
        size = (2 * multiple, 3 * multiple)
        rows, columns = (Dim(name, min=1, max=LONGEST_SIDE // multiple) for name in ("rows", "columns"))
        shapes |= {2: multiple * rows, 3: multiple * columns}
    with suppress_output():
        graph = graph_of(checkpoint, options)
        program = torch.export.export(graph, (torch.zeros(2, 3, *size),), dynamic_shapes={INPUT: shapes})
        with suppress(ValueError):  # some versions of torch do not let go of them
            program.example_inputs = None  # they would be stored in the file
        for node in program.graph.nodes:
            for note in _NOTES:
                node.meta.pop(note, None)
        torch.export.save(program, file, extra_files={KEY: config_of(checkpoint).to_json()})


def load(file: Path) -> tuple[Any, str]:
    """The program in a file and its config as JSON. Only for files of your own: torch.export runs what is in them."""
    texts = {KEY: ""}
    with suppress_output():
        return torch.export.load(file, extra_files=texts).module(), texts[KEY]
