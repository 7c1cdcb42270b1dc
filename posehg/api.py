"""What ``import posehg`` gives: a model that is called with pictures and answers with poses.

    model = posehg.load()
    poses = model("photo.jpg")            # the most prominent person; [] where nobody is found
    x, y = poses[0]["left_wrist"]         # pixels of the upright picture, pixel centres being integers
    picture = posehg.draw("photo.jpg", poses)

A picture is a file's path, a Pillow image of any mode, or a numpy array of uint8: RGB (H, W, 3), gray (H, W) or RGBA
(H, W, 4). EXIF turns it upright, and transparency is laid on white. (OpenCV has BGR: give ``image[..., ::-1]``.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from posehg import drawing, images
from posehg.geometry import Box
from posehg.heatmaps import DECODERS, Decoder
from posehg.images import Image
from posehg.inference.engines import PRECISIONS, Precision, Run
from posehg.inference.estimator import Estimator, opened
from posehg.inference.finding import How, People, find, heatmaps_of
from posehg.inference.likeness import THRESHOLD
from posehg.poses import Heatmaps, Pose
from posehg.skeletons import Skeleton

Picture = str | os.PathLike[str] | PillowImage.Image | NDArray[np.uint8]
"""What is taken for a picture."""

BoxLike = Box | Sequence[float] | NDArray[np.generic]
"""A Box, or x, y, width and height in photo pixels."""

_TAKEN = "a path, a Pillow image, or a numpy array of uint8: RGB (H, W, 3), gray (H, W) or RGBA (H, W, 4)"


def load(
    model: str | os.PathLike[str] = "bundled",
    *,
    device: str = "auto",
    precision: Precision = "fp32",
    threads: int = 0,
    flip: bool = True,
    decoder: Decoder = "subpixel",
    batch: int = 0,
    offline: bool = False,
) -> Model:
    """A trained network, ready to be asked any number of times.

    model: ``bundled``, the weights that come with posehg, or ``small``, which do too and are quicker; a model's folder
    or file; ``user/repo[@revision]`` of the Hub, an address with a hash, or a name that ``posehg models list`` shows.
    What was not fetched before is fetched, unless offline.
    device: auto, cpu, cuda, cuda:N or mps. precision: of the network's numbers, ``fp32``, ``bf16`` or ``fp16``; a model
    that was exported keeps its own. threads: of the CPU; 0: as many as suit.
    flip: average with the mirrored picture: better, half as fast. decoder: how a joint is read off its heatmap:
    ``subpixel`` or ``quarter``. batch: crops in one call of the network; 0: what suits the device.
    Raises NotAvailable where the model is not there or broken, DeviceError for a device that is not there.
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder is one of {', '.join(DECODERS)}, not {decoder!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
    if threads < 0:
        raise ValueError(f"threads is a number of threads, or 0, not {threads}")
    if batch < 0:
        raise ValueError(f"batch is a number of crops, or 0, not {batch}")
    return Model(opened(os.fspath(model), Run(device, threads, precision), flip, decoder, batch, offline))


class Model:
    """A network that finds people on pictures and says where their joints are. Threads may share it."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator

    @property
    def skeleton(self) -> Skeleton:
        return self._estimator.config.skeleton

    @property
    def joints(self) -> tuple[str, ...]:
        """The J names, in the order of every pose's keypoints."""
        return self.skeleton.joints

    def __repr__(self) -> str:
        return f"Model({len(self.joints)} joints of {self.skeleton.name!r}, on {self._estimator.device})"

    def __call__(
        self,
        image: Picture,
        boxes: BoxLike | Iterable[BoxLike] | None = None,
        people: People = "one",
        whole: bool = False,
    ) -> list[Pose]:
        """The poses of people on a picture, in its pixels; [] where nobody is found.

        boxes: where they are, each a Box or (x, y, w, h) without any padding: nobody is looked for, and each has its
            pose, in their order; [] says that nobody is there.
        people: ``one``, the most prominent, or ``all``, the most prominent first.
        whole: somebody fills the picture: do not look, take all of it.
        Raises InputError for a file that cannot be read and a box outside the picture, TypeError and ValueError for
        what is no picture or box, UsageError for options that do not go together.
        """
        how = How(people, None if boxes is None else _boxes(boxes), whole)
        return find(self._estimator, _image(image), how)

    def heatmaps(self, image: Picture, pose: Pose) -> Heatmaps:
        """What the network sees where a pose was found on a picture.

        Its ``maps`` are (J, h, w), 0 .. 1, in the order of ``joints``; its ``to_image`` maps their (column, row) to
        photo pixels.
        """
        [heatmaps] = heatmaps_of(self._estimator, _image(image), [pose])
        return heatmaps


def draw(image: Picture, poses: Pose | Sequence[Pose], threshold: float = THRESHOLD) -> Image:
    """The picture with skeletons on it: RGB uint8 (H, W, 3), a new array.

    threshold: joints with a lower score, 0 .. 1, are left out, and the limbs that end there.
    Raises as a Model does for what is no picture.
    """
    return drawing.draw(_image(image), [poses] if isinstance(poses, Pose) else poses, threshold)


# ---- what users give ---------------------------------------------------------------------------------------------


def _image(picture: Picture) -> Image:
    """RGB uint8 (H, W, 3), upright; an array's memory is its own where it is that already."""
    if isinstance(picture, str | os.PathLike):
        return images.read(Path(picture))
    if isinstance(picture, PillowImage.Image):
        _check_sides(picture.size)
        return images.from_pillow(picture)
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"A picture is {_TAKEN}, not {type(picture).__name__}.")
    return _from_array(picture)


def _from_array(array: NDArray[np.generic]) -> Image:
    if array.dtype != np.uint8:
        raise TypeError(f"A picture is {_TAKEN}, not an array of {array.dtype}.")
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (3, 4)):
        raise ValueError(f"A picture is {_TAKEN}, not an array of shape {array.shape}.")
    _check_sides(array.shape)
    pixels = np.ascontiguousarray(array, dtype=np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    return images.from_pillow(PillowImage.fromarray(pixels))


def _check_sides(sides: Sequence[int]) -> None:
    if 0 in sides:
        raise ValueError(f"The picture is empty: {' x '.join(map(str, sides))} pixels.")


def _boxes(given: BoxLike | Iterable[BoxLike]) -> list[Box]:
    """Of one box, or of any number of them."""
    if isinstance(given, Box):
        return [_box(given)]
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"Boxes are Box or (x, y, w, h), one or several of them, not {given!r}.")
    several = list(given)
    if several and isinstance(several[0], Real):
        return [_box(several)]
    return [_box(part) for part in several]


def _box(given: object) -> Box:
    try:
        numbers = [float(number) for number in (given.as_tuple() if isinstance(given, Box) else given)]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise TypeError(f"A box is a Box or (x, y, w, h) in pixels, not {given!r}.") from None
    if len(numbers) != 4:
        raise ValueError(f"A box is four numbers, x, y, width and height, not {len(numbers)}.")
    box = Box(*numbers)
    if not box.can_be:
        where = f"{box.x:g},{box.y:g},{box.w:g},{box.h:g}"
        raise ValueError(f"{where} is no box in a photo: its numbers are pixels, width and height above 0.")
    return box
