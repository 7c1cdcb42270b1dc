from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

import posehg
from posehg import checkpoints, drawing, images
from posehg.api import Model
from posehg.datasets import synthetic
from posehg.errors import InputError, NotAvailable, PosehgError, UsageError
from posehg.geometry import Box
from tests import stubs
from tests.test_architecture import HEAVY, ROOT, modules_after

POINTS = np.array([[200.0, 150], [140, 110], [259, 191]])
AROUND = Box(120, 90, 160, 120)


@pytest.fixture
def dots() -> Model:
    return Model(stubs.dots_estimator())


@pytest.fixture
def square() -> Model:
    return Model(stubs.square_estimator())


PHOTO = stubs.dots_photo(POINTS)


# ---- the package -------------------------------------------------------------------------------------------------


def test_importing_posehg_and_looking_what_it_has_loads_nothing_heavy() -> None:
    assert not modules_after("import posehg; dir(posehg); posehg.__version__") & HEAVY


def test_a_box_and_a_pose_do_not_need_torch() -> None:
    assert "torch" not in modules_after("from posehg import Box, Pose; Box(0, 0, 7, 5)")


def test_every_name_is_there() -> None:
    assert set(posehg.__all__) == {"load", "Model", "Pose", "Box", "draw", "__version__"}
    assert set(dir(posehg)) == set(posehg.__all__)
    assert all(getattr(posehg, name) for name in posehg.__all__)
    assert posehg.Box is Box
    with pytest.raises(AttributeError, match="module 'posehg' has no attribute 'lod'"):
        _ = posehg.lod  # type: ignore[attr-defined]


def test_the_types_are_seen_from_outside(tmp_path: Path) -> None:
    """As mypy and editors see them: in a user's file."""
    (tmp_path / "user.py").write_text(
        "import posehg\nmodel = posehg.load()\nposes = model('a.jpg', boxes=(1, 2, 3, 4))\n"
        "reveal_type(poses)\nreveal_type(poses[0]['nose'])\nreveal_type(posehg.draw('a.jpg', poses))\n"
    )
    command = [sys.executable, "-m", "mypy", str(tmp_path / "user.py")]  # as strict as posehg, and with its cache
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "list[posehg.poses.Pose]" in run.stdout, run.stdout
    assert "tuple[float, float]" in run.stdout
    assert "unsignedinteger" in run.stdout or "uint8" in run.stdout


# ---- load --------------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_from_its_folder_or_file(tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "tiny", stubs.mpii_checkpoint())
    for place in (tmp_path / "tiny", str(tmp_path / "tiny"), tmp_path / "tiny" / "model.safetensors"):
        model = posehg.load(place, device="cpu", flip=False, decoder="quarter", batch=3)
        assert (len(model.joints), model.joints) == (16, model.skeleton.joints)
        assert "16 joints of 'mpii', on cpu" in repr(model)
    with pytest.raises(NotAvailable):
        posehg.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("options", "error"),
    [({"decoder": "half"}, ValueError), ({"batch": -1}, ValueError), ({"device": "tpu"}, UsageError)],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], error: type[Exception], tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "tiny", stubs.mpii_checkpoint())
    with pytest.raises(error):
        posehg.load(tmp_path / "tiny", **options)


@pytest.mark.slow
def test_the_bundled_model_finds_somebody_who_was_rendered() -> None:
    image, person = synthetic.render(3)
    (pose,) = posehg.load()(image)
    off = np.linalg.norm(pose.keypoints - person.keypoints, axis=1)
    assert np.median(off) < 10


# ---- pictures ----------------------------------------------------------------------------------------------------


def saved(folder: Path, name: str = "photo.png") -> Path:
    images.write(folder / name, PHOTO)
    return folder / name


def test_a_path_a_pillow_image_and_an_array_give_the_same(dots: Model, tmp_path: Path) -> None:
    path = saved(tmp_path)
    opaque = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, dtype=np.uint8)])
    backwards = np.ascontiguousarray(PHOTO[..., ::-1])[..., ::-1]  # as cv2's pictures are turned to RGB
    pictures = [path, str(path), PillowImage.open(path), PillowImage.fromarray(PHOTO), PHOTO, opaque, backwards]
    for picture in [*pictures, np.asfortranarray(PHOTO), PHOTO[:, ::-1][:, ::-1]]:
        (pose,) = dots(picture, AROUND)
        np.testing.assert_allclose(pose.keypoints, POINTS, atol=1.5)
        np.testing.assert_array_equal(pose.keypoints, dots(PHOTO, AROUND)[0].keypoints)


def test_what_is_given_is_not_changed(dots: Model, tmp_path: Path) -> None:
    array, picture = PHOTO.copy(), PillowImage.open(saved(tmp_path))
    dots(array, AROUND)
    posehg.draw(array, dots(picture, AROUND))
    np.testing.assert_array_equal(array, PHOTO)
    np.testing.assert_array_equal(np.asarray(picture), PHOTO)


def test_a_pillow_image_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    PillowImage.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    with PillowImage.open(tmp_path / "a.png") as picture:
        drawn = posehg.draw(picture, [])
        assert picture.size == (420, 300)
    np.testing.assert_array_equal(drawn, np.rot90(PHOTO, -1))
    np.testing.assert_array_equal(drawn, posehg.draw(tmp_path / "a.png", []))


def test_gray_becomes_rgb_and_what_is_transparent_white() -> None:
    gray = PHOTO[..., 0].copy()
    np.testing.assert_array_equal(posehg.draw(gray, []), np.repeat(gray[..., None], 3, axis=2))
    np.testing.assert_array_equal(posehg.draw(np.zeros((7, 5, 4), dtype=np.uint8), []), 255)


MODES = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16")


@settings(max_examples=30, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    width=st.integers(1, 37),
    height=st.integers(1, 37),
)
def test_any_pillow_image_is_a_picture_or_a_clean_error(mode: str, width: int, height: int) -> None:
    picture = PillowImage.new(mode, (width, height))
    try:
        drawn = posehg.draw(picture, [])
    except InputError:
        assert mode in ("LAB", "RGBa", "La", "HSV")
    else:
        assert (drawn.shape, drawn.dtype) == ((height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "error", "what"),
    [
        (np.zeros((7, 5, 3)), TypeError, "an array of float64"),
        (np.zeros((7, 5, 3), dtype=np.int64), TypeError, "an array of int64"),
        (np.zeros((7, 5), dtype=bool), TypeError, "an array of bool"),
        (np.zeros((3, 7, 5), dtype=np.uint8), ValueError, r"shape \(3, 7, 5\)"),
        (np.zeros((7, 5, 2), dtype=np.uint8), ValueError, r"shape \(7, 5, 2\)"),
        (np.zeros((1, 7, 5, 3), dtype=np.uint8), ValueError, r"shape \(1, 7, 5, 3\)"),
        (np.zeros(7, dtype=np.uint8), ValueError, r"shape \(7,\)"),
        (np.zeros((0, 5, 3), dtype=np.uint8), ValueError, "empty: 0 x 5"),
        (np.zeros((7, 0), dtype=np.uint8), ValueError, "empty: 7 x 0"),
        (PillowImage.new("RGB", (0, 5)), ValueError, "empty: 0 x 5"),
        (b"photo.jpg", TypeError, "not bytes"),
        (None, TypeError, "not NoneType"),
        ([[0, 1], [2, 3]], TypeError, "not list"),
    ],
)
def test_what_is_no_picture_is_told_with_what_is_one(
    square: Model, picture: Any, error: type[Exception], what: str
) -> None:
    for use in (square, lambda given: posehg.draw(given, [])):
        with pytest.raises(error, match=what) as caught:
            use(picture)
        assert "empty" in str(caught.value) or "a numpy array of uint8: RGB (H, W, 3)" in str(caught.value)


def test_files_that_cannot_be_read_are_told_with_the_hint(square: Model, tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(InputError, match="There is no file") as caught:
        square(tmp_path / "foto.png")
    assert caught.value.__notes__ == [f"Hint: Did you mean {path}?"]
    path.write_bytes(path.read_bytes()[:-300])
    with PillowImage.open(path) as picture, pytest.raises(InputError, match="The picture cannot be decoded"):
        square(picture)
    with pytest.raises(InputError, match="broken or cut short"):
        square(path)


# ---- people ------------------------------------------------------------------------------------------------------


def test_the_most_prominent_person_is_found(square: Model) -> None:
    (pose,) = square(stubs.square_photo(110, 60, 100))
    assert pose["middle"] == pytest.approx((159.5, 109.5), abs=2)
    assert square(np.zeros((60, 80, 3), dtype=np.uint8)) == []


def test_everybody_is_found(square: Model) -> None:
    photo = np.concatenate([stubs.square_photo(110, 60, 100), stubs.square_photo(90, 80, 90)], axis=1)
    assert len(square(photo)) == 1
    found = [pose["middle"] for pose in square(photo, people="all")]
    for middle in [(159.5, 109.5), (454.5, 124.5)]:
        assert np.linalg.norm(np.subtract(found, middle), axis=1).min() < 2


@pytest.mark.parametrize(
    "boxes",
    [
        AROUND,
        [AROUND],
        AROUND.as_tuple(),
        list(AROUND.as_tuple()),
        [AROUND.as_tuple()],
        np.array(AROUND.as_tuple()),
        np.array([AROUND.as_tuple()], dtype=np.float32),
        np.array([[120, 90, 160, 120]]),
        (box for box in [AROUND]),
    ],
)
def test_boxes_may_be_written_in_many_ways(dots: Model, boxes: Any) -> None:
    (pose,) = dots(PHOTO, boxes)
    np.testing.assert_allclose(pose.keypoints, POINTS, atol=1.5)
    assert pose.box == AROUND.square(1.25)


def test_each_box_has_a_pose_in_their_order_and_no_box_has_none(square: Model) -> None:
    poses = square(stubs.square_photo(110, 60, 100), [(100, 50, 120, 120), Box(0, 0, 40, 30)])
    assert [pose.box.center for pose in poses] == [(159.5, 109.5), (19.5, 14.5)]
    assert square(stubs.square_photo(110, 60, 100), []) == []
    assert square(stubs.square_photo(110, 60, 100), np.zeros((0, 4))) == []


def test_the_whole_picture_is_taken_where_somebody_fills_it(dots: Model) -> None:
    (pose,) = dots(PHOTO, whole=True)
    assert pose.box == Box(0, 0, 420, 300).square()


@pytest.mark.parametrize(
    ("boxes", "error"),
    [
        ((1, 2, 3), ValueError),
        ((1, 2, 3, 4, 5), ValueError),
        ((1, 2, 0, 4), ValueError),
        ((1, 2, 3, -4), ValueError),
        ((1, 2, float("nan"), 4), ValueError),
        ((1, 2, 3, 1e7), ValueError),
        ([(1, 2, 3, 4), 5], TypeError),
        ("1,2,3,4", TypeError),
        (["1,2,3,4"], TypeError),
        ([None], TypeError),
        (7, TypeError),
        ((1000, 2, 3, 4), InputError),
    ],
)
def test_boxes_that_cannot_be_are_refused(dots: Model, boxes: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        dots(PHOTO, boxes)


def test_options_that_do_not_go_together_are_refused(dots: Model) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        dots(PHOTO, AROUND, whole=True)
    with pytest.raises(UsageError, match="one or all, not 'two'"):
        dots(PHOTO, people="two")  # type: ignore[arg-type]


def test_a_model_may_be_called_many_times_and_from_several_threads(dots: Model) -> None:
    photos = [stubs.dots_photo(POINTS + np.array([7, 3]) * number) for number in range(11)]
    alone = [dots(photo, whole=True)[0].keypoints for photo in photos]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda photo: dots(photo, whole=True)[0].keypoints, photos))
    np.testing.assert_array_equal(together, alone)


# ---- poses, heatmaps, drawing ------------------------------------------------------------------------------------


def test_a_joint_is_looked_up_by_its_name(dots: Model) -> None:
    (pose,) = dots(PHOTO, AROUND)
    assert pose["left_hand"] == tuple(pose.keypoints[2])
    assert all(type(number) is float for number in pose["nose"])
    assert json.dumps(pose["nose"])
    with pytest.raises(UsageError, match="no joint 'left_hnd'") as caught:
        pose["left_hnd"]
    assert caught.value.hint == "Did you mean left_hand?"


@pytest.mark.parametrize("rotation", [0.0, 90.0, 33.0])
def test_heatmaps_are_highest_where_the_joints_are(dots: Model, rotation: float) -> None:
    """Also where the view was turned in which the pose was found."""
    (pose,) = dots(PHOTO, AROUND)
    found = dots.heatmaps(PHOTO, replace(pose, rotation=rotation))
    assert found.maps.shape == (3, 16, 16)
    peaks = [np.unravel_index(cells.argmax(), cells.shape)[::-1] for cells in found.maps]
    there = found.to_image(np.array(peaks, dtype=float))
    np.testing.assert_allclose(there, POINTS, atol=found.to_image.scale)


def test_heatmaps_are_those_that_the_pose_was_read_off(square: Model) -> None:
    photo = stubs.square_photo(110, 60, 100)
    (pose,) = square(photo)
    maps = square.heatmaps(photo, pose).maps
    np.testing.assert_allclose(maps.max(axis=(1, 2)), pose.scores, atol=1e-6)


def test_a_picture_is_drawn_on_as_the_command_does(square: Model, tmp_path: Path) -> None:
    photo = stubs.square_photo(110, 60, 100)
    poses = square(photo)
    images.write(tmp_path / "a.png", photo)
    wanted = drawing.draw(photo, poses, 0.3)
    for picture in (photo, tmp_path / "a.png", PillowImage.fromarray(photo)):
        np.testing.assert_array_equal(posehg.draw(picture, poses), wanted)
    np.testing.assert_array_equal(posehg.draw(photo, poses[0]), wanted)
    np.testing.assert_array_equal(posehg.draw(photo, poses, threshold=1), photo)


def test_every_error_of_posehg_carries_its_hint_into_tracebacks() -> None:
    assert PosehgError("It is so.", "Do that.").__notes__ == ["Hint: Do that."]
    assert not hasattr(PosehgError("It is so."), "__notes__")
