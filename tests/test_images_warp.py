"""images.warp: each pixel of the crop shows the point of the photo that the map says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import images
from posehg.geometry import Affine, Box


def noise(rows: int, columns: int, seed: int = 0) -> images.Image:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_identity_changes_nothing(rows: int, columns: int) -> None:
    image = noise(rows, columns)
    np.testing.assert_array_equal(images.warp(image, Affine.identity(), (rows, columns)), image)


def blob(shape: tuple[int, int], point: tuple[float, float], sigma: float) -> images.Image:
    """A bright Gaussian spot at the point (x, y)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    spot = 250 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * sigma**2))
    return np.rint(spot)[..., None].repeat(3, axis=2).astype(np.uint8)


def centroid(image: images.Image) -> tuple[float, float]:
    weight = image[..., 0].astype(np.float64)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()


@settings(max_examples=60, deadline=None)
@given(
    reduction=st.floats(0.4, 10),
    rotation=st.floats(-180, 180),
    mirrored=st.booleans(),
    point=st.tuples(st.floats(60, 120), st.floats(60, 180)),
    shift=st.tuples(st.floats(-0.25, 0.25), st.floats(-0.25, 0.25)),
)
def test_a_spot_lands_where_the_map_sends_it(
    reduction: float, rotation: float, mirrored: bool, point: tuple[float, float], shift: tuple[float, float]
) -> None:
    size = (61, 47)
    sigma = max(2.0, 1.2 * reduction)  # so that it is a spot of more than a pixel in the crop, too
    photo = blob((240, 180), point, sigma)
    shown = Box.around(
        (point[0] + shift[0] * size[1] * reduction, point[1] + shift[1] * size[0] * reduction),
        size[1] * reduction,
        size[0] * reduction,
    )  # most of these boxes reach beyond the photo, also to negative coordinates
    to_crop = Affine.crop(shown, size, rotation)
    if mirrored:
        to_crop = to_crop.then(Affine.mirror(size[1]))
    expected = to_crop(point)
    margin = 5 * sigma / reduction + 1
    crop = images.warp(photo, to_crop, size)
    if (expected < margin).any() or (expected > np.array([size[1], size[0]]) - 1 - margin).any():
        return
    assert math.dist(centroid(crop), expected) < 0.15


@pytest.mark.parametrize("reduction", [1, 3, 8])
def test_what_lies_beside_the_picture_is_filled(reduction: int) -> None:
    white = np.full((100, 80, 3), 255, dtype=np.uint8)
    side = 20 * reduction
    crop = images.warp(white, Affine.crop(Box(-side / 2, -side / 2, side, side), (20, 20)), (20, 20), fill=7)
    assert (crop[:9] == 7).all()
    assert (crop[:, :9] == 7).all()
    inside = min(19, 9 + 80 // reduction)
    assert (crop[11 : inside - 1, 11 : inside - 1] == 255).all()


def test_the_last_pixels_are_not_stretched_by_a_reduction() -> None:
    photo = np.full((100, 101, 3), 255, dtype=np.uint8)  # 101 is no multiple of 4
    crop = images.warp(photo, Affine.crop(Box(1, 0, 200, 200), (50, 50)), (50, 50))
    np.testing.assert_allclose(crop[10, :, 0].sum() / 255, 100 / 4, atol=0.02)


@pytest.mark.parametrize("offset", [(-1000, 0), (1000, 0), (0, -1000), (0, 1000), (-1000, -1000), (190, 210)])
@pytest.mark.parametrize("side", [10, 40, 200])
def test_a_box_wholly_outside_shows_the_fill_alone(offset: tuple[int, int], side: int) -> None:
    to_crop = Affine.crop(Box(*offset, side, side), (20, 20))
    assert (images.warp(noise(100, 90), to_crop, (20, 20), fill=9) == 9).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
@pytest.mark.parametrize("side", [0.01, 3.0, 1e7])
def test_no_box_is_too_small_or_too_large(shape: tuple[int, int], side: float) -> None:
    crop = images.warp(noise(*shape), Affine.crop(Box(0, 0, side, side), (16, 12)), (16, 12))
    assert crop.shape == (16, 12, 3)


def test_a_panorama_is_cropped_although_it_is_wider_than_cv2_allows() -> None:
    panorama = noise(20, 40_000)
    crop = images.warp(panorama, Affine.crop(Box(39_000, 0, 20, 20), (20, 20)), (20, 20))
    np.testing.assert_array_equal(crop, panorama[:, 39_000:39_020])


def test_fine_stripes_turn_gray_and_do_not_alias() -> None:
    stripes = np.zeros((300, 300, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    crop = images.warp(stripes, Affine.crop(Box(20, 20, 240, 240), (30, 30)), (30, 30))
    assert np.abs(crop.astype(int) - 127).max() <= 2
