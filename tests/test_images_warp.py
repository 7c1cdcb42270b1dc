"""images.warp: each pixel of the crop shows the point of the photo that the map says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import images
from posehg.geometry import Affine, Box


def noise(rows: int, columns: int, seed: int = 0) -> images.Image:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def blob(shape: tuple[int, int], point: tuple[float, float], sigma: float) -> images.Image:
    """A bright Gaussian spot at the point (x, y)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    spot = 250 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * sigma**2))
    return np.rint(spot)[..., None].repeat(3, axis=2).astype(np.uint8)


def centroid(image: images.Image) -> tuple[float, float]:
    weight = image[..., 0].astype(np.float64)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()


@settings(max_examples=60)
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
def test_what_lies_beside_the_image_is_filled(reduction: int) -> None:
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


ROWS, COLUMNS = 61, 47
"""Of the crops."""


def by_hand(image: images.Image, to_crop: Affine, fill: int) -> np.ndarray:
    """Bilinear in double precision, without any averaging: (ROWS, COLUMNS, 3)."""
    height, width = image.shape[:2]
    framed = np.full((height + 2, width + 2, 3), fill, dtype=np.float64)
    framed[1:-1, 1:-1] = image
    y, x = np.mgrid[:ROWS, :COLUMNS]
    points = to_crop.inverse()(np.stack((x, y), axis=-1)) + 1
    points = np.clip(points, 0, (width + 0.999999, height + 0.999999))  # further out it is all the same
    (x0, y0), (fx, fy) = (np.moveaxis(part, -1, 0) for part in (points.astype(int), points % 1))
    fx, fy = fx[..., None], fy[..., None]
    upper = framed[y0, x0] * (1 - fx) + framed[y0, x0 + 1] * fx
    lower = framed[y0 + 1, x0] * (1 - fx) + framed[y0 + 1, x0 + 1] * fx
    return upper * (1 - fy) + lower * fy


def slow(rows: int, columns: int) -> images.Image:
    """Slow waves: older versions of OpenCV interpolate at 32nds of a pixel, which hardly shows on these."""
    y, x = np.mgrid[:rows, :columns]
    return (128 + 100 * np.stack((np.sin(x / 9 + y / 13), np.cos(x / 11), np.sin(y / 7)), axis=-1)).astype(np.uint8)


maps = st.builds(
    lambda x, y, side, rotation, mirrored: Affine.crop(Box.around((x, y), side, side), (ROWS, COLUMNS), rotation).then(
        Affine.mirror(COLUMNS) if mirrored else Affine(np.eye(3))
    ),
    st.floats(-60, 240),
    st.floats(-60, 240),
    st.floats(3, 800),
    st.floats(-180, 180),
    st.booleans(),
)


@settings(max_examples=60)
@given(to_crop=maps, fill=st.sampled_from([0, 7]))
def test_a_crop_is_interpolated_from_what_is_shown(to_crop: Affine, fill: int) -> None:
    photo = slow(199, 181)
    pixels, onto = images.shown(photo, to_crop, (ROWS, COLUMNS), fill)
    crop = images.warp(photo, to_crop, (ROWS, COLUMNS), fill)
    if pixels.size == 0:
        assert (crop == fill).all()
    else:
        difference = np.abs(crop - by_hand(pixels, onto, fill))
        assert np.percentile(difference, 90) <= 2
        assert difference.max() <= 0.6 + 230 / 16  # beside the photo's end, where the fill begins abruptly


@settings(max_examples=60)
@given(maps)
def test_what_is_shown_holds_every_pixel_that_the_crop_needs_and_few_more(to_crop: Affine) -> None:
    photo = slow(199, 181)
    pixels, onto = images.shown(photo, to_crop, (ROWS, COLUMNS))
    if onto.scale == pytest.approx(to_crop.scale):
        assert np.abs(by_hand(photo, to_crop, 0) - by_hand(pixels, onto, 0)).max(initial=0) < 1e-6
    reach = np.hypot(ROWS + 2, COLUMNS + 2) / onto.scale + 5
    assert max(pixels.shape[:2]) <= reach


def test_interpolating_averages_nothing() -> None:
    stripes = np.zeros((300, 300, 3), dtype=np.uint8)
    stripes[:, ::4] = 255
    crop = images.interpolate(stripes, Affine.shrink(4).then(Affine.translation(3 / 8, 0)), (ROWS, COLUMNS))
    assert (crop == 255).all()
