"""Person boxes from another project's detector, an ONNX file that the user provides, run by onnxruntime on the CPU.

The shape of the output tells the layout. C: classes; cells: those of the grids of strides 8, 16 and 32 (YOLOv8: also
64) on the input.

    network                    output                                     image on the input
    YOLOX                      (1, cells, 5 + C), decoded or not          scaled, top left, BGR, 0 .. 255
    YOLOv8, 9, 11, 12          (1, 4 + C, cells) or (1, cells, 84)        scaled, centred, RGB, 0 .. 1
    YOLOv10, 26, end-to-end    (1, N, 6): corners, score, class           scaled, centred, RGB, 0 .. 1

The input is float32 or float16, (1, 3, rows, columns). A scaled image is padded with grey (114). People are class 0, as
in COCO, or the class that the file's metadata names: Ultralytics' exports contain their class names.
"""

import ast
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posehg import images
from posehg.config import KEY
from posehg.errors import NotAvailable, reason
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference.detector import OVERLAP, PersonBox
from posehg.inference.engines import EngineOptions, onnxruntime

Array = NDArray[Any]
Layout = Literal["yolox", "yolox-raw", "yolov8", "yolov8-rows", "end-to-end"]
"""yolox-raw is not decoded: its places are shares of a cell, its sides logarithms. yolov8-rows: (1, cells, 84)."""

_THRESHOLD = 0.4  # the lowest score, 0 .. 1
_MOST = 300  # people on one image
_SIZE = (640, 640)  # rows and columns of the input, if the network allows any
_GREY = 114
_STRIDES = (8, 16, 32)
_SUPPORTED = "posehg supports YOLOX, and YOLOv8 and its successors; for other detectors give their boxes by --boxes."


def is_ours(path: Path) -> bool:
    """Whether posehg exported an ONNX file. Raises NotAvailable for a file that onnxruntime cannot load."""
    return (
        path.is_file() and KEY in onnxruntime.session(path, EngineOptions("cpu"))[0].get_modelmeta().custom_metadata_map
    )


class Yolo:
    """Called with an image, it returns everyone on it, the highest score first."""

    def __init__(self, path: Path) -> None:
        """Raises NotAvailable for a file that cannot be read, run or understood, and without onnxruntime."""
        self.path = path
        if not path.is_file():
            raise NotAvailable(f"There is no file {path}.", "Without --detector posehg uses its own.")
        self._session, _ = onnxruntime.session(path, EngineOptions("cpu"))
        inputs = self._session.get_inputs()
        shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
        is_image = len(inputs) == 1 and len(shape) == 4 and shape[0] in (1, None) and shape[1] in (3, None)
        if not is_image or inputs[0].type not in ("tensor(float)", "tensor(float16)"):
            raise self._unsupported("inputs", [f"{one.name} {one.shape} {one.type}" for one in inputs])
        self._input, self.size = inputs[0], (shape[2] or _SIZE[0], shape[3] or _SIZE[1])
        self.person = self._person_class()
        self.layout = self._layout_of(self._run(np.full((*self.size, 3), _GREY, dtype=np.uint8), bgr=False))

    def __call__(self, image: Image) -> list[PersonBox]:
        """image: RGB uint8 (H, W, 3). Raises NotAvailable if the network fails on it."""
        height, width = image.shape[:2]
        is_yolox = self.layout.startswith("yolox")
        frame = Box(0, 0, width, height)
        to_input = Affine.crop(frame, self.size)
        if is_yolox:  # at the top left instead of centred
            to_input = to_input.then(Affine.translation(*(-0.5 - to_input(frame.corners()[0]))))
        output = self._run(images.warp(image, to_input, self.size, fill=_GREY), bgr=is_yolox)
        rows = self._candidates(output)
        with np.errstate(invalid="ignore"):
            rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 4] >= _THRESHOLD)]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        corners = np.clip(to_input.inverse()(rows[:, :4].reshape(-1, 2, 2) - 0.5) + 0.5, 0, (width, height))
        found: list[PersonBox] = []  # without duplicates (non-maximum suppression)
        for ((x0, y0), (x1, y1)), score in zip(corners.tolist(), rows[:, 4].tolist(), strict=True):
            box = Box(x0, y0, x1 - x0, y1 - y0)
            if len(found) < _MOST and min(box.w, box.h) >= 1 and all(box.iou(one.box) <= OVERLAP for one in found):
                found.append(PersonBox(box, score))
        return found

    def _run(self, scaled: Image, bgr: bool) -> Array:
        """The output for an image of the input's size, without its batch axis."""
        array = (scaled[..., ::-1] if bgr else scaled).astype(np.float32) * np.float32(1 if bgr else 1 / 255)
        dtype = np.float16 if "float16" in self._input.type else np.float32
        array = np.ascontiguousarray(array.transpose(2, 0, 1)[None], dtype=dtype)
        try:
            outputs = self._session.run(None, {self._input.name: array})
        except Exception as error:  # onnxruntime's errors have no other class in common
            raise NotAvailable(f"{self.path} cannot be run ({reason(error)}).", "Export the network again.") from None
        if len(outputs) != 1 or outputs[0].ndim != 3 or len(outputs[0]) != 1:
            raise self._unsupported("outputs", [output.shape for output in outputs])
        output: Array = outputs[0][0].astype(np.float64)
        return output

    def _person_class(self) -> int:
        """The index of the class of people: as the file's metadata names it, else 0."""
        names = self._session.get_modelmeta().custom_metadata_map.get("names", "")
        try:
            classes = {int(number): str(name) for number, name in dict(ast.literal_eval(names)).items()}
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return 0
        for number, name in classes.items():
            if name.lower() in ("person", "people", "human", "pedestrian"):
                return number
        some = ", ".join(list(classes.values())[:5])
        raise NotAvailable(f"{self.path} detects no people; its classes are {some}.", "Give a detector of people.")

    def _layout_of(self, rows: Array) -> Layout:
        """The layout of an output without its batch axis."""
        count, values = rows.shape
        cells = [(self.size[0] // stride) * (self.size[1] // stride) for stride in (*_STRIDES, 64)]
        layout: Layout
        if count == sum(cells[:3]) and values == 84:  # 4 + COCO's 80 classes
            layout, classes = "yolov8-rows", values - 4
        elif count == sum(cells[:3]) and values > 5:
            # All places of an undecoded output are small.
            layout, classes = "yolox-raw" if np.nanmax(rows[:, 0]) < self.size[1] / 2 else "yolox", values - 5
        elif values in (sum(cells[:3]), sum(cells)) and count > 4:
            layout, classes = "yolov8", count - 4
        elif values == 6:
            return "end-to-end"
        else:
            raise self._unsupported("output", rows.shape)
        if self.person >= classes:
            raise self._unsupported(f"{classes} classes, but no class", self.person)
        return layout

    def _candidates(self, output: Array) -> NDArray[np.float64]:
        """(N, 5): left, top, right and bottom edge in input pixels, and the score of a person; perhaps not finite."""
        if self.layout == "end-to-end":
            return output[np.rint(output[:, 5]) == self.person][:, :5]
        rows = output.T if self.layout == "yolov8" else output
        centers, sides = rows[:, :2], rows[:, 2:4]
        is_yolox = self.layout.startswith("yolox")
        scores = rows[:, 4] * rows[:, 5 + self.person] if is_yolox else rows[:, 4 + self.person]
        if self.layout == "yolox-raw":
            grids = [np.mgrid[: self.size[0] // s, : self.size[1] // s].reshape(2, -1).T for s in _STRIDES]
            strides = np.repeat(_STRIDES, [len(grid) for grid in grids])[:, None]
            centers = (centers + np.concatenate(grids)[:, ::-1]) * strides
            with np.errstate(over="ignore"):
                sides = np.exp(sides) * strides
        return np.concatenate((centers - sides / 2, centers + sides / 2, scores[:, None]), axis=1)

    def _unsupported(self, what: str, found: object) -> NotAvailable:
        return NotAvailable(f"{self.path} is not a supported detector: it has the {what} {found}.", _SUPPORTED)
