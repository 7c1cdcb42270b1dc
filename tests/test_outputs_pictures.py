"""Pictures that are made of results: skeletons, heatmaps, crops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import drawing, images
from posehg.drawing import Style
from posehg.errors import InputError, UsageError
from posehg.geometry import Box
from posehg.io.writers import crops, heatmaps, image
from posehg.poses import Pose
from tests.results import SEVEN, SHAPE, found, picture, pose, result

GREY = np.full(SHAPE, 120, dtype=np.uint8)


def one(points: list[tuple[float, float]], box: Box, scores: float = 0.9) -> Pose:
    """Somebody of seven joints, those that are not given like the last."""
    keypoints = np.array(points + [points[-1]] * (7 - len(points)), dtype=np.float64)
    return Pose(SEVEN, keypoints, np.full(7, scores), box, scores)


# ---- skeletons ---------------------------------------------------------------------------------------------------


def test_the_drawing_is_what_the_picture_file_shows(tmp_path: Path) -> None:
    image.write(tmp_path / "a.png", result())
    expected = drawing.draw(picture(), found().poses, 0.3)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), expected)


@pytest.mark.parametrize(("background", "channels"), [("image", 3), ("black", 3), ("white", 3), ("none", 4)])
def test_skeletons_are_drawn_on_the_ground_that_is_asked_for(background: str, channels: int) -> None:
    rendered = image.render(result(image=GREY, background=background))
    assert rendered.shape == (83, 97, channels)
    corner = {"image": [120] * 3, "black": [0] * 3, "white": [255] * 3, "none": [0] * 4}[background]
    assert rendered[-1, -1].tolist() == corner


@pytest.mark.parametrize("background", ["image", "black", "white", "none"])
def test_side_by_side_has_the_photo_on_the_left_and_the_skeletons_on_the_right(background: str) -> None:
    both = image.render(result(background=background, side_by_side=True))
    alone = image.render(result(background=background))
    assert both.shape == (83, 2 * 97, alone.shape[2])
    np.testing.assert_array_equal(both[:, :97, :3], picture())
    np.testing.assert_array_equal(both[:, 97:], alone)
    assert (both[:, :97, 3:] == 255).all()


@pytest.mark.parametrize("suffix", images.SUFFIXES)
def test_side_by_side_is_written_in_every_format(tmp_path: Path, suffix: str) -> None:
    image.write(tmp_path / f"a{suffix}", result(background="none", side_by_side=True))
    assert images.read(tmp_path / f"a{suffix}").shape == (83, 194, 3)


def test_what_a_format_cannot_hold_is_told_with_the_files_name(tmp_path: Path) -> None:
    wide = np.zeros((2, 9000, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r"a\.webp cannot be written as WEBP"):
        image.write(tmp_path / "a.webp", result(image=wide, side_by_side=True))
    assert not list(tmp_path.iterdir())


def test_names_and_ids_are_written_where_they_are_asked_for() -> None:
    style = Style(labels=True)
    plain, named = (image.render(result(found(people=1), GREY, style=look)) for look in (Style(), style))
    numbered = image.render(result(found(poses=[pose(0, id=5)]), GREY, style=style))
    assert (plain != named).any()
    assert (named != numbered).any()


# ---- heatmaps ----------------------------------------------------------------------------------------------------


def hottest(cell: np.ndarray, ground: np.ndarray) -> tuple[float, float]:
    """x and y of the middle of what is coloured in a cell."""
    rows, columns = np.nonzero(np.abs(cell.astype(int) - ground).max(axis=-1) > 60)
    return float(columns.mean()), float(rows.mean())


def test_each_cell_shows_its_joint_where_it_is() -> None:
    # Each in the middle of a heatmap's cell, which has four pixels.
    there = one([(21.5, 9.5), (69.5, 13.5), (29.5, 41.5), (81.5, 61.5), (9.5, 69.5)], Box(0, 0, 97, 83))
    sheet = heatmaps.sheet(result(found(poses=[there]), GREY))
    width = 1600 // 3
    height = round(83 * width / 97)
    scale, gap, below = width / 97, 4, (sheet.shape[0] - 4) // 3 - height - 4
    assert sheet.shape == (3 * (height + below + gap) + gap, 3 * (width + gap) + gap, 3)
    assert 10 < below < 40
    for channel, (x, y) in enumerate(there.keypoints):
        top, left = gap + channel // 3 * (height + below + gap), gap + channel % 3 * (width + gap)
        found_x, found_y = hottest(sheet[top : top + height, left : left + width], np.full(3, 120))
        assert np.hypot((found_x + 0.5) / scale - 0.5 - x, (found_y + 0.5) / scale - 0.5 - y) < 0.3


def test_only_the_joints_that_are_asked_for_are_shown_in_their_order() -> None:
    both = heatmaps.sheet(result(heatmaps=("right_hip", "nose")))
    other = heatmaps.sheet(result(heatmaps=("nose", "right_hip")))
    middle = both.shape[1] // 2
    np.testing.assert_array_equal(both[:, 4 : middle - 2], other[:, middle + 2 : -4])
    assert both.shape[1] < heatmaps.sheet(result()).shape[1]


def test_a_joint_that_is_not_there_is_told_with_one_that_is() -> None:
    with pytest.raises(UsageError, match="no joint 'left_rist'") as caught:
        heatmaps.sheet(result(heatmaps=("left_rist",)))
    assert "left_wrist" in caught.value.hint


def test_all_people_are_on_one_sheet() -> None:
    people = [one([(15, 15)], Box(0, 0, 30, 30)), one([(80, 70)], Box(60, 50, 37, 33))]
    sheet = heatmaps.sheet(result(found(poses=people), GREY, heatmaps=("nose",)))
    rows, columns = np.nonzero(np.abs(sheet[4:550, 4:644].astype(int) - 120).max(axis=-1) > 60)
    scale = 640 / 97
    for x, y in ((15, 15), (80, 70)):
        assert np.hypot(columns / scale - x, rows / scale - y).min() < 3


def test_the_sheet_shows_the_part_of_the_picture_where_the_people_are() -> None:
    there = one([(50, 40)], Box(38, 28.5, 24, 24))
    left, right = GREY.copy(), GREY.copy()
    left[:, :37], right[:28] = 0, 255
    sheets = [heatmaps.sheet(result(found(poses=[there]), ground, heatmaps=("nose",))) for ground in (left, right)]
    np.testing.assert_array_equal(sheets[0][30:600, 30:600], sheets[1][30:600, 30:600])


def test_a_picture_without_people_has_a_sheet() -> None:
    sheet = heatmaps.sheet(result(found(people=0), GREY, heatmaps=("nose",)))
    assert (sheet[300, 300] == 120).all()


def test_heatmaps_of_somebody_else_are_refused() -> None:
    with pytest.raises(ValueError, match="Heatmaps of 2 people for 3 poses"):
        heatmaps.sheet(replace(result(), heatmaps=result().heatmaps[:2]))


@pytest.mark.parametrize("box", [Box(-300, -300, 40, 40), Box(96.5, 82.5, 900, 900), Box(0, 0, 0, 0)])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 401, 3), (397, 1, 3), (83, 97, 3)])
def test_no_picture_and_no_box_is_too_odd_for_a_sheet(shape: tuple[int, int, int], box: Box) -> None:
    ground = np.full(shape, 120, dtype=np.uint8)
    there = found(poses=[one([(40, 40)], box)], shape=shape)
    sheet = heatmaps.sheet(result(there, ground, heatmaps=("nose", "left_hip", "right_hip")))
    assert max(sheet.shape) < 2000


# ---- crops -------------------------------------------------------------------------------------------------------


def test_a_crop_is_the_photo_around_the_joints(tmp_path: Path) -> None:
    there = one([(20, 30), (60, 50)], Box(0, 0, 97, 83))
    part = crops.crop(picture(), there, 0.3)
    # Joints cover the pixels 20 .. 60 and 30 .. 50: 41 x 21. The margin is 0.15 x 41 = 6.15.
    np.testing.assert_array_equal(part, picture()[23:58, 13:68])


def test_a_crop_ends_at_the_pictures_border() -> None:
    there = one([(2, 3), (90, 80)], Box(0, 0, 97, 83))
    np.testing.assert_array_equal(crops.crop(picture(), there, 0.3), picture())


def test_joints_that_were_not_found_do_not_widen_a_crop() -> None:
    there = one([(20, 30), (60, 50), (90, 80), (25, 35)], Box(0, 0, 97, 83))
    there.scores[2] = 0.1
    np.testing.assert_array_equal(crops.crop(picture(), there, 0.3), picture()[23:58, 13:68])


def test_where_no_joints_were_found_a_crop_is_what_the_network_looked_at() -> None:
    there = one([(20, 30), (60, 50)], Box(10, 20.5, 30, 30), scores=0.1)
    np.testing.assert_array_equal(crops.crop(picture(), there, 0.3), picture()[20:51, 10:40])


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(*[st.floats(-1e9, 1e9) | st.floats(-9, 120)] * 2), min_size=1, max_size=7),
    box=st.tuples(st.floats(-200, 200), st.floats(-200, 200), st.floats(0, 300), st.floats(0, 300)),
    score=st.sampled_from([0.1, 0.9]),
)
def test_a_crop_is_always_a_part_of_the_picture(
    points: list[tuple[float, float]], box: tuple[float, float, float, float], score: float
) -> None:
    part = crops.crop(picture(), one(points, Box(*box), score), 0.3)
    assert 1 <= part.shape[0] <= 83
    assert 1 <= part.shape[1] <= 97


def test_everybody_has_a_file_in_order(tmp_path: Path) -> None:
    people = [one([(20, 30), (60 + 5 * n, 50)], Box(0, 0, 97, 83)) for n in range(3)]
    crops.write(tmp_path / "a.png", result(found(poses=people)))
    for number, there in enumerate(people, start=1):
        expected = crops.crop(picture(), there, 0.3)
        np.testing.assert_array_equal(images.read(tmp_path / f"a_person{number}.png"), expected)


def test_of_people_all_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "a_person2.jpg").write_text("mine")
    with pytest.raises(UsageError, match=r"a_person2\.jpg exists already"):
        crops.write(tmp_path / "a.jpg", result())
    assert [file.name for file in tmp_path.iterdir()] == ["a_person2.jpg"]


def test_people_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    crops.write(tmp_path / "a.jpg", result())
    crops.write(tmp_path / "ab.jpg", result())
    crops.write(tmp_path / "a.jpg", result(found(people=1)), overwrite=True)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["a_person1.jpg", *(f"ab_person{number}.jpg" for number in (1, 2, 3))]
