"""Who is on an image, by a detector that is a rule and a network that follows another."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg.checkpoints import bundled_folder
from posehg.datasets import synthetic
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.detector import Detect, PersonBox
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator, Region
from posehg.inference.oks import oks
from posehg.inference.person_search import People, Search, find
from posehg.poses import Pose
from tests import stubs
from tests.stubs import PERSON, detect_squares, squares_photo, tiny

Square = tuple[int, int, int]


class Watched(Estimator):
    """Takes white squares for people, and keeps the regions of all calls."""

    def __init__(self) -> None:
        super().__init__(stubs.estimator(tiny(PERSON), stubs.Squares()).engine)
        self.asked: list[Region] = []

    def __call__(self, regions: Iterable[Region]) -> Iterator[Pose]:
        given = list(regions)
        self.asked += given
        return super().__call__(given)


@pytest.fixture
def estimator() -> Watched:
    return Watched()


def says(*found: tuple[Square, float]) -> Detect:
    """A detector that finds the same squares on every image."""
    return lambda image: [PersonBox(Box(x, y, side, side), score) for (x, y, side), score in found]


def middle(square: Square) -> tuple[float, float]:
    x, y, side = square
    return Box(x, y, side, side).center


def assert_found(poses: Sequence[Pose], *squares: Square) -> None:
    """One pose a square, in this order."""
    assert len(poses) == len(squares)
    for pose, square in zip(poses, squares, strict=True):
        assert pose["head"] == pytest.approx(middle(square), abs=4)
        x, y, side = square
        assert pose.bbox.iou(Box(x, y, side, side)) > 0.7


@pytest.mark.parametrize(
    ("meant", "other"),
    [
        ((300, 60, 110), (95, 85, 60)),  # larger
        ((200, 80, 80), (20, 80, 80)),  # nearer to the middle
        ((200, 80, 80), (370, 20, 90)),  # nearer to the middle, though a little smaller
        ((380, 80, 80), (0, 75, 90)),  # not cut by the left border
        ((20, 80, 80), (390, 75, 90)),  # by the right
        ((200, 140, 80), (190, 0, 90)),  # by the upper
        ((190, 150, 90), (200, 20, 80)),  # cut by the lower border, where legs often are
    ],
)
def test_the_most_prominent_person_is_the_large_central_and_whole_one(
    estimator: Watched, meant: Square, other: Square
) -> None:
    for squares in ((meant, other), (other, meant)):
        assert_found(find(estimator, squares_photo(*squares), detect=detect_squares), meant)
    assert_found(find(estimator, squares_photo(meant, other), "all", detect=detect_squares), meant, other)


def test_the_one_is_the_first_of_all_with_the_same_joints(estimator: Watched) -> None:
    squares = [(20, 100, 60), (150, 40, 110), (330, 70, 100)]
    everyone = find(estimator, squares_photo(*squares), "all", detect=detect_squares)
    assert_found(everyone, squares[1], squares[2], squares[0])
    (one,) = find(estimator, squares_photo(*squares), detect=detect_squares)
    np.testing.assert_allclose(one.keypoints, everyone[0].keypoints, atol=1e-3)
    assert tuple(one.crop) == pytest.approx(tuple(everyone[0].crop))


class Dimmed(stubs.Squares):
    """Is as sure of a square as it is light."""

    def forward(self, images: Tensor) -> list[Tensor]:
        (maps,) = super().forward(images)
        return [maps * images.amax(dim=(1, 2, 3), keepdim=True)]


def test_the_poses_decide_between_similar_detections() -> None:
    estimator, dim, light = stubs.estimator(tiny(PERSON), Dimmed()), (60, 80, 80), (340, 80, 80)
    image = squares_photo(light)
    image[80:160, 60:140] = 140
    # With 0.52 the light one is the surer person, but too far behind as a detection to be the one who is meant.
    for sure, first, meant in ((0.9, light, light), (0.6, light, light), (0.52, light, dim), (0.4, dim, dim)):
        detect = says((dim, 0.9), (light, sure))
        assert find(estimator, image, "all", detect=detect)[0]["head"] == pytest.approx(middle(first), abs=4)
        assert find(estimator, image, detect=detect)[0]["head"] == pytest.approx(middle(meant), abs=4)


def test_few_people_are_looked_at_to_find_one(estimator: Watched) -> None:
    squares = [(20 + 75 * number, 90, 50) for number in range(6)]
    assert len(find(estimator, squares_photo(*squares), detect=detect_squares)) == 1
    assert len(estimator.asked) <= Search().most


@pytest.mark.parametrize("second", [(150, 60, 100), (160, 70, 100), (130, 40, 150)])
def test_two_detections_of_one_person_give_one_pose(estimator: Watched, second: Square) -> None:
    square = (150, 60, 100)
    detect = says((square, 0.9), (second, 0.8))
    assert_found(find(estimator, squares_photo(square), "all", detect=detect), square)


def test_everyone_is_estimated_once_in_the_crop_around_the_detection(estimator: Watched) -> None:
    squares = [(190, 70, 100), (340, 70, 110)]
    detect = says(((165, 60, 130), 0.9), (squares[1], 0.8))
    poses = find(estimator, squares_photo(*squares), "all", detect=detect)
    assert_found(poses, *squares)
    assert [pose.crop for pose in poses] == [region.box for region in estimator.asked]
    assert [tuple(pose.crop) for pose in poses] == [(148.75, 43.75, 162.5, 162.5), (326.25, 56.25, 137.5, 137.5)]


def test_known_people_are_not_returned_again(estimator: Watched) -> None:
    squares = [(20, 60, 90), (180, 50, 110), (340, 70, 100)]
    image = squares_photo(*squares)
    everyone = find(estimator, image, "all", detect=detect_squares)
    for known in everyone:
        new = find(estimator, image, "all", detect=detect_squares, known=[known])
        assert [pose["head"] for pose in new] == [pose["head"] for pose in everyone if pose is not known]
    estimator.asked.clear()
    for people in ("one", "all"):
        assert find(estimator, image, people, detect=detect_squares, known=everyone) == []
        assert find(estimator, image, people, detect=says(), known=everyone) == []
    assert estimator.asked == []  # they are not estimated again, nor is the image scanned
    # Two known poses of one person hide nobody else.
    assert_found(find(estimator, image, "all", detect=detect_squares, known=[everyone[0]] * 2), squares[2], squares[0])
    # A box beside a known person, in which the network sees that person again, is no new one.
    x, y, side = squares[1]
    detect = says(((x + 20, y - 60, side + 60), 0.9), (squares[0], 0.8))
    assert_found(find(estimator, image, "all", detect=detect, known=[everyone[0]]), squares[0])


def test_detections_without_a_person_in_them_are_dropped(estimator: Watched) -> None:
    square = (40, 60, 90)
    detect = says(((300, 40, 160), 0.99), (square, 0.4))
    assert_found(find(estimator, squares_photo(square), "all", detect=detect), square)


def test_only_the_first_person_may_be_doubtful(estimator: Watched) -> None:
    square, other = (300, 80, 100), (40, 80, 100)
    image, between = squares_photo(square, other), ((Search().first + Search().sure) / 2) ** 2
    (known,) = find(estimator, image, "all", detect=says((other, 0.9)))
    assert_found(find(estimator, image, "all", detect=says((square, between))), square)
    assert find(estimator, image, "all", detect=says((square, Search().first ** 2 / 2))) == []
    assert_found(find(estimator, image, "all", detect=says((other, 0.9), (square, between))), other)
    assert find(estimator, image, "all", detect=says((square, between)), known=[known]) == []
    assert_found(find(estimator, image, "all", detect=says((square, 0.5)), known=[known]), square)


@pytest.mark.parametrize("people", ["one", "all"])
def test_where_nobody_is_detected_the_network_looks_for_somebody_large(estimator: Watched, people: People) -> None:
    large, small = (150, 20, 200), (200, 90, 60)
    assert_found(find(estimator, squares_photo(large), people, detect=says()), large)
    assert_found(find(estimator, squares_photo(large), people, detect=says(((400, 30, 40), 0.9))), large)
    assert find(estimator, squares_photo(small), people, detect=says()) == []
    assert find(estimator, squares_photo(), people, detect=says()) == []
    assert_found(find(estimator, squares_photo(small)), small)  # a whole scan finds it


def test_somebody_upside_down_is_found_where_nobody_is_detected() -> None:
    estimator = Estimator(open_engine(bundled_folder(), EngineOptions("cpu")))
    for seed in (306, 328):  # windows that are not turned do not find these
        (pose,) = find(estimator, synthetic.render(seed, size=320)[0][::-1, ::-1].copy(), detect=says())
        assert pose["head_top"][1] > pose["pelvis"][1] + 50


def test_a_scan_asks_no_detector(estimator: Watched) -> None:
    def never(image: Image) -> list[PersonBox]:
        raise AssertionError("the detector was asked")

    image = squares_photo((200, 90, 60))
    for detect in (never, None):
        assert_found(find(estimator, image, "scan", detect=detect), (200, 90, 60))
    assert find(estimator, squares_photo(), "scan", detect=never) == []


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    boxes=st.lists(st.tuples(*[st.floats(0, 250)] * 2, *[st.floats(0.5, 300)] * 2, st.floats(0.01, 1)), max_size=9),
    people=st.sampled_from(["one", "all"]),
)
def test_nobody_is_found_twice_whatever_detector_and_network_say(
    seed: int, size: tuple[int, int], boxes: list[tuple[float, ...]], people: People
) -> None:
    network, image = stubs.Guesses(seed), np.zeros((*size, 3), dtype=np.uint8)
    found = [PersonBox(Box(*box), score) for *box, score in boxes]
    poses = find(stubs.estimator(tiny(PERSON), network=network), image, people, detect=lambda image: found)
    assert len(poses) <= (1 if people == "one" or not found else len(found))
    assert all(oks(a, b) < Search().repeat for a in poses for b in poses if a is not b)
    assert all(np.isfinite(pose.keypoints).all() for pose in poses)
