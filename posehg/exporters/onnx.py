"""ONNX: for onnxruntime and most other programs that run networks."""

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posehg import __version__
from posehg.checkpoints import Checkpoint
from posehg.config import KEY, STRIDE, WEIGHTS_KEY
from posehg.errors import InputError, NotAvailable, UsageError, reason
from posehg.exporters import ExportOptions
from posehg.exporters.common import INPUT, Graph, config_json, dynamic_shapes, rendered_crops
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.engines import EngineOptions
from posehg.inference.engines.torch import from_checkpoint
from posehg.inference.estimator import Estimator, Region
from posehg.inference.person_search import find
from posehg.io.frames import frames
from posehg.io.sources import Source, expand
from posehg.network import parameters

Progress = Callable[[Iterable[Source], str, int], Iterable[Source]]

OPSET = 18
"""The version that torch writes natively and onnxruntime reads since 1.14. Others are converted from it."""

_OPSETS = range(17, 24)
ENOUGH = 64
"""Crops for calibration. More of them no longer change the ranges."""

_INT8_OPERATORS = ["Conv", "Relu", "Add", "MaxPool", "Resize"]
"""Operators of the hourglasses. Those that turn the last convolution's output into heatmaps stay float32."""


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """Raises UsageError for an opset that torch cannot write, NotAvailable if a package is missing or torch fails."""
    if missing := missing_packages():
        hint = f"Install it: pipx inject posehg {' '.join(missing)}, or pip install 'posehg[onnx]'"
        raise NotAvailable(f"Writing ONNX requires {', '.join(missing)}.", hint)
    opset = options.opset or OPSET
    if opset not in _OPSETS:
        what = f"--opset must be between {_OPSETS[0]} and {_OPSETS[-1]}, not {opset}."
        raise UsageError(what, f"Without --opset it is {OPSET}.")
    graph = Graph(checkpoint, options.decoder, half=options.precision == "fp16")
    try:
        program: Any = torch.onnx.export(
            graph,
            (torch.rand(2, 3, *checkpoint.config.input_size),),  # a batch of 1 would become a constant
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=graph.outputs,
            dynamic_shapes=dynamic_shapes(checkpoint.config, options),
        )
        model = program.model_proto
    except Exception as error:  # errors of torch's exporter have no common class
        raise NotAvailable(f"torch {torch.__version__} cannot export the network ({reason(error)}).") from error
    if opset not in [one.version for one in model.opset_import if not one.domain]:
        raise NotAvailable(f"The network cannot be converted to opset {opset}.")
    nodes = model.graph
    for part in (*nodes.node, *nodes.value_info, *nodes.input, *nodes.output, *nodes.initializer):
        del part.metadata_props[:]  # where in which Python file each operator comes from
        part.doc_string = ""
    del nodes.metadata_props[:], model.metadata_props[:]
    if options.precision == "int8":
        model = quantize(model, options.calibration)
    if options.halved:
        halve(model.graph)
    model.producer_name, model.producer_version = "posehg", __version__
    for key, text in metadata(checkpoint, options).items():
        model.metadata_props.add(key=key, value=text)
    file.write_bytes(model.SerializeToString())


def halve(graph: Any) -> None:
    """Stores convolutions as float16. The graph makes them float32 again, once, when a library opens it."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weights in graph.initializer:
        if weights.data_type == TensorProto.FLOAT and len(weights.dims) == 4:
            name, half = weights.name, f"{weights.name}_half"
            weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float16), half))
            casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def missing_packages() -> list[str]:
    """What has to be installed to write ONNX files."""
    return [name for name in ("onnx", "onnxscript") if find_spec(name) is None]


def metadata(checkpoint: Checkpoint, options: ExportOptions) -> dict[str, str]:
    """Texts to be stored in the file: under KEY the config as JSON for posehg, the others for people."""
    config, skeleton = checkpoint.config, checkpoint.config.skeleton
    rows, columns = config.input_size
    others = f" or other multiples of {config.network.multiple}" if options.dynamic_size else ""
    return {
        KEY: config_json(checkpoint),
        **({WEIGHTS_KEY: options.weights} if options.weights else {}),
        "joints": ", ".join(skeleton.joints),
        "limbs": json.dumps(skeleton.limbs),
        "flip": json.dumps(skeleton.flip),
        "input": f"{INPUT}: float32 (batch, 3, {rows}, {columns}){others}, RGB in 0 .. 1, which the graph normalises",
        "stride": f"{STRIDE}: cell i is centred at {STRIDE} i + {(STRIDE - 1) / 2:g} input pixels",
        "offset": f"{config.offset:g} cells from a peak to its joint, to the right and down",
        "precision": options.precision,
        "parameters": str(parameters(config.network)),
        "licence": config.provenance.get("licence", "not stated"),
    }


def quantize(model: Any, crops: Sequence[Image]) -> Any:
    """The model with int8 convolutions. The crops (H, W, 3) give the range of values of each feature map.

    Weights have a scale per channel. The last convolution, which makes the heatmaps, stays as it is.
    """
    onnx, library = import_module("onnx"), import_module("onnxruntime.quantization")

    class Reader(library.CalibrationDataReader):  # type: ignore[name-defined]
        feeds = ({INPUT: np.divide(crop.transpose(2, 0, 1)[None], np.float32(255), order="C")} for crop in crops)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory(prefix="posehg-") as folder:  # the library reads and writes files
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, str(source))
        library.quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=library.QuantFormat.QDQ,
            op_types_to_quantize=_INT8_OPERATORS,
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "Conv"][-1:],
            per_channel=True,
            reduce_range=True,  # CPUs without VNNI add products in 16 bits, which eight-bit weights would overflow
            activation_type=library.QuantType.QUInt8,
            weight_type=library.QuantType.QInt8,
        )
        return onnx.load(str(target))


def calibration_crops(folder: Path | None, checkpoint: Checkpoint, progress: Progress) -> list[Image]:
    """Crops (H, W, 3) of the network's input size: ENOUGH rendered people, or of up to ENOUGH images of a folder.

    Of an image they show the most prominent person, or all of it if there is no person. progress: wraps the images in a
    progress bar, given a title and their number. Raises InputError for a folder without images and for an image that
    cannot be read.
    """
    if folder is None:
        return list(rendered_crops(checkpoint.config, ENOUGH, checkpoint.config.input_size))
    found = expand([str(folder)], recursive=True) if folder.is_dir() else ()
    sources = [source for source in found if source.kind == "image" and not source.problem]
    if not sources:
        raise InputError(f"There are no images in {folder}.", "Give --calibration a folder with photos of people.")
    chosen = np.linspace(0, len(sources) - 1, min(len(sources), ENOUGH)).astype(int)
    estimator, crops = Estimator(from_checkpoint(checkpoint, EngineOptions())), []
    for source in progress([sources[index] for index in chosen], "Looking at people", len(chosen)):
        [frame] = frames(source)
        height, width = frame.image.shape[:2]
        poses = find(estimator, frame.image)
        box, rotation = (poses[0].crop, poses[0].rotation) if poses else (Box(0, 0, width, height).square(), 0.0)
        crops.append(estimator.crops([Region(frame.image, box, rotation)])[0])
    return crops
