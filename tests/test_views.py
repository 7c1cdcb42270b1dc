from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg import images
from posehg.datasets import crops
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from posehg.training.config import TrainConfig
from posehg.training.views import background_box, draw_view, half_of, reach_of
from tests.random_views import BOXES, SIZE, WAVES, assert_alike

PATIENT = settings(max_examples=60, deadline=None)  # another process may have the cores
SEEDS = st.integers(0, 10**6)
BOX = Box(101.5, 60.5, 149, 197)
LOWER = {
    skeleton.name: [i for i, joint in enumerate(skeleton.joints) if joint.split("_")[-1] in names]
    for skeleton in (MPII, LSP, COCO)
    for names in [("pelvis", "hip", "knee", "ankle")]
}


def person(box: Box, keypoints: np.ndarray) -> Person:
    return Person(Path("photo.png"), box, keypoints, np.isfinite(keypoints).all(axis=1))


def somebody(box: Box, seed: int, joints: int = len(MPII.joints), beyond: float = 0.0, labelled: float = 0.8) -> Person:
    """Joints anywhere in the square around the box, or beyond it by a share of its side; some are not labelled."""
    rng, square = default_rng(seed), box.square(1 + 2 * beyond)
    keypoints = np.array([square.x, square.y]) - 0.5 + rng.random((joints, 2)) * square.w
    # Most people's joints lie close together in some seeds, so that a half is smaller than the whole.
    keypoints = square.center + (keypoints - square.center) * rng.uniform(0.2, 1, (1, 2))
    keypoints[rng.random(joints) > labelled] = np.nan
    return person(box, keypoints)


def holds(outer: Box, inner: Box, slack: float = 1e-6) -> bool:
    return (
        outer.x <= inner.x + slack
        and outer.y <= inner.y + slack
        and inner.x + inner.w <= outer.x + outer.w + slack
        and inner.y + inner.h <= outer.y + outer.h + slack
    )


def around(keypoints: np.ndarray) -> Box | None:
    """The box through the points themselves."""
    found = keypoints[np.isfinite(keypoints).all(axis=1)]
    if len(found) == 0:
        return None
    (x0, y0), (x1, y1) = found.min(axis=0) + 0.5, found.max(axis=0) + 0.5
    return Box(x0, y0, x1 - x0, y1 - y0)


# ---- views of the whole person --------------------------------------------------------------------------------------


def test_about_half_of_the_views_are_mirrored_by_default() -> None:
    mirrored = [draw_view(somebody(BOX, 0), TrainConfig(), default_rng(i)).mirrored for i in range(400)]
    assert 150 < sum(mirrored) < 250


def test_zoom_turn_and_shifts_reach_their_limits_and_depend_on_nothing_else() -> None:
    config = TrainConfig(input_size=128, rotation=40, scale=0.3, translation=0.1, flip=0)
    views = [draw_view(somebody(BOX, 0), config, default_rng(i)) for i in range(1000)]
    zooms = np.array([1.25 * BOX.h / view.box.w for view in views])
    turns = np.array([np.degrees(np.arctan2(-view.to_crop.matrix[1, 0], view.to_crop.matrix[0, 0])) for view in views])
    shifts = np.array([np.subtract(view.box.center, BOX.center) / view.box.w for view in views])
    for values, limit in ((zooms - 1, 0.3), (turns, 40), (shifts[:, 0], 0.1), (shifts[:, 1], 0.1)):
        assert -limit <= values.min() < -0.95 * limit
        assert 0.95 * limit < values.max() <= limit
    together = np.corrcoef([zooms, turns, *shifts.T])
    assert np.abs(together[np.triu_indices(4, 1)]).max() < 0.15


@PATIENT
@given(BOXES, SEEDS)
def test_a_mirrored_view_shows_the_same_from_right_to_left(box: Box, seed: int) -> None:
    config = TrainConfig(input_size=SIZE, translation=0.2)
    straight, mirrored = (
        draw_view(somebody(box, seed), replace(config, flip=flip), default_rng(seed)) for flip in (0, 1)
    )
    assert mirrored.box == straight.box
    expected = straight.to_crop(np.arange(14).reshape(7, 2)) * [-1, 1] + [SIZE - 1, 0]
    np.testing.assert_allclose(mirrored.to_crop(np.arange(14).reshape(7, 2)), expected, atol=1e-6)


# ---- half of a person -----------------------------------------------------------------------------------------------


@PATIENT
@given(BOXES, SEEDS, st.sampled_from([0.0, 0.5]))
def test_a_half_stays_within_the_square_of_the_person(box: Box, seed: int, beyond: float) -> None:
    half = half_of(somebody(box, seed, beyond=beyond), MPII, default_rng(seed))
    assert holds(box.square(), half.box.square())


@PATIENT
@given(BOXES, SEEDS, st.sampled_from([0.0, 0.5]))
def test_a_half_is_at_least_half_as_large_as_the_person(box: Box, seed: int, beyond: float) -> None:
    half = half_of(somebody(box, seed, beyond=beyond), MPII, default_rng(seed))
    whole = max(box.w, box.h)
    assert whole / 2 - 1e-6 <= max(half.box.w, half.box.h) <= whole + 1e-6


@PATIENT
@given(BOXES, SEEDS)
def test_a_half_holds_the_joints_of_one_half(box: Box, seed: int) -> None:
    whole = somebody(box, seed)
    half = half_of(whole, MPII, default_rng(seed))
    assume(half is not whole)
    lower = np.isin(np.arange(len(MPII.joints)), LOWER["mpii"])
    assert any(holds(half.box, joints) for joints in (around(whole.keypoints[side]) for side in (lower, ~lower)))


@PATIENT
@given(BOXES, SEEDS)
def test_every_label_of_the_whole_person_is_kept(box: Box, seed: int) -> None:
    whole = somebody(box, seed)
    half = half_of(whole, MPII, default_rng(seed))
    np.testing.assert_array_equal(half.keypoints, whole.keypoints)
    np.testing.assert_array_equal(half.visible, whole.visible)


@pytest.mark.parametrize("skeleton", [MPII, LSP, COCO], ids=lambda skeleton: skeleton.name)
def test_the_halves_part_at_the_waist_and_come_equally_often(skeleton: Skeleton) -> None:
    box = Box(20, 30, 100, 200)
    rng = default_rng(0)
    keypoints = np.column_stack([rng.uniform(50, 90, len(skeleton.joints)), rng.uniform(40, 80, len(skeleton.joints))])
    keypoints[LOWER[skeleton.name], 1] += 130  # above and below the middle, which is y = 129.5
    halves = [half_of(person(box, keypoints), skeleton, default_rng(seed)).box for seed in range(100)]
    ends = [(half.y, half.y + half.h) for half in halves]
    upper, lower = (sum(np.allclose(end, wanted) for end in ends) for wanted in ((30, 130), (130, 230)))
    assert upper + lower == 100
    assert 30 < upper < 70


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_person_with_too_few_labels_in_a_half_is_left_whole(count: int) -> None:
    whole = somebody(BOX, 5, labelled=1)
    keypoints = np.full_like(whole.keypoints, np.nan)
    for half in (LOWER["mpii"], [i for i in range(len(MPII.joints)) if i not in LOWER["mpii"]]):
        keypoints[half[:count]] = whole.keypoints[half[:count]] * 0.2 + 100
    whole = replace(whole, keypoints=keypoints)
    assert all(half_of(whole, MPII, default_rng(seed)).box == BOX for seed in range(20))


def test_three_labels_are_enough_for_a_half() -> None:
    keypoints = np.full((len(MPII.joints), 2), np.nan)
    keypoints[LOWER["mpii"][:3]] = [(150, 150), (160, 170), (170, 160)]
    boxes = {half_of(person(BOX, keypoints), MPII, default_rng(seed)).box for seed in range(20)}
    assert len(boxes) == 2


@pytest.mark.parametrize(
    "skeleton",
    [FLIC.subset([joint for joint in FLIC.joints if not joint.endswith("hip")]), LSP.subset(LSP.joints[:6])],
    ids=["no lower half", "no upper half"],
)
def test_who_has_one_half_alone_is_left_whole(skeleton: Skeleton) -> None:
    whole = person(BOX, default_rng(2).uniform(130, 180, (len(skeleton.joints), 2)))
    assert all(half_of(whole, skeleton, default_rng(seed)).box == BOX for seed in range(20))


# ---- what views can show --------------------------------------------------------------------------------------------

CONFIGS = st.builds(
    lambda padding, scale, rotation, translation, half_body: TrainConfig(
        input_size=SIZE,
        padding=padding,
        scale=scale,
        rotation=rotation,
        translation=translation,
        half_body=half_body,
        flip=0.5,
    ),
    st.sampled_from([1.0, 1.25]),
    st.floats(0, 0.5),
    st.sampled_from([0.0, 30.0, 180.0]),
    st.floats(0, 0.3),
    st.sampled_from([0.0, 1.0]),
)


@PATIENT
@given(CONFIGS, BOXES, SEEDS)
def test_every_view_of_the_part_within_reach_is_the_view_of_the_photo(config: TrainConfig, box: Box, seed: int) -> None:
    rng = default_rng(seed)
    whole = somebody(box, seed)
    part, to_part = crops.crop_region(WAVES, whole.box, reach_of(config))
    for _ in range(5):
        to_crop = draw_view(half_of(whole, MPII, rng) if config.half_body else whole, config, rng).to_crop
        crop = images.warp(part, to_part.inverse().then(to_crop), (SIZE, SIZE))
        assert_alike(crop, images.warp(WAVES, to_crop, (SIZE, SIZE)), to_crop)


@PATIENT
@given(CONFIGS, BOXES, SEEDS)
def test_no_view_shows_more_or_needs_finer_pixels_than_the_reach(config: TrainConfig, box: Box, seed: int) -> None:
    rng, reached = default_rng(seed), reach_of(config)
    square = box.square(reached.padding)
    ends = (-0.5, SIZE - 0.5)
    for _ in range(5):
        whole = somebody(box, int(rng.integers(10**6)), beyond=0.3)
        to_crop = draw_view(half_of(whole, MPII, rng) if config.half_body else whole, config, rng).to_crop
        corners = to_crop.inverse()([(x, y) for x in ends for y in ends])
        assert np.abs(corners - square.center).max() <= square.w / 2 + 1e-6
        assert to_crop.scale <= reached.size / square.w + 1e-9


def test_half_bodies_need_finer_pixels_and_no_more_of_the_picture() -> None:
    without, with_them = (reach_of(TrainConfig(half_body=share)) for share in (0, 0.1))
    assert with_them.padding == without.padding
    assert with_them.size == pytest.approx(2 * without.size, abs=1)


# ---- boxes with nobody ----------------------------------------------------------------------------------------------


@PATIENT
@given(st.lists(BOXES, max_size=3), SEEDS)
def test_a_background_box_is_a_square_of_the_picture_beside_the_people(people: list[Box], seed: int) -> None:
    box = background_box(people, WAVES, default_rng(seed))
    assume(box is not None)
    assert box is not None
    assert box.w == box.h
    assert holds(Box(0, 0, WAVES.shape[1], WAVES.shape[0]), box)
    assert all(box.intersection(other) < 0.02 * box.w**2 for other in people)


def test_there_is_no_background_box_where_people_are_everywhere() -> None:
    people = [Box(0, 0, 201, 307), Box(200, 0, 201, 307)]
    assert all(background_box(people, WAVES, default_rng(seed)) is None for seed in range(20))


def test_the_background_of_a_picture_without_people_is_anywhere_on_it() -> None:
    boxes = [background_box([], WAVES, default_rng(seed)) for seed in range(300)]
    sides = np.array([box.w for box in boxes if box is not None])
    assert len(sides) == 300
    assert sides.min() < 0.3 * 307
    assert sides.max() > 0.85 * 307
    covered = np.zeros(WAVES.shape[:2], dtype=bool)
    for box in boxes:
        assert box is not None
        covered[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)] = True
    assert covered.mean() > 0.98
