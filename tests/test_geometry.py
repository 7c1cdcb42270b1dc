import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from posehg.geometry import Affine, Box

ROWS, COLUMNS = 53, 97

coordinates = st.floats(-3000, 3000)
lengths = st.floats(1, 3000)
angles = st.floats(-180, 180)
sizes = st.tuples(st.integers(1, 512), st.integers(1, 512))
boxes = st.builds(Box, coordinates, coordinates, lengths, lengths)
crops = st.builds(Affine.crop, boxes, sizes, angles)
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=7).map(np.array)


@given(crops, points)
def test_a_crop_and_back_is_the_identity(crop: Affine, points: np.ndarray) -> None:
    assert_allclose(crop.inverse()(crop(points)), points, rtol=0, atol=1e-9)


@given(crops, crops, points)
def test_then_is_one_map_after_the_other(first: Affine, second: Affine, points: np.ndarray) -> None:
    assert_allclose(first.then(second)(points), second(first(points)), atol=1e-6, rtol=1e-9)


def test_a_mirror_moves_points_as_reversing_the_columns_moves_pixels() -> None:
    image = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    (x, y) = Affine.mirror(COLUMNS)((11, 7)).astype(int)
    assert image[:, ::-1][y, x] == image[7, 11]


@given(boxes, sizes, angles)
def test_the_middle_of_the_box_is_the_middle_of_the_crop(box: Box, size: tuple[int, int], angle: float) -> None:
    rows, columns = size
    assert_allclose(Affine.crop(box, size, angle)(box.center), ((columns - 1) / 2, (rows - 1) / 2), atol=1e-6)


@given(boxes, sizes)
def test_a_crop_shows_the_whole_box(box: Box, size: tuple[int, int]) -> None:
    rows, columns = size
    edges = [(box.x - 0.5, box.y - 0.5), (box.x + box.w - 0.5, box.y + box.h - 0.5)]
    (left, top), (right, bottom) = Affine.crop(box, size)(edges)
    assert min(left, top) >= -0.5 - 1e-6
    assert right <= columns - 0.5 + 1e-6
    assert bottom <= rows - 0.5 + 1e-6


@given(boxes, sizes, angles)
def test_a_crop_keeps_angles_and_proportions(box: Box, size: tuple[int, int], angle: float) -> None:
    crop = Affine.crop(box, size, angle)
    linear = crop.matrix[:2, :2]
    assert_allclose(linear @ linear.T, crop.scale**2 * np.eye(2), rtol=1e-9, atol=crop.scale**2 * 1e-9)


def test_a_positive_rotation_turns_the_content_anticlockwise_as_seen() -> None:
    box = Box.around((50, 50), 64)
    to_the_right_of_the_middle = (60, 50)
    x, y = Affine.crop(box, (64, 64), 90)(to_the_right_of_the_middle)
    assert_allclose((x, y), (31.5, 31.5 - 10), atol=1e-9)  # now above it, and y points down


@given(st.integers(0, 999), st.sampled_from([1, 2, 3, 4, 8]))
def test_a_cell_has_its_centre_in_the_middle_of_its_pixels(cell: int, stride: int) -> None:
    to_pixels = Affine.shrink(stride).inverse()
    assert_allclose(to_pixels((cell, cell)), [stride * cell + (stride - 1) / 2] * 2, atol=1e-9)


def test_nan_stays_nan_and_touches_no_other_point() -> None:
    moved = Affine.crop(Box(3, 5, 70, 110), (64, 64), 30)([(1, 2), (np.nan, np.nan), (3, 4)])
    assert_array_equal(np.isnan(moved), [[False, False], [True, True], [False, False]])


def test_a_square_keeps_the_middle_and_pads_the_longer_side() -> None:
    square = Box(10, 20, 30, 80).square(1.25)
    assert (square.w, square.h) == (100, 100)
    assert square.center == Box(10, 20, 30, 80).center


def test_the_bounding_box_covers_the_outermost_pixels() -> None:
    assert Box.bounding([(3, 5), (11, 7), (np.nan, np.nan)]) == Box(3, 5, 9, 3)
    assert Box.bounding([]) is Box.bounding([(np.nan, 3)]) is None


@pytest.mark.parametrize(
    ("other", "iou"),
    [(Box(0, 0, 4, 2), 1), (Box(2, 0, 4, 2), 4 / 12), (Box(4, 0, 4, 2), 0), (Box(1, 1, 0, 0), 0)],
)
def test_overlap_is_the_shared_part_of_the_union(other: Box, iou: float) -> None:
    assert Box(0, 0, 4, 2).iou(other) == other.iou(Box(0, 0, 4, 2)) == pytest.approx(iou)
    assert Box(1, 1, 0, 0).iou(Box(1, 1, 0, 0)) == 0
