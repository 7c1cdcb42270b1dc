"""Photos that a data set has several times."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from posehg.checking import duplicates, fingerprints, pictures
from posehg.checking.check import check
from posehg.checking.findings import Finding
from posehg.checking.fingerprints import Part
from posehg.checking.subjects import Subjects
from posehg.datasets import Dataset, load_one, synthetic
from posehg.geometry import Affine, Box
from posehg.images import Image, warp
from posehg.poses import Person
from posehg.skeletons import MPII

T = TypeVar("T")

HOURS = settings(max_examples=30, deadline=None)  # another process may have the cores
SIZE = 300


def unwatched(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    return items


@cache
def photo(seed: int) -> Image:
    return synthetic.render(seed, SIZE)[0]


@cache
def box(seed: int) -> Box:
    return synthetic.render(seed, SIZE)[1].box


def cut(seed: int, left: int, top: int, side: int, pixels: int) -> tuple[Image, Box]:
    """The square from (left, top) on as a picture of ``pixels``, and where the person is on it."""
    to_cut = Affine.crop(Box(left, top, side, side), (pixels, pixels))
    there = box(seed)
    x, y = to_cut(there.center)
    return warp(photo(seed), to_cut, (pixels, pixels)), Box.around(
        (float(x), float(y)), there.w * to_cut.scale, there.h * to_cut.scale
    )


def as_jpeg(image: Image, quality: int) -> Image:
    file = BytesIO()
    PillowImage.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(PillowImage.open(file))


def another_frame(seed: int) -> Image:
    """The same scene, but where the person is something has moved."""
    x, y = (round(v) for v in box(seed).center)
    frame = photo(seed).copy()
    frame[y - 45 : y + 45, x - 35 : x + 35] = photo(seed)[y - 45 : y + 45, x - 10 : x + 60]
    return frame


# ---- hashes --------------------------------------------------------------------------------------------------------


def distance(a: Image, b: Image) -> int:
    views = [fingerprints.whole(image) for image in (a, b)]
    assert views[0] is not None
    assert views[1] is not None
    return int((fingerprints.perceptual_hash(views[0]) != fingerprints.perceptual_hash(views[1])).sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_hash_of_a_photo_outlives_brightness_compression_and_size(seed: int) -> None:
    image = photo(seed)
    brighter = np.clip(image * 0.6 + 70, 0, 255).astype(np.uint8)
    smaller = np.asarray(cv2.resize(image, (131, 127), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    assert max(distance(image, other) for other in (brighter, as_jpeg(image, 30), smaller)) <= 4


def test_hashes_of_different_photos_differ_in_about_half_of_their_bits() -> None:
    distances = [distance(photo(a), photo(b)) for a in range(8) for b in range(a)]
    assert 26 < np.mean(distances) < 37
    assert min(distances) > 9


def test_a_picture_with_nothing_on_it_has_no_view() -> None:
    fog = np.random.default_rng(0).normal(128, 2, (97, 101, 3)).astype(np.uint8)
    assert fingerprints.whole(fog) is None
    assert fingerprints.around(fog, Box(20, 20, 50, 50)) is None


@pytest.mark.parametrize(
    "there",
    [
        Box(-400, 10, 100, 100),
        Box(290, 290, 80, 80),
        Box(100, 100, 13, 17),
        Box(5e6, 5e6, 1e6, 1e6),
        Box(0, 0, 1e6, 1e6),
    ],
)
def test_a_person_who_is_tiny_or_beside_the_picture_has_no_view(there: Box) -> None:
    assert fingerprints.around(photo(1), there) is None
    assert fingerprints.fine_around(photo(1), there) is None


def test_a_view_around_a_person_at_the_edge_goes_on_with_the_edge() -> None:
    image = np.zeros((120, 120, 3), dtype=np.uint8)
    image[:, 60:] = 200
    view = fingerprints.around(image, Box(40, 20, 80, 80))  # the square from 20 to 140
    assert view is not None
    assert (view[:, 12:] == 200).all()
    assert (view[:, :10] == 0).all()


@HOURS
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 4))
def test_alike_views_are_the_nearest_of_other_pictures_by_hash(seed: int, count: int, on_one: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, 4), dtype=np.uint8)
    views = [
        np.asarray(cv2.resize(coarse[i], (32, 32)), dtype=np.uint8) // 2 + rng.integers(0, 60, (32, 32), dtype=np.uint8)
        for i in rng.integers(0, 3, count)
    ]
    owners = [number // on_one for number in range(count)]
    hashes = [fingerprints.perceptual_hash(view) for view in views]
    expected = set()
    for a in range(count):
        others = [(int((hashes[a] != hashes[b]).sum()), b) for b in range(count) if owners[a] != owners[b]]
        expected |= {(min(a, b), max(a, b)) for far, b in sorted(others)[:10] if far <= 15}
    assert fingerprints.alike(views, owners) == sorted(expected)


# ---- agreement -----------------------------------------------------------------------------------------------------


def agreement(a: Image, b: Image) -> fingerprints.Agreement:
    return fingerprints.agreement(fingerprints.fine_whole(a), fingerprints.fine_whole(b))


def test_a_photo_agrees_with_itself() -> None:
    found = agreement(photo(2), photo(2))
    assert found.mean == pytest.approx(1, abs=1e-3)
    assert found.weakest == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_photo_agrees_with_another_cut_of_it(seed: int) -> None:
    a, b = cut(seed, 20, 10, 250, 200)[0], cut(seed, 10, 25, 260, 180)[0]
    found = agreement(a, as_jpeg(b, 85))
    assert found.mean > fingerprints.SAME
    assert found.weakest > fingerprints.SAME_EVERYWHERE


def test_photos_do_not_agree_with_other_photos() -> None:
    found = [agreement(photo(a), photo(b)).mean for a in range(8) for b in range(a)]
    assert max(found) < 0.5


def test_frames_of_one_film_agree_but_where_somebody_moved() -> None:
    found = agreement(photo(8), another_frame(8))
    assert found.weakest < fingerprints.SAME_EVERYWHERE < found.mean


def test_flat_parts_do_not_agree() -> None:
    flat = Part(np.full((96, 96), 128, dtype=np.uint8))
    assert fingerprints.agreement(flat, flat) == fingerprints.NONE


def test_parts_of_squares_that_reach_beyond_their_pictures_are_laid_on_one_another() -> None:
    """The person stands at the upper edge of the one cut and at the left edge of the other."""
    seed = 4
    x, y = (round(v) for v in (box(seed).x, box(seed).y))
    cuts = [cut(seed, x - 70, y - 10, 210, 210), cut(seed, x - 10, y - 60, 210, 210)]
    parts = [fingerprints.fine_around(*one) for one in cuts]
    assert parts[0] is not None
    assert parts[1] is not None
    assert parts[0].top > 5
    assert parts[1].left > 5
    assert fingerprints.agreement(parts[0], parts[1]).mean > fingerprints.SAME


# ---- groups --------------------------------------------------------------------------------------------------------


@HOURS
@given(st.integers(1, 17).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_groups_are_what_pairs_connect(given_pairs: tuple[int, set[tuple[int, int]]]) -> None:
    count, some = given_pairs
    pairs = {(min(a, b), max(a, b)): 1 / (1 + a + b) for a, b in some if a != b}
    found = duplicates.groups(count, pairs)
    assert sorted(number for group in found for number in group.pictures) == list(range(count))
    reach = np.eye(count, dtype=bool)
    for a, b in pairs:
        reach[a, b] = reach[b, a] = True
    for _ in range(count):
        reach |= (reach.astype(int) @ reach) > 0
    for group in found:
        assert {int(other) for other in np.flatnonzero(reach[group.pictures[0]])} == set(group.pictures)
        own = [value for pair, value in pairs.items() if set(pair) <= set(group.pictures)]
        assert group.agreement == min(own, default=1.0)


# ---- in a data set -------------------------------------------------------------------------------------------------


def a_set(split: str, shown: dict[str, tuple[Image, Box]]) -> Dataset:
    """One person on each picture, by file name."""
    persons = [
        Person(Path(name), there, np.tile(np.array(there.center), (16, 1)), np.ones(16, dtype=bool), id=name)
        for name, (_, there) in shown.items()
    ]
    return Dataset(
        split=split, name="toy", skeleton=MPII, persons=persons, read=lambda person: shown[str(person.image)][0]
    )


def found_in(*splits: Dataset) -> dict[str, list[tuple[str, ...]]]:
    """Of each kind the names of the pictures of each case."""
    subjects = Subjects(splits)
    scanned = list(pictures.scan(subjects, subjects.pictures))
    found: list[Finding] = duplicates.find(subjects, scanned, unwatched)
    return {
        one.kind.name: [tuple(subject.picture for subject in case.subjects) for case in one.cases]
        for one in found
        if one.known
    }


def test_two_cuts_of_a_photo_are_found_among_others() -> None:
    shown = {f"{seed}.png": (photo(seed), box(seed)) for seed in range(9)}
    shown["again.png"] = cut(5, 30, 20, 240, 170)
    found = found_in(a_set("train", shown))
    assert found == {"duplicate_pictures": [("5.png", "again.png")], "alike_pictures": []}


def test_a_person_is_found_on_cuts_that_have_little_else_in_common() -> None:
    """The pictures as such differ too much for a hash of theirs."""
    x, y, w, h = (round(v) for v in box(6).as_tuple())
    side = max(w, h) + 10
    tight = cut(6, x + w // 2 - side // 2, y + h // 2 - side // 2, side, 150)
    whole = photo(6), box(6)
    assert distance(tight[0], whole[0]) > fingerprints._FAR
    found = found_in(a_set("train", {"tight.png": tight, "whole.png": whole, "other.png": (photo(1), box(1))}))
    assert found["duplicate_pictures"] == [("tight.png", "whole.png")]


def test_photos_in_two_splits_are_leaks_and_not_repeated_within() -> None:
    train = a_set("train", {"a.png": (photo(0), box(0)), "b.png": (photo(1), box(1))})
    val = a_set("val", {"c.png": (as_jpeg(photo(1), 60), box(1)), "d.png": (photo(2), box(2))})
    found = found_in(train, val)
    assert found["leaks"] == [("b.png", "c.png")]
    assert not any(cases for kind, cases in found.items() if kind != "leaks")


def test_one_file_in_two_splits_is_a_leak() -> None:
    train, val = (a_set(split, {"a.png": (photo(0), box(0))}) for split in ("train", "val"))
    assert found_in(train, val)["leaks"] == [("a.png", "a.png")]


def test_a_photo_that_is_there_three_times_is_one_case() -> None:
    train = a_set("train", {"a.png": (photo(0), box(0)), "b.png": (as_jpeg(photo(0), 60), box(0))})
    val = a_set("val", {"c.png": (as_jpeg(photo(0), 80), box(0))})
    found = found_in(train, val)
    assert found["leaks"] == [("a.png", "b.png", "c.png")]
    assert found["duplicate_pictures"] == [("a.png", "b.png")]


def test_frames_of_a_film_are_scenes_and_not_photos() -> None:
    shown = {"a.png": (photo(8), box(8)), "b.png": (another_frame(8), box(8)), "c.png": (photo(0), box(0))}
    train = a_set("train", shown)
    assert found_in(train) == {"duplicate_pictures": [], "alike_pictures": [("a.png", "b.png")]}


def test_people_on_one_picture_are_no_pair() -> None:
    shifted = Box(box(0).x + 3, box(0).y, box(0).w, box(0).h)
    one = a_set("train", {"a.png": (photo(0), box(0))})
    crowd = Dataset("toy", "train", MPII, [*one.persons, Person(Path("a.png"), shifted, *_joints(), id="2")], one.read)
    assert not any(found_in(crowd).values())


def _joints() -> tuple[np.ndarray, np.ndarray]:
    return np.full((16, 2), np.nan), np.zeros(16, dtype=bool)


# ---- real photos ---------------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.slow
def test_photos_that_lspet_has_twice_are_found(shared: Path) -> None:
    """They were found by local features (SIFT) as well and looked at one by one."""
    splits = [load_one("lspet", shared / "data", split, need_images=False) for split in ("train", "val")]
    found = {finding.kind.name: finding for finding in check(splits, unwatched)}
    leaks = {tuple(int(s.picture[2:-4]) for s in case.subjects) for case in found["leaks"].cases}
    assert leaks == {
        *((457, 9410), (1479, 9099), (2423, 9082), (3286, 9263), (4433, 9130)),
        *((5488, 9054), (6988, 9081), (7818, 9195), (8155, 9345), (8720, 9419)),
    }
    within = {tuple(int(s.picture[2:-4]) for s in case.subjects) for case in found["duplicate_pictures"].cases}
    assert len(within) == 25
    assert within >= {(298, 2636, 3556), (545, 4217), (1240, 6741), (5215, 6202)}  # cut, coloured, cut far apart
    alike = {tuple(int(s.picture[2:-4]) for s in case.subjects) for case in found["alike_pictures"].cases}
    assert alike == {(100, 7354), (598, 4160), (7174, 8283)}
    assert [found[kind].count for kind in ("missing_pictures", "broken_pictures", "alike_leaks")] == [0, 0, 0]
