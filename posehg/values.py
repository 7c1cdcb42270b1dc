"""What a call of the library takes, images and boxes, and what it returns: the people, drawn, saved and as tables."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from posehg import drawing, images, poses
from posehg.drawing import STYLES, DrawOptions
from posehg.errors import InputError, UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.io import content
from posehg.io.frames import MAX_IMAGE
from posehg.io.sources import kind_of
from posehg.io.writers import IMAGE_FILES, RUN_FILES
from posehg.io.writers.csv import COLUMNS, rows
from posehg.io.writers.image import render
from posehg.io.writers.json import line, record
from posehg.poses import THRESHOLD, Pose

ImageLike = str | os.PathLike[str] | PillowImage.Image | NDArray[np.uint8]
"""Everything that is accepted as an image."""

BoxLike = Box | Sequence[float] | NDArray[np.generic]
"""A Box, or x, y, width and height in image pixels."""

StyleName = Literal["default", "thin", "bold", "lines"]
Background = Literal["image", "black", "white", "none"]


@dataclass(frozen=True, eq=False, repr=False)
class Result(poses.Result):
    """One image or video frame and the people found on it: ``for person in result.people``.

    A Result is also a sequence of its people: ``len(result)``, ``result[0]``; it is false if nobody was found.

    source: the image, video or camera as it was named; "" for an array. model: the name of the network.
    image: RGB uint8 (H, W, 3), upright. size: its rows and columns, (H, W).
    frame, time, fps: of a video, the number of the frame from 0, its time in seconds, and the average frame rate.
    error: why there are no people, if the image could not be read.
    """

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, number: int) -> Pose:
        return self.people[number]

    def __iter__(self) -> Iterator[Pose]:
        return iter(self.people)

    def __repr__(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        frame = "" if self.frame is None else f", frame {self.frame}"
        return f"Result({self.source or 'an image'!r}{frame}: {self.error or people})"

    def plot(
        self,
        style: StyleName = "default",
        labels: bool = False,
        background: Background = "image",
        threshold: float = THRESHOLD,
        color: Literal["auto", "person", "limb"] = "auto",
        line_width: float = 0,
    ) -> NDArray[np.uint8]:
        """The image with the skeletons: RGB uint8 (H, W, 3), or RGBA (H, W, 4) on the background ``none``.

        labels: write the joints' names. threshold: joints with a lower score, 0 .. 1, and their limbs are left out.
        color: by ``person`` or by ``limb``; ``auto`` is by person where there are several. line_width: in pixels; 0: by
            the person's size and the style.
        Raises UsageError for an unknown style, background or color, InputError if there is no image to draw on.
        """
        check_names(style=(style, tuple(STYLES)), background=(background, get_args(Background)))
        check_names(color=(color, ("auto", "person", "limb")))
        if self.image is None:
            raise InputError(self.error or "The result has no image to draw on.")
        drawn = replace(STYLES[style], labels=labels, colour=color, line_width=line_width)
        return render(self, DrawOptions(threshold, drawn, background))

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes the drawn image (.png, .jpg, .webp) or the joints (.json, .jsonl, .csv, .npz).

        The file appears whole or not at all. Raises UsageError for another suffix, a missing folder, and a file that
        exists without ``overwrite``, InputError where it cannot be written.
        """
        path, known = Path(path), {**IMAGE_FILES, **RUN_FILES}
        if (writer := known.get(path.suffix.lower())) is None:
            raise UsageError(f"{path}: a result is saved as {', '.join(known)}.")
        if writer.draws and self.image is None:
            raise InputError(self.error or "The result has no image to draw on.")
        with writer(path, overwrite=overwrite) as opened:
            opened.add(self)

    def to_dict(self) -> dict[str, Any]:
        """The record that ``posehg predict --json`` prints: source, size, joints, people and so on."""
        return record(self)

    def to_json(self) -> str:
        """``to_dict`` as JSON in one line."""
        return line(record(self))

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row for each joint of each person, and the columns of ``posehg predict`` to .csv.

        Raises ImportError without pandas.
        """
        import pandas

        whole = dict.fromkeys(("frame", "person", "id"), "Int64")  # which may be missing
        kinds = {name: "object" if name in ("source", "joint") else whole.get(name, "float64") for name in COLUMNS}
        return pandas.DataFrame(rows(self), columns=COLUMNS).astype(kinds)

    def angle(self, first: str, at: str, last: str) -> float:
        """The angle at a joint of the most prominent person, in degrees, see ``Pose.angle``; NaN if there is nobody."""
        return self.people[0].angle(first, at, last) if self.people else math.nan


def check_names(**options: tuple[Any, Sequence[str]]) -> None:
    """Raises UsageError for an option, given with its known values, that has another value."""
    for name, (value, known) in options.items():
        if value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}.")


def draw(image: ImageLike, people: Pose | Iterable[Pose], threshold: float = THRESHOLD) -> Image:
    """The image with skeletons drawn on it, several people in a colour each: RGB uint8 (H, W, 3), a new array.

    threshold: joints with a lower score, 0 .. 1, and their limbs are left out.
    Raises InputError, TypeError and ValueError as a Model does for anything that is not an image.
    """
    return drawing.draw(image_of(image), [people] if isinstance(people, Pose) else list(people), threshold)


def image_of(given: ImageLike) -> Image:
    """RGB uint8 (H, W, 3), upright."""
    if isinstance(given, str | os.PathLike):
        name = os.fspath(given)
        if content.is_url(name):
            return images.read_bytes(content.read_bytes(name, MAX_IMAGE), name)
        if os.path.isdir(name) or kind_of(name) == "video":
            what = "folder" if os.path.isdir(name) else "video"
            raise UsageError(f"{name} is a {what}, not an image.", "All in it: for result in model.stream(...)")
        return images.read(name)
    expected = (
        "a path, a web address, a Pillow image, or a numpy array of uint8: RGB (H, W, 3), gray (H, W) or RGBA (H, W, 4)"
    )
    what = f"array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
    if what != "array of uint8" and not isinstance(given, PillowImage.Image):
        advice = " If its values are from 0 to 1: (255 * image).astype('uint8')" if "array of float" in what else ""
        raise TypeError(f"An image is {expected}, not {what}.{advice}")
    if isinstance(given, np.ndarray) and given.shape[2:] == (1,):
        given = given[..., 0]
    sides: tuple[int, ...] = given.size if isinstance(given, PillowImage.Image) else given.shape
    if len(sides) not in (2, 3) or sides[2:] not in ((), (3,), (4,)):
        raise UsageError(f"An image is {expected}, not an array of shape {sides}.")
    if 0 in sides:
        raise UsageError(f"The image is empty: {' x '.join(map(str, sides))} pixels.")
    if isinstance(given, PillowImage.Image):
        try:
            return images.from_pillow(given)
        except images.BROKEN as error:
            raise InputError(f"The image cannot be decoded ({error}).") from None
    pixels = np.ascontiguousarray(given)
    return pixels if sides[2:] == (3,) else images.from_pillow(PillowImage.fromarray(pixels))


def boxes_of(given: BoxLike | Iterable[BoxLike]) -> list[Box]:
    """The boxes from one box or several."""
    try:
        several = [given] if isinstance(given, Box) else list(given)
        rows = np.array([tuple(one) if isinstance(one, Box) else one for one in several], dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"boxes must be one or several Box or (x, y, w, h) in pixels, not {given!r}.") from None
    if rows.size and rows.shape[-1] != 4:
        raise UsageError(f"A box is four numbers, x, y, width and height, not {rows.shape[-1]}.")
    boxes = [Box(*map(float, row)) for row in rows.reshape(-1, 4)]
    if wrong := [box for box in boxes if not box.is_plausible]:
        raise UsageError(f"{wrong[0]} is not a box: it needs finite pixels, and a width and height above 0.")
    return boxes
