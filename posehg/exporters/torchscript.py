"""TorchScript: for torch in C++ and on phones, and for Python without posehg."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from posehg.checkpoints import Checkpoint
from posehg.config import KEY
from posehg.exporters import ExportOptions
from posehg.exporters.common import config_of, graph_of, suppress_output


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """fp16 halves the size of the file; products stay float32. Raises UsageError for weights too large for fp16.

    The program accepts images of any size in any case, and runs on the device that it is loaded to.
    """
    with suppress_output(), torch.no_grad():
        example = torch.zeros(2, 3, *checkpoint.config.input_size)
        program = torch.jit.trace(graph_of(checkpoint, options), example, check_trace=False)
        _follow_the_device(program.graph)
        written = io.BytesIO()
        torch.jit.save(program, written, _extra_files={KEY: config_of(checkpoint).to_json()})
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(file, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):  # source lines, with paths of this machine
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry))


def _follow_the_device(graph: Any) -> None:
    """Replace the device that the trace recorded by that of the input."""
    images = list(graph.inputs())[1]  # the first is the program itself
    device = graph.create("prim::device", [images])
    device.output().setType(torch._C.DeviceObjType.get())
    graph.prependNode(device)
    for constant in graph.findAllNodes("prim::Constant"):
        if constant.output().type().kind() == "DeviceObjType":
            constant.output().replaceAllUsesWith(device.output())
    graph.lint()


def load(file: Path) -> tuple[Any, str]:
    """The program in a file and its config as JSON. Only for files of your own: TorchScript runs what is in them."""
    texts = {KEY: ""}
    with suppress_output():
        program = torch.jit.load(file, _extra_files=texts)
    text: Any = texts[KEY]
    return program, text.decode() if isinstance(text, bytes) else text
