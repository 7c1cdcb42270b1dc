"""Following people through videos: ids, searches, odd times, and one track on its own."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.estimator import Estimator, Region
from posehg.inference.tracking import Following, Track, Tracker, matched
from posehg.poses import THRESHOLD, Pose
from posehg.skeletons import MPII
from tests import stubs
from tests.stubs import SQUARE, tiny

STEP = 0.04
SIDE = 60
RED, GREEN, BLUE = range(3)
RARELY = {"every": 90, "patience": 10, "pause": 30}
"""So rarely that the searches say nothing about how well people are followed."""
J = len(MPII.joints)


class Colours(stubs.Square):
    """A person is a red, green or blue square."""

    def squares(self, image: Tensor) -> Sequence[Tensor]:
        return [channel > 0.5 for channel in image]


class Watched(Estimator):
    """Keeps the regions of each call."""

    def __init__(self) -> None:
        super().__init__(stubs.estimator(tiny(SQUARE), Colours()).engine, flip=False)
        self.asked: list[list[Region]] = []

    def __call__(self, regions: Iterable[Region]) -> Iterator[Pose]:
        self.asked.append(list(regions))
        return super().__call__(self.asked[-1])


class Finder:
    """Finds every square of an image, known or not, counts the searches, and keeps who was known at the last one."""

    def __init__(self) -> None:
        self.searches, self.rotation, self.known = 0, 0.0, list[Pose]()
        self._estimator = stubs.estimator(tiny(SQUARE), flip=False, network=Colours())

    def __call__(self, image: Image, known: Sequence[Pose]) -> list[Pose]:
        self.searches, self.known = self.searches + 1, list(known)
        boxes = [Box.bounding(np.argwhere(image[..., channel] > 127)[:, ::-1]) for channel in range(3)]
        squares = [self._estimator.person_box(box) for box in boxes if box is not None]
        regions = [Region(image, box, self.rotation) for box in squares]
        return [pose for pose in self._estimator(regions) if pose.score >= THRESHOLD]


def photo(*squares: tuple[int, float, float], grey: int = 0) -> Image:
    """Squares (colour, x and y of the middle); later ones cover earlier ones."""
    image = np.full((240, 480, 3), grey, dtype=np.uint8)
    for colour, x, y in squares:
        left, top = max(0, round(x) - SIDE // 2), max(0, round(y) - SIDE // 2)
        image[top : max(0, round(y) + SIDE // 2), left : max(0, round(x) + SIDE // 2)] = np.eye(3)[colour] * 255
    return image


def tracker(**options: object) -> tuple[Tracker, Watched, Finder]:
    most = options.pop("most", None)
    estimator, find = Watched(), Finder()
    return Tracker(estimator, find, Following(**options), most), estimator, find  # type: ignore[arg-type]


def ids(poses: Iterable[Pose]) -> list[int]:
    return sorted(pose.id for pose in poses if pose.id is not None)


def id_at(poses: Sequence[Pose], x: float, within: float = 8.0) -> int | None:
    """The id of the pose whose middle is about there."""
    return next((pose.id for pose in poses if abs(pose.keypoints[0, 0] - x) < within), None)


def test_a_person_is_followed_with_one_id_and_one_search() -> None:
    follow, estimator, find = tracker(**RARELY)
    for number in range(40):
        x = 60 + 8 * number
        (pose,) = follow(photo((RED, x, 120)), number * STEP)
        assert pose.id == 1
        assert abs(pose.keypoints[0] - (x, 120)).max() < 3
    assert find.searches == 1
    assert all(len(regions) == 1 for regions in estimator.asked[1:])


@pytest.mark.parametrize(("first", "second"), [(RED, GREEN), (GREEN, RED)])
@pytest.mark.parametrize("speed", [4, 5, 7])
@pytest.mark.parametrize("options", [RARELY, {}])
def test_people_who_cross_keep_their_ids(options: dict[str, int], first: int, second: int, speed: int) -> None:
    follow, _, find = tracker(**options)
    hidden = 0
    for number in range(280 // speed + 1):
        right, left = 90 + speed * number, 90 + 280 - speed * number
        squares = {first: (first, right, 122), second: (second, left, 118)}
        poses = follow(photo(squares[RED], squares[GREEN]), number * STEP)
        if number == 0:
            mine, theirs = id_at(poses, right), id_at(poses, left)
            assert {mine, theirs} == {1, 2}
        if abs(right - left) > SIDE:
            assert (id_at(poses, right), id_at(poses, left)) == (mine, theirs)
        hidden += len(poses) == 1
    if options:
        assert hidden  # else nobody was out of sight
        assert find.searches <= 2


def test_newcomers_are_found_by_the_next_search() -> None:
    follow, _, find = tracker(every=7)
    seen = [len(follow(photo((RED, 60, 120), *[(GREEN, 300, 120)] * (n >= 3)), n * STEP)) for n in range(15)]
    assert seen == [1] * 7 + [2] * 8
    assert find.searches == 3  # of frames 0, 7, 14


def test_a_search_is_told_who_is_followed() -> None:
    follow, _, find = tracker(every=7)
    follow(photo((RED, 60, 120)), 0.0)
    assert find.known == []
    for number in range(1, 8):
        poses = follow(photo((RED, 60 + 8 * number, 120), (GREEN, 300, 120)), number * STEP)
    (known,) = find.known
    assert known.id == 1
    assert known.keypoints[0] == pytest.approx([60 + 8 * 7, 120], abs=3)  # as found on the same frame
    assert ids(poses) == [1, 2]


@pytest.mark.parametrize("frame", [1, 4, 10, 17])
def test_newcomers_are_found_within_half_a_second(frame: int) -> None:
    follow, _, _ = tracker()
    seen = [len(follow(photo((RED, 60, 120), *[(GREEN, 300, 120)] * (n >= frame)), n * STEP)) for n in range(30)]
    assert seen[frame + round(0.5 / STEP) :] == [2] * len(seen[frame + round(0.5 / STEP) :])


def test_a_cut_to_another_scene_ends_all_tracks_and_is_searched_at_once() -> None:
    follow, _, find = tracker(**RARELY)
    greys = [0] * 5 + [20] * 5 + [90] * 5 + [0] * 5
    found = [ids(follow(photo((RED, 60, 120), (BLUE, 300, 120), grey=g), n * STEP)) for n, g in enumerate(greys)]
    assert found == [[1, 2]] * 10 + [[3, 4]] * 5 + [[5, 6]] * 5  # a little more light is no cut
    assert find.searches == 3
    assert find.known == []
    assert follow(photo(grey=90), 20 * STEP) == []
    assert find.searches == 4


@pytest.mark.parametrize(("gap", "expected"), [(1.0, [1]), (5.0, [2])])
def test_a_person_who_returns_soon_keeps_the_id(gap: float, expected: list[int]) -> None:
    follow, _, _ = tracker(memory=3.0, pause=1)
    times = np.arange(60) * STEP
    for time in times:
        follow(photo((RED, 120, 120)), time)
    away = np.arange(times[-1] + STEP, times[-1] + gap, STEP)
    assert not any(follow(photo(), time) for time in away)
    assert ids(follow(photo((RED, 140, 120)), away[-1] + STEP)) == expected


def test_a_single_sighting_is_soon_forgotten() -> None:
    follow, estimator, _ = tracker(grace=0.5)
    follow(photo((RED, 120, 120)), 0.0)
    for number in range(1, 25):
        follow(photo(), number * STEP)
    asked = [len(regions) for regions in estimator.asked[1:]]
    assert asked == [1] * 12 + [0] * 12


def test_regions_beyond_the_image_are_skipped_and_others_keep_their_rotation() -> None:
    follow, estimator, find = tracker()
    find.rotation = 90.0
    for number in range(60):
        follow(photo((RED, 400 + 9 * number, 120)), number * STEP)
    assert estimator.asked[-1] == []
    assert {region.rotation for regions in estimator.asked for region in regions} == {90.0}


def test_a_lost_person_is_searched_for_once_after_some_patience() -> None:
    follow, _, find = tracker(patience=3, pause=5, every=1000, memory=100)
    searches = []
    for number in range(60):
        gone = number >= 20
        follow(photo((GREEN, 300, 120), *[] if gone else [(RED, 60, 120)]), number * STEP)
        searches.append(find.searches)
    assert [number for number, (a, b) in enumerate(pairwise(searches), 1) if b > a] == [22]


def test_empty_frames_are_searched_at_every_pause() -> None:
    follow, _, find = tracker(pause=5)
    assert not any(follow(photo(), number * STEP) for number in range(21))
    assert find.searches == 5


def test_no_more_people_are_followed_than_wanted() -> None:
    follow, estimator, find = tracker(most=2, every=5)
    for number in range(12):
        image = photo((RED, 60, 120), (GREEN, 200, 120), (BLUE, 400, 120))
        assert len(follow(image, number * STEP)) == 2
    assert find.searches == 1
    assert max(len(regions) for regions in estimator.asked) == 2


def test_a_lost_person_makes_room_for_another() -> None:
    follow, _, _ = tracker(most=1, pause=1)
    found = [ids(follow(photo((n // 8, 60 + 300 * (n // 8), 120)), n * STEP)) for n in range(16)]
    assert found == [[1]] * 8 + [[2]] * 8


def test_a_video_that_starts_again_starts_without_tracks() -> None:
    follow, estimator, _ = tracker()
    for number in range(5):
        follow(photo((RED, 60, 120)), 100 + number * STEP)
    assert follow(photo(), 0.0) == []
    assert estimator.asked[-1] == []


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=3),
    gaps=st.lists(st.floats(-0.5, 2), min_size=4, max_size=17),
    most=st.sampled_from([None, 1, 3]),
)
def test_ids_are_unique_whatever_the_network_says(
    seed: int, sizes: list[tuple[int, int]], gaps: list[float], most: int | None
) -> None:
    estimator = stubs.estimator(tiny(SQUARE), network=stubs.Guesses(seed))
    rng = np.random.default_rng(seed)

    def find(image: Image, known: Sequence[Pose]) -> list[Pose]:
        boxes = [Box.around(tuple(rng.uniform(0, 300, 2)), 97.0) for _ in range(5)]  # type: ignore[arg-type]
        return list(estimator(Region(image, box) for box in boxes))

    follow = Tracker(estimator, find, Following(every=2, pause=1, min_score=0.0), most)
    for number, time in enumerate(np.cumsum(gaps)):
        poses = follow(np.zeros((*sizes[number % len(sizes)], 3), dtype=np.uint8), float(time))
        assert len(poses) <= (most or len(poses))
        assert len(set(ids(poses))) == len(poses)
        assert all(pose.id is not None and pose.id >= 1 for pose in poses)
        assert all(np.isfinite(pose.keypoints).all() for pose in poses)


def body(x: float, seed: int = 0, size: float = 130.0) -> Pose:
    """A person around that place."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-size / 2, size / 2, (J, 2)) + np.array([x, 200])
    return Pose(MPII, points, rng.uniform(0.5, 1, J), Box(x - 90, 110, 180, 180), 0.7)


def identified(follow: Tracker, poses: Sequence[Pose], time: float, grey: int = 0) -> list[int | None]:
    given = follow.identify(poses, photo(grey=grey), time)
    assert all(np.array_equal(a.keypoints, b.keypoints) for a, b in zip(given, poses, strict=True))
    return [pose.id for pose in given]


def test_given_poses_get_ids_whatever_their_order() -> None:
    follow, estimator, find = tracker()
    assert identified(follow, [body(100, 1), body(400, 2), body(700, 3)], 0.0) == [1, 2, 3]
    assert identified(follow, [body(704, 3), body(104, 1)], STEP) == [3, 1]
    assert identified(follow, [body(408, 2), body(1000, 4), body(108, 1)], 2 * STEP) == [2, 4, 1]
    assert identified(follow, [], 3 * STEP) == []
    same = identified(follow, [body(100, 1)] * 3, 4 * STEP)
    assert len(set(same)) == 3
    assert set(identified(follow, [body(100, 1), body(400, 2)], 5 * STEP, grey=90)).isdisjoint({1, 2, 3, 4, *same})
    assert (estimator.asked, find.searches) == ([], 0)


def walked(steps: int, speed: float, jitter: float = 0.0, step: float = STEP) -> Track:
    rng, motion = np.random.default_rng(1), Following()
    track = Track.begin(1, body(0), 0.0)
    for number in range(1, steps + 1):
        pose = body(speed * number * step)
        pose = replace(pose, keypoints=pose.keypoints + rng.normal(0, jitter, (J, 2)))
        track = track.seen(pose, number * step, motion)
    return track


@settings(max_examples=15)
@given(speed=st.floats(-400, 400), step=st.floats(0.01, 0.3))
def test_the_velocity_becomes_that_of_the_person(speed: float, step: float) -> None:
    track = walked(int(4 / step), speed, step=step)
    assert track.velocity == pytest.approx([speed, 0], abs=0.02 * abs(speed) + 1e-6)
    ahead = track.expected(track.time + step, Following()).keypoints - track.pose.keypoints
    assert ahead[:, 0] == pytest.approx(np.full(J, speed * step), rel=0.2, abs=1e-6)


def test_missing_joints_are_remembered_for_a_while() -> None:
    motion, track = Following(), walked(10, 100.0)
    whole = body(100.0 * 11 * STEP)
    legless = np.where(np.arange(J) < 6, 0.05, whole.scores)
    scattered = np.where(np.arange(J)[:, None] < 6, 0.0, whole.keypoints)
    now = track.seen(replace(whole, keypoints=scattered, scores=legless), 11 * STEP, motion)
    assert np.array_equal(now.pose.scores, legless)  # what is given is what was found
    assert now.body.keypoints == pytest.approx(whole.keypoints, abs=1.0)
    assert (now.body.scores[:6] > THRESHOLD).all()
    for number in range(12, 60):
        now = now.seen(replace(body(100.0 * number * STEP), scores=legless), number * STEP, motion)
    assert (now.body.scores[:6] < THRESHOLD).all()


def test_an_untrusted_pose_does_not_change_the_motion() -> None:
    track, motion = walked(50, 100.0), Following()
    time = track.time + STEP
    doubtful = track.seen(body(300.0), time, motion, trust=0.0)
    assert np.array_equal(doubtful.velocity, track.velocity)
    expected = track.expected(time, motion)
    assert doubtful.body.keypoints.mean(axis=0) == pytest.approx(expected.keypoints.mean(axis=0), abs=1e-6)
    assert np.array_equal(doubtful.pose.keypoints, body(300.0).keypoints)


def test_a_pose_similar_to_two_tracks_is_not_trusted() -> None:
    options = Following(similarity=0.1)
    assert matched([Track.begin(1, body(0, 1), 0.0)], [body(5, 1)], STEP, options) == {0: (0, 1.0)}
    near = [Track.begin(1, body(0, 1), 0.0), Track.begin(2, body(10, 1), 0.0)]
    track, trust = matched(near, [body(4, 1)], STEP, options)[0]
    assert track == 0
    assert trust < 0.3
