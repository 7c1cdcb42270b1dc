"""OpenVINO: for Intel's processors. A network is two files, model.xml and model.bin."""

from __future__ import annotations

from pathlib import Path

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import KEY
from posehg.exporters.form import Form
from posehg.exporters.graph import INPUT, Graph, config_of
from posehg.exporters.quiet import quietly
from posehg.exporters.torchscript import traced
from posehg.inference.engines.openvino import library


def export(checkpoint: Checkpoint, file: Path, form: Form) -> None:
    """file: the .xml; the .bin gets its place from it. fp16: weights are stored as float16, and float32 at work.

    Raises NotAvailable where openvino is not installed.
    """
    openvino = library()
    graph = Graph(checkpoint, form.decoder)
    size = (-1, -1) if form.dynamic_size else checkpoint.config.input_size
    shape = (INPUT, [-1, 3, *size], openvino.Type.f32)
    with quietly():
        example = torch.zeros(2, 3, *checkpoint.config.input_size)
        model = openvino.convert_model(traced(graph), example_input=example, input=[shape])
    for output, name in zip(model.outputs, graph.outputs, strict=True):
        output.get_tensor().set_names({name})
    model.set_rt_info(config_of(checkpoint).to_json(), [KEY])
    openvino.save_model(model, file, compress_to_fp16=form.precision == "fp16")
