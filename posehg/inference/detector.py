"""People found by a detector network from an ONNX file, which posehg does not come with.

What the network is, is told by the shapes and names of its inputs and outputs. N boxes, C classes, cells: those of the
grids of strides 8, 16 and 32 on the input; of YOLOv5 and v8 also of 64.

    network              outputs                                                   the picture on its input
    YOLOX                (1, cells, 5 + C), decoded or not                         scaled, top left    BGR, 0..255
    YOLOv5, v7           (1, 3 cells, 5 + C), decoded                              scaled, middle      RGB, 0..1
    YOLOv8, v9, 11       (1, 4 + C, cells) or (1, cells, 84)                       scaled, middle      RGB, 0..1
    YOLOv10, end-to-end  (1, N, 6): corners, score, class                          scaled, middle      RGB, 0..1
    TensorFlow           boxes (1, N, 4) as y, x, y, x; scores, classes (1, N)     stretched           RGB, 0..255
    torchvision, SSD     boxes (N, 4) or (1, N, 4) as x, y, x, y; scores, classes  stretched           RGB, 0..1

An input is (1, 3, rows, columns), (3, rows, columns) or (1, rows, columns, 3). What is beside a scaled picture is grey
(114). TensorFlow's networks are known by an input with the colours last, or by outputs called detection_..; a fourth
output with the count of boxes may be there. Boxes of the last three may be pixels of the input or shares of its sides.
An undecoded YOLOX is known by its places: all are small. A network of the last two rows whose input's size varies gets
the picture in its own shape, scaled to ``size``. An input of bytes is 0..255 whatever the network.

People are class 0 (of COCO's 80), of the last two 1 (0 is the background), or where the file says that person is: YOLOs
of Ultralytics note the names of their classes.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import images
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference import detector_engine, detector_graph
from posehg.inference.detector_engine import Array, Engine
from posehg.inference.detector_graph import FLOAT, FLOAT16, UINT8, Graph, Tensor
from posehg.inference.detector_layouts import Layout, Outputs, Size, recognise

_GREY = 114
_SIDE = 640
"""Of an input whose size varies: what most detectors were trained with."""

_TYPES = {FLOAT: np.float32, UINT8: np.uint8, FLOAT16: np.float16}
_UNDERSTOOD = "posehg understands YOLOX, YOLOv5 to 11, and SSD, TensorFlow or torchvision with boxes, scores, classes."


@dataclass(frozen=True)
class Detection:
    """How people are chosen from what the network says.

    threshold: the least score of somebody, 0 .. 1.
    overlap: of two boxes that overlap more (intersection over union) only the surer one is kept.
    size: rows and columns of the input, for a network that leaves them open; None for 640 x 640.
    person: the number of the class of people; None for the usual one, see above.
    people: at most so many.
    """

    threshold: float = 0.4
    overlap: float = 0.6
    size: Size | None = None
    person: int | None = None
    people: int = 300

    def __post_init__(self) -> None:
        if not (0 <= self.threshold <= 1 and 0 <= self.overlap <= 1):
            raise UsageError(f"Threshold and overlap are 0 to 1, not {self.threshold} and {self.overlap}.")
        if self.size is not None and any(side < 32 or side % 32 for side in self.size):
            raise UsageError(f"The sides of a detector's input are multiples of 32, not {self.size}.")


@dataclass(frozen=True)
class _Input:
    """size: rows and columns, fixed by the file or not. channels_last, batch: what its array is like."""

    name: str
    type: Any
    size: Size
    fixed: bool
    channels_last: bool
    batch: bool

    def array(self, image: Image, bgr: bool = False, range: float = 1) -> Array:
        """A picture of the input's size, RGB, as the network takes it. bgr, range: as in Layout."""
        image = image[..., ::-1] if bgr else image
        array: Array = image if self.type is np.uint8 else (image * np.float32(range / 255)).astype(self.type)
        array = array if self.channels_last else array.transpose(2, 0, 1)
        return np.ascontiguousarray(array[None] if self.batch else array)


class Detector:
    """Called with a picture it gives the people's boxes on it, the surest first, in photo pixels, within the photo."""

    def __init__(self, name: str, engine: Engine, input: _Input, layout: Layout, options: Detection) -> None:
        self._name, self._engine, self._input, self._layout, self._options = name, engine, input, layout, options

    def __call__(self, image: Image) -> list[Box]:
        """image: RGB uint8 (H, W, 3). Raises NotAvailable where the network cannot be run on it."""
        size = self._size(image)
        to_input = _fit(image.shape[:2], size, self._layout)
        shown = images.warp(image, to_input, size, fill=_GREY)
        outputs = self._engine(self._input.array(shown, self._layout.bgr, self._layout.range))
        try:
            candidates = self._layout.candidates(outputs, size)
        except (ValueError, IndexError):
            raise _not_understood(self._name, _shapes(outputs)) from None
        return _people(candidates, to_input, image.shape[:2], self._options)

    def _size(self, image: Image) -> Size:
        if self._input.fixed or self._layout.fit != "stretch":
            return self._input.size
        rows, columns = image.shape[:2]
        scale = min(self._input.size[0] / rows, self._input.size[1] / columns)
        return max(1, round(rows * scale)), max(1, round(columns * scale))


def load(path: str | Path, options: Detection = Detection()) -> Detector:
    """The detector in an ONNX file. Raises NotAvailable for what cannot be read, run or understood."""
    path, name = Path(path), str(path)
    content = _content(path)
    try:
        graph = detector_graph.read(content)
    except ValueError as error:
        hint = "Export the network to ONNX, or copy the file again."
        raise NotAvailable(f"{name} is not an ONNX file, or was cut short ({error}).", hint) from None
    input = _input(name, graph, options)
    person = _person(name, graph, options)
    engine = detector_engine.load(content, name, input.name, [tensor.name for tensor in graph.outputs])
    blank = np.full((*input.size, 3), _GREY, dtype=np.uint8)
    outputs = engine(input.array(blank))
    try:
        layout = recognise(outputs, graph.outputs, input.size, input.channels_last, person)
    except ValueError as error:
        raise _not_understood(name, _shapes(outputs), str(error)) from None
    return Detector(name, engine, input, layout, options)


# ---- the file ----------------------------------------------------------------------------------------------------


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotAvailable(
            f"There is no file {path}.", "posehg comes without a detector; give an .onnx file."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotAvailable(f"{path} cannot be read: {reason}.") from None


def _input(name: str, graph: Graph, options: Detection) -> _Input:
    """Raises NotAvailable where it is none for a single picture."""
    told = ", ".join(map(str, graph.inputs))
    if len(graph.inputs) > 1:
        raise _not_understood(name, f"the inputs {told}", "a detector has one input, the picture")
    (tensor,) = graph.inputs
    shape = tensor.shape
    if tensor.type not in _TYPES or len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] not in (None, 1)):
        raise _not_understood(name, f"the input {told}", "a detector's input is one picture")
    picture = shape[-3:]
    if 3 not in (picture[0], picture[2]) and None not in (picture[0], picture[2]):
        raise _not_understood(name, f"the input {told}", "a picture has three colours")
    channels_last = _channels_last(tensor)
    sides = picture[:2] if channels_last else picture[1:]
    given = options.size or (_SIDE, _SIDE)
    size = sides[0] or given[0], sides[1] or given[1]
    fixed = None not in sides
    if fixed and options.size not in (None, size):
        hint = "Leave the size out: this network has one of its own."
        raise UsageError(f"{name} takes pictures of {size[1]} x {size[0]} pixels only.", hint)
    return _Input(tensor.name, _TYPES[tensor.type], size, fixed, channels_last, len(shape) == 4)


def _channels_last(tensor: Tensor) -> bool:
    """Where no side says it: networks that take bytes are TensorFlow's, which has the colours last."""
    first, _, last = tensor.shape[-3:]
    if 3 in (first, last):
        return first != 3
    return tensor.type == UINT8


def _person(name: str, graph: Graph, options: Detection) -> int | None:
    """The class of people: as asked for or as the file notes it; None for the network's usual one."""
    if options.person is not None or "names" not in graph.notes:
        return options.person
    try:
        names = ast.literal_eval(graph.notes["names"])
        classes = {int(number): str(word) for number, word in dict(names).items()}
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    people = [number for number, word in classes.items() if word.lower() in ("person", "people", "human", "pedestrian")]
    if not people:
        some = ", ".join(list(classes.values())[:5])
        raise NotAvailable(f"{name} finds no people; its classes are {some}.", "Give a detector of people.")
    return people[0]


def _shapes(outputs: Outputs) -> str:
    told = ", ".join(f"{name} {tuple(array.shape)}" for name, array in outputs.items())
    return f"the outputs {told}" if len(outputs) > 1 else f"the output {told}"


def _not_understood(name: str, found: str, why: str = "") -> NotAvailable:
    return NotAvailable(
        f"{name} is no detector that posehg understands: it has {found}{'; ' * bool(why)}{why}.", _UNDERSTOOD
    )


# ---- geometry ----------------------------------------------------------------------------------------------------


def _fit(photo: Sequence[int], size: Size, layout: Layout) -> Affine:
    """From the photo, of rows and columns ``photo``, to the input."""
    across, down = size[1] / photo[1], size[0] / photo[0]
    if layout.fit != "stretch":
        across = down = min(across, down)
    left = (size[1] - photo[1] * across) / 2 if layout.fit == "middle" else 0.0
    top = (size[0] - photo[0] * down) / 2 if layout.fit == "middle" else 0.0
    # Edges of pixels fall on edges: their centres are half a pixel further.
    return Affine([[across, 0, left + (across - 1) / 2], [0, down, top + (down - 1) / 2], [0, 0, 1.0]])


def _people(candidates: NDArray[np.float64], to_input: Affine, photo: Sequence[int], options: Detection) -> list[Box]:
    """The boxes of people in the photo, the surest first and none twice. candidates: (N, 5), see detector_layouts."""
    with np.errstate(invalid="ignore"):
        sure = np.isfinite(candidates).all(axis=1) & (candidates[:, 4] >= options.threshold)
    candidates = candidates[sure]
    candidates = candidates[np.argsort(-candidates[:, 4], kind="stable")]
    corners = to_input.inverse()(candidates[:, :4].reshape(-1, 2, 2) - 0.5) + 0.5  # edges are half a pixel off centres
    corners = np.clip(corners, 0, (photo[1], photo[0]))
    boxes = [Box(x0, y0, x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in corners.tolist()]
    kept: list[Box] = []
    for box in boxes:
        if box.w >= 1 and box.h >= 1 and all(box.iou(other) <= options.overlap for other in kept):
            kept.append(box)
            if len(kept) == options.people:
                break
    return kept
