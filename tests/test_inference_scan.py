"""Finding the most prominent person, or all people, by the network itself."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from posehg import images
from posehg.checkpoints import bundled_folder
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator
from posehg.inference.oks import oks
from posehg.inference.scan import AllSearch, OneSearch, find_all, find_one, prominence, windows_of
from tests import stubs
from tests.stubs import SQUARE, Square, square_estimator, square_photo, tiny

SIZES = st.one_of(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.sampled_from([(1, 1), (60, 640), (640, 60)]))


def blank(height: int, width: int) -> Image:
    return np.broadcast_to(np.zeros((1, 1, 3), dtype=np.uint8), (height, width, 3))


@settings(max_examples=80)
@given(size=SIZES)
def test_windows_cover_the_image_at_every_scale(size: tuple[int, int]) -> None:
    search = OneSearch()
    windows = list(windows_of(blank(*size), search.scales, search.overlap))
    for scale in search.scales:
        alike = [window for window in windows if window.w == pytest.approx(max(size) * scale)]
        assert len(alike) == len({box.x for box in alike}) * len({box.y for box in alike})  # a full grid
        for axis, length in ((0, size[1]), (1, size[0])):
            spans = sorted({(tuple(box)[axis], tuple(box)[axis] + box.w) for box in alike})
            assert spans[0][0] <= 1e-9
            assert spans[-1][1] >= length - 1e-6
            assert all(after[0] <= before[1] + 1e-6 for before, after in pairwise(spans))
            for start, end in spans:  # beyond the border by a quarter, or centred
                centred = (start + end) / 2 == pytest.approx(length / 2)
                assert max(-start, end - length) <= (end - start) / 4 + 1e-6 or centred


@settings(max_examples=8)
@given(left=st.integers(5, 180), top=st.integers(5, 100), side=st.integers(70, 130))
def test_the_person_is_found_and_the_box_settles_around(left: int, top: int, side: int) -> None:
    pose = find_one(square_estimator(), square_photo(left, top, side))
    assert pose is not None
    right, bottom = left + side - 1, top + side - 1
    middle = ((left + right) / 2, (top + bottom) / 2)
    expected = np.array([middle, (left, top), (right, top), (left, bottom), (right, bottom)])
    assert np.abs(pose.keypoints - expected).max() < 4 * pose.crop.w / 64  # the stub sees whole crop pixels
    assert pose.crop.iou(Box(left, top, side, side).square(1.25)) > 0.4  # the box may be the one zoomed out


def test_the_larger_of_two_people_is_chosen() -> None:
    photo = np.concatenate([square_photo(30, 90, 80), blank(240, 320), square_photo(125, 40, 175)], axis=1)
    search = OneSearch(scales=(0.3,))  # no window shows both, which the stub would take for one
    pose = find_one(square_estimator(), photo, search)
    assert pose is not None
    assert pose.crop.iou(Box(2 * 320 + 125, 40, 175, 175).square(1.25)) > 0.8


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), size=SIZES)
def test_the_search_for_one_ends_whatever_the_network_says(seed: int, size: tuple[int, int]) -> None:
    network, search = stubs.Guesses(seed), OneSearch()
    pose = find_one(stubs.estimator(tiny(SQUARE), flip=False, network=network), blank(*size), search)
    windows = len(list(windows_of(blank(*size), search.scales, search.overlap)))
    assert network.asked <= windows + search.max_candidates * (4 * search.rounds + 4)
    assert pose is None or np.isfinite(pose.keypoints).all()


APART = AllSearch(scales=(0.19,), overlap=0.75)
"""No window of a row of four photos shows two whole squares, which the stub would take for one."""


class WholeSquare(Square):
    """A person is a white square that is not cut off."""

    def squares(self, image: Tensor) -> Sequence[Tensor]:
        (white,) = super().squares(image)
        return [] if white[[0, -1]].any() or white[:, [0, -1]].any() else [white]


@pytest.fixture(scope="module")
def whole() -> Estimator:
    return stubs.estimator(tiny(SQUARE), network=WholeSquare())


def row(*sides: int) -> Image:
    """Squares in the middle of photos 320 pixels wide, side by side."""
    return np.concatenate([square_photo(160 - side // 2, 120 - side // 2, side) for side in sides], axis=1)


@settings(max_examples=6)
@given(sides=st.lists(st.integers(80, 170), min_size=4, max_size=4))
def test_everyone_is_found_once(whole: Estimator, sides: list[int]) -> None:
    poses = sorted(find_all(whole, row(*sides), APART), key=lambda pose: pose.keypoints[0, 0])
    assert len(poses) == len(sides)
    for number, (pose, side) in enumerate(zip(poses, sides, strict=True)):
        middle = number * 320 + 160 - side // 2 + (side - 1) / 2, 120 - side // 2 + (side - 1) / 2
        assert np.abs(pose.keypoints[0] - middle).max() < 1.5 * pose.crop.w / 64
        assert pose.crop.iou(Box.around(middle, side * 1.25)) > 0.5


def test_people_are_ranked_and_cut_off_by_their_prominence(whole: Estimator) -> None:
    photo = row(90, 170, 120, 100)
    poses = find_all(whole, photo, APART)
    assert [int(pose.keypoints[0, 0] // 320) for pose in poses] == [1, 2, 3, 0]
    ranks = [prominence(pose, photo, APART.size_power, found_only=True) for pose in poses]
    for count, (above, below) in enumerate(pairwise(ranks), start=1):
        assert above >= below
        found = find_all(whole, photo, replace(APART, min_prominence=(above + below) / 2))
        assert [pose.crop for pose in found] == [pose.crop for pose in poses[:count]]


def test_people_at_the_border_are_found(whole: Estimator) -> None:
    photo = np.zeros((480, 640, 3), dtype=np.uint8)
    photo[200:330, :130] = photo[340:, 500:] = 255
    poses = find_all(whole, photo, AllSearch(scales=(0.4, 0.3), overlap=0.75))
    assert sorted(int(pose.keypoints[0, 0]) // 320 for pose in poses) == [0, 1]


def test_a_box_that_is_too_small_is_enlarged(whole: Estimator) -> None:
    pose = find_all(whole, row(150, 90, 90, 90), replace(APART, zooms=(0.7, 1.0)))[0]
    assert pose.crop.w == pytest.approx(150 * 1.25, rel=0.1)  # 0.7 of that cuts the square off


@settings(max_examples=6)
@given(seed=st.integers(0, 1000), size=SIZES, candidates=st.integers(1, 13))
def test_the_search_for_all_ends_and_nobody_is_found_twice(seed: int, size: tuple[int, int], candidates: int) -> None:
    network, photo = stubs.Guesses(seed), blank(*size)
    search = AllSearch(scales=(1.4, 1.0, 0.5), max_candidates=candidates, min_prominence=0.0)
    poses = find_all(stubs.estimator(tiny(SQUARE), network=network), photo, search)
    windows = len(list(windows_of(photo, search.scales, search.overlap)))
    # Windows and boxes are tried without the flip test, the remaining people with it.
    assert network.asked <= windows + candidates * (len(search.zooms) + 2)
    assert len(poses) <= candidates
    assert all(oks(a, b) < search.repeat for a in poses for b in poses if a is not b)
    assert all(np.isfinite(pose.keypoints).all() for pose in poses)


class Corner(nn.Module):
    """Five joints in the top left eighth of the crop."""

    asked = 0

    def forward(self, crops: Tensor) -> list[Tensor]:
        self.asked += len(crops)
        maps = torch.zeros(len(crops), 5, 16, 16)
        for joint, (x, y) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)]):
            maps[:, joint, y, x] = 1.0
        return [maps]


def test_a_body_off_the_middle_of_its_window_is_not_followed_up() -> None:
    network, search = Corner(), AllSearch(scales=(1.0,))
    assert find_all(stubs.estimator(tiny(SQUARE), flip=False, network=network), blank(240, 320), search) == []
    assert network.asked == len(list(windows_of(blank(240, 320), search.scales, search.overlap)))


@pytest.mark.parametrize("size", [(240, 320), (1, 1), (60, 640)])
def test_nobody_is_found_on_an_empty_image(size: tuple[int, int]) -> None:
    assert find_one(square_estimator(), blank(*size)) is None
    assert find_all(square_estimator(), blank(*size), AllSearch(min_score=0.0, min_prominence=0.0)) == []


@pytest.fixture(scope="module")
def bundled() -> Estimator:
    return Estimator(open_engine(bundled_folder(), EngineOptions("cpu")))


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["skimage_chelsea.png", "skimage_coffee.png", "supervision_1.jpg", "supervision_5.jpg"]
)
def test_nobody_is_found_on_photos_without_people(name: str, shared: Path, bundled: Estimator) -> None:
    photo = images.read(shared / "photos" / "free" / name)
    assert find_one(bundled, photo) is None
    assert find_all(bundled, photo) == []


@pytest.mark.shared
def test_the_people_on_photos_are_found_once(shared: Path, bundled: Estimator) -> None:
    (pose,) = find_all(bundled, images.read(shared / "photos" / "free" / "tfjs_pose.jpg"))
    body = Box.bounding(pose.keypoints)
    assert body is not None
    assert body.iou(Box(318, 200, 385, 430)) > 0.6
    three = find_all(bundled, images.read(shared / "photos" / "free" / "tfjs_three_people.jpg"))
    assert 2 <= len(three) <= 3  # they are visible from the hips up only, and stand close together
