from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg import images
from posehg.datasets import Dataset
from posehg.distributed import World
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton
from posehg.training.batches import Sample
from posehg.training.config import TrainConfig
from posehg.training.samples import CropCache, Order, Samples, smallest_share, steps_per_epoch, unchanged
from posehg.training.views import draw_view

PATIENT = settings(max_examples=30, deadline=None)  # another process may have the cores
SIZE = 128
ROWS, COLUMNS = 307, 401
BOX = Box(101.5, 60.5, 149, 197)
SKELETON = Skeleton("toy", ("left_hand", "head", "right_hand", "tail", "right_foot"), ())
LEFT, HEAD, RIGHT, TAIL, FOOT = range(5)
KEYPOINTS = np.array([(140.25, 190.5), (181.0, 121.75), (213.5, 170.25), (np.nan, np.nan), (190.0, 200.0)])
WILD = TrainConfig(input_size=SIZE, rotation=40, scale=0.3, translation=0.1, colour=0, flip=0.5, seed=5)
CALM = replace(WILD, rotation=0, scale=0, translation=0, flip=0)
HALF = replace(WILD, scale=0, translation=0, half_body=1)


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


def crop_of(sample: Sample) -> np.ndarray:
    """(S, S, 3) as integers, which can be subtracted from each other."""
    return sample.crop(SIZE).astype(int)


def centroids(sample: Sample) -> np.ndarray:
    """(3, 2): where in the crop the red, the green and the blue dot lie, in crop pixels."""
    values = np.moveaxis(sample.crop(SIZE).astype(float), -1, 0)
    values[values < 3] = 0
    y, x = np.mgrid[:SIZE, :SIZE]
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
@given(st.sampled_from([WILD, HALF]), st.integers(0, 10**6))
def test_points_lie_where_the_crop_shows_them(config: TrainConfig, epoch: int) -> None:
    sample = Samples(dataset(DOTS), config)[epoch, 0]
    shown = centroids(sample)
    left, right = (RIGHT, LEFT) if sample.mirrored else (LEFT, RIGHT)
    assert (sample.points[[left, HEAD, right]] * 4 + 1.5) == pytest.approx(shown, abs=0.3)


@PATIENT
@given(st.integers(0, 10**6))
def test_a_sample_says_of_itself_whether_it_is_mirrored(epoch: int) -> None:
    sample = Samples(dataset(DOTS), WILD)[epoch, 0]
    assert sample.mirrored == is_mirrored(centroids(sample))


@pytest.mark.parametrize("flip", [0, 1])
def test_mirrored_crops_are_as_frequent_as_asked(flip: int) -> None:
    samples = Samples(dataset(DOTS), replace(WILD, flip=flip))
    assert [is_mirrored(centroids(samples[epoch, 0])) for epoch in range(7)] == [bool(flip)] * 7


def test_a_mirrored_crop_is_the_crop_from_right_to_left_with_the_sides_exchanged() -> None:
    straight, mirrored = (Samples(dataset(WAVES), replace(CALM, flip=flip))[0, 0] for flip in (0, 1))
    assert np.abs(crop_of(straight)[:, ::-1] - crop_of(mirrored)).max() <= 1
    expected = straight.points[list(SKELETON.flip)].copy()
    expected[:, 0] = SIZE / 4 - 1 - expected[:, 0]
    expected[FOOT] = np.nan  # it is the left one now, which the skeleton does not have
    np.testing.assert_allclose(mirrored.points, expected, rtol=1e-5)


@PATIENT
@given(st.integers(0, 10**6))
def test_a_joint_that_is_not_labelled_stays_so_on_its_own_side(epoch: int) -> None:
    keypoints = KEYPOINTS.copy()
    keypoints[LEFT] = np.nan
    with_it, without = (Samples(dataset(DOTS, k), WILD)[epoch, 0] for k in (KEYPOINTS, keypoints))
    gone, always = (RIGHT, [TAIL, FOOT]) if is_mirrored(centroids(with_it)) else (LEFT, [TAIL])
    assert unlabelled(with_it) == always
    assert unlabelled(without) == sorted([gone, *always])


def unlabelled(sample: Sample) -> list[int]:
    return np.flatnonzero(np.isnan(sample.points).all(axis=1)).tolist()


def test_without_augmentation_the_person_fills_the_crop_as_in_prediction() -> None:
    sample = Samples(dataset(DOTS), CALM)[3, 0]
    side = 1.25 * max(BOX.w, BOX.h)
    x, y = (KEYPOINTS[HEAD] - BOX.center) * SIZE / side + (SIZE - 1) / 2
    assert sample.points[HEAD].tolist() == pytest.approx([(x - 1.5) / 4, (y - 1.5) / 4])
    assert centroids(sample)[1] == pytest.approx([x, y], abs=0.2)


def test_a_configuration_without_augmentation_gives_the_same_crop_every_time() -> None:
    everything = replace(WILD, colour=0.4, occlusion=1, half_body=1, background=1)
    samples = Samples(dataset(DOTS), unchanged(everything))
    expected = Samples(dataset(DOTS), CALM)[0, 0]
    for epoch in range(7):
        np.testing.assert_array_equal(samples[epoch, 0].crop(SIZE), expected.crop(SIZE))
        np.testing.assert_array_equal(samples[epoch, 0].points, expected.points)


def test_colours_are_multiplied_channel_by_channel_and_points_are_not_touched() -> None:
    grey = np.full((ROWS, COLUMNS, 3), 100, dtype=np.uint8)
    calm, colourful = (Samples(dataset(grey, box=Box(150, 100, 60, 60)), c) for c in (CALM, replace(CALM, colour=0.4)))
    means = np.array([colourful[epoch, 0].crop(SIZE).mean(axis=(0, 1)) for epoch in range(200)])
    assert 60 <= means.min() < 65
    assert 135 < means.max() <= 140
    assert np.abs(np.corrcoef(means.T)[np.triu_indices(3, 1)]).max() < 0.3
    np.testing.assert_array_equal(colourful[0, 0].points, calm[0, 0].points)


# ---- the same and not the same ------------------------------------------------------------------------------------


def test_a_sample_is_the_same_whenever_and_by_whomever_it_is_made() -> None:
    config = replace(WILD, colour=0.4, background=0.3, occlusion=0.3, half_body=0.3)
    one, other = Samples(dataset(WAVES, count=5), config), Samples(dataset(WAVES, count=5), config, keep=0)
    keys = [(epoch, index) for epoch in range(3) for index in range(5)]
    first = {key: one[key] for key in keys}
    for key in reversed(keys):
        np.testing.assert_array_equal(other[key].crop(SIZE), first[key].crop(SIZE))
        np.testing.assert_array_equal(other[key].points, first[key].points)


@pytest.mark.parametrize(("seed", "epoch", "index"), [(6, 2, 3), (5, 1, 3), (5, 2, 4)])
def test_samples_differ_between_seeds_epochs_and_persons(seed: int, epoch: int, index: int) -> None:
    data = dataset(WAVES, count=5)
    sample, other = Samples(data, WILD)[2, 3], Samples(data, replace(WILD, seed=seed))[epoch, index]
    assert np.abs(crop_of(sample) - crop_of(other)).mean() > 5


@pytest.mark.parametrize("background", [0, 1])
def test_a_sample_names_its_person_even_where_it_shows_nobody(background: int) -> None:
    data = dataset(WAVES, KEYPOINTS / 4, count=5, box=Box(30, 30, 30, 40))
    samples = [Samples(data, replace(WILD, background=background))[7, index] for index in (3, 0, 4)]
    assert [is_nobody(sample) for sample in samples] == [bool(background)] * 3
    assert [sample.index for sample in samples] == [3, 0, 4]


@pytest.mark.parametrize("size", [64, 256])  # kept at a coarser scale than the photo's, and as it is
def test_a_kept_part_of_the_photo_gives_the_same_crop_as_the_photo(size: int) -> None:
    config = replace(WILD, input_size=size)
    data = dataset(WAVES)
    samples = Samples(data, config)
    for epoch in range(10):
        view = draw_view(data.persons[0], config, default_rng((config.seed, epoch, 0)))
        direct = images.warp(WAVES, view.to_crop, (size, size))
        difference = np.abs(samples[epoch, 0].crop(size).astype(int) - direct)
        assert difference.mean() < 2
        assert np.percentile(difference, 95) < 6  # the rest is the photo's edge, where black begins


def counting(data: Dataset) -> tuple[Dataset, list[str]]:
    """The data set, and a list of the persons whose photos it has read."""
    reads: list[str] = []
    return replace(data, read=lambda person: reads.append(person.id) or WAVES), reads


def test_a_photo_is_read_once_for_all_epochs_while_there_is_room() -> None:
    data, reads = counting(dataset(WAVES, count=3))
    samples = Samples(data, WILD)
    for epoch in range(3):
        for index in range(3):
            samples[epoch, index]
    assert sorted(reads) == ["0", "1", "2"]


def test_no_part_is_kept_where_none_is_to_be() -> None:
    data, reads = counting(dataset(WAVES))
    samples = Samples(data, WILD, keep=0)
    for epoch in range(3):
        samples[epoch, 0]
    assert reads == ["0"] * 3


def test_where_memory_is_full_further_photos_are_read_each_time() -> None:
    data, reads = counting(dataset(WAVES, count=3))
    needed = CropCache(data, WILD, limit=0)(data.persons[0])[0].nbytes
    reads.clear()
    cache = CropCache(data, WILD, limit=2 * needed + 1)
    for _ in range(3):
        for person in data.persons:
            cache(person)
    assert reads == ["0", "1", "2", "2", "2"]


def test_a_person_whom_a_joined_set_has_twice_is_kept_once() -> None:
    data, reads = counting(dataset(WAVES, count=2))
    samples = Samples(replace(data, persons=[*data.persons, *map(replace, data.persons)]), WILD)
    for index in range(4):
        samples[0, index]
    assert reads == ["0", "1"]


# ---- something in front, and half a person -------------------------------------------------------------------------


def test_occluded_crops_are_as_frequent_as_asked() -> None:
    plain, spoilt = (Samples(dataset(WAVES), replace(WILD, occlusion=share)) for share in (0, 0.3))
    changed = [(crop_of(plain[epoch, 0]) != crop_of(spoilt[epoch, 0])).any() for epoch in range(200)]
    assert 40 < sum(changed) < 80


def test_an_occluded_joint_keeps_its_label() -> None:
    plain, spoilt = (Samples(dataset(WAVES), replace(WILD, occlusion=share)) for share in (0, 1))
    for epoch in range(20):
        np.testing.assert_array_equal(spoilt[epoch, 0].points, plain[epoch, 0].points)


def test_what_occludes_one_view_is_gone_in_the_next() -> None:
    samples = Samples(dataset(DOTS), replace(CALM, occlusion=1))
    parts = np.stack([crop_of(samples[epoch, 0]) for epoch in range(40)])
    expected = crop_of(Samples(dataset(DOTS), CALM)[0, 0])
    np.testing.assert_array_equal(np.median(parts, axis=0), expected)


def test_half_body_crops_are_as_frequent_as_asked() -> None:
    skeleton = Skeleton("walker", ("head", "neck", "chest", "pelvis", "knee", "foot"), ())
    keypoints = np.column_stack([np.linspace(150, 200, 6), np.linspace(70, 240, 6)])
    data = replace(dataset(WAVES, keypoints), skeleton=skeleton)
    whole = Samples(data, CALM)[0, 0].points
    samples = Samples(data, replace(CALM, half_body=0.3))
    changed = [not np.array_equal(samples[epoch, 0].points, whole) for epoch in range(300)]
    assert 60 < sum(changed) < 120


# ---- crops with nobody ---------------------------------------------------------------------------------------------


def is_nobody(sample: Sample) -> bool:
    return bool((sample.points < -1000).all())


def test_a_background_crop_shows_nothing_of_the_person_and_has_every_joint_off_the_map() -> None:
    photo = np.full((ROWS, COLUMNS, 3), 40, dtype=np.uint8)
    box = Box(30, 40, 60, 80)
    photo[40:120, 30:90] = 255
    samples = Samples(dataset(photo, KEYPOINTS / 4, box=box), replace(WILD, background=1))
    for epoch in range(20):
        assert (crop_of(samples[epoch, 0]) > 200).mean() < 0.03
        assert is_nobody(samples[epoch, 0])
        assert samples[epoch, 0].points.shape == KEYPOINTS.shape


def test_a_background_crop_avoids_everybody_who_is_annotated_on_the_photo() -> None:
    photo = np.full((ROWS, COLUMNS, 3), 40, dtype=np.uint8)
    photo[40:120, 30:90] = 255
    data = dataset(photo, KEYPOINTS / 4, box=Box(0, 0, 8, 8))
    (person,), box = data.persons, Box(30, 40, 60, 80)
    persons = [person, replace(person, box=box, id="other")]
    samples = Samples(replace(data, persons=persons), replace(WILD, background=1))
    nobody = [sample for sample in (samples[epoch, 0] for epoch in range(20)) if is_nobody(sample)]
    assert nobody
    assert all((crop_of(sample) > 200).mean() < 0.03 for sample in nobody)


def test_a_person_who_fills_the_photo_has_no_background_crop() -> None:
    samples = Samples(dataset(WAVES, box=Box(0, 0, COLUMNS, ROWS)), replace(CALM, background=1))
    assert (samples[0, 0].points[HEAD] > 0).all()


def test_background_crops_are_as_frequent_as_asked() -> None:
    data = dataset(DOTS, KEYPOINTS / 4, box=Box(30, 30, 30, 40))
    samples = Samples(data, replace(WILD, background=0.2, input_size=16))
    assert 35 < sum(is_nobody(samples[epoch, 0]) for epoch in range(300)) < 90


@pytest.mark.parametrize(("sets", "expected"), [("", True), ("all", True), ("all+more", True), ("more", False)])
def test_background_crops_come_only_from_the_named_sets(sets: str, expected: bool) -> None:
    data = dataset(DOTS, KEYPOINTS / 4, box=Box(30, 30, 30, 40))
    data = replace(data, persons=[replace(person, source="all") for person in data.persons])
    samples = Samples(data, replace(WILD, background=1, background_from=sets))
    assert is_nobody(samples[0, 0]) is expected


# ---- order -------------------------------------------------------------------------------------------------------

EPOCHS = 3
counts, batches = st.integers(1, 53), st.integers(1, 11)
orders = st.builds(
    lambda count, batch, seed: (count, TrainConfig(batch=batch, seed=seed, epochs=EPOCHS)),
    counts,
    batches,
    st.integers(0, 99),
)
Keys = list[tuple[int, int]]


def by_epoch(order: list[Keys]) -> list[list[Keys]]:
    """The batches of each epoch; every batch belongs to one."""
    assert all(len({epoch for epoch, _ in batch}) == 1 for batch in order)
    return [[batch for batch in order if batch[0][0] == epoch] for epoch in range(EPOCHS)]


@PATIENT
@given(orders)
def test_every_sample_comes_exactly_once_an_epoch(run: tuple[int, TrainConfig]) -> None:
    count, config = run
    for epoch, order in enumerate(by_epoch(list(Order(count, config)))):
        assert sorted(key for batch in order for key in batch) == [(epoch, index) for index in range(count)]


@PATIENT
@given(orders)
def test_the_batches_of_an_epoch_differ_in_size_by_one_at_most(run: tuple[int, TrainConfig]) -> None:
    count, config = run
    for order in by_epoch(list(Order(count, config))):
        sizes = [len(batch) for batch in order]
        assert len(sizes) == steps_per_epoch(count, config.batch)
        assert max(sizes) <= config.batch
        assert max(sizes) - min(sizes) <= 1


@PATIENT
@given(orders)
def test_an_epoch_has_no_more_steps_than_it_needs(run: tuple[int, TrainConfig]) -> None:
    count, config = run
    steps = steps_per_epoch(count, config.batch)
    assert (steps - 1) * config.batch < count <= steps * config.batch


@PATIENT
@given(orders, st.data())
def test_a_run_that_was_begun_goes_on_with_the_rest_of_its_order(
    run: tuple[int, TrainConfig], data: st.DataObject
) -> None:
    count, config = run
    steps = steps_per_epoch(count, config.batch)
    epoch, done = data.draw(st.integers(0, EPOCHS - 1)), data.draw(st.integers(0, steps))
    rest, whole = Order(count, config, epoch, done), list(Order(count, config))
    assert list(rest) == whole[epoch * steps + done :]
    assert len(rest) == len(list(rest))
    assert list(rest) == list(rest)  # as often as one asks


@PATIENT
@given(orders)
def test_a_run_that_is_over_has_no_batches_left(run: tuple[int, TrainConfig]) -> None:
    order = Order(*run, EPOCHS)
    assert list(order) == []
    assert len(order) == 0


@PATIENT
@given(orders, st.sampled_from([2, 3]))
def test_the_shares_of_the_processes_are_together_the_batch(run: tuple[int, TrainConfig], size: int) -> None:
    whole = list(Order(*run))
    shares = [list(Order(*run, world=World(rank, size))) for rank in range(size)]
    assert {len(order) for order in shares} == {len(whole)}
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(key for part in parts for key in part) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@PATIENT
@given(orders, st.sampled_from([2, 3]), st.data())
def test_a_process_goes_on_with_the_rest_of_its_own_share(
    run: tuple[int, TrainConfig], size: int, data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, steps_per_epoch(run[0], run[1].batch)))
    world = World(size - 1, size)
    assert list(Order(*run, 0, done, world)) == list(Order(*run, world=world))[done:]


@PATIENT
@given(orders, st.sampled_from([1, 2, 3]), st.integers(1, 4))
def test_the_smallest_share_is_that_of_the_process_and_part_with_the_fewest(
    run: tuple[int, TrainConfig], size: int, accumulate: int
) -> None:
    count, config = run[0], replace(run[1], accumulate=accumulate)
    shares = [batch for rank in range(size) for batch in Order(count, config, world=World(rank, size))]
    fewest = min(len(part) for share in shares for part in np.array_split(np.arange(len(share)), accumulate))
    assert smallest_share(count, config, World(0, size)) == fewest


def test_the_order_differs_between_epochs_and_seeds() -> None:
    found = set()
    for seed in range(3):
        for order in by_epoch(list(Order(53, TrainConfig(batch=1, seed=seed, epochs=EPOCHS)))):
            found.add(tuple(index for batch in order for _, index in batch))
    assert len(found) == 9
    assert tuple(range(53)) not in found
