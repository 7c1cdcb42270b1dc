import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import images
from posehg.datasets import Dataset, load, load_one
from posehg.datasets.crops import CropRegion, crop_region, region_of, write
from posehg.datasets.dataset import people_by_image
from posehg.geometry import Affine, Box
from posehg.poses import Person
from posehg.skeletons import MPII, Skeleton
from posehg.training.config import TrainConfig
from posehg.training.data import Samples
from tests.random_views import BOXES, LIMITS, SIZE, WAVES, Limits, assert_alike, view

PATIENT = settings(max_examples=50)  # another process may have the cores
ROWS, COLUMNS = WAVES.shape[:2]


@PATIENT
@given(LIMITS, BOXES, st.integers(0, 10**6))
def test_a_view_of_the_part_is_the_view_of_the_photo_and_shows_no_more_nor_finer(
    limits: Limits, box: Box, seed: int
) -> None:
    reached = region_of(SIZE, limits.padding, limits.scale, limits.rotation, limits.translation)
    to_crop = view(box, limits, np.random.default_rng(seed))
    corners = to_crop.inverse()([(-0.5, -0.5), (SIZE - 0.5, -0.5), (-0.5, SIZE - 0.5), (SIZE - 0.5, SIZE - 0.5)])
    square = box.square(reached.padding)
    assert (np.abs(corners - square.center).max() <= square.w / 2 + 1e-6).all()
    assert to_crop.scale <= reached.size / square.w + 1e-9
    part, to_part = crop_region(WAVES, box, reached)
    crop = images.warp(part, to_part.inverse().then(to_crop), (SIZE, SIZE))
    assert_alike(crop, images.warp(WAVES, to_crop, (SIZE, SIZE)), to_crop)


def test_a_closer_view_needs_finer_pixels_and_a_fixed_one_the_crop_itself() -> None:
    assert region_of(256, padding=1.25, scale=0, rotation=0, translation=0) == CropRegion(1.25, 256)
    limits = {"padding": 1.25, "scale": 0.25, "rotation": 30, "translation": 0.1}
    once, twice = region_of(256, **limits), region_of(256, **limits, zoom=2)
    assert twice.padding == once.padding
    assert twice.size == pytest.approx(2 * once.size, abs=1)


def test_what_is_coarse_already_is_cut_and_what_is_finer_than_needed_is_made_smaller() -> None:
    part, to_part = crop_region(WAVES, Box(50, 60, 40, 30), CropRegion(2.0, 300))
    np.testing.assert_array_equal(part, WAVES[31:119, 26:114])
    np.testing.assert_array_equal(to_part([(26, 31)]), [(0, 0)])
    part, to_part = crop_region(WAVES, Box(50, 60, 100, 200), CropRegion(1.5, 100))
    assert part.shape == (108, 108, 3)
    assert to_part.scale == pytest.approx(100 / 300)


@PATIENT
@given(BOXES)
def test_a_part_that_is_cut_again_stays_as_it_is(box: Box) -> None:
    part, to_part = crop_region(WAVES, box, CropRegion(2.0, 97))
    again, to_again = crop_region(part, box.moved(to_part), CropRegion(2.0, 97))
    np.testing.assert_array_equal(again, part)
    np.testing.assert_allclose(to_again.matrix, np.eye(3), atol=1e-9)


@pytest.mark.parametrize(
    "box", [Box(-90, 10, 40, 40), Box(900, 10, 40, 40), Box(10, -90.5, 40, 40), Box(10, 900, 9, 9)]
)
@pytest.mark.parametrize("size", [20, 400])
def test_a_person_beside_the_image_has_a_black_part(box: Box, size: int) -> None:
    part, to_part = crop_region(WAVES, box, CropRegion(1.5, size))
    assert part.size
    assert not part.any()
    crop = images.warp(part, to_part.inverse().then(Affine.crop(box, (SIZE, SIZE))), (SIZE, SIZE))
    assert not crop.any()


def cropped(folder: Path, data: Dataset, size: int = 2000, quality: int = 95) -> Dataset:
    path = write(folder, data, size, quality, True, lambda items, what, total: items)
    return load_one(str(path), None, "all")


@pytest.mark.parametrize("split", ["train", "val"])
def test_training_crops_from_the_folder_are_those_of_the_images_within_jpeg_error(split: str, tmp_path: Path) -> None:
    data = load("synthetic", None, split)
    data = replace(data, persons=data.persons[:6])
    stored = cropped(tmp_path, data)
    assert stored.skeleton is MPII
    config = TrainConfig(seed=7)
    before, after = Samples(data, config), Samples(stored, config)
    for key in ((0, 0), (1, 2), (2, 5)):
        one, other = before[key], after[key]
        np.testing.assert_allclose(other.points, one.points, atol=0.01)
        crops = [images.interpolate(sample.pixels, sample.to_crop, (256, 256)).astype(int) for sample in (one, other)]
        assert np.abs(crops[0] - crops[1]).mean() < 2


def test_everything_known_of_a_person_survives_cropping_and_shrinks_with_the_crop(tmp_path: Path) -> None:
    skeleton = Skeleton(
        "toy", ("a", "b", "c"), (("a", "b"),), torso=("a", "c"), flip_pairs=(("b", "c"),), sigmas=(0.1, 0.2, 0.3)
    )
    keypoints = np.array([(70.25, 60.5), (np.nan, np.nan), (101.0, 119.75)])
    one = Person(Path("p.png"), Box(60.5, 41, 50, 80), keypoints, np.array([True, False, False]), 12.5, "x", area=900)
    crowd = replace(one, box=Box(100, 50, 30, 40), crowd=True)
    far = replace(one, id="far", box=Box(-4000, 41, 50, 80))
    data = Dataset("toy", "train", skeleton, [one, far], lambda person: WAVES, ignored=[crowd], note="From behind.")
    stored = cropped(tmp_path, data, size=94)  # 2.36 times 80 pixels are 188
    assert stored.skeleton == skeleton
    first, beside = stored.persons
    assert (first.box.w, first.box.h, first.head_size, first.area) == pytest.approx((25, 40, 6.25, 225), rel=0.01)
    assert (np.isnan(first.keypoints[1]).all(), first.visible.tolist()) == (True, [True, False, False])
    scale = first.box.w / one.box.w
    np.testing.assert_allclose(
        first.keypoints[2] - first.keypoints[0], scale * (keypoints[2] - keypoints[0]), atol=1e-3
    )
    assert not stored.read(beside).any()
    others = [box for index, box in people_by_image(stored)["", first.image] if index == -1]
    assert [(box.w, box.h) for box in others] == [pytest.approx((30 * scale, 40 * scale))]
    content = json.loads((tmp_path / "people-train.json").read_text())
    assert content["annotations"][0]["source_id"] == "x"
    assert "From behind." in content["info"]["description"]
