"""OpenVINO: for Intel's processors. A network is two files, model.xml and model.bin."""

from pathlib import Path

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import KEY
from posehg.exporters import ExportOptions
from posehg.exporters.common import INPUT, Graph, config_json
from posehg.inference.engines.openvino import library


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """Write the .xml and the .bin beside it. fp16 halves the size of the file; products stay float32.

    Raises NotAvailable if openvino is not installed.
    """
    openvino = library()
    graph = Graph(checkpoint, options.decoder)
    size = (-1, -1) if options.dynamic_size else checkpoint.config.input_size
    example, shape = torch.zeros(2, 3, *checkpoint.config.input_size), (INPUT, [-1, 3, *size], openvino.Type.f32)
    model = openvino.convert_model(graph, example_input=example, input=[shape])
    for output, name in zip(model.outputs, graph.outputs, strict=True):
        output.get_tensor().set_names({name})
    model.set_rt_info(config_json(checkpoint), [KEY])
    openvino.save_model(model, file, compress_to_fp16=options.precision == "fp16")
