"""Random views of a person on a photo, as training takes them."""

from collections import namedtuple

import numpy as np
from hypothesis import strategies as st

from posehg.geometry import Affine, Box
from posehg.images import Image

SIZE = 61
ROWS, COLUMNS = 307, 401


Limits = namedtuple("Limits", "padding scale rotation translation")
"""As in TrainConfig."""


def _waves() -> Image:
    """A photo of slow waves in all directions."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    channels = [np.sin(x / 19 + y / 31 + 1), np.cos(x / 23 - y / 17), np.sin(y / 29) * np.cos(x / 37)]
    return (128 + 100 * np.stack(channels, axis=-1)).round().astype(np.uint8)


WAVES = _waves()
LIMITS = st.builds(
    Limits, st.sampled_from([1.0, 1.25]), st.floats(0, 0.5), st.sampled_from([0.0, 30.0, 180.0]), st.floats(0, 0.3)
)
BOXES = st.builds(Box, st.floats(-40, 380), st.floats(-40, 280), st.floats(9, 250), st.floats(9, 250))


def view(box: Box, limits: Limits, rng: np.random.Generator) -> Affine:
    """From the photo to a crop of SIZE x SIZE; every second limit is reached."""

    def within(limit: float, count: int) -> np.ndarray:
        return limit * np.where(rng.random(count) < 0.5, rng.choice([-1, 1], count), rng.uniform(-1, 1, count))

    (zoom,), (turn,) = 1 + within(limits.scale, 1), within(limits.rotation, 1)
    square = box.square(limits.padding / zoom)
    x, y = within(limits.translation, 2)
    return Affine.crop(Box(square.x + x * square.w, square.y + y * square.w, square.w, square.h), (SIZE, SIZE), turn)


def assert_alike(one: Image, other: Image, to_crop: Affine, margin: int = 3) -> None:
    """Within a few grey levels; so many pixels beside the photo's end, where black begins abruptly, more is allowed."""
    difference = np.abs(one.astype(int) - other).max(axis=-1)
    x, y = np.moveaxis(to_crop.inverse()(np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1)), -1, 0)
    away = np.min(np.abs([x + 0.5, COLUMNS - 0.5 - x, y + 0.5, ROWS - 0.5 - y]), axis=0)
    smooth = difference[away > 1 + margin / to_crop.scale]
    assert smooth.max(initial=0) < 20
    assert smooth.sum() <= 4 * smooth.size
