"""People in an image in one look: the boxes of an hourglass network that was trained with ``--task detect``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from posehg import centers, images
from posehg.checkpoints import Note
from posehg.config import STRIDE
from posehg.errors import NotAvailable
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference.engines import Engine, EngineOptions, as_array, open_engine

LOWEST = 0.2
"""The lowest score of a detection, unless another is asked for. The poses decide which of them are people."""
OVERLAP = 0.6
"""Of two boxes with a larger IoU only the one with the higher score is kept."""


class PersonBox(NamedTuple):
    """A person's bounding box in image pixels, clipped to the image, and its score, 0 .. 1."""

    box: Box
    score: float


Detect = Callable[[Image], Sequence[PersonBox]]
"""Finds everyone in an image, RGB uint8 (H, W, 3), the highest score first."""


class Detector:
    """Called with an image, it returns everyone on it, the highest score first. threshold: the lowest score."""

    def __init__(self, engine: Engine, threshold: float = LOWEST) -> None:
        self.engine, self.threshold = engine, threshold

    def __call__(self, image: Image) -> list[PersonBox]:
        """image: RGB uint8 (H, W, 3)."""
        height, width = image.shape[:2]
        frame, size = Box(0, 0, width, height), self.engine.config.input_size
        to_input = Affine.crop(frame, size)
        output = as_array(self.engine(images.warp(image, to_input, size, fill=centers.FILL)[None]))[0]
        to_image = to_input.then(Affine.shrink(STRIDE)).inverse()
        found: list[PersonBox] = []
        for *middle, w, h, score in centers.decode(output, self.threshold).tolist():
            x, y = to_image(middle).tolist()
            box = Box.around((x, y), w * to_image.scale, h * to_image.scale).clipped(frame)
            if box is not None and all(box.iou(other.box) <= OVERLAP for other in found):
                found.append(PersonBox(box, score))
        return found


def open_detector(place: Path, options: EngineOptions, note: Note | None = None) -> Detect:
    """The detector in a folder or file: one of posehg, or of the families in ``yolo``.

    Raises NotAvailable for a file that is missing, damaged or no detector, and what ``open_engine`` raises.
    """
    from posehg.inference import yolo  # which imports onnxruntime's engine

    if place.suffix.lower() == ".onnx" and not yolo.is_ours(place):
        return yolo.Yolo(place)
    engine = open_engine(place, options, note)
    if engine.config.output != "boxes":
        raise NotAvailable(f"{place} is a network of poses, not a detector.", "Leave out --detector for ours.")
    return Detector(engine)
