"""Random crops of people, of parts of people and of the background; occluders."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import COCO, LSP, MPII, Skeleton
from posehg.training.augment import background_box, half_body, occlude, random_crop, truncate, widest_region
from posehg.training.config import TrainConfig
from tests.random_views import BOXES, COLUMNS, ROWS, SIZE, WAVES

PATIENT = settings(max_examples=60)
SEEDS = st.integers(0, 10**6)
BOX = Box(101.5, 60.5, 149, 197)
LOWER = {
    skeleton.name: [i for i, joint in enumerate(skeleton.joints) if joint.split("_")[-1] in names]
    for skeleton in (MPII, LSP, COCO)
    for names in [("pelvis", "hip", "knee", "ankle")]
}


def person(box: Box, keypoints: np.ndarray) -> Person:
    return Person(Path("photo.png"), box, keypoints, np.isfinite(keypoints).all(axis=1))


def random_person(box: Box, seed: int, beyond: float = 0.0, labelled: float = 0.8) -> Person:
    """Joints in the square around the box, or beyond it by a share of its side; some are not labelled."""
    rng, square = default_rng(seed), box.square(1 + 2 * beyond)
    keypoints = np.array([square.x, square.y]) - 0.5 + rng.random((len(MPII.joints), 2)) * square.w
    # In some seeds the joints lie close together, so that a half is smaller than the whole.
    keypoints = square.center + (keypoints - square.center) * rng.uniform(0.2, 1, (1, 2))
    keypoints[rng.random(len(keypoints)) > labelled] = np.nan
    return person(box, keypoints)


def contains(outer: Box, inner: Box) -> bool:
    return outer.intersection(inner) == pytest.approx(inner.w * inner.h)


def test_zoom_rotation_and_shift_reach_their_limits_independently() -> None:
    config = TrainConfig(input_size=128, rotation=40, scale=0.3, translation=0.1, flip=0)
    figures = []
    for seed in range(1000):
        to_crop, _ = random_crop(random_person(BOX, 0), config, default_rng(seed))
        side = 128 / to_crop.scale
        rotation = np.degrees(np.arctan2(-to_crop.matrix[1, 0], to_crop.matrix[0, 0]))
        shift = (to_crop.inverse()([63.5, 63.5]) - BOX.center) / side
        figures.append((1.25 * BOX.h / side - 1, rotation, *shift))
    values = np.array(figures)
    ends = np.array([values.min(axis=0), values.max(axis=0)]) / (0.3, 40, 0.1, 0.1)
    np.testing.assert_allclose(ends, [[-0.975] * 4, [0.975] * 4], atol=0.025 + 1e-9)
    assert np.abs(np.corrcoef(values.T)[np.triu_indices(4, 1)]).max() < 0.15


CONFIGS = st.builds(
    lambda padding, scale, rotation, translation, parts: TrainConfig(
        **{"input_size": SIZE, "padding": padding, "scale": scale, "rotation": rotation},
        **{"translation": translation, "flip": 0.5, **dict.fromkeys(parts, 1.0)},
    ),
    *(st.sampled_from([1.0, 1.25]), st.floats(0, 0.5), st.sampled_from([0.0, 30.0, 180.0])),
    *(st.floats(0, 0.3), st.sampled_from([[], ["half_body"], ["truncation"]])),
)


@PATIENT
@given(CONFIGS, BOXES, SEEDS)
def test_every_crop_lies_within_the_widest_region(config: TrainConfig, box: Box, seed: int) -> None:
    rng, reached = default_rng(seed), widest_region(config)
    square, ends = box.square(reached.padding), (-0.5, SIZE - 0.5)
    for _ in range(5):
        whole = random_person(box, int(rng.integers(10**6)), beyond=0.3)
        part = half_body(whole, MPII, rng) if config.half_body else whole
        part = truncate(whole, rng)[0] if config.truncation else part
        to_crop = random_crop(part, config, rng)[0]
        corners = to_crop.inverse()([(x, y) for x in ends for y in ends])
        assert np.abs(corners - square.center).max() <= square.w / 2 + 1e-6
        assert to_crop.scale <= reached.size / square.w + 1e-9


@PATIENT
@given(BOXES, SEEDS, st.sampled_from([0.0, 0.5]))
def test_a_half_lies_within_the_square_of_the_person(box: Box, seed: int, beyond: float) -> None:
    whole = random_person(box, seed, beyond=beyond)
    half = half_body(whole, MPII, default_rng(seed))
    assert contains(box.square(), half.box.square())
    assert max(half.box.w, half.box.h) >= max(box.w, box.h) / 2 - 1e-6
    np.testing.assert_array_equal(half.keypoints, whole.keypoints)
    np.testing.assert_array_equal(half.visible, whole.visible)
    assume(half is not whole and not beyond)
    lower = np.isin(np.arange(len(MPII.joints)), LOWER["mpii"])
    sides = [whole.keypoints[side & whole.visible] + 0.5 for side in (lower, ~lower)]
    assert any(contains(half.box, Box(*side.min(axis=0), *np.ptp(side, axis=0))) for side in sides if len(side))


@pytest.mark.parametrize("skeleton", [MPII, LSP, COCO], ids=lambda skeleton: skeleton.name)
def test_the_halves_divide_at_the_waist_and_are_equally_frequent(skeleton: Skeleton) -> None:
    rng, box = default_rng(0), Box(20, 30, 100, 200)
    keypoints = np.column_stack([rng.uniform(50, 90, len(skeleton.joints)), rng.uniform(40, 80, len(skeleton.joints))])
    keypoints[LOWER[skeleton.name], 1] += 130  # above and below the middle, y = 129.5
    halves = [half_body(person(box, keypoints), skeleton, default_rng(seed)).box for seed in range(100)]
    tops = [round(half.y) for half in halves]
    assert {(round(half.y), round(half.h)) for half in halves} == {(30, 100), (130, 100)}
    assert 30 < tops.count(30) < 70


@pytest.mark.parametrize(("count", "boxes"), [(1, 1), (2, 1), (3, 2)])
def test_a_half_needs_three_labels(count: int, boxes: int) -> None:
    keypoints = np.full((len(MPII.joints), 2), np.nan)
    keypoints[LOWER["mpii"][:count]] = [(150, 150), (160, 170), (170, 160)][:count]
    found = {half_body(person(BOX, keypoints), MPII, default_rng(seed)).box for seed in range(20)}
    assert len(found) == boxes
    assert BOX in found


@PATIENT
@given(BOXES, SEEDS)
def test_a_truncated_image_ends_within_the_person_on_one_side(box: Box, seed: int) -> None:
    whole = random_person(box, seed)
    rest, image = truncate(whole, default_rng(seed))
    low, high = image.corners()
    beyond = ((whole.keypoints < low) | (whole.keypoints > high)).any(axis=1)
    np.testing.assert_array_equal(rest.keypoints[~beyond], whole.keypoints[~beyond])
    assert (rest.keypoints[beyond] < -1e5).all()
    left = box.clipped(image)
    assert left is not None
    assert sorted((left.w / box.w, left.h / box.h)) == [pytest.approx(0.65, abs=0.25 + 1e-6), pytest.approx(1)]


@PATIENT
@given(st.lists(BOXES, max_size=3), SEEDS)
def test_a_background_box_is_a_square_of_the_image_beside_the_people(people: list[Box], seed: int) -> None:
    box = background_box(people, WAVES, default_rng(seed))
    assume(box is not None)
    assert box.w == box.h
    assert contains(Box(0, 0, COLUMNS, ROWS), box)
    assert all(box.intersection(other) < 0.02 * box.w**2 for other in people)


def test_background_boxes_cover_an_image_without_people_and_do_not_exist_on_one_full_of_them() -> None:
    boxes = [background_box([], WAVES, default_rng(seed)) for seed in range(300)]
    covered = np.zeros((ROWS, COLUMNS), dtype=bool)
    for box in boxes:
        covered[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)] = True
    assert covered.mean() > 0.98
    people = [Box(0, 0, 201, 307), Box(200, 0, 201, 307)]
    assert all(background_box(people, WAVES, default_rng(seed)) is None for seed in range(20))


NOISE = default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
VIEW = Box(100, 60, 173, 173)


def changed(before: Image, after: Image) -> tuple[slice, slice]:
    """The smallest rectangle outside which nothing changed."""
    rows, columns = np.nonzero((before != after).any(axis=-1))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


@PATIENT
@given(SEEDS, st.floats(-180, 180), st.booleans())
def test_a_rectangle_on_the_crop_is_covered(seed: int, rotation: float, mirrored: bool) -> None:
    to_crop = Affine.crop(VIEW, (SIZE, SIZE), rotation)
    to_crop = to_crop.then(Affine.mirror(SIZE)) if mirrored else to_crop
    pixels = NOISE.copy()
    result = occlude(pixels, to_crop, SIZE, default_rng(seed))
    np.testing.assert_array_equal(pixels, NOISE)
    rows, columns = changed(NOISE, result)
    for side in result[rows, columns].shape[:2]:
        assert 0.1 * VIEW.w - 3 <= side <= 0.4 * VIEW.w  # the occluder may look alike at its edge
    assert (result[rows, columns] != NOISE[rows, columns]).mean() > 0.98
    middle = to_crop([(columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2])
    np.testing.assert_allclose(middle, [SIZE / 2] * 2, atol=0.37 * SIZE)


def test_half_of_the_occluders_have_one_colour_and_the_others_are_mirrored_pixels() -> None:
    pixels, to_crop = NOISE[:41, :53], Affine.crop(Box(0, 0, 47, 47), (SIZE, SIZE))
    results = [occlude(pixels, to_crop, SIZE, default_rng(seed)) for seed in range(100)]
    patches = [result[changed(pixels, result)] for result in results]
    patches = [patch[:, ::-1] for patch in patches if not (patch == patch[0, 0]).all()]
    assert 30 < len(patches) < 70
    for patch in patches[:10]:
        found = np.lib.stride_tricks.sliding_window_view(pixels, patch.shape)[:, :, 0]
        assert (found == patch).all(axis=(2, 3, 4)).any()
