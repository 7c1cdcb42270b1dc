"""posehg as a library: a model that is called with images and returns poses.

    model = posehg.load()
    poses = model("photo.jpg")            # the most prominent person; [] if nobody is found
    x, y = poses[0]["left_wrist"]         # pixels of the upright image; pixel centres are integers
    image = posehg.draw("photo.jpg", poses)

An image is a file's path, a Pillow image of any mode, or a numpy array of uint8: RGB (H, W, 3), gray (H, W) or RGBA
(H, W, 4). EXIF orientation is applied, and transparency is laid on white. Of an animation or a TIFF of several pages it
is the first. (OpenCV uses BGR: give ``image[..., ::-1]``.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from posehg import checkpoints, drawing, images
from posehg.errors import InputError
from posehg.geometry import Box
from posehg.heatmaps import Decoder
from posehg.images import Image
from posehg.inference.detector import Detect, open_detector
from posehg.inference.engines import EngineOptions, Library, Precision, open_engine
from posehg.inference.estimator import Estimator
from posehg.inference.person_search import People, find, needs_detector
from posehg.poses import THRESHOLD, Heatmaps, Pose
from posehg.skeletons import Skeleton

ImageLike = str | os.PathLike[str] | PillowImage.Image | NDArray[np.uint8]
"""Everything that is accepted as an image."""

BoxLike = Box | Sequence[float] | NDArray[np.generic]
"""A Box, or x, y, width and height in image pixels."""


def load(
    model: str | os.PathLike[str] = "bundled",
    *,
    device: str = "auto",
    precision: Precision = "fp32",
    threads: int = 0,
    flip: bool = True,
    decoder: Decoder = "subpixel",
    batch: int = 0,
    engine: Library = "auto",
    offline: bool = False,
    detector: str | os.PathLike[str] = "detector",
) -> Model:
    """Loads a trained network, downloading it first if needed.

    model: ``bundled``, the weights that come with posehg; ``small``, which also do and are faster; a model's folder or
    file; ``user/repo[@revision]`` on the Hub; a URL with a hash; or a name from ``posehg models list``.
    device: auto, cpu, cuda, cuda:N or mps.
    precision: of the network's products, ``fp32``, ``bf16`` or ``fp16``; an exported model keeps its own.
    threads: CPU threads of the network; 0: automatic. Other uses of torch in the process are not affected.
    flip: average with the mirrored image: more accurate, half the speed.
    decoder: how keypoints are read from heatmaps, ``subpixel`` or ``quarter``.
    batch: crops in one call of the network; 0: automatic.
    engine: what runs the network, ``torch``, ``onnxruntime`` or ``openvino``; ``auto`` is the fastest that it allows.
    offline: never download anything.
    detector: what finds the people: by default the network that comes with posehg; or another that posehg trained with
    ``--task detect``, or an .onnx file of YOLOX or of YOLOv8 and later. It is loaded when it is first needed.
    Raises NotAvailable for a missing or broken model, DeviceError for a device that is not available.
    """
    given = (("decoder", decoder, Decoder), ("precision", precision, Precision), ("engine", engine, Library))
    for name, value, known in given:
        if value not in get_args(known):
            raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, not {value!r}")
    if threads < 0 or batch < 0:
        raise ValueError(f"threads and batch must be at least 0, not {min(threads, batch)}.")
    options = EngineOptions(device, threads, precision, engine)
    opened = open_engine(checkpoints.find(os.fspath(model), offline), options)

    def detect() -> Detect:
        return open_detector(checkpoints.find(os.fspath(detector), offline), options)

    return Model(Estimator(opened, flip, decoder, batch), detect)


class Model:
    """A loaded network that finds people on images and estimates their poses. Threads may share it.

    detector: opens the detector, when people have to be found.
    """

    def __init__(self, estimator: Estimator, detector: Callable[[], Detect]) -> None:
        self._estimator, self._detector = estimator, cache(detector)

    @property
    def skeleton(self) -> Skeleton:
        return self._estimator.config.skeleton

    @property
    def joints(self) -> tuple[str, ...]:
        """The J joint names, in the order of every pose's keypoints."""
        return self.skeleton.joints

    def __repr__(self) -> str:
        return f"Model({len(self.joints)} joints of {self.skeleton.name!r}, on {self._estimator.device})"

    def __call__(
        self,
        image: ImageLike,
        boxes: BoxLike | Iterable[BoxLike] | None = None,
        people: People = "one",
        whole: bool = False,
    ) -> list[Pose]:
        """The poses of people on an image, in its pixels; [] if nobody is found.

        boxes: the people's bounding boxes, each a Box or (x, y, w, h) without padding; returns one pose a box, in their
            order. [] means that there are no people.
        people: without boxes, search for ``one``, the most prominent person; ``all``, the most prominent first; or
            ``scan`` for one without the detector, as is always done for a skeleton that is not human.
        whole: one person fills the image, so do not search.
        Raises InputError for a file that cannot be read or a box outside the image, TypeError and ValueError for
        anything that is not an image or box, UsageError for options that exclude each other.
        """
        search = boxes is None and not whole and needs_detector(self.skeleton, people)
        given = None if boxes is None else _boxes(boxes)
        pixels, detect = _image(image), self._detector() if search else None
        return find(self._estimator, pixels, people, given, whole, detect=detect)

    def heatmaps(self, image: ImageLike, pose: Pose) -> Heatmaps:
        """The network's heatmaps where a pose was found on an image.

        Its ``maps`` are (J, h, w), 0 .. 1, in the order of ``joints``; its ``to_image`` maps their (column, row) to
        image pixels.
        """
        [heatmaps] = self._estimator.heatmaps_of(_image(image), [pose])
        return heatmaps


def draw(image: ImageLike, poses: Pose | Sequence[Pose], threshold: float = THRESHOLD) -> Image:
    """The image with skeletons drawn on it, several people in a colour each: RGB uint8 (H, W, 3), a new array.

    threshold: joints with a lower score, 0 .. 1, and their limbs are left out.
    Raises InputError, TypeError and ValueError as a Model does for anything that is not an image.
    """
    return drawing.draw(_image(image), [poses] if isinstance(poses, Pose) else poses, threshold)


def _image(given: ImageLike) -> Image:
    """RGB uint8 (H, W, 3), upright."""
    if isinstance(given, str | os.PathLike):
        return images.read(Path(given))
    expected = "a path, a Pillow image, or a numpy array of uint8: RGB (H, W, 3), gray (H, W) or RGBA (H, W, 4)"
    what = f"array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
    if what != "array of uint8" and not isinstance(given, PillowImage.Image):
        raise TypeError(f"An image is {expected}, not {what}.")
    sides: tuple[int, ...] = given.size if isinstance(given, PillowImage.Image) else given.shape
    if len(sides) not in (2, 3) or sides[2:] not in ((), (3,), (4,)):
        raise ValueError(f"An image is {expected}, not an array of shape {sides}.")
    if 0 in sides:
        raise ValueError(f"The image is empty: {' x '.join(map(str, sides))} pixels.")
    if isinstance(given, PillowImage.Image):
        try:
            return images.from_pillow(given)
        except images.BROKEN as error:
            raise InputError(f"The image cannot be decoded ({error}).") from None
    pixels = np.ascontiguousarray(given)
    return pixels if sides[2:] == (3,) else images.from_pillow(PillowImage.fromarray(pixels))


def _boxes(given: BoxLike | Iterable[BoxLike]) -> list[Box]:
    """The boxes from one box or several."""
    try:
        several = [given] if isinstance(given, Box) else list(given)
        rows = np.array([one.as_tuple() if isinstance(one, Box) else one for one in several], dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"boxes must be one or several Box or (x, y, w, h) in pixels, not {given!r}.") from None
    if rows.size and rows.shape[-1] != 4:
        raise ValueError(f"A box is four numbers, x, y, width and height, not {rows.shape[-1]}.")
    boxes = [Box(*map(float, row)) for row in rows.reshape(-1, 4)]
    if wrong := [box for box in boxes if not box.is_plausible]:
        raise ValueError(f"{wrong[0]} is not a box: it needs finite pixels, and a width and height above 0.")
    return boxes
