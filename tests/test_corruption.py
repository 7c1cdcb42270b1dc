from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.training.config import TrainConfig
from posehg.training.corruption import draw_gains, multiply, occluded

PATIENT = settings(max_examples=60, deadline=None)  # another process may have the cores
SEEDS = st.integers(0, 10**6)
SIZE = 61
ROWS, COLUMNS = 307, 401


def noise(rows: int, columns: int, seed: int = 0) -> Image:
    return default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


NOISE = noise(ROWS, COLUMNS)
VIEW = Box(100, 60, 173, 173)  # all of it on the picture, and the covered parts at its edge too


def changed(before: Image, after: Image) -> tuple[slice, slice]:
    """The smallest rectangle outside which nothing changed."""
    rows, columns = np.nonzero((before != after).any(axis=-1))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def is_one_colour(pixels: Image) -> bool:
    return bool((pixels == pixels[0, 0]).all())


# ---- colours --------------------------------------------------------------------------------------------------------


def test_gains_use_the_whole_of_their_limits_and_no_more() -> None:
    gains = np.array([draw_gains(TrainConfig(colour=0.3), default_rng(seed)) for seed in range(500)])
    assert gains.shape == (500, 3)
    assert 0.7 <= gains.min() < 0.71
    assert 1.29 < gains.max() <= 1.3


def test_each_channel_is_multiplied_by_its_own_factor_and_clipped() -> None:
    image = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    result = multiply(image, np.array([0.3, 1.0, 1.75]))
    np.testing.assert_array_equal(result[0, :, 0], np.rint(np.arange(256) * 0.3))
    np.testing.assert_array_equal(result[0, :, 1], np.arange(256))
    np.testing.assert_array_equal(result[0, :, 2], np.minimum(np.rint(np.arange(256) * 1.75), 255))


# ---- something in front ---------------------------------------------------------------------------------------------


@PATIENT
@given(SEEDS, st.floats(-180, 180))
def test_the_pixels_given_are_not_touched(seed: int, rotation: float) -> None:
    pixels = NOISE.copy()
    occluded(pixels, Affine.crop(VIEW, (SIZE, SIZE), rotation), SIZE, default_rng(seed))
    np.testing.assert_array_equal(pixels, NOISE)


@PATIENT
@given(SEEDS, st.floats(-180, 180))
def test_a_rectangle_is_covered_whose_sides_are_a_share_of_the_crops(seed: int, rotation: float) -> None:
    result = occluded(NOISE, Affine.crop(VIEW, (SIZE, SIZE), rotation), SIZE, default_rng(seed))
    assert result.shape == NOISE.shape
    covered = result[changed(NOISE, result)]
    for side in covered.shape[:2]:
        assert 0.1 * VIEW.w - 3 <= side <= 0.4 * VIEW.w  # what covers may be alike at its edge
    # On noise hardly a pixel of what covers equals what is covered.
    assert (covered != NOISE[changed(NOISE, result)]).mean() > 0.98


@PATIENT
@given(SEEDS, st.floats(-180, 180), st.booleans())
def test_what_is_covered_lies_on_the_crop(seed: int, rotation: float, mirrored: bool) -> None:
    to_crop = Affine.crop(VIEW, (SIZE, SIZE), rotation)
    if mirrored:
        to_crop = to_crop.then(Affine.mirror(SIZE))
    rows, columns = changed(NOISE, occluded(NOISE, to_crop, SIZE, default_rng(seed)))
    middle = to_crop([(columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2])
    assert (middle > 0.13 * SIZE).all()
    assert (middle < 0.87 * SIZE).all()


def times_covered(count: int) -> np.ndarray:
    """(Q, Q): how often each pixel of a part that the crop shows exactly was covered."""
    pixels = NOISE[:, :ROWS]
    to_crop = Affine.crop(Box(0, 0, ROWS, ROWS), (SIZE, SIZE))
    results = [occluded(pixels, to_crop, SIZE, default_rng(seed)) for seed in range(count)]
    return np.sum([(result != pixels).any(axis=-1) for result in results], axis=0)


def test_every_place_in_the_middle_of_the_crop_may_be_covered() -> None:
    fifth = ROWS // 5
    assert times_covered(300)[fifth:-fifth, fifth:-fifth].min() > 3


def test_on_average_a_sixteenth_of_the_crop_is_covered() -> None:
    assert times_covered(300).mean() / 300 == pytest.approx(1 / 16, rel=0.15)


def test_half_of_the_occluders_are_of_one_colour() -> None:
    to_crop = Affine.crop(VIEW, (SIZE, SIZE))
    results = [occluded(NOISE, to_crop, SIZE, default_rng(seed)) for seed in range(100)]
    assert 30 < sum(is_one_colour(result[changed(NOISE, result)]) for result in results) < 70


def test_the_others_are_pixels_from_elsewhere_the_other_way_around() -> None:
    pixels = noise(41, 53)
    to_crop = Affine.crop(Box(0, 0, 47, 47), (SIZE, SIZE))
    results = [occluded(pixels, to_crop, SIZE, default_rng(seed)) for seed in range(20)]
    patches = [result[changed(pixels, result)] for result in results]
    patches = [patch[:, ::-1] for patch in patches if not is_one_colour(patch)]
    assert patches
    for patch in patches:
        found = np.lib.stride_tricks.sliding_window_view(pixels, patch.shape)[:, :, 0]
        assert (found == patch).all(axis=(2, 3, 4)).any()


@PATIENT
@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.01, 100), st.floats(-50, 50), SEEDS)
def test_any_pixels_may_be_covered_however_few(rows: int, columns: int, side: float, at: float, seed: int) -> None:
    pixels = noise(rows, columns, seed)
    result = occluded(pixels, Affine.crop(Box(at, 3, side, side), (SIZE, SIZE), at), SIZE, default_rng(seed))
    assert result.shape == pixels.shape
    assert result.dtype == np.uint8


@pytest.mark.parametrize("at", [-150, 380])
def test_where_half_the_crop_lies_beside_the_picture_what_is_on_it_is_covered(at: int) -> None:
    to_crop = Affine.crop(Box(at, 60, 173, 173), (SIZE, SIZE))
    assert all((occluded(NOISE, to_crop, SIZE, default_rng(seed)) != NOISE).any() for seed in range(20))
