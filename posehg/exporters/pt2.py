"""torch.export's format: for torch 2.6 and later, its compilers and ExecuTorch."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import KEY
from posehg.exporters import ExportOptions
from posehg.exporters.common import Graph, config_json, dynamic_shapes

_NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")
"""Where each operation came from, with paths of this machine."""


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    config = checkpoint.config
    # torch.export takes a 1 in the example for a constant and equal sizes for the same one, at every depth.
    size = (2 * config.network.multiple, 3 * config.network.multiple) if options.dynamic_size else config.input_size
    graph = Graph(checkpoint, options.decoder, half=options.precision == "fp16")
    example, shapes = torch.zeros(2, 3, *size), dynamic_shapes(config, options)
    program = torch.export.export(graph, (example,), dynamic_shapes=shapes)
    with suppress(ValueError):  # some versions of torch do not let go of them
        program.example_inputs = None  # they would be stored in the file
    for node in program.graph.nodes:
        for note in _NOTES:
            node.meta.pop(note, None)
    torch.export.save(program, file, extra_files={KEY: config_json(checkpoint)})


def load(file: Path) -> Any:
    """The program in a file. Only for files of your own: torch.export runs what is in them."""
    return torch.export.load(file).module()
