"""From persons to batches: samples, what is kept of images, the order, and crops made by a device."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg import images
from posehg.datasets import Dataset
from posehg.datasets.crops import crop_region
from posehg.distributed import World
from posehg.errors import InputError
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton
from posehg.training import data as training_data
from posehg.training.augment import occlude, widest_region
from posehg.training.config import TrainConfig
from posehg.training.data import (
    Crops,
    LeftOut,
    Sample,
    Samples,
    batch_order,
    batches,
    collate,
    crops_on,
    without_augmentation,
)
from tests import toy
from tests.random_views import COLUMNS, ROWS, WAVES

PATIENT = settings(max_examples=30)
CPU = torch.device("cpu")
SIZE = 128
BOX, SMALL = Box(101.5, 60.5, 149, 197), Box(30, 40, 60, 80)
SKELETON = Skeleton("toy", ("left_hand", "head", "right_hand", "tail", "right_foot"), ())
LEFT, HEAD, RIGHT, TAIL, FOOT = range(5)
KEYPOINTS = np.array([(140.25, 190.5), (181.0, 121.75), (213.5, 170.25), (np.nan, np.nan), (190.0, 200.0)])
WILD = TrainConfig(input_size=SIZE, rotation=40, scale=0.3, translation=0.1, colour=0, flip=0.5, seed=5)
CALM = replace(WILD, rotation=0, scale=0, translation=0, flip=0)


def dataset(image: Image, keypoints: np.ndarray = KEYPOINTS, count: int = 1, box: Box = BOX) -> Dataset:
    visible = np.isfinite(keypoints).all(axis=1)
    persons = [Person(Path("photo.png"), box, keypoints, visible, id=str(i)) for i in range(count)]
    return Dataset("toy", "train", SKELETON, persons, read=lambda person: image)


_Y, _X = np.mgrid[:ROWS, :COLUMNS][..., None]
_SQUARE = ((np.stack([_X, _Y], axis=-1) - KEYPOINTS[[LEFT, HEAD, RIGHT]]) ** 2).sum(axis=-1)
DOTS: Image = (250 * np.exp(-_SQUARE / (2 * 4.0**2))).round().astype(np.uint8)
"""Black, with a soft dot at three of the joints: the left hand red, the head green, the right hand blue."""


def crop_of(sample: Sample) -> np.ndarray:
    """(S, S, 3) as integers, which can be subtracted from each other."""
    return sample.crop(SIZE).astype(int)


def centroids(sample: Sample) -> np.ndarray:
    """(3, 2): where the crop shows the red, the green and the blue dot."""
    values = sample.crop(SIZE).astype(float)
    values[values < 3] = 0
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.einsum("yxc,kyx->ck", values, np.stack([x, y])) / values.sum(axis=(0, 1))[:, None]


def turn(p: np.ndarray) -> float:
    """The sign tells on which side of the line from the first point to the second the third one lies."""
    return float(np.linalg.det(p[1:] - p[0]))


def is_background(sample: Sample) -> bool:
    return bool((sample.points < -1000).all())


@PATIENT
@given(st.sampled_from([WILD, replace(WILD, scale=0, translation=0, half_body=1)]), st.integers(0, 10**6))
def test_points_lie_where_the_crop_shows_them(config: TrainConfig, epoch: int) -> None:
    sample = Samples(dataset(DOTS), config)[epoch, 0]
    mirrored = turn(centroids(sample)) * turn(KEYPOINTS[[LEFT, HEAD, RIGHT]]) < 0
    left, right = (RIGHT, LEFT) if mirrored else (LEFT, RIGHT)
    assert (sample.points[[left, HEAD, right]] * 4 + 1.5) == pytest.approx(centroids(sample), abs=0.3)


def test_joints_beyond_the_border_of_a_truncated_image_are_nowhere() -> None:
    white = dataset(np.full((ROWS, COLUMNS, 3), 255, dtype=np.uint8))
    samples, nowhere = Samples(white, replace(WILD, truncation=1)), set()
    for epoch in range(30):
        crop, points = samples[epoch, 0].crop(SIZE)[..., 0], samples[epoch, 0].points[[LEFT, HEAD, RIGHT]]
        nowhere.add(tuple(np.abs(points[:, 0]) > 1000))
        shown = np.rint(points * 4 + 1.5)[((points > 0) & (points < SIZE / 4 - 1)).all(axis=1)].astype(int)
        assert (cv2.dilate(crop, np.ones((3, 3)))[shown[:, 1], shown[:, 0]] > 127).all()
    assert len(nowhere) > 2
    large = dataset(np.full((500, 500, 3), 255, dtype=np.uint8))
    for share in (0, 1):  # the border is within the image: only truncation makes anything black
        assert (Samples(large, replace(CALM, truncation=share))[0, 0].crop(SIZE) < 128).any() == bool(share)


def test_a_mirrored_crop_is_the_crop_from_right_to_left_with_the_sides_exchanged() -> None:
    keypoints = KEYPOINTS.copy()
    keypoints[LEFT] = np.nan
    for data in (dataset(WAVES), dataset(WAVES, keypoints)):
        straight, mirrored = (Samples(data, replace(CALM, flip=flip))[0, 0] for flip in (0, 1))
        assert np.abs(crop_of(straight)[:, ::-1] - crop_of(mirrored)).max() <= 1
        expected = straight.points[list(SKELETON.flip)].copy()
        expected[:, 0] = SIZE / 4 - 1 - expected[:, 0]
        expected[FOOT] = np.nan  # now a left foot, which the skeleton does not have
        np.testing.assert_allclose(mirrored.points, expected, rtol=1e-5)
        assert np.isnan(mirrored.points[TAIL]).all()


def test_without_augmentation_the_crop_is_that_of_prediction_every_time() -> None:
    config = without_augmentation(replace(WILD, colour=0.4, occlusion=1, half_body=1, background=1))
    samples = Samples(dataset(DOTS), config)
    x, y = (KEYPOINTS[HEAD] - BOX.center) * SIZE / (1.25 * max(BOX.w, BOX.h)) + (SIZE - 1) / 2
    for epoch in range(5):
        assert samples[epoch, 0].points[HEAD].tolist() == pytest.approx([(x - 1.5) / 4, (y - 1.5) / 4])
        assert centroids(samples[epoch, 0])[1] == pytest.approx([x, y], abs=0.2)
        np.testing.assert_array_equal(crop_of(samples[epoch, 0]), crop_of(samples[0, 0]))


def test_a_sample_is_the_same_in_any_order_and_whatever_is_kept() -> None:
    config = replace(WILD, colour=0.4, background=0.3, occlusion=0.3, half_body=0.3)
    one, other = Samples(dataset(WAVES, count=5), config), Samples(dataset(WAVES, count=5), config, keep=0)
    first = {(epoch, index): one[epoch, index] for epoch in range(3) for index in range(5)}
    for key in reversed(first):
        np.testing.assert_array_equal(other[key].crop(SIZE), first[key].crop(SIZE))
        np.testing.assert_array_equal(other[key].points, first[key].points)
    for key, seed in (((2, 3), 6), ((1, 3), 5), ((2, 4), 5)):  # another seed, epoch or person
        another = Samples(dataset(WAVES, count=5), replace(config, seed=seed))[key]
        assert np.abs(crop_of(another) - crop_of(first[2, 3])).mean() > 5


def test_each_channel_is_multiplied_by_a_random_factor_within_the_limits_and_clipped() -> None:
    samples = Samples(dataset(DOTS), replace(CALM, colour=0.3))
    gains = np.array([samples[epoch, 0].gains for epoch in range(300)])
    assert 0.7 <= gains.min() < 0.71
    assert 1.29 < gains.max() <= 1.3
    values, factors = np.arange(256), np.array([0.3, 1.0, 1.75])
    grey = values.astype(np.uint8)[None, :, None].repeat(3, axis=2).repeat(256, axis=0)
    crop = Sample(grey, Affine(np.eye(3)), factors, KEYPOINTS).crop(256)
    np.testing.assert_array_equal(crop[0], np.minimum(np.rint(values[:, None] * factors), 255))


def test_occlusion_is_as_frequent_as_configured_leaves_every_label_and_does_not_stay() -> None:
    plain, occluded = (Samples(dataset(WAVES), replace(WILD, occlusion=share)) for share in (0, 0.3))
    pairs = [(plain[epoch, 0], occluded[epoch, 0]) for epoch in range(200)]
    assert 40 < sum(bool((crop_of(one) != crop_of(other)).any()) for one, other in pairs) < 80
    for one, other in pairs:
        np.testing.assert_array_equal(one.points, other.points)
    samples = Samples(dataset(DOTS), replace(CALM, occlusion=1))
    crops = np.stack([crop_of(samples[epoch, 0]) for epoch in range(40)])
    np.testing.assert_array_equal(np.median(crops, axis=0), crop_of(Samples(dataset(DOTS), CALM)[0, 0]))


@pytest.mark.parametrize("boxes", [[SMALL], [Box(0, 0, 8, 8), SMALL]], ids=["itself", "another person"])
def test_a_background_crop_avoids_every_annotated_person(boxes: list[Box]) -> None:
    image = np.full((ROWS, COLUMNS, 3), 40, dtype=np.uint8)
    image[40:120, 30:90] = 255
    data = dataset(image, KEYPOINTS / 4)
    data = replace(data, persons=[replace(data.persons[0], box=box, id=str(box)) for box in boxes])
    samples = Samples(data, replace(WILD, background=1))
    found = [sample for sample in (samples[epoch, 0] for epoch in range(20)) if is_background(sample)]
    assert found
    assert all((crop_of(sample) > 200).mean() < 0.03 for sample in found)
    assert {sample.points.shape for sample in found} == {KEYPOINTS.shape}


@pytest.mark.parametrize(("sets", "expected"), [("", True), ("all", True), ("all+more", True), ("more", False)])
def test_background_crops_come_only_from_the_named_sets(sets: str, expected: bool) -> None:
    data = dataset(DOTS, KEYPOINTS / 4, box=Box(30, 30, 30, 40))
    data = replace(data, persons=[replace(person, source="all") for person in data.persons])
    assert is_background(Samples(data, replace(WILD, background=1, background_from=sets))[0, 0]) is expected


def test_parts_of_images_are_read_once_and_kept_in_a_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def read_by(keep: float, repeated: bool = False) -> list[str]:
        """The persons whose images are read in two epochs; with ``repeated`` each is in the set twice."""
        reads.clear()
        data = replace(dataset(WAVES, count=3), read=lambda person: reads.append(person.id) or WAVES)
        persons = [*data.persons, *map(replace, data.persons)] if repeated else data.persons
        samples = Samples(replace(data, persons=persons), WILD, keep)
        assert [len(samples[e, i].points) for e in range(2) for i in range(len(persons))] == [5] * 2 * len(persons)
        return reads

    assert read_by(0.25) == ["0", "1", "2"]
    assert read_by(0.25, repeated=True) == ["0", "1", "2"]
    assert read_by(0) == ["0", "1", "2"] * 2
    needed = crop_region(WAVES, BOX, widest_region(WILD))[0].nbytes
    monkeypatch.setattr(training_data, "memory", lambda: 4 * (needed + 1))  # room for one part in a quarter of it
    assert read_by(0.25) == ["0", "1", "2", "1", "2"]


def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, machine = tmp_path / "memory.max", 7_000_000 * 4096
    monkeypatch.setattr(training_data, "CGROUP_LIMIT", limit)
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 7_000_000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert training_data.memory() == machine
    for text, expected in (("max", machine), ("9223372036854771712", machine), ("5000000", 5_000_000)):
        limit.write_text(f"{text}\n")
        assert training_data.memory() == expected


EPOCHS = 3
ORDERS = st.builds(
    lambda count, batch, seed: (count, TrainConfig(batch=batch, seed=seed, epochs=EPOCHS)),
    *(st.integers(1, 53), st.integers(1, 11), st.integers(0, 99)),
)


@PATIENT
@given(ORDERS)
def test_every_sample_comes_once_an_epoch_in_batches_of_nearly_one_size(run: tuple[int, TrainConfig]) -> None:
    count, config = run
    whole, steps = list(batch_order(count, config)), training_data.steps_per_epoch(count, config.batch)
    assert (steps - 1) * config.batch < count <= steps * config.batch
    assert len(whole) == EPOCHS * steps
    for epoch in range(EPOCHS):
        order = whole[epoch * steps : (epoch + 1) * steps]
        assert sorted(key for batch in order for key in batch) == [(epoch, index) for index in range(count)]
        sizes = [len(batch) for batch in order]
        assert max(sizes) <= config.batch
        assert max(sizes) - min(sizes) <= 1


@PATIENT
@given(ORDERS, st.sampled_from([1, 2, 3]), st.data())
def test_processes_share_each_batch(run: tuple[int, TrainConfig], size: int, data: st.DataObject) -> None:
    count, config = run
    shares = [list(batch_order(*run, world=World(rank, size))) for rank in range(size)]
    for batch, *parts in zip(list(batch_order(*run)), *shares, strict=True):
        assert sorted(key for part in parts for key in part) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    steps = training_data.steps_per_epoch(count, config.batch)
    epoch, done = data.draw(st.integers(0, EPOCHS - 1)), data.draw(st.integers(0, steps))
    assert list(batch_order(count, config, epoch, done, World(size - 1, size))) == shares[-1][epoch * steps + done :]


def test_the_order_differs_between_epochs_and_seeds() -> None:
    found = set()
    for seed in range(3):
        order = list(batch_order(53, TrainConfig(batch=1, seed=seed, epochs=EPOCHS)))
        found |= {tuple(index for batch in order for e, index in batch if e == epoch) for epoch in range(EPOCHS)}
    assert len(found) == 9
    assert tuple(range(53)) not in found


SIDE = 23
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]
# Older versions of OpenCV interpolate at 32nds of a pixel: between black and white up to 4 of 256 levels off.
_RAMP = np.array([[0, 255]], dtype=np.uint8).repeat(3, axis=0)
TOLERANCE = 1 if cv2.warpAffine(_RAMP, np.array([[1, 0, -1 / 64], [0, 1, 0]]), (1, 1))[0, 0] == 4 else 14


def noise(rows: int, columns: int, seed: int = 0) -> Image:
    return default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def sample_of(pixels: Image, to_crop: Affine, seed: int = 0) -> Sample:
    rng = default_rng(seed)
    points = rng.uniform(-5, 30, (5, 2)).astype(np.float32)
    points[rng.random(5) < 0.3] = np.nan
    return Sample(pixels, to_crop, rng.uniform(0.4, 1.6, 3), points)


@st.composite
def views(draw: st.DrawFn) -> Sample:
    """A crop of a small image, from far within it to far beside it, enlarged or reduced, perhaps occluded."""
    seeds = st.integers(0, 10**6)
    image = noise(draw(st.integers(1, 61)), draw(st.integers(1, 71)), draw(seeds))
    box = Box.around((draw(st.floats(-20, 90)), draw(st.floats(-20, 80))), draw(st.floats(0.5, 120)))
    to_crop = Affine.crop(box, (SIDE, SIDE), draw(st.floats(-180, 180)))
    if draw(st.booleans()):
        to_crop = to_crop.then(Affine.mirror(SIDE))
    pixels, to_crop = images.shown(image, to_crop, (SIDE, SIDE))
    if draw(st.booleans()) and pixels.size:
        pixels = occlude(pixels, to_crop, SIDE, default_rng(draw(seeds)))
    return sample_of(pixels, to_crop, draw(seeds))


def by_device(samples: list[Sample], size: int = SIDE, device: str = "cpu") -> Crops:
    return crops_on(torch.device(device), collate(samples, size, on_device=True), size)


def by_cpu(samples: list[Sample], size: int = SIDE) -> Crops:
    return crops_on(CPU, collate(samples, size, on_device=False), size)


def assert_alike(samples: list[Sample], size: int = SIDE, device: str = "cpu") -> None:
    ours, theirs = by_device(samples, size, device), by_cpu(samples, size)
    assert ours.images.dtype == theirs.images.dtype == torch.uint8
    assert ours.images.shape == theirs.images.shape == (len(samples), 3, size, size)
    assert (ours.images.cpu().int() - theirs.images.int()).abs().max() <= TOLERANCE
    for crops in (ours, theirs):
        np.testing.assert_array_equal(crops.points.cpu(), np.stack([sample.points for sample in samples]))


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60)
@given(samples=st.lists(views(), min_size=1, max_size=3))
def test_a_device_makes_the_crops_that_opencv_makes(device: str, samples: list[Sample]) -> None:
    assert_alike(samples, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_makes_the_crops_of_whole_batches_and_of_large_parts(device: str) -> None:
    augmented = {"half_body": 0.3, "occlusion": 0.5, "background": 0.3, "translation": 0.2, "scale": 0.5}
    samples = Samples(toy.dataset(), replace(toy.TINY, input_size=64, **augmented))  # type: ignore[arg-type]
    for epoch in range(5):
        assert_alike([samples[epoch, index] for index in range(7)], 64, device)
    to_crop = Affine.crop(Box(1200, 300, 60, 60), (SIDE, SIDE), 17)
    assert_alike([sample_of(noise(401, 1511), to_crop), sample_of(noise(13, 11), to_crop)], device=device)


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (5, 0)])
@pytest.mark.parametrize("make", [by_cpu, by_device])
def test_a_crop_outside_the_image_is_black(shape: tuple[int, int], make: Callable[..., Crops]) -> None:
    nothing = sample_of(np.zeros((*shape, 3), dtype=np.uint8), Affine.crop(Box(-90, 0, 20, 20), (SIDE, SIDE)))
    for samples in ([nothing], [nothing, sample_of(noise(11, 13), Affine(np.eye(3)))]):
        crops = make(samples)
        assert crops.images.shape == (len(samples), 3, SIDE, SIDE)
        assert not crops.images[0].any()


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_unreadable_images_raise_their_own_error_in_any_process(workers: int) -> None:
    before, config = cv2.getNumThreads(), replace(toy.TINY, workers=workers)
    try:
        cv2.setNumThreads(3)
        loader = batches(toy.with_broken_images(toy.dataset(), *range(7)), config, CPU)
        assert cv2.getNumThreads() == (1 if workers else 3)  # a copied process would wait for threads it does not have
        with pytest.raises(InputError, match=r"2 of the 7 images .*\.png is broken") as caught:
            crops_on(CPU, next(loader), config.input_size)
        assert caught.value.hint == "Copy it again."
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(
    ("count", "broken", "readable"), [(7, 1, True), (7, 2, False), (250, 2, True), (250, 3, False)]
)
def test_one_percent_of_the_images_may_be_unreadable_but_always_one(count: int, broken: int, readable: bool) -> None:
    data, notes = toy.with_broken_images(toy.dataset(count), *range(3, 3 + broken)), []
    left_out = LeftOut(data, notes.append)
    samples, others = Samples(data, toy.TINY), Samples(toy.dataset(count), toy.TINY)
    with nullcontext() if readable else pytest.raises(InputError):
        batch, errors = samples.__getitems__([(epoch, index) for epoch in range(2) for index in range(3, 3 + broken)])
        crops_on(CPU, batch, toy.TINY.input_size)
        for error in (*errors, *errors):
            left_out.add(error)
        assert [f"{index}.png" in note for index, note in enumerate(notes, start=3)] == [True] * broken
        assert samples.__getitems__([(0, 3)])[1] == []
        for index in range(3, 3 + broken):  # the place is taken by the next person, augmented as of this place
            rng = default_rng((toy.TINY.seed, 1, index))
            np.testing.assert_array_equal(samples[1, index].points, others.sample(3 + broken, rng).points)


def test_more_workers_than_cores_are_no_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    next(batches(toy.dataset(), replace(toy.TINY, workers=2), CPU))
    assert not recwarn.list
