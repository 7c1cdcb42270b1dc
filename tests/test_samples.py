from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg import images
from posehg.datasets import Dataset
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton
from posehg.training.config import TrainConfig
from posehg.training.samples import Order, Samples, draw_view, steps_per_epoch

PATIENT = settings(max_examples=30, deadline=None)  # another process may have the cores
SIZE = 128
ROWS, COLUMNS = 307, 401
BOX = Box(101.5, 60.5, 149, 197)
SKELETON = Skeleton("toy", ("left_hand", "head", "right_hand", "tail", "right_foot"), ())
LEFT, HEAD, RIGHT, TAIL, FOOT = range(5)
KEYPOINTS = np.array([(140.25, 190.5), (181.0, 121.75), (213.5, 170.25), (np.nan, np.nan), (190.0, 200.0)])
WILD = TrainConfig(input_size=SIZE, rotation=40, scale=0.3, translation=0.1, colour=0, flip=0.5, seed=5)
CALM = replace(WILD, rotation=0, scale=0, translation=0, flip=0)


def dataset(image: Image, keypoints: np.ndarray = KEYPOINTS, count: int = 1, box: Box = BOX) -> Dataset:
    visible = np.isfinite(keypoints).all(axis=1)
    persons = [Person(Path("photo.png"), box, keypoints, visible, id=str(i)) for i in range(count)]
    return Dataset("toy", "train", SKELETON, persons, read=lambda person: image)


def dots() -> Image:
    """A black photo with a soft dot at three of the joints: the left hand red, the head green, the right hand blue."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    photo = np.zeros((ROWS, COLUMNS, 3))
    for colour, joint in enumerate((LEFT, HEAD, RIGHT)):
        cx, cy = KEYPOINTS[joint]
        photo[..., colour] = 250 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 4.0**2))
    return photo.round().astype(np.uint8)


def waves() -> Image:
    """A photo of slow waves in all directions."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    channels = [np.sin(x / 19 + y / 31 + 1), np.cos(x / 23 - y / 17), np.sin(y / 29) * np.cos(x / 37)]
    return (128 + 100 * np.stack(channels, axis=-1)).round().astype(np.uint8)


DOTS, WAVES = dots(), waves()


def centroids(crop: torch.Tensor) -> np.ndarray:
    """(3, 2): where in the crop (3, S, S) the red, the green and the blue dot lie, in crop pixels."""
    values = crop.numpy().astype(float)
    values[values < 3] = 0
    y, x = np.mgrid[: values.shape[1], : values.shape[2]]
    mass = values.sum(axis=(1, 2))
    return np.stack([(values * x).sum(axis=(1, 2)) / mass, (values * y).sum(axis=(1, 2)) / mass], axis=-1)


def is_mirrored(points: np.ndarray) -> bool:
    """Whether left hand, head and right hand follow each other the other way around than in the photo."""

    def turn(p: np.ndarray) -> float:
        (ax, ay), (bx, by) = p[1] - p[0], p[2] - p[0]
        return float(ax * by - ay * bx)

    return turn(points) * turn(KEYPOINTS[[LEFT, HEAD, RIGHT]]) < 0


# ---- points and pixels -------------------------------------------------------------------------------------------


@PATIENT
@given(st.integers(0, 10**6))
def test_points_lie_where_the_crop_shows_them(epoch: int) -> None:
    crop, points = Samples(dataset(DOTS), WILD)[epoch, 0]
    shown = centroids(crop)
    left, right = (RIGHT, LEFT) if is_mirrored(shown) else (LEFT, RIGHT)
    assert (points[[left, HEAD, right]].numpy() * 4 + 1.5) == pytest.approx(shown, abs=0.3)


@pytest.mark.parametrize("flip", [0, 1])
def test_mirrored_crops_are_as_frequent_as_asked(flip: int) -> None:
    samples = Samples(dataset(DOTS), replace(WILD, flip=flip))
    assert [is_mirrored(centroids(samples[epoch, 0][0])) for epoch in range(7)] == [bool(flip)] * 7


def test_about_half_of_the_crops_are_mirrored_by_default() -> None:
    config = TrainConfig()
    mirrored = [draw_view(dataset(DOTS).persons[0], config, default_rng(i)).mirrored for i in range(400)]
    assert 150 < sum(mirrored) < 250


def test_a_mirrored_crop_is_the_crop_from_right_to_left_with_the_sides_exchanged() -> None:
    (crop, points), (mirrored, turned) = (Samples(dataset(WAVES), replace(CALM, flip=f))[0, 0] for f in (0, 1))
    assert (crop.flip(-1).int() - mirrored.int()).abs().max() <= 1
    expected = points[list(SKELETON.flip)].clone()
    expected[:, 0] = SIZE / 4 - 1 - expected[:, 0]
    torch.testing.assert_close(turned, expected, equal_nan=True)


@PATIENT
@given(st.integers(0, 10**6))
def test_a_joint_that_is_not_labelled_stays_so_on_its_own_side(epoch: int) -> None:
    keypoints = KEYPOINTS.copy()
    keypoints[LEFT] = np.nan
    with_it, without = (Samples(dataset(DOTS, k), WILD)[epoch, 0] for k in (KEYPOINTS, keypoints))
    gone = RIGHT if is_mirrored(centroids(with_it[0])) else LEFT
    assert with_it[1].isnan().all(dim=-1).nonzero().flatten().tolist() == [TAIL]
    assert without[1].isnan().all(dim=-1).nonzero().flatten().tolist() == sorted([gone, TAIL])


def test_without_augmentation_the_person_fills_the_crop_as_in_prediction() -> None:
    crop, points = Samples(dataset(DOTS), CALM)[3, 0]
    side = 1.25 * max(BOX.w, BOX.h)
    x, y = (KEYPOINTS[HEAD] - BOX.center) * SIZE / side + (SIZE - 1) / 2
    assert points[HEAD].tolist() == pytest.approx([(x - 1.5) / 4, (y - 1.5) / 4])
    assert centroids(crop)[1] == pytest.approx([x, y], abs=0.2)


def test_views_use_the_whole_of_their_limits_and_no_more() -> None:
    person, config = dataset(DOTS).persons[0], replace(WILD, flip=0)
    views = [draw_view(person, config, default_rng(i)) for i in range(1000)]
    zooms = np.array([1.25 * BOX.h / view.box.w for view in views])
    turns = np.array([np.degrees(np.arctan2(-view.to_crop.matrix[1, 0], view.to_crop.matrix[0, 0])) for view in views])
    shifts = np.array([np.subtract(view.box.center, BOX.center) / view.box.w for view in views])
    for values, limit in ((zooms - 1, 0.3), (turns, 40), (shifts[:, 0], 0.1), (shifts[:, 1], 0.1)):
        assert -limit <= values.min() < -0.95 * limit
        assert 0.95 * limit < values.max() <= limit


def test_colours_are_multiplied_channel_by_channel_and_points_are_not_touched() -> None:
    grey = np.full((ROWS, COLUMNS, 3), 100, dtype=np.uint8)
    calm, colourful = (Samples(dataset(grey, box=Box(150, 100, 60, 60)), c) for c in (CALM, replace(CALM, colour=0.4)))
    means = np.array([colourful[epoch, 0][0].float().mean(dim=(1, 2)).numpy() for epoch in range(200)])
    assert 60 <= means.min() < 65
    assert 135 < means.max() <= 140
    assert np.abs(np.corrcoef(means.T)[np.triu_indices(3, 1)]).max() < 0.3
    torch.testing.assert_close(colourful[0, 0][1], calm[0, 0][1], equal_nan=True)


# ---- the same and not the same ------------------------------------------------------------------------------------


def test_a_sample_is_the_same_whenever_and_by_whomever_it_is_made() -> None:
    config = replace(WILD, colour=0.4, background=0.3)
    one, other = (Samples(dataset(WAVES, count=5), config) for _ in range(2))
    keys = [(epoch, index) for epoch in range(3) for index in range(5)]
    first = {key: one[key] for key in keys}
    for key in reversed(keys):
        crop, points = other[key]
        assert torch.equal(crop, first[key][0])
        torch.testing.assert_close(points, first[key][1], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("seed", "epoch", "index"), [(6, 2, 3), (5, 1, 3), (5, 2, 4)])
def test_samples_differ_between_seeds_epochs_and_persons(seed: int, epoch: int, index: int) -> None:
    data = dataset(WAVES, count=5)
    crop, _ = Samples(data, WILD)[2, 3]
    other, _ = Samples(data, replace(WILD, seed=seed))[epoch, index]
    assert (crop.int() - other.int()).abs().float().mean() > 5


@pytest.mark.parametrize("size", [64, 256])  # kept at a coarser scale than the photo's, and as it is
def test_a_kept_part_of_the_photo_gives_the_same_crop_as_the_photo(size: int) -> None:
    config = replace(WILD, input_size=size)
    data = dataset(WAVES)
    samples = Samples(data, config)
    for epoch in range(10):
        crop, _ = samples[epoch, 0]
        view = draw_view(data.persons[0], config, default_rng((config.seed, epoch, 0)))
        direct = images.warp(WAVES, view.to_crop, (size, size))
        difference = np.abs(crop.permute(1, 2, 0).numpy().astype(int) - direct)
        assert difference.mean() < 2
        assert np.percentile(difference, 95) < 6  # the rest is the photo's edge, where black begins


def test_a_photo_is_read_once_for_all_epochs_while_there_is_room() -> None:
    reads = []
    data = replace(dataset(WAVES, count=3), read=lambda person: reads.append(person.id) or WAVES)
    samples = Samples(data, WILD)
    for epoch in range(3):
        for index in range(3):
            samples[epoch, index]
    assert sorted(reads) == ["0", "1", "2"]


# ---- crops with nobody ---------------------------------------------------------------------------------------------


def test_a_background_crop_shows_nothing_of_the_person_and_has_every_joint_off_the_map() -> None:
    photo = np.full((ROWS, COLUMNS, 3), 40, dtype=np.uint8)
    box = Box(30, 40, 60, 80)
    photo[40:120, 30:90] = 255
    samples = Samples(dataset(photo, KEYPOINTS / 4, box=box), replace(WILD, background=1))
    for epoch in range(20):
        crop, points = samples[epoch, 0]
        assert (crop > 200).float().mean() < 0.03
        assert points.isfinite().all()
        assert (points < -1000).all()


def test_a_background_crop_avoids_everybody_who_is_annotated_on_the_photo() -> None:
    photo = np.full((ROWS, COLUMNS, 3), 40, dtype=np.uint8)
    photo[40:120, 30:90] = 255
    data = dataset(photo, KEYPOINTS / 4, box=Box(0, 0, 8, 8))
    other = replace(data.persons[0], box=Box(30, 40, 60, 80), id="other")
    samples = Samples(replace(data, persons=[*data.persons, other]), replace(WILD, background=1))
    crops = [samples[epoch, 0] for epoch in range(20)]
    nobody = [crop for crop, points in crops if (points < -1000).all()]
    assert nobody
    assert all((crop > 200).float().mean() < 0.03 for crop in nobody)


def test_a_person_who_fills_the_photo_has_no_background_crop() -> None:
    samples = Samples(dataset(WAVES, box=Box(0, 0, COLUMNS, ROWS)), replace(CALM, background=1))
    assert (samples[0, 0][1][HEAD] > 0).all()


def test_background_crops_are_as_frequent_as_asked() -> None:
    data = dataset(DOTS, KEYPOINTS / 4, box=Box(30, 30, 30, 40))
    samples = Samples(data, replace(WILD, background=0.2, input_size=16))
    shown = [bool((samples[epoch, 0][1][HEAD] < -1000).all()) for epoch in range(300)]
    assert 35 < sum(shown) < 90


# ---- order -------------------------------------------------------------------------------------------------------

counts = st.integers(1, 53)
batches = st.integers(1, 11)


@PATIENT
@given(counts, batches, st.integers(0, 99))
def test_every_sample_comes_once_an_epoch_but_for_the_dropped_remainder(count: int, batch: int, epoch: int) -> None:
    config = TrainConfig(batch=batch)
    order = list(Order(count, config, epoch))
    keys = [key for keys in order for key in keys]
    assert {len(keys) for keys in order} == {min(batch, count)}
    assert len(set(keys)) == len(keys) == max(count - count % batch, min(count, batch))
    assert {e for e, _ in keys} == {epoch}
    assert {index for _, index in keys} <= set(range(count))
    assert len(order) == len(Order(count, config, epoch)) == steps_per_epoch(count, batch)


@PATIENT
@given(counts, batches, st.data())
def test_an_epoch_that_was_begun_goes_on_with_the_rest_of_its_order(
    count: int, batch: int, data: st.DataObject
) -> None:
    config = TrainConfig(batch=batch, seed=3)
    whole = list(Order(count, config, 7))
    done = data.draw(st.integers(0, len(whole)))
    rest = Order(count, config, 7, done)
    assert list(rest) == whole[done:]
    assert len(rest) == len(whole) - done


def test_the_order_differs_between_epochs_and_seeds() -> None:
    def indices(epoch: int, seed: int) -> tuple[int, ...]:
        return tuple(index for keys in Order(53, TrainConfig(batch=1, seed=seed), epoch) for _, index in keys)

    orders = {indices(epoch, seed) for epoch in range(3) for seed in range(3)}
    assert len(orders) == 9
    assert tuple(range(53)) not in orders
