from __future__ import annotations

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
from posehg.inference.estimator import opened
from posehg.inference.person_search import OneSearch, find_one, windows_of
from tests import stubs
from tests.stubs import SQUARE, square_estimator, square_photo, tiny

SIZES = st.one_of(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.sampled_from([(1, 1), (60, 640), (640, 60)]))


def blank(height: int, width: int) -> Image:
    return np.broadcast_to(np.zeros((1, 1, 3), dtype=np.uint8), (height, width, 3))


# ---- windows -----------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(size=SIZES)
def test_windows_cover_the_picture_at_every_scale(size: tuple[int, int]) -> None:
    search = OneSearch()
    windows = list(windows_of(blank(*size), search.scales, search.overlap))
    for scale in search.scales:
        alike = [window for window in windows if window.w == pytest.approx(max(size) * scale)]
        for axis, length in ((0, size[1]), (1, size[0])):
            spans = sorted({(box.as_tuple()[axis], box.as_tuple()[axis] + box.w) for box in alike})
            assert spans[0][0] <= 1e-9
            assert spans[-1][1] >= length - 1e-6
            assert all(after[0] <= before[1] + 1e-6 for before, after in pairwise(spans))
        assert len(alike) == len({box.x for box in alike}) * len({box.y for box in alike})  # on a full grid


@settings(max_examples=80, deadline=None)
@given(size=SIZES)
def test_a_window_hangs_over_the_border_by_a_quarter_or_is_centred(size: tuple[int, int]) -> None:
    height, width = size
    for box in windows_of(blank(height, width), OneSearch().scales, OneSearch().overlap):
        for start, side, length in ((box.x, box.w, width), (box.y, box.h, height)):
            hangs_over = max(-start, start + side - length)
            assert hangs_over <= side / 4 + 1e-6 or start + side / 2 == pytest.approx(length / 2)


@pytest.mark.parametrize("scale", OneSearch().scales)
def test_somebody_cut_off_by_a_border_is_near_the_middle_of_a_window(scale: float) -> None:
    """A window's middle comes within a quarter of its side of each point of the picture."""
    windows = list(windows_of(blank(480, 640), (scale,), OneSearch().overlap))
    for x, y in ((0, 0), (639, 0), (320, 479), (0, 240), (639, 479)):
        nearest = min(max(abs(box.center[0] - x), abs(box.center[1] - y)) / box.w for box in windows)
        assert nearest <= 0.25 + 1e-3


# ---- who is found ------------------------------------------------------------------------------------------------


def corners(left: int, top: int, side: int) -> np.ndarray:
    """Of the square's pixels, in the order of the stub's joints."""
    right, bottom = left + side - 1, top + side - 1
    middle = ((left + right) / 2, (top + bottom) / 2)
    return np.array([middle, (left, top), (right, top), (left, bottom), (right, bottom)])


@settings(max_examples=8, deadline=None)
@given(left=st.integers(5, 180), top=st.integers(5, 100), side=st.integers(70, 130))
def test_the_person_is_found_and_the_box_settles_around(left: int, top: int, side: int) -> None:
    pose = find_one(square_estimator(), square_photo(left, top, side))
    assert pose is not None
    scale = pose.box.w / 64
    assert np.abs(pose.keypoints - corners(left, top, side)).max() < 1.5 * scale  # the stub sees whole crop pixels
    assert pose.box.iou(Box(left, top, side, side).square(1.25)) > 0.8


def test_the_larger_of_two_is_taken() -> None:
    photo = np.concatenate([square_photo(30, 90, 80), blank(240, 320), square_photo(125, 40, 175)], axis=1)
    search = OneSearch(scales=(0.3,))  # no window shows both, which the stub would take for one
    pose = find_one(square_estimator(), photo, search)
    assert pose is not None
    assert pose.box.iou(Box(2 * 320 + 125, 40, 175, 175).square(1.25)) > 0.8


class Constant(nn.Module):
    """The same score everywhere, whatever it sees."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: Tensor) -> list[Tensor]:
        return [torch.full((len(images), 5, 16, 16), self.score)]


@pytest.mark.parametrize("score", [0.0, 0.2])
@pytest.mark.parametrize("size", [(240, 320), (1, 1), (60, 640)])
def test_nobody_is_found_by_a_network_that_is_never_sure(score: float, size: tuple[int, int]) -> None:
    estimator = stubs.estimator(tiny(SQUARE), network=Constant(score))
    assert find_one(estimator, blank(*size)) is None


def test_nobody_is_found_on_an_empty_picture() -> None:
    assert find_one(square_estimator(), blank(240, 320)) is None


class Guesses(nn.Module):
    """Joints anywhere, surely; no two answers are the same."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random, self.asked = torch.Generator().manual_seed(seed), 0

    def forward(self, images: Tensor) -> list[Tensor]:
        self.asked += len(images)
        return [torch.rand(len(images), 5, 16, 16, generator=self.random)]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), size=SIZES)
def test_the_search_ends_whatever_the_network_says(seed: int, size: tuple[int, int]) -> None:
    network, search = Guesses(seed), OneSearch()
    estimator = stubs.estimator(tiny(SQUARE), flip=False, network=network)
    pose = find_one(estimator, blank(*size), search)
    windows = len(list(windows_of(blank(*size), search.scales, search.overlap)))
    assert network.asked <= windows + search.candidates * (4 * search.rounds + 4)
    assert pose is None or np.isfinite(pose.keypoints).all()


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["skimage_chelsea.png", "skimage_coffee.png", "supervision_1.jpg", "supervision_5.jpg", "exif_landscape_3.jpg"],
)
def test_nobody_is_found_on_a_picture_without_people(name: str, shared: Path) -> None:
    estimator = opened("bundled", Run("cpu"))
    assert find_one(estimator, images.read(shared / "photos" / "free" / name)) is None
