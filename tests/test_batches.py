"""batches.warped does on any device what Sample.crop does with cv2."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from posehg import images
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.training.batches import Collate, Crops, Parts, Sample, moved, warped
from posehg.training.corruption import occluded
from posehg.training.samples import Samples
from tests.toy import TINY, dataset

PATIENT = settings(max_examples=60, deadline=None)  # another process may have the cores
SEEDS = st.integers(0, 10**6)
SIZE, JOINTS = 23, 5
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]

# Older versions of OpenCV interpolate at 32nds of a pixel: between black and white 4 of 256 levels next to the truth.
_RAMP = np.array([[0, 255]], dtype=np.uint8).repeat(3, axis=0)
_EXACT = cv2.warpAffine(_RAMP, np.array([[1, 0, -1 / 64], [0, 1, 0]]), (1, 1))[0, 0] == 4
TOLERANCE = 1 if _EXACT else 14


def noise(rows: int, columns: int, seed: int = 0) -> Image:
    return default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def sample(pixels: Image, to_crop: Affine, seed: int = 0, gains: tuple[float, float, float] | None = None) -> Sample:
    rng = default_rng(seed)
    points = rng.uniform(-5, 30, (JOINTS, 2)).astype(np.float32)
    points[rng.random(JOINTS) < 0.3] = np.nan
    drawn = rng.uniform(0.4, 1.6, 3)
    return Sample(
        pixels, to_crop, drawn if gains is None else np.array(gains), points, int(rng.integers(99)), rng.random() < 0.5
    )


@st.composite
def views(draw: st.DrawFn) -> Sample:
    """A view of a small picture, from far within it to far beside it, enlarged or made smaller, perhaps occluded."""
    photo = noise(draw(st.integers(1, 61)), draw(st.integers(1, 71)), draw(SEEDS))
    side = draw(st.floats(0.5, 120))
    box = Box.around((draw(st.floats(-20, 90)), draw(st.floats(-20, 80))), side)
    to_crop = Affine.crop(box, (SIZE, SIZE), draw(st.floats(-180, 180)))
    if draw(st.booleans()):
        to_crop = to_crop.then(Affine.mirror(SIZE))
    pixels, to_crop = images.shown(photo, to_crop, (SIZE, SIZE))
    if draw(st.booleans()) and pixels.size:
        pixels = occluded(pixels, to_crop, SIZE, default_rng(draw(SEEDS)))
    return sample(pixels, to_crop, draw(SEEDS))


def on_device(samples: list[Sample], size: int = SIZE, device: str = "cpu") -> Crops:
    parts = Collate(size, on_device=True)(samples)
    assert isinstance(parts, Parts)
    there = moved(parts, torch.device(device))
    assert isinstance(there, Parts)
    return warped(there, size)


def on_cpu(samples: list[Sample], size: int = SIZE) -> Crops:
    crops = Collate(size, on_device=False)(samples)
    assert isinstance(crops, Crops)
    return crops


def assert_alike(samples: list[Sample], size: int = SIZE, device: str = "cpu") -> None:
    ours, theirs = on_device(samples, size, device).images.cpu(), on_cpu(samples, size).images
    assert ours.dtype == theirs.dtype == torch.uint8
    assert ours.shape == theirs.shape == (len(samples), 3, size, size)
    assert (ours.int() - theirs.int()).abs().max() <= TOLERANCE


@pytest.mark.parametrize("device", DEVICES)
@PATIENT
@given(samples=st.lists(views(), min_size=1, max_size=3))
def test_a_device_makes_the_crops_that_the_cpu_makes(device: str, samples: list[Sample]) -> None:
    assert_alike(samples, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_makes_the_crops_of_whole_batches_of_training(device: str) -> None:
    config = replace(TINY, input_size=64, half_body=0.3, occlusion=0.5, background=0.3, translation=0.2, scale=0.5)
    samples = Samples(dataset(), config)
    for epoch in range(5):
        assert_alike([samples[epoch, index] for index in range(7)], 64, device)


@pytest.mark.parametrize("device", DEVICES)
def test_parts_as_large_as_photos_are_as_exact(device: str) -> None:
    to_crop = Affine.crop(Box(1200, 300, 60, 60), (SIZE, SIZE), 17)
    assert_alike([sample(noise(401, 1511), to_crop), sample(noise(13, 11), to_crop)], device=device)


def test_the_warp_is_as_exact_where_products_may_be_rounded() -> None:
    samples = [sample(noise(307, 401), Affine.crop(Box(100, 60, 200, 200), (SIZE, SIZE), 20))]
    expected = on_device(samples).images
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(on_device(samples).images, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
@pytest.mark.parametrize("side", [0.3, 3.0, 17.0])
def test_parts_of_a_single_row_or_column_become_the_same_crop(shape: tuple[int, int], side: float) -> None:
    part = sample(noise(*shape, 3), Affine.crop(Box.around((0.2, 0.1), side), (SIZE, SIZE), 30))
    assert on_cpu([part]).images.any()
    assert_alike([part])


def test_a_small_part_is_not_mixed_with_the_large_one_beside_it() -> None:
    white, to_crop = np.full((5, 7, 3), 255, dtype=np.uint8), Affine.crop(Box(0, 0, 46, 46), (SIZE, SIZE))
    large = np.full((61, 71, 3), 255, dtype=np.uint8)
    crops = on_device([sample(large, to_crop), sample(white, to_crop, gains=(1, 1, 1))]).images
    assert not crops[1, :, 4:].any()
    assert not crops[1, :, :, 5:].any()
    assert crops[1, :, :2, :3].all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (5, 0)])
def test_a_view_wholly_outside_the_picture_is_black(shape: tuple[int, int]) -> None:
    nothing = sample(np.zeros((*shape, 3), dtype=np.uint8), Affine.crop(Box(-90, 0, 20, 20), (SIZE, SIZE)))
    for samples in ([nothing], [nothing, sample(noise(11, 13), Affine.identity())]):
        for crops in (on_device(samples), on_cpu(samples)):
            assert crops.images.shape == (len(samples), 3, SIZE, SIZE)
            assert not crops.images[0].any()


def test_a_sample_beside_the_picture_has_a_black_crop_on_both_ways() -> None:
    photo = noise(41, 53)
    pixels, to_crop = images.shown(photo, Affine.crop(Box(900, 900, 30, 30), (SIZE, SIZE)), (SIZE, SIZE))
    samples = [sample(pixels, to_crop)]
    assert not on_cpu(samples).images.any()
    assert not on_device(samples).images.any()


def test_gains_make_a_crop_brighter_up_to_white() -> None:
    grey = np.full((31, 37, 3), 100, dtype=np.uint8)
    part = sample(grey, Affine.identity(), gains=(0.5, 1.5, 3.0))
    for crops in (on_cpu([part]), on_device([part])):
        inner = crops.images[0, :, 3:-3, 3:-3].int()
        assert (inner - torch.tensor([50, 150, 255])[:, None, None]).abs().max() <= 1


@pytest.mark.parametrize("make", [on_cpu, on_device], ids=["cpu", "device"])
def test_points_persons_and_sides_pass_unchanged(make: type[Crops]) -> None:
    samples = [sample(noise(11 + i, 13), Affine.identity(), seed=i) for i in range(7)]
    crops = make(samples)
    assert crops.points.dtype == torch.float32
    np.testing.assert_array_equal(crops.points.numpy(), [s.points for s in samples])
    assert crops.indices.tolist() == [s.index for s in samples]
    assert crops.mirrored.dtype == torch.bool
    assert crops.mirrored.tolist() == [s.mirrored for s in samples]
    assert len(set(crops.mirrored.tolist())) == 2


@pytest.mark.parametrize("on", [False, True])
def test_a_batch_that_is_moved_stays_the_same(on: bool) -> None:
    batch = Collate(SIZE, on)([sample(noise(11, 13), Affine.identity(), seed=i) for i in range(3)])
    there = moved(batch, torch.device("cpu"))
    assert type(there) is type(batch)
    for one, other in zip(there, batch, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
