from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import images
from posehg.datasets.crops import CropRegion, crop_region, moved, region_of
from posehg.geometry import Affine, Box
from tests.random_views import BOXES, LIMITS, SIZE, WAVES, Limits, assert_alike, view

PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores
ROWS, COLUMNS = WAVES.shape[:2]


@PATIENT
@given(LIMITS, BOXES, st.integers(0, 10**6))
def test_no_view_shows_more_or_needs_finer_pixels_than_its_reach(limits: Limits, box: Box, seed: int) -> None:
    reached = region_of(SIZE, limits.padding, limits.scale, limits.rotation, limits.translation)
    to_crop = view(box, limits, np.random.default_rng(seed))
    corners = to_crop.inverse()([(-0.5, -0.5), (SIZE - 0.5, -0.5), (-0.5, SIZE - 0.5), (SIZE - 0.5, SIZE - 0.5)])
    square = box.square(reached.padding)
    assert (np.abs(corners - square.center).max() <= square.w / 2 + 1e-6).all()
    assert to_crop.scale <= reached.size / square.w + 1e-9


def test_a_person_who_is_always_seen_alike_has_the_crop_itself_as_reach() -> None:
    assert region_of(256, padding=1.25, scale=0, rotation=0, translation=0) == CropRegion(1.25, 256)


def test_a_closer_look_asks_for_finer_pixels_and_for_no_more_of_the_picture() -> None:
    limits = {"padding": 1.25, "scale": 0.25, "rotation": 30, "translation": 0.1}
    once, twice = region_of(256, **limits), region_of(256, **limits, zoom=2)
    assert twice.padding == once.padding
    assert twice.size == pytest.approx(2 * once.size, abs=1)


@PATIENT
@given(LIMITS, BOXES, st.integers(0, 10**6))
def test_a_view_of_the_part_is_the_view_of_the_photo(limits: Limits, box: Box, seed: int) -> None:
    part, to_part = crop_region(
        WAVES, box, region_of(SIZE, limits.padding, limits.scale, limits.rotation, limits.translation)
    )
    to_crop = view(box, limits, np.random.default_rng(seed))
    crop = images.warp(part, to_part.inverse().then(to_crop), (SIZE, SIZE))
    assert_alike(crop, images.warp(WAVES, to_crop, (SIZE, SIZE)), to_crop)


def test_what_is_coarse_already_is_cut_and_not_touched() -> None:
    part, to_part = crop_region(WAVES, Box(50, 60, 40, 30), CropRegion(2.0, 300))
    np.testing.assert_array_equal(part, WAVES[31:119, 26:114])
    np.testing.assert_array_equal(to_part([(26, 31)]), [(0, 0)])


def test_what_is_finer_than_needed_is_made_smaller() -> None:
    part, to_part = crop_region(WAVES, Box(50, 60, 100, 200), CropRegion(1.5, 100))
    assert part.shape == (108, 108, 3)
    assert to_part.scale == pytest.approx(100 / 300)


@PATIENT
@given(BOXES)
def test_a_part_that_is_cut_again_stays_as_it_is(box: Box) -> None:
    part, to_part = crop_region(WAVES, box, CropRegion(2.0, 97))
    again, to_again = crop_region(part, moved(box, to_part), CropRegion(2.0, 97))
    np.testing.assert_array_equal(again, part)
    np.testing.assert_allclose(to_again.matrix, np.eye(3), atol=1e-9)


@pytest.mark.parametrize(
    "box", [Box(-90, 10, 40, 40), Box(900, 10, 40, 40), Box(10, -90.5, 40, 40), Box(10, 900, 9, 9)]
)
@pytest.mark.parametrize("size", [20, 400])
def test_somebody_beside_the_picture_has_a_black_part(box: Box, size: int) -> None:
    part, to_part = crop_region(WAVES, box, CropRegion(1.5, size))
    assert part.size
    assert not part.any()
    crop = images.warp(part, to_part.inverse().then(Affine.crop(box, (SIZE, SIZE))), (SIZE, SIZE))
    assert not crop.any()


def test_a_moved_box_has_its_corners_where_the_map_puts_them() -> None:
    to_part = Affine.crop(Box(10, 20, 300, 300), (100, 100))
    box = moved(Box(40, 50, 30, 60), to_part)
    assert box.as_tuple() == pytest.approx((10, 10, 10, 20))
