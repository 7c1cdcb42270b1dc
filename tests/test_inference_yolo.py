"""Person boxes from ONNX files in the layouts of YOLOX and of YOLOv8 and its successors."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference import yolo
from posehg.inference.detector import PersonBox
from posehg.inference.engines import EngineOptions, onnxruntime
from posehg.inference.yolo import Yolo

pytest.importorskip("onnxruntime", reason="onnxruntime runs the files")

FLOAT, UINT8, FLOAT16, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.INT64
ROWS, COLUMNS = 61, 83  # of the image
SIZE = (64, 96)  # of the input, whose height the image fills
CELLS = 8 * 12 + 4 * 6 + 2 * 3
CLASSES = 7
SCALE = 64 / 61
PLANAR = (1, 3, *SIZE)

ONE, TWO, THREE = Box(11, 13, 29, 31), Box(43, 5, 17, 41), Box(2, 37, 23, 19)
PEOPLE = {5: (ONE, 0.7), 101: (TWO, 0.9), 124: (THREE, 0.35)}
"""By the cell that predicts them, with their scores. The third is below the threshold."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.onnx"


def constant(
    path: Path,
    outputs: dict[str, np.ndarray],
    shape: Sequence[int | str],
    type: int = FLOAT,
    notes: dict[str, str] | None = None,
    others: Sequence[ValueInfoProto] = (),
) -> Path:
    """A network with the input ``images`` that has the same outputs for every image."""
    nodes = [
        helper.make_node("Cast", ["images"], ["as_float"], to=FLOAT),
        helper.make_node("ReduceMean", ["as_float"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"{name}_values", "nothing"], [name]) for name in outputs),
    ]
    constants = {f"{name}_values": array.astype(np.float32) for name, array in outputs.items()}
    constants["zero"] = np.zeros(1, np.float32)
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", type, shape), *others],
        [helper.make_tensor_value_info(name, FLOAT, array.shape) for name, array in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, notes or {})
    path.write_bytes(model.SerializeToString())
    return path


def photo(rows: int = ROWS, columns: int = COLUMNS) -> Image:
    return np.random.default_rng(3).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def close(found: list[PersonBox], expected: list[Box]) -> None:
    assert len(found) == len(expected)
    for (box, _), other in zip(found, expected, strict=True):
        assert tuple(box) == pytest.approx(tuple(other), abs=1e-3)


def corners(box: Box, left: float = (96 - 83 * SCALE) / 2) -> tuple[float, float, float, float]:
    """Left, top, right, bottom on the input where the image begins at ``left``."""
    return box.x * SCALE + left, box.y * SCALE, (box.x + box.w) * SCALE + left, (box.y + box.h) * SCALE


def centred(corners: tuple[float, ...]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = corners
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def yolox(decoded: bool) -> np.ndarray:
    grid = [(x, y, s) for s in (8, 16, 32) for y in range(64 // s) for x in range(96 // s)]
    rows = np.zeros((1, CELLS, 5 + CLASSES))
    for cell, (x, y, stride) in enumerate(grid):
        rows[0, cell, :4] = ((x + 0.5) * stride, (y + 0.5) * stride, stride, stride) if decoded else (0.5, 0.5, 0, 0)
        rows[0, cell, 4:6] = 0.1
    for cell, (box, score) in PEOPLE.items():
        x, y, w, h = centred(corners(box, left=0))
        column, row, stride = grid[cell]
        raw = x / stride - column, y / stride - row, math.log(w / stride), math.log(h / stride)
        rows[0, cell, :6] = *((x, y, w, h) if decoded else raw), 0.95, score / 0.95
    return rows


def yolov8(classes: int = CLASSES) -> np.ndarray:
    rows = np.zeros((1, 4 + classes, CELLS))
    for cell, (box, score) in PEOPLE.items():
        rows[0, :5, cell] = *centred(corners(box)), score
    if classes > 1:
        rows[0, :6, 7] = *centred(corners(THREE)), 0, 0.99  # of another class
    return rows


def end_to_end() -> np.ndarray:
    rows = np.zeros((1, 11, 6))
    for row, (box, score) in enumerate(PEOPLE.values()):
        rows[0, row] = *corners(box), score, 0
    rows[0, 3] = *corners(THREE), 0.99, 1  # of another class
    return rows


LAYOUTS: dict[str, tuple[np.ndarray, int]] = {
    "YOLOX": (yolox(decoded=False), FLOAT),
    "YOLOX decoded": (yolox(decoded=True), FLOAT),
    "YOLOv8": (yolov8(), FLOAT),
    "YOLOv8 of COCO, transposed": (yolov8(80).swapaxes(1, 2), FLOAT),
    "YOLOv8 of people only": (yolov8(1), FLOAT),
    "YOLOv8 in half precision": (yolov8(), FLOAT16),
    "end-to-end": (end_to_end(), FLOAT),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_boxes_come_in_image_pixels_with_the_highest_score_first(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yolo, "_SIZE", SIZE)
    output, type = LAYOUTS[name]
    found = Yolo(constant(path, {"output": output}, PLANAR, type))(photo())
    close(found, [TWO, ONE])
    assert [one.score for one in found] == pytest.approx([0.9, 0.7], abs=1e-3)
    any_size = constant(path, {"output": output}, ("batch", 3, "height", "width"), type)
    close(Yolo(any_size)(photo()), [TWO, ONE])


@pytest.mark.parametrize("size", [(83, 61), (367, 499), (17, 103), (1, 1), (1, 997)])
@pytest.mark.parametrize("name", ["YOLOX", "YOLOv8"])
def test_boxes_lie_within_any_image(path: Path, name: str, size: tuple[int, int]) -> None:
    for box, _ in Yolo(constant(path, {"output": LAYOUTS[name][0]}, PLANAR))(photo(*size)):
        assert min(box.x, box.y) >= 0
        assert box.x + box.w <= size[1] + 1e-9
        assert box.y + box.h <= size[0] + 1e-9


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_network_receives_the_colours_and_padding_of_its_training(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    output, type = LAYOUTS[name]
    real, _ = onnxruntime.session(constant(path, {"output": output}, PLANAR, type), EngineOptions("cpu"))
    seen: list[np.ndarray] = []

    def run(names: None, arrays: dict[str, np.ndarray]) -> Any:
        seen.extend(arrays.values())
        return real.run(names, arrays)

    session = SimpleNamespace(get_inputs=real.get_inputs, get_modelmeta=real.get_modelmeta, run=run)
    monkeypatch.setattr(onnxruntime, "session", lambda file, run: (session, "cpu"))
    colours = np.array([200, 100, 50], dtype=np.uint8)
    Yolo(path)(np.broadcast_to(colours, (101, 101, 3)))  # 64 x 64 of the input's 64 x 96
    array = seen[-1][0].astype(float) * (1 if name.startswith("YOLOX") else 255)
    assert (seen[-1].dtype, seen[-1].shape) == ({FLOAT: np.float32, FLOAT16: np.float16}[type], PLANAR)
    begin = 0 if name.startswith("YOLOX") else 16
    for channel, colour in zip(array, colours[::-1] if begin == 0 else colours, strict=True):
        assert channel[:, begin + 3 : begin + 61] == pytest.approx(np.full((64, 58), float(colour)), rel=0.01)
        assert channel[:, begin + 67 :] == pytest.approx(np.full((64, 29 - begin), 114.0), rel=0.01)


def test_overlapping_weak_and_broken_boxes_are_left_out(path: Path) -> None:
    rows = np.zeros((1, 11, 6))
    near_one = Box(ONE.x + 1, ONE.y, ONE.w, ONE.h)
    for row, (box, score) in enumerate([(ONE, 0.8), (near_one, 0.9), (TWO, 0.7), (THREE, 0.3)]):
        rows[0, row] = *corners(box), score, 0
    rows[0, 4] = math.nan, 0, 9, 9, 0.9, 0
    rows[0, 5] = 0, 0, 50, 50, math.inf, 0
    rows[0, 6] = 40, 30, 40.2, 60, 0.9, 0  # thinner than a pixel
    rows[0, 7] = 500, 500, 600, 600, 0.9, 0  # outside the image
    network = constant(path, {"output": rows}, PLANAR)
    close(Yolo(network)(photo()), [near_one, TWO])
    close(Yolo(constant(path, {"output": np.zeros_like(rows)}, PLANAR))(photo()), [])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("{0: 'dog', 1: 'cat'}", None),
        ("{99: 'person'}", None),
        ("{0: 'dog', 1: 'person'}", [THREE]),
        ("{0: 'dog', 1: 'Pedestrian'}", [THREE]),
        ("{0: 'person', 1: 'dog'}", [TWO, ONE]),
        ("dog, cat", [TWO, ONE]),
        ("[1, 2", [TWO, ONE]),
        ("(" * 500, [TWO, ONE]),
    ],
)
def test_the_metadata_names_the_class_of_people(path: Path, names: str, expected: list[Box] | None) -> None:
    network = constant(path, {"output": yolov8()}, PLANAR, notes={"names": names})
    if expected is None:
        with pytest.raises(NotAvailable, match=r"people\.onnx"):
            Yolo(network)
        return
    close(Yolo(network)(photo()), expected)


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff" * 1000, 0.3, 0.999])
def test_missing_foreign_and_truncated_files_are_refused_by_name(path: Path, content: bytes | float | None) -> None:
    if isinstance(content, float):
        whole = constant(path, {"output": yolov8()}, PLANAR).read_bytes()
        content = whole[: int(len(whole) * content)]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotAvailable, match=r"people\.onnx") as caught:
        Yolo(path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    "outputs",
    [
        {"out": np.zeros((1, 1000))},
        {"out": np.zeros((1, 100, 85))},
        {"out": np.zeros((1, CELLS, 5))},
        {"out": np.zeros((2, 4 + CLASSES, CELLS))},
        {"out": np.zeros((1, 16, 64, 96))},
        {"boxes": np.zeros((1, 7, 4)), "scores": np.zeros((1, 7))},
    ],
)
def test_other_outputs_are_refused_with_what_is_supported(path: Path, outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(NotAvailable, match=r"people\.onnx") as caught:
        Yolo(constant(path, outputs, PLANAR))
    assert "YOLOX" in caught.value.hint
    assert "--boxes" in caught.value.hint


@pytest.mark.parametrize(
    ("shape", "type", "inputs"),
    [
        ((1, 1, 64, 96), FLOAT, 1),
        ((2, 3, 64, 96), FLOAT, 1),
        ((1, 64, 96, 3), UINT8, 1),
        ((64, 96), FLOAT, 1),
        ((1, 3, "rows", 96), INT64, 1),
        (PLANAR, FLOAT, 2),
    ],
)
def test_other_inputs_are_refused_by_name(path: Path, shape: tuple[int | str, ...], type: int, inputs: int) -> None:
    others = [helper.make_tensor_value_info("image_shape", FLOAT, (1, 2))] if inputs == 2 else []
    network = constant(path, {"output": yolov8()}, shape, type, others=others)
    with pytest.raises(NotAvailable, match="image_shape" if inputs == 2 else "images"):
        Yolo(network)
