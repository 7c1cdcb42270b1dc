"""TorchScript: for torch in C++ and on phones, and for Python without posehg."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import KEY
from posehg.exporters import ExportOptions
from posehg.exporters.common import Graph, config_json


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """The program accepts images of any size in any case, and runs on the device that it is loaded to."""
    example = torch.zeros(2, 3, *checkpoint.config.input_size)
    network = Graph(checkpoint, options.decoder, half=options.precision == "fp16")
    program: Any = torch.jit.trace(network, example, check_trace=False)
    # The device of the input replaces the one that the trace recorded. The first input is the program itself.
    graph, images = program.graph, list(program.graph.inputs())[1]
    device = graph.create("prim::device", [images])
    device.output().setType(torch._C.DeviceObjType.get())
    graph.prependNode(device)
    for constant in graph.findAllNodes("prim::Constant"):
        if constant.output().type().kind() == "DeviceObjType":
            constant.output().replaceAllUsesWith(device.output())
    graph.lint()
    written = io.BytesIO()
    torch.jit.save(program, written, _extra_files={KEY: config_json(checkpoint)})
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(file, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):  # source lines, with paths of this machine
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry))


def load(file: Path) -> Any:
    """The program in a file. Only for files of your own: TorchScript runs what is in them."""
    return torch.jit.load(file)
