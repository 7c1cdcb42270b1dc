"""Images that are made of results: skeletons, heatmaps, crops; and videos."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import drawing, images
from posehg.drawing import DrawOptions
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.io.writers import CropsWriter, HeatmapsWriter, ImageWriter, crops, heatmaps, image
from posehg.poses import Pose, Result
from tests.results import SEVEN, SHAPE, picture, result

GREY = np.full(SHAPE, 120, dtype=np.uint8)
NOSE = DrawOptions(heatmaps=("nose",))


def one(points: list[tuple[float, float]], box: Box, scores: float = 0.9) -> Pose:
    """A pose of seven joints; those that are not given are where the last one is."""
    keypoints = np.array(points + [points[-1]] * (7 - len(points)), dtype=np.float64)
    return Pose(SEVEN, keypoints, np.full(7, scores), box, scores)


def test_the_image_file_shows_the_drawing(tmp_path: Path) -> None:
    ImageWriter(tmp_path / "a.png").add(result())
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), drawing.draw(picture(), result().people, 0.3))


@pytest.mark.parametrize(
    ("background", "corner"), [("image", [120] * 3), ("black", [0] * 3), ("white", [255] * 3), ("none", [0] * 4)]
)
def test_backgrounds_alone_and_side_by_side(background: str, corner: list[int]) -> None:
    alone = image.render(result(image=GREY), DrawOptions(background=background))
    assert alone.shape == (83, 97, len(corner))
    assert alone[-1, -1].tolist() == corner
    both = image.render(result(image=GREY), DrawOptions(background=background, side_by_side=True))
    np.testing.assert_array_equal(both[:, :97, :3], GREY)
    np.testing.assert_array_equal(both[:, 97:], alone)
    assert (both[:, :97, 3:] == 255).all()


@pytest.mark.parametrize("suffix", images.SUFFIXES)
def test_every_image_format_is_written(tmp_path: Path, suffix: str) -> None:
    ImageWriter(tmp_path / f"a{suffix}", DrawOptions(background="none", side_by_side=True)).add(result())
    assert images.read(tmp_path / f"a{suffix}").shape == (83, 194, 3)


def coloured(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is not GREY."""
    return np.nonzero(np.abs(cell.astype(int) - 120).max(axis=-1) > 60)


def test_each_cell_shows_its_joint_where_it_is() -> None:
    # Each in the middle of a heatmap's cell, which has four pixels.
    there = one([(21.5, 9.5), (69.5, 13.5), (29.5, 41.5), (81.5, 61.5), (9.5, 69.5)], Box(0, 0, 97, 83))
    sheet = heatmaps.sheet(result(poses=[there], image=GREY), DrawOptions())
    width = 1600 // 3
    height = round(83 * width / 97)
    scale, gap, below = width / 97, 4, (sheet.shape[0] - 4) // 3 - height - 4
    assert sheet.shape == (3 * (height + below + gap) + gap, 3 * (width + gap) + gap, 3)
    assert 10 < below < 40
    for channel, (x, y) in enumerate(there.keypoints):
        top, left = gap + channel // 3 * (height + below + gap), gap + channel % 3 * (width + gap)
        rows, columns = coloured(sheet[top : top + height, left : left + width])
        assert np.hypot((columns.mean() + 0.5) / scale - 0.5 - x, (rows.mean() + 0.5) / scale - 0.5 - y) < 0.3


def test_only_the_joints_that_are_asked_for_are_shown_in_their_order(tmp_path: Path) -> None:
    both = heatmaps.sheet(result(), DrawOptions(heatmaps=("right_hip", "nose")))
    other = heatmaps.sheet(result(), DrawOptions(heatmaps=("nose", "right_hip")))
    middle = both.shape[1] // 2
    np.testing.assert_array_equal(both[:, 4 : middle - 2], other[:, middle + 2 : -4])
    HeatmapsWriter(tmp_path / "a.png", DrawOptions(heatmaps=("right_hip", "nose"))).add(result())
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), both)
    with pytest.raises(UsageError, match="left_rist") as caught:
        heatmaps.sheet(result(), DrawOptions(heatmaps=("left_rist",)))
    assert "left_wrist" in caught.value.hint


def test_the_sheet_shows_the_part_of_the_image_where_the_people_are() -> None:
    there = one([(50, 40)], Box(38, 28.5, 24, 24))
    left, right = GREY.copy(), GREY.copy()
    left[:, :37], right[:28] = 0, 255
    sheets = [heatmaps.sheet(result(poses=[there], image=ground), NOSE) for ground in (left, right)]
    np.testing.assert_array_equal(sheets[0][30:600, 30:600], sheets[1][30:600, 30:600])


@pytest.mark.parametrize("box", [Box(-300, -300, 40, 40), Box(96.5, 82.5, 900, 900), Box(0, 0, 0, 0)])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 401, 3), (397, 1, 3), (83, 97, 3)])
def test_no_image_and_no_box_is_too_odd_for_a_sheet(shape: tuple[int, int, int], box: Box) -> None:
    ground = np.full(shape, 120, dtype=np.uint8)
    draw = DrawOptions(heatmaps=("nose", "left_hip", "right_hip"))
    assert max(heatmaps.sheet(result(poses=[one([(40, 40)], box)], image=ground), draw).shape) < 2000


@pytest.mark.parametrize(
    ("points", "low", "box", "expected"),
    [
        # Joints cover the pixels 20 .. 60 and 30 .. 50: 41 x 21. The margin is 0.15 x 41 = 6.15.
        ([(20, 30), (60, 50)], [], Box(0, 0, 97, 83), np.s_[23:58, 13:68]),
        ([(2, 3), (90, 80)], [], Box(0, 0, 97, 83), np.s_[:, :]),
        ([(20, 30), (60, 50), (90, 80), (25, 35)], [2], Box(0, 0, 97, 83), np.s_[23:58, 13:68]),
        ([(20, 30), (60, 50)], range(7), Box(10, 20.5, 30, 30), np.s_[20:51, 10:40]),
    ],
    ids=["around the joints", "up to the border", "of confident joints", "of the network's crop without any"],
)
def test_a_crop_is_the_image_around_the_person(
    points: list[tuple[float, float]], low: list[int], box: Box, expected: tuple[slice, slice]
) -> None:
    there = one(points, box)
    there.scores[list(low)] = 0.1
    np.testing.assert_array_equal(crops.crop(picture(), there, 0.3), picture()[expected])


@settings(max_examples=60)
@given(
    points=st.lists(st.tuples(*[st.floats(-1e9, 1e9) | st.floats(-9, 120)] * 2), min_size=1, max_size=7),
    box=st.tuples(st.floats(-200, 200), st.floats(-200, 200), st.floats(0, 300), st.floats(0, 300)),
    score=st.sampled_from([0.1, 0.9]),
)
def test_a_crop_is_always_a_part_of_the_image(
    points: list[tuple[float, float]], box: tuple[float, float, float, float], score: float
) -> None:
    part = crops.crop(picture(), one(points, Box(*box), score), 0.3)
    assert 1 <= part.shape[0] <= 83
    assert 1 <= part.shape[1] <= 97


def write(path: Path, what: Result, overwrite: bool = False) -> list[Path]:
    with CropsWriter(path, overwrite=overwrite) as writer:
        writer.add(what)
    return writer.written


def test_everyone_has_a_file_and_the_first_is_written_last(tmp_path: Path) -> None:
    written = write(tmp_path / "a_person1.png", result())
    assert written == [tmp_path / f"a_person{number}.png" for number in (1, 2, 3)]
    for path, there in zip(written, result().people, strict=True):
        np.testing.assert_array_equal(images.read(path), crops.crop(picture(), there, 0.3))
    (tmp_path / "b_person2.png").write_text("mine")
    with pytest.raises(UsageError, match=r"b_person2\.png"):
        write(tmp_path / "b_person1.png", result())
    assert not (tmp_path / "b_person1.png").exists()


def test_people_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    write(tmp_path / "a_person1.jpg", result())
    write(tmp_path / "ab_person1.jpg", result())
    write(tmp_path / "a_person1.jpg", result(people=1), overwrite=True)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["a_person1.jpg", *(f"ab_person{number}.jpg" for number in (1, 2, 3))]
