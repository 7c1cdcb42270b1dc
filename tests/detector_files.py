"""Small ONNX files that act as detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8, FLOAT16, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.INT64

Shape = Sequence[int | str]
Array = np.ndarray[Any, np.dtype[Any]]


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Array],
    outputs: dict[str, tuple[int, Shape]],
    shape: Shape,
    type: int = FLOAT,
    notes: dict[str, str] | None = None,
    others: Sequence[onnx.ValueInfoProto] = (),
) -> Path:
    """A network with the input ``images``; outputs: the type and shape of each."""
    graph = helper.make_graph(
        list(nodes),
        "detector",
        [helper.make_tensor_value_info("images", type, shape), *others],
        [helper.make_tensor_value_info(name, *told) for name, told in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    if notes:
        helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def constant(path: Path, outputs: dict[str, Array], shape: Shape, type: int = FLOAT, **more: Any) -> Path:
    """A network with the same outputs for every image. more: of ``save``."""
    nodes = [
        helper.make_node("Cast", ["images"], ["as_float"], to=FLOAT),
        helper.make_node("ReduceMean", ["as_float"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants: dict[str, Array] = {"zero": np.float32(0).reshape(1)}
    told: dict[str, tuple[int, Shape]] = {}
    for number, (name, array) in enumerate(outputs.items()):
        constants[f"constant_{number}"] = array.astype(np.float32)
        nodes.append(helper.make_node("Add", [f"constant_{number}", "nothing"], [f"sum_{number}"]))
        kind = INT64 if array.dtype == np.int64 else FLOAT
        nodes.append(helper.make_node("Cast", [f"sum_{number}"], [name], to=kind))
        told[name] = (kind, array.shape)
    return save(path, nodes, constants, told, shape, type, **more)


def finder(path: Path, shape: Shape, type: int, channel: int, range: float = 1.0) -> Path:
    """A network that finds the bounding box of everything with more than half of one colour.

    Where nothing has, the score is 0. range: the largest value of a colour; above it nothing is found.
    """
    rows, columns = 2, 3
    nodes = [
        helper.make_node("Cast", ["images"], ["as_float"], to=FLOAT),
        helper.make_node("Gather", ["as_float", "channel"], ["plane"], axis=1),
        helper.make_node("Greater", ["plane", "low"], ["above"]),
        helper.make_node("Less", ["plane", "high"], ["below"]),
        helper.make_node("And", ["above", "below"], ["there_bool"]),
        helper.make_node("Cast", ["there_bool"], ["there"], to=FLOAT),
        helper.make_node("ReduceMax", ["there"], ["score_4d"]),
        helper.make_node("Reshape", ["score_4d", "one"], ["score"]),
    ]
    for name, axis, other in (("y", rows, columns), ("x", columns, rows)):
        nodes.append(helper.make_node("ReduceMax", ["there"], [f"{name}_line"], axes=[other], keepdims=1))
        for place, last in (("first", 0), ("last", 1)):
            at = f"{name}_{place}"
            nodes += [
                helper.make_node("ArgMax", [f"{name}_line"], [f"{at}_int"], axis=axis, select_last_index=last),
                helper.make_node("Cast", [f"{at}_int"], [f"{at}_4d"], to=FLOAT),
                helper.make_node("Reshape", [f"{at}_4d", "one"], [f"{at}_pixel"]),
            ]
        nodes.append(helper.make_node("Add", [f"{name}_last_pixel", "unit"], [f"{name}_end"]))
    edges = ["x_first_pixel", "y_first_pixel", "x_end", "y_end"]
    constants: dict[str, Array] = {
        "channel": np.array([channel], np.int64),
        "low": np.float32(0.5 * range).reshape(1),
        "high": np.float32(1.01 * range).reshape(1),
        "one": np.array([1], np.int64),
        "unit": np.float32(1).reshape(1),
    }
    constants |= {"zero": np.float32(0).reshape(1), "six": np.array([1, 1, 6], np.int64)}
    nodes.append(helper.make_node("Concat", [*edges, "score", "zero"], ["row"], axis=0))
    nodes.append(helper.make_node("Reshape", ["row", "six"], ["output0"]))
    return save(path, nodes, constants, {"output0": (FLOAT, (1, 1, 6))}, shape, type)
