from __future__ import annotations

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
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.engines import Run
from posehg.inference.estimator import Estimator, opened
from posehg.inference.oks import oks
from posehg.inference.person_search import AllSearch, clearness, find_all, windows_of
from tests import stubs
from tests.stubs import SQUARE, Square, square_photo, tiny

SIZES = st.one_of(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.sampled_from([(1, 1), (60, 640), (640, 60)]))
APART = AllSearch(scales=(0.19,), overlap=0.75)
"""No window of a row of four photos shows two whole squares, which the stub would take for one."""


class WholeSquare(Square):
    """Somebody is a white square, of which it must see all."""

    @staticmethod
    def _maps(white: Tensor) -> Tensor:
        cut = white[0].any() or white[-1].any() or white[:, 0].any() or white[:, -1].any()
        return Square._maps(white & ~cut)


def square_estimator() -> Estimator:
    return stubs.estimator(tiny(SQUARE), network=WholeSquare())


def blank(height: int, width: int) -> Image:
    return np.broadcast_to(np.zeros((1, 1, 3), dtype=np.uint8), (height, width, 3))


def row(*sides: int) -> Image:
    """Squares in the middles of photos 320 pixels wide, side by side."""
    photos = [square_photo(160 - side // 2, 120 - side // 2, side) for side in sides]
    return np.concatenate(photos, axis=1)


# ---- who is found ------------------------------------------------------------------------------------------------


@settings(max_examples=6, deadline=None)
@given(sides=st.lists(st.integers(80, 170), min_size=4, max_size=4))
def test_everybody_is_found_once_where_they_are(sides: list[int]) -> None:
    poses = find_all(square_estimator(), row(*sides), APART)
    assert len(poses) == len(sides)
    poses.sort(key=lambda pose: pose.keypoints[0, 0])
    for number, (pose, side) in enumerate(zip(poses, sides, strict=True)):
        middle = number * 320 + 160 - side // 2 + (side - 1) / 2, 120 - side // 2 + (side - 1) / 2
        assert np.abs(pose.keypoints[0] - middle).max() < 1.5 * pose.box.w / 64  # the stub sees whole crop pixels
        assert pose.box.iou(Box.around(middle, side * 1.25)) > 0.5


def test_the_most_prominent_comes_first() -> None:
    photo = row(90, 170, 120, 100)
    poses = find_all(square_estimator(), photo, APART)
    assert [int(pose.keypoints[0, 0] // 320) for pose in poses] == [1, 2, 3, 0]
    ranks = [clearness(pose, photo, APART.size) for pose in poses]
    assert ranks == sorted(ranks, reverse=True)


def test_a_higher_threshold_leaves_out_the_least_prominent() -> None:
    photo = row(90, 170, 120, 100)
    everyone = find_all(square_estimator(), photo, APART)
    ranks = [clearness(pose, photo, APART.size) for pose in everyone]
    for count, (above, below) in enumerate(pairwise(ranks), start=1):
        search = replace(APART, min_clearness=(above + below) / 2)
        found = find_all(square_estimator(), photo, search)
        assert [pose.box for pose in found] == [pose.box for pose in everyone[:count]]


def test_somebody_at_the_border_is_found() -> None:
    photo = np.zeros((480, 640, 3), dtype=np.uint8)
    photo[200:330, :130] = photo[340:, 500:] = 255
    poses = find_all(square_estimator(), photo, AllSearch(scales=(0.4, 0.3), overlap=0.75))
    assert sorted(int(pose.keypoints[0, 0]) // 320 for pose in poses) == [0, 1]


def test_a_box_that_is_too_small_is_enlarged() -> None:
    search = replace(APART, zooms=(0.7, 1.0))
    pose = find_all(square_estimator(), row(150, 90, 90, 90), search)[0]
    assert pose.box.w == pytest.approx(150 * 1.25, rel=0.1)  # in a box of 0.7 of that the square is cut off


@pytest.mark.parametrize("search", [AllSearch(), replace(APART, min_clearness=0.0)])
def test_nobody_is_found_on_an_empty_picture(search: AllSearch) -> None:
    assert find_all(square_estimator(), blank(240, 320), search) == []


# ---- networks that are wrong -------------------------------------------------------------------------------------


class Constant(nn.Module):
    """The same score everywhere, whatever it sees."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def forward(self, crops: Tensor) -> list[Tensor]:
        return [torch.full((len(crops), 5, 16, 16), self.score)]


@pytest.mark.parametrize("score", [0.0, 0.29])
@pytest.mark.parametrize("size", [(240, 320), (1, 1), (60, 640)])
def test_nobody_is_found_by_a_network_that_is_never_sure(score: float, size: tuple[int, int]) -> None:
    estimator = stubs.estimator(tiny(SQUARE), network=Constant(score))
    assert find_all(estimator, blank(*size), replace(AllSearch(), hint=0.0, min_clearness=0.0)) == []


class Guesses(nn.Module):
    """Joints anywhere, surely; no two answers are the same."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random, self.asked = torch.Generator().manual_seed(seed), 0

    def forward(self, crops: Tensor) -> list[Tensor]:
        self.asked += len(crops)
        return [torch.rand(len(crops), 5, 16, 16, generator=self.random)]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), size=SIZES, candidates=st.integers(1, 13))
def test_whatever_the_network_says_the_work_is_bounded_and_nobody_is_there_twice(
    seed: int, size: tuple[int, int], candidates: int
) -> None:
    network, photo = Guesses(seed), blank(*size)
    estimator = stubs.estimator(tiny(SQUARE), flip=True, network=network)
    search = AllSearch(scales=(1.4, 1.0, 0.5), candidates=candidates, min_clearness=0.0)
    poses = find_all(estimator, photo, search)
    windows = len(list(windows_of(photo, search.scales, search.overlap)))
    # Windows and boxes are looked at as they are, the people that remain with the mirrored crop, too.
    assert network.asked <= windows + candidates * (len(search.zooms) + 2)
    assert len(poses) <= candidates
    assert all(oks(a, b) < search.repeat for a in poses for b in poses if a is not b)
    assert all(np.isfinite(pose.keypoints).all() for pose in poses)


def test_an_answer_off_the_middle_of_its_window_is_not_followed_up() -> None:
    class Corner(nn.Module):
        """Five joints in the top left eighth of the crop."""

        asked = 0

        def forward(self, crops: Tensor) -> list[Tensor]:
            self.asked += len(crops)
            maps = torch.zeros(len(crops), 5, 16, 16)
            for joint, (x, y) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)]):
                maps[:, joint, y, x] = 1.0
            return [maps]

    network, search = Corner(), AllSearch(scales=(1.0,))
    estimator = stubs.estimator(tiny(SQUARE), flip=False, network=network)
    assert find_all(estimator, blank(240, 320), search) == []
    assert network.asked == len(list(windows_of(blank(240, 320), search.scales, search.overlap)))


# ---- real pictures -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled() -> Estimator:
    return opened("bundled", Run("cpu"))


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["skimage_chelsea.png", "skimage_coffee.png", "supervision_1.jpg", "supervision_5.jpg"]
)
def test_nobody_is_found_on_a_picture_without_people(name: str, shared: Path, bundled: Estimator) -> None:
    assert find_all(bundled, images.read(shared / "photos" / "free" / name)) == []


@pytest.mark.shared
def test_one_person_is_found_once(shared: Path, bundled: Estimator) -> None:
    (pose,) = find_all(bundled, images.read(shared / "photos" / "free" / "tfjs_pose.jpg"))
    body = Box.bounding(pose.keypoints)
    assert body is not None
    assert body.iou(Box(318, 200, 385, 430)) > 0.6


@pytest.mark.shared
def test_three_people_of_whom_the_upper_half_is_seen_are_found(shared: Path, bundled: Estimator) -> None:
    assert len(find_all(bundled, images.read(shared / "photos" / "free" / "tfjs_three_people.jpg"))) == 3
