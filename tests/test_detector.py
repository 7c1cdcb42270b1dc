from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference import detector, detector_engine, detector_graph
from posehg.inference.detector import Detection, Detector
from tests import detector_files
from tests.detector_files import FLOAT, FLOAT16, UINT8, constant, finder

ROWS, COLUMNS = 61, 83  # of the photo
SIZE = (64, 96)  # of the input: the photo fills its height
CELLS = 8 * 12 + 4 * 6 + 2 * 3
CLASSES = 7

ONE, TWO, THREE = Box(11, 13, 29, 31), Box(43, 5, 17, 41), Box(2, 37, 23, 19)

Made = Callable[..., Path]


@pytest.fixture(
    params=[
        "opencv",
        pytest.param(
            "onnxruntime",
            marks=pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed"),
        ),
    ]
)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "opencv":
        monkeypatch.setattr(detector_engine, "find_spec", lambda name: None)
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.onnx"


def photo(rows: int = ROWS, columns: int = COLUMNS) -> Image:
    return np.random.default_rng(3).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def close(boxes: list[Box], expected: list[Box], within: float = 1e-3) -> None:
    assert len(boxes) == len(expected)
    for box, other in zip(boxes, expected, strict=True):
        assert box.as_tuple() == pytest.approx(other.as_tuple(), abs=within)


# ---- what an exact network would say of a box on the photo -------------------------------------------------------

SCALE = 64 / 61


def corner(box: Box) -> tuple[float, float, float, float]:
    """Left, top, right, bottom on the input where the photo lies in its corner."""
    return box.x * SCALE, box.y * SCALE, (box.x + box.w) * SCALE, (box.y + box.h) * SCALE


def middle(box: Box) -> tuple[float, float, float, float]:
    left = (96 - 83 * SCALE) / 2
    x0, y0, x1, y1 = corner(box)
    return x0 + left, y0, x1 + left, y1


def shares(box: Box) -> tuple[float, float, float, float]:
    """Of the sides of the photo, and so of an input to which it was stretched."""
    return box.x / 83, box.y / 61, (box.x + box.w) / 83, (box.y + box.h) / 61


def sized(corners: tuple[float, ...]) -> tuple[float, float, float, float]:
    """Middle and size."""
    x0, y0, x1, y1 = corners
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def grid() -> list[tuple[int, int, int]]:
    """Column, row and stride of each cell."""
    return [(x, y, s) for s in (8, 16, 32) for y in range(64 // s) for x in range(96 // s)]


PEOPLE = {5: (ONE, 0.7), 101: (TWO, 0.9), 124: (THREE, 0.6)}
"""By the cell that says so, and the score. The third is below the threshold of these tests."""

SEEN = Detection(threshold=0.65)


def yolox(decoded: bool) -> np.ndarray:
    rows = np.zeros((1, CELLS, 5 + CLASSES))
    for cell, (x, y, stride) in enumerate(grid()):
        rows[0, cell, :4] = ((x + 0.5) * stride, (y + 0.5) * stride, stride, stride) if decoded else (0.5, 0.5, 0, 0)
        rows[0, cell, 4:6] = 0.1
    for cell, (box, score) in PEOPLE.items():
        x, y, w, h = sized(corner(box))
        column, row, stride = grid()[cell]
        raw = x / stride - column, y / stride - row, math.log(w / stride), math.log(h / stride)
        rows[0, cell, :6] = *((x, y, w, h) if decoded else raw), 0.95, score / 0.95
    return rows


def yolo5() -> np.ndarray:
    rows = np.zeros((1, 3 * CELLS, 5 + CLASSES))
    for cell, (box, score) in PEOPLE.items():
        rows[0, 3 * cell + 1, :6] = *sized(middle(box)), 0.95, score / 0.95
    rows[0, 7, :7] = *sized(middle(THREE)), 0.95, 0, 0.99  # another class
    return rows


def yolo8(classes: int = CLASSES) -> np.ndarray:
    rows = np.zeros((1, 4 + classes, CELLS))
    for cell, (box, score) in PEOPLE.items():
        rows[0, :5, cell] = *sized(middle(box)), score
    if classes > 1:
        rows[0, :6, 7] = *sized(middle(THREE)), 0, 0.99
    return rows


def end_to_end(scaled: bool) -> np.ndarray:
    rows = np.zeros((1, 11, 6))
    sides = (96, 64, 96, 64) if scaled else (1, 1, 1, 1)
    for row, (box, score) in enumerate(PEOPLE.values()):
        rows[0, row] = *np.divide(middle(box), sides), score, 0
    rows[0, 3] = *np.divide(middle(THREE), sides), 0.99, 1  # another class
    return rows


def lists(pixels: bool = False, y_first: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (11, 4), scores (11,), classes (11,): 1 for people, 2 for somebody else."""
    boxes, scores, classes = np.zeros((11, 4)), np.zeros(11), np.ones(11)
    for row, (box, score) in enumerate([*PEOPLE.values(), (THREE, 0.99)]):
        x0, y0, x1, y1 = np.multiply(shares(box), (96, 64, 96, 64) if pixels else 1)
        boxes[row], scores[row] = (y0, x0, y1, x1) if y_first else (x0, y0, x1, y1), score
    classes[3] = 2
    return boxes, scores, classes


def of_lists(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, names: str, **more: Any) -> dict[str, Any]:
    return dict(zip(names.split(), (boxes, scores, classes), strict=True)) | more


PLANAR, LAST = (1, 3, *SIZE), (1, *SIZE, 3)

LAYOUTS: dict[str, tuple[dict[str, np.ndarray], tuple[int | str, ...], int]] = {
    "YOLOX": ({"output": yolox(decoded=False)}, PLANAR, FLOAT),
    "YOLOX decoded": ({"output": yolox(decoded=True)}, PLANAR, FLOAT),
    "YOLOv5": ({"output0": yolo5()}, PLANAR, FLOAT),
    "YOLOv8": ({"output0": yolo8()}, PLANAR, FLOAT),
    "YOLOv8 of COCO, turned": ({"output0": yolo8(80).swapaxes(1, 2)}, PLANAR, FLOAT),
    "YOLOv8 of people only": ({"output0": yolo8(1)}, PLANAR, FLOAT),
    "YOLOv8 in half precision": ({"output0": yolo8()}, PLANAR, FLOAT16),
    "YOLOv8 with the colours last": ({"output0": yolo8()}, LAST, FLOAT),
    "end-to-end": ({"output0": end_to_end(scaled=False)}, PLANAR, FLOAT),
    "end-to-end in shares": ({"output0": end_to_end(scaled=True)}, PLANAR, FLOAT),
    "TensorFlow": (
        of_lists(
            *(array[None] for array in lists(y_first=True)),
            "detection_boxes:0 detection_scores:0 detection_classes:0",
            **{"num_detections:0": np.array([11.0]), "raw_detection_boxes:0": np.zeros((1, 13, 4))},
        ),
        LAST,
        UINT8,
    ),
    "TensorFlow with other names": (
        of_lists(*(array[None] for array in lists(y_first=True)), "boxes scores classes"),
        LAST,
        UINT8,
    ),
    "torchvision": (
        of_lists(*lists(pixels=True)[:2], lists()[2].astype(np.int64), "boxes scores labels"),
        (3, *SIZE),
        FLOAT,
    ),
    "torchvision with numbers for names": (
        of_lists(*lists(pixels=True)[:2], lists()[2].astype(np.int64), "6568 6570 6572"),
        PLANAR,
        FLOAT,
    ),
    "SSD": (of_lists(*(array[None] for array in lists()), "bboxes scores labels"), PLANAR, FLOAT),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_boxes_of_people_come_in_photo_pixels_the_surest_first(path: Path, engine: str, name: str) -> None:
    outputs, shape, type = LAYOUTS[name]
    find = detector.load(constant(path, outputs, shape, type), SEEN)
    close(find(photo()), [TWO, ONE])


@pytest.mark.parametrize("name", ["YOLOX", "YOLOX decoded", "YOLOv5", "YOLOv8", "end-to-end"])
def test_an_input_that_varies_gets_the_size_asked_for(path: Path, engine: str, name: str) -> None:
    outputs, _, type = LAYOUTS[name]
    network = constant(path, outputs, ("batch", 3, "height", "width"), type)
    close(detector.load(network, Detection(threshold=0.65, size=SIZE))(photo()), [TWO, ONE])


@pytest.mark.parametrize("name", ["TensorFlow", "torchvision"])
def test_a_photo_keeps_its_shape_where_the_input_may_have_any(path: Path, engine: str, name: str) -> None:
    outputs, shape, type = LAYOUTS[name]
    shape = tuple("side" if side in SIZE else side for side in shape)
    if name == "torchvision":
        scale = 64 / 61
        # 61 x 83 within 64 x 96 becomes 64 x 87, and 83 columns 87.
        factors = [87 / 83 / (96 / 83), 1.0] * 2
        outputs = {**outputs, "boxes": outputs["boxes"] * factors}
        assert round(83 * scale) == 87
    network = constant(path, outputs, shape, type)
    close(detector.load(network, Detection(threshold=0.65, size=SIZE))(photo()), [TWO, ONE])


@pytest.mark.parametrize("photo_size", [(61, 83), (83, 61), (367, 499), (17, 103), (1, 1), (1, 997)])
@pytest.mark.parametrize("name", LAYOUTS)
def test_any_photo_gives_boxes_within_it(path: Path, name: str, photo_size: tuple[int, int]) -> None:
    outputs, shape, type = LAYOUTS[name]
    boxes = detector.load(constant(path, outputs, shape, type), Detection(threshold=0.01))(photo(*photo_size))
    for box in boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= photo_size[1] + 1e-9
        assert box.y + box.h <= photo_size[0] + 1e-9
        assert min(box.w, box.h) >= 1


# ---- what the network is shown -----------------------------------------------------------------------------------


def marked(rows: int, columns: int, box: Box, colour: tuple[int, int, int]) -> Image:
    """A dark photo with one rectangle in it."""
    image = np.full((rows, columns, 3), 7, dtype=np.uint8)
    image[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)] = colour
    return image


def near(boxes: list[Box], expected: Box, across: float, down: float) -> None:
    """One box, whose edges are where a network can say that they are which knows whole pixels of its input only.

    across, down: such a pixel, in those of the photo.
    """
    (box,) = boxes
    assert (box.x, box.x + box.w) == pytest.approx((expected.x, expected.x + expected.w), abs=0.6 * across)
    assert (box.y, box.y + box.h) == pytest.approx((expected.y, expected.y + expected.h), abs=0.6 * down)


MARK = Box(101, 59, 151, 73)
RED, BLUE = (255, 7, 7), (7, 7, 255)


@pytest.mark.parametrize(("rows", "columns"), [(211, 307), (307, 283)])
def test_red_is_found_where_it_is_by_a_network_of_red_green_blue_up_to_one(
    path: Path, engine: str, rows: int, columns: int
) -> None:
    find = detector.load(finder(path, (1, 3, 64, 96), FLOAT, 0, 1.0, "corners"))
    pixel = max(rows / 64, columns / 96)  # of the input, in those of the photo
    near(find(marked(rows, columns, MARK, RED)), MARK, pixel, pixel)
    assert find(marked(rows, columns, MARK, BLUE)) == []


@pytest.mark.parametrize(("rows", "columns"), [(211, 307), (307, 283)])
def test_red_is_found_where_it_is_by_a_network_of_bytes(path: Path, engine: str, rows: int, columns: int) -> None:
    find = detector.load(finder(path, (1, 64, 96, 3), UINT8, 0, 255.0, "tensorflow"))
    near(find(marked(rows, columns, MARK, RED)), MARK, columns / 96, rows / 64)
    assert find(marked(rows, columns, MARK, BLUE)) == []


class Recorder:
    """An engine that remembers what it was shown, and says what it is to say."""

    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self.outputs, self.shown = outputs, np.empty(0)

    def __call__(self, array: np.ndarray) -> dict[str, np.ndarray]:
        self.shown = array
        return self.outputs


def shown(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, image: Image) -> np.ndarray:
    """The array that the network of a layout gets of a picture."""
    outputs, shape, type = LAYOUTS[name]
    recorder = Recorder(outputs)
    monkeypatch.setattr(detector_engine, "load", lambda *arguments: recorder)
    detector.load(constant(path, outputs, shape, type))(image)
    return recorder.shown


PLAIN = np.full((101, 101, 3), (200, 100, 50), dtype=np.uint8)  # 64 x 64 of the input's 64 x 96


@pytest.mark.parametrize(
    ("name", "colours", "columns"),
    [
        ("YOLOX", (50, 100, 200), (0, 64)),
        ("YOLOX decoded", (50, 100, 200), (0, 64)),
        ("YOLOv5", (200 / 255, 100 / 255, 50 / 255), (16, 80)),
        ("YOLOv8", (200 / 255, 100 / 255, 50 / 255), (16, 80)),
        ("YOLOv8 in half precision", (200 / 255, 100 / 255, 50 / 255), (16, 80)),
        ("end-to-end", (200 / 255, 100 / 255, 50 / 255), (16, 80)),
        ("TensorFlow", (200, 100, 50), (0, 96)),
        ("torchvision", (200 / 255, 100 / 255, 50 / 255), (0, 96)),
        ("SSD", (200 / 255, 100 / 255, 50 / 255), (0, 96)),
    ],
)
def test_each_network_gets_the_colours_and_the_place_that_it_was_trained_with(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    colours: tuple[float, float, float],
    columns: tuple[int, int],
) -> None:
    array = shown(path, monkeypatch, name, PLAIN)
    assert array.dtype == {UINT8: np.uint8, FLOAT: np.float32, FLOAT16: np.float16}[LAYOUTS[name][2]]
    assert array.shape == LAYOUTS[name][1]
    array = array if array.shape[-1] == 3 else np.moveaxis(array, -3, -1)
    array = array.reshape(64, 96, 3).astype(float)
    grey = 114 * (1 if max(colours) > 1 else 1 / 255)
    first, end = columns
    inner = slice(first + 3 * (first > 0), end - 3 * (end < 96))  # at the edge the photo and the grey are mixed
    np.testing.assert_allclose(array[:, inner][2:-2], np.broadcast_to(colours, array[:, inner][2:-2].shape), atol=1e-3)
    for beside in (array[:, : max(0, first - 3)], array[:, end + 3 :]):
        np.testing.assert_allclose(beside, np.full_like(beside, grey), atol=1e-3)


# ---- who is chosen -----------------------------------------------------------------------------------------------


def pairs(*found: tuple[Box, float]) -> np.ndarray:
    rows = np.zeros((1, len(found), 6))
    for row, (box, score) in enumerate(found):
        rows[0, row] = *middle(box), score, 0
    return rows


def test_of_boxes_that_overlap_much_only_the_surest_is_kept(path: Path) -> None:
    # 20 x 30, moved by 5: 15 of 25 columns are shared, 0.6; moved by 4: 16 of 24, 0.667.
    near, nearer = Box(25, 11, 20, 30), Box(24, 11, 20, 30)
    first = Box(20, 11, 20, 30)
    network = constant(path, {"output0": pairs((nearer, 0.5), (first, 0.9), (near, 0.7))}, PLANAR)
    close(detector.load(network, Detection(overlap=0.61))(photo()), [first, near])
    close(detector.load(network, Detection(overlap=0.59))(photo()), [first])
    close(detector.load(network, Detection(overlap=0.99))(photo()), [first, near, nearer])


def test_who_is_not_sure_enough_is_left_out(path: Path) -> None:
    network = constant(path, {"output0": pairs((ONE, 0.31), (TWO, 0.29))}, PLANAR)
    close(detector.load(network, Detection(threshold=0.3))(photo()), [ONE])
    assert detector.load(network, Detection(threshold=0.4))(photo()) == []


def test_only_so_many_people_are_given_as_are_asked_for(path: Path) -> None:
    network = constant(path, {"output0": pairs((ONE, 0.7), (TWO, 0.9), (THREE, 0.8))}, PLANAR)
    close(detector.load(network, Detection(people=2))(photo()), [TWO, THREE])


def test_a_box_is_cut_at_the_photos_border_and_one_beside_it_is_none(path: Path) -> None:
    over, beside = Box(-7, 41, 23, 31), Box(85, 3, 5, 7)
    network = constant(path, {"output0": pairs((over, 0.7), (beside, 0.9))}, PLANAR)
    close(detector.load(network)(photo()), [Box(0, 41, 16, 20)])


def test_numbers_that_are_not_finite_are_nobody(path: Path) -> None:
    rows = pairs((ONE, 0.7), (TWO, 0.9), (THREE, 0.8))
    rows[0, 1, 2], rows[0, 2, 4] = np.inf, np.nan
    close(detector.load(constant(path, {"output0": rows}, PLANAR))(photo()), [ONE])


def test_only_as_many_rows_count_as_the_network_says(path: Path) -> None:
    boxes, scores, classes = (array[None] for array in lists(y_first=True))
    outputs = {"boxes": boxes, "scores": scores, "classes": classes, "num": np.array([1.0])}
    close(detector.load(constant(path, outputs, LAST, UINT8), SEEN)(photo()), [ONE])


def test_the_class_of_people_may_be_given(path: Path) -> None:
    network = constant(path, {"output0": yolo8()}, PLANAR)
    close(detector.load(network, Detection(person=1))(photo()), [THREE])


@pytest.mark.parametrize("word", ["person", "Person", "pedestrian"])
def test_the_class_of_people_is_the_one_that_the_file_notes(path: Path, word: str) -> None:
    network = constant(
        path, {"output0": yolo8()}, PLANAR, notes={"names": f"{{0: 'dog', 1: '{word}'}}", "stride": "32"}
    )
    close(detector.load(network)(photo()), [THREE])


def test_a_network_that_notes_no_class_of_people_is_refused(path: Path) -> None:
    network = constant(path, {"output0": yolo8()}, PLANAR, notes={"names": "{0: 'dog', 1: 'cat'}"})
    with pytest.raises(NotAvailable, match=r"people\.onnx finds no people; its classes are dog, cat"):
        detector.load(network)


@pytest.mark.parametrize("note", ["", "dog, cat", "[1, 2", "7", "{'a': 1}", "(" * 500, "{0: 'person'"])
def test_notes_that_are_not_classes_do_not_count(path: Path, note: str) -> None:
    network = constant(path, {"output0": yolo8()}, PLANAR, notes={"names": note, "b": "c"})
    close(detector.load(network, SEEN)(photo()), [TWO, ONE])


# ---- what is refused ---------------------------------------------------------------------------------------------


def test_a_class_that_the_network_does_not_have_is_refused(path: Path) -> None:
    for name in ("YOLOX", "YOLOv5", "YOLOv8"):
        outputs, shape, type = LAYOUTS[name]
        with pytest.raises(NotAvailable, match="it has 7 classes, none of which has the number 7"):
            detector.load(constant(path, outputs, shape, type), Detection(person=7))


def test_a_missing_file_or_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"There is no file .*people\.onnx"):
        detector.load(tmp_path / "people.onnx")
    with pytest.raises(NotAvailable, match="cannot be read"):
        detector.load(tmp_path)
    with pytest.raises(NotAvailable, match="cannot be read"):
        detector.load("a\0b.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\0" * 1000, b"\xff" * 1000, b"PK\x03\x04", b"\x3a\x00"]
)
def test_another_file_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(NotAvailable, match=r"people\.onnx is not an ONNX file, or was cut short") as raised:
        detector.load(path)
    assert raised.value.exit_code == 5


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_told(path: Path, share: float) -> None:
    constant(path, {"output0": yolo8()}, PLANAR)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(NotAvailable, match="is not an ONNX file, or was cut short"):
        detector.load(path)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({"out": np.zeros((1, 1000))}, r"the output out \(1, 1000\)"),
        ({"out": np.zeros((1, 100, 85))}, r"the output out \(1, 100, 85\)"),
        ({"out": np.zeros((1, CELLS, 5))}, rf"the output out \(1, {CELLS}, 5\)"),
        ({"out": np.zeros((2, 4 + CLASSES, CELLS))}, r"the output out \(2, "),
        ({"out": np.zeros((1, 16, 64, 96))}, r"the output out \(1, 16, 64, 96\)"),
        ({"a": yolo8(), "b": np.zeros((1, 32, 16, 24))}, rf"the outputs a \(1, 11, {CELLS}\), b \(1, 32, 16, 24\)"),
        ({"boxes": np.zeros((1, 7, 4)), "scores": np.zeros((1, 7, 3))}, "the outputs boxes"),
        ({"boxes": np.zeros((7, 4)), "scores": np.zeros(5), "labels": np.zeros(7)}, "the outputs boxes"),
        ({"a": np.zeros((7, 4)), "b": np.zeros(7), "c": np.zeros(7)}, "the outputs a"),
        ({"boxes": np.zeros((7, 4)), "scores": np.zeros(7), "scores2": np.zeros(7)}, "the outputs boxes"),
    ],
)
def test_what_is_no_detector_is_told_with_its_outputs(path: Path, outputs: dict[str, np.ndarray], found: str) -> None:
    with pytest.raises(NotAvailable, match=f"is no detector that posehg understands: it has {found}"):
        detector.load(constant(path, outputs, PLANAR))


@pytest.mark.parametrize(
    ("shape", "type", "found"),
    [
        ((1, 1, 64, 96), FLOAT, r"images \(1 x 1 x 64 x 96\); a picture has three colours"),
        ((2, 3, 64, 96), FLOAT, r"images \(2 x 3 x 64 x 96\); a detector's input is one picture"),
        ((64, 96), FLOAT, r"images \(64 x 96\); a detector's input is one picture"),
        ((1, 3, "rows", 96), detector_files.INT64, r"images \(1 x 3 x \? x 96\); a detector's input is one picture"),
    ],
)
def test_an_input_that_is_no_picture_is_told(path: Path, shape: tuple[int | str, ...], type: int, found: str) -> None:
    with pytest.raises(NotAvailable, match=f"it has the input {found}"):
        detector.load(constant(path, {"output0": yolo8()}, shape, type))


def test_a_network_of_two_inputs_is_told(path: Path) -> None:
    other = helper.make_tensor_value_info("image_shape", FLOAT, (1, 2))
    network = constant(path, {"output0": yolo8()}, PLANAR, others=[other])
    with pytest.raises(NotAvailable, match=r"the inputs images \(1 x 3 x 64 x 96\), image_shape \(1 x 2\)"):
        detector.load(network)


def test_another_size_than_the_networks_own_is_refused(path: Path) -> None:
    network = constant(path, {"output0": yolo8()}, PLANAR)
    with pytest.raises(UsageError, match="takes pictures of 96 x 64 pixels only"):
        detector.load(network, Detection(size=(96, 64)))
    close(detector.load(network, Detection(threshold=0.65, size=SIZE))(photo()), [TWO, ONE])


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.5}, {"threshold": math.nan}, {"overlap": -0.1}, {"size": (640, 0)}, {"size": (64, 100)}]
)
def test_options_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Detection(**wrong)


def test_a_network_that_cannot_be_run_is_told(path: Path, engine: str) -> None:
    unknown = helper.make_node("Celu", ["images"], ["output0"], alpha=0.0)
    shapes = helper.make_node("MatMul", ["images", "weights"], ["output0"])
    for node in (unknown, shapes):
        weights = {"weights": np.zeros((7, 11), np.float32)} if node is shapes else {}
        network = detector_files.save(path, [node], weights, {"output0": (FLOAT, ("a", "b", "c", "d"))}, PLANAR)
        with pytest.raises(NotAvailable) as raised:
            detector.load(network)
        assert "people.onnx" in str(raised.value)
        assert raised.value.hint


def test_a_network_that_says_something_else_of_another_picture_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder({"output0": end_to_end(scaled=False)})
    monkeypatch.setattr(detector_engine, "load", lambda *arguments: recorder)
    find = detector.load(constant(path, recorder.outputs, PLANAR))
    recorder.outputs = {"output0": np.zeros((1, 11, 7))}
    with pytest.raises(NotAvailable, match=r"it has the output output0 \(1, 11, 7\)"):
        find(photo())


def test_a_name_of_any_bytes_is_opened(tmp_path: Path, engine: str) -> None:
    path = tmp_path / os.fsdecode("Люди \xff.onnx".encode("latin-1", "ignore") + b"\xfe")
    constant(path, {"output0": yolo8()}, PLANAR)
    assert isinstance(detector.load(path), Detector)


# ---- the file's own structure ------------------------------------------------------------------------------------


def test_a_file_is_told_by_its_inputs_and_outputs_without_its_weights(path: Path) -> None:
    weights = helper.make_tensor_value_info("zero", FLOAT, (1,))  # as files of older versions list them
    network = constant(
        path, {"a": np.zeros((1, 7, 6)), "b": np.zeros(3, np.int64)}, ("batch", 3, 64, "w"), UINT8, others=[weights]
    )
    graph = detector_graph.read(network.read_bytes())
    assert [(tensor.name, tensor.type, tensor.shape) for tensor in graph.inputs] == [
        ("images", UINT8, (None, 3, 64, None))
    ]
    assert [(tensor.name, tensor.shape, tensor.is_integer) for tensor in graph.outputs] == [
        ("a", (1, 7, 6), False),
        ("b", (3,), True),
    ]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    content = bytearray(constant(path, {"output0": np.zeros((1, 5, 6))}, PLANAR, notes={"names": "{}"}).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        graph = detector_graph.read(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except ValueError:
        return
    assert graph.inputs
    assert graph.outputs


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert detector_graph.read(content).inputs
