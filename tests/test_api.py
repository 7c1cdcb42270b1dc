"""posehg as a library."""

import inspect
import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import posehg
from posehg import centers, checkpoints, drawing, images
from posehg.api import Model
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.geometry import Box
from posehg.inference.detector import Detect
from tests import stubs, video_files
from tests.test_architecture import HEAVY, ROOT, modules_after

POINTS = np.array([[200.0, 150], [140, 110], [259, 191]])
AROUND = Box(120, 90, 160, 120)
PHOTO, SQUARE = stubs.dots_photo(POINTS), stubs.square_photo(110, 60, 100)


def no_detector() -> Detect:
    raise AssertionError("Nothing that the detector knows is looked for.")


@pytest.fixture
def dots() -> Model:
    return Model(stubs.dots_estimator(), no_detector)


@pytest.fixture
def square() -> Model:
    return Model(stubs.square_estimator(), no_detector)


def test_importing_posehg_loads_nothing_heavy() -> None:
    assert not modules_after("import posehg; dir(posehg); posehg.__version__") & HEAVY
    assert "torch" not in modules_after("from posehg import Box, Pose; Box(0, 0, 7, 5)")
    assert dir(posehg) == posehg.__all__
    assert all(getattr(posehg, name) for name in posehg.__all__)
    assert (ROOT / "posehg" / "py.typed").is_file()
    with pytest.raises(AttributeError, match="'lod'"):
        _ = posehg.lod  # type: ignore[attr-defined]


def test_a_model_is_loaded_from_its_folder_or_file(tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "tiny", stubs.mpii_checkpoint())
    for place in (tmp_path / "tiny", str(tmp_path / "tiny"), tmp_path / "tiny" / "model.safetensors"):
        model = posehg.load(place, device="cpu", flip=False, decoder="quarter", batch=3, threads=1)
        assert (len(model.joints), model.joints) == (16, model.skeleton.joints)
        assert repr(model) == "Model(16 joints of 'mpii', on cpu)"
    with pytest.raises(NotAvailable):
        posehg.load(tmp_path / "nothing")
    with pytest.raises(UsageError):
        posehg.load(tmp_path / "tiny", device="tpu")
    for options in ({"decoder": "half"}, {"precision": "fp8"}, {"batch": -1}, {"threads": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            posehg.load(tmp_path / "tiny", **options)  # type: ignore[arg-type]


def test_every_kind_of_image_gives_the_same_and_is_not_changed(dots: Model, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    images.write(path, PHOTO)
    opaque = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, dtype=np.uint8)])
    bgr = np.ascontiguousarray(PHOTO[..., ::-1])[..., ::-1]  # a view of an image of OpenCV
    kept = PHOTO.copy()
    (expected,) = dots(PHOTO, AROUND)
    np.testing.assert_allclose(expected.keypoints, POINTS, atol=1.5)
    for image in (path, str(path), PillowImage.open(path), PillowImage.fromarray(PHOTO), opaque, bgr):
        (pose,) = dots(image, AROUND)
        np.testing.assert_array_equal(pose.keypoints, expected.keypoints)
        posehg.draw(image, pose)
    np.testing.assert_array_equal(PHOTO, kept)


def test_exif_gray_and_transparency_are_understood(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turn clockwise
    PillowImage.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    with PillowImage.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(posehg.draw(image, []), np.rot90(PHOTO, -1))
    gray = PHOTO[..., 0].copy()
    for image in (gray, gray[..., None]):
        np.testing.assert_array_equal(posehg.draw(image, []), np.repeat(gray[..., None], 3, axis=2))
    np.testing.assert_array_equal(posehg.draw(np.zeros((7, 5, 4), dtype=np.uint8), []), 255)


@pytest.mark.parametrize(
    ("image", "error", "named"),
    [
        (np.zeros((7, 5, 3)), TypeError, "float64"),
        (np.zeros((3, 7, 5), dtype=np.uint8), ValueError, r"\(3, 7, 5\)"),
        (np.zeros((1, 7, 5, 3), dtype=np.uint8), ValueError, r"\(1, 7, 5, 3\)"),
        (np.zeros((0, 5, 3), dtype=np.uint8), ValueError, "0 x 5"),
        (PillowImage.new("RGB", (0, 5)), ValueError, "0 x 5"),
        (None, TypeError, "NoneType"),
        ([[0, 1], [2, 3]], TypeError, "list|int"),
        (Path("nothing.png"), InputError, r"nothing\.png"),
    ],
)
def test_anything_else_is_refused_by_name(square: Model, image: Any, error: type[Exception], named: str) -> None:
    for use in (square, lambda given: posehg.draw(given, [])):
        with pytest.raises(error, match=named):
            use(image)


def test_one_person_or_all_are_found(square: Model) -> None:
    both = np.concatenate([SQUARE, stubs.square_photo(90, 80, 90)], axis=1)
    (pose,) = square(SQUARE)
    assert pose["middle"] == pytest.approx((159.5, 109.5), abs=2)
    assert not square(np.zeros((60, 80, 3), dtype=np.uint8)).people
    assert len(square(both)) == 1
    found = [pose["middle"] for pose in square(both, people="all")]
    for middle in [(159.5, 109.5), (454.5, 124.5)]:
        assert np.linalg.norm(np.subtract(found, middle), axis=1).min() < 2


def test_the_detector_is_opened_when_it_is_first_needed() -> None:
    opened: list[Detect] = []

    def detector() -> Detect:
        opened.append(stubs.detect_squares)
        return stubs.detect_squares

    model = Model(stubs.estimator(stubs.tiny(stubs.PERSON), stubs.Squares()), detector)
    both = stubs.squares_photo((40, 60, 80), (230, 50, 120))
    for options in ({"boxes": (230, 50, 120, 120)}, {"boxes": []}, {"whole": True}, {"people": "scan"}):
        model(both, **options)
    assert opened == []
    (one,) = model(both)
    assert one["head"] == pytest.approx((289.5, 109.5), abs=4)
    assert [pose["head"][0] for pose in model(both, people="all")] == pytest.approx([289.5, 79.5], abs=4)
    assert len(opened) == 1


def test_a_detector_is_given_to_load(tmp_path: Path) -> None:
    for skeleton, output in ((stubs.PERSON, "heatmaps"), (centers.SKELETON, "boxes")):
        checkpoints.save_folder(tmp_path / skeleton.name, stubs.tiny(skeleton, output=output))
    person, boxes = tmp_path / "person", tmp_path / "boxes"
    assert all(isinstance(pose, posehg.Pose) for pose in posehg.load(person, detector=boxes)(SQUARE, people="all"))
    for wrong in (tmp_path / "nothing", person):  # which is no detector
        model = posehg.load(person, detector=wrong)
        assert len(model(SQUARE, whole=True)) == 1
        with pytest.raises(NotAvailable, match=wrong.name):
            model(SQUARE)
    with pytest.raises(UsageError, match="detector"):
        posehg.load(boxes)


def test_boxes_are_accepted_in_many_forms(dots: Model, square: Model) -> None:
    four = tuple(AROUND)
    forms: list[Any] = [AROUND, [AROUND], four, list(four), [four], np.array(four), np.array([four], dtype=np.float32)]
    for boxes in [*forms, (box for box in [AROUND])]:
        (pose,) = dots(PHOTO, boxes)
        np.testing.assert_allclose(pose.keypoints, POINTS, atol=1.5)
        assert pose.crop == AROUND.square(1.25)
    poses = square(SQUARE, [(100, 50, 120, 120), Box(0, 0, 40, 30)])
    assert [pose.crop.center for pose in poses] == [(159.5, 109.5), (19.5, 14.5)]
    assert not square(SQUARE, []).people
    assert not square(SQUARE, np.zeros((0, 4))).people
    (pose,) = dots(PHOTO, whole=True)
    assert pose.crop == Box(0, 0, 420, 300).square()


@pytest.mark.parametrize(
    ("boxes", "error"),
    [
        *((box, ValueError) for box in ((1, 2, 3), (1, 2, 0, 4), (1, 2, float("nan"), 4), (1, 2, 3, 1e7), [None])),
        *((box, TypeError) for box in ([(1, 2, 3, 4), 5], "1,2,3,4", ["1,2,3,4"], 7)),
        ((1000, 2, 3, 4), InputError),
    ],
)
def test_invalid_boxes_are_refused(dots: Model, boxes: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        dots(PHOTO, boxes)
    for options in ({"boxes": AROUND, "whole": True}, {"boxes": AROUND, "people": "all"}, {"people": "two"}):
        with pytest.raises(UsageError):
            dots(PHOTO, **options)  # type: ignore[arg-type]


def test_a_model_cannot_be_sent_to_another_process(dots: Model) -> None:
    with pytest.raises(TypeError, match="load"):
        pickle.dumps(dots)


def test_threads_may_share_a_model(dots: Model) -> None:
    photos = [stubs.dots_photo(POINTS + np.array([7, 3]) * number) for number in range(11)]
    alone = [dots(photo, whole=True)[0].keypoints for photo in photos]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda photo: dots(photo, whole=True)[0].keypoints, photos))
    np.testing.assert_array_equal(together, alone)


def test_a_joint_is_looked_up_by_its_name(dots: Model) -> None:
    (pose,) = dots(PHOTO, AROUND)
    assert pose["left_hand"] == tuple(pose.keypoints[2])
    assert json.dumps(pose["nose"])
    with pytest.raises(UsageError, match="left_hnd") as caught:
        pose["left_hnd"]
    assert "left_hand" in caught.value.hint


@pytest.mark.parametrize("rotation", [0.0, 90.0, 33.0])
def test_heatmaps_peak_at_the_joints(dots: Model, square: Model, rotation: float) -> None:
    (pose,) = dots(PHOTO, AROUND)
    found = dots.heatmaps(PHOTO, replace(pose, rotation=rotation))
    assert found.maps.shape == (3, 16, 16)
    peaks = [np.unravel_index(cells.argmax(), cells.shape)[::-1] for cells in found.maps]
    np.testing.assert_allclose(found.to_image(np.array(peaks, dtype=float)), POINTS, atol=found.to_image.scale)
    (pose,) = square(SQUARE)
    np.testing.assert_allclose(square.heatmaps(SQUARE, pose).maps.max(axis=(1, 2)), pose.scores, atol=1e-6)


def test_draw_is_the_drawing_of_the_command(square: Model) -> None:
    people = square(SQUARE).people
    for given in (people, people[0]):
        np.testing.assert_array_equal(posehg.draw(SQUARE, given), drawing.draw(SQUARE, people, 0.3))
    np.testing.assert_array_equal(posehg.draw(SQUARE, people, threshold=1), SQUARE)


def test_a_result_is_its_people_and_describes_itself_in_few_words(dots: Model) -> None:
    result, nobody = dots(PHOTO, AROUND), dots(PHOTO, [])
    assert (len(result), list(result), result[0]) == (1, list(result.people), result.people[0])
    assert not nobody
    np.testing.assert_array_equal(result.image, PHOTO)
    assert all(len(repr(one)) < 120 and "array" not in repr(one) for one in (result, nobody, result[0]))
    assert "left_hand" in result[0]
    assert "tail" not in result[0]
    assert "left_hand" not in replace(result[0], scores=np.zeros(3))


def test_the_angle_at_a_joint(dots: Model) -> None:
    (pose,) = dots(PHOTO, AROUND)
    joints = ("nose", "right_hand", "left_hand")
    turned = replace(pose, keypoints=np.array([[10.0, 0], [0, 0], [0, 7]]))
    bent = turned.angle(pose.skeleton.joints[0], *pose.skeleton.joints[1:])
    assert bent == pytest.approx(90)
    straight = replace(pose, keypoints=np.array([[-3.0, -4], [0, 0], [6, 8]]))
    assert straight.angle(*pose.skeleton.joints) == pytest.approx(180)
    assert np.isnan(replace(pose, scores=np.array([1, 1, 0.1])).angle(*pose.skeleton.joints))
    assert dots(PHOTO, AROUND).angle(*joints) == pytest.approx(pose.angle(*joints))
    assert np.isnan(dots(PHOTO, []).angle(*joints))
    with pytest.raises(KeyError, match="tail"):
        pose.angle("nose", "tail", "left_hand")


def test_a_result_is_drawn_and_saved(dots: Model, tmp_path: Path) -> None:
    result = dots(PHOTO, AROUND)
    np.testing.assert_array_equal(result.plot(), drawing.draw(PHOTO, result.people, 0.3))
    assert result.plot(background="none").shape == (300, 420, 4)
    assert not result.plot(background="black", threshold=1).any()
    assert (result.plot(style="bold") != result.plot(style="thin")).any()
    for name in ("a.png", "a.json", "a.csv", "a.npz"):
        result.save(tmp_path / name)
        with pytest.raises(UsageError, match=name):
            result.save(tmp_path / name)
        result.save(tmp_path / name, overwrite=True)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), result.plot())
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(result.to_json()) == result.to_dict()
    for wrong in ({"style": "neon"}, {"background": "red"}):
        with pytest.raises(ValueError, match=next(iter(wrong.values()))):
            result.plot(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        result.save(tmp_path / "a.gif")


def test_a_result_is_a_table_of_its_joints(dots: Model) -> None:
    pytest.importorskip("pandas")
    result = dots(PHOTO, AROUND)
    table = result.to_pandas().set_index("joint")
    np.testing.assert_allclose(table[["x", "y"]], result[0].keypoints, atol=0.006)
    nobody = dots(PHOTO, []).to_pandas()
    assert nobody.empty
    assert nobody.x.dtype == nobody.time.dtype == np.float64  # as of somebody, so that both can be joined


def test_a_list_of_images_gives_a_list_of_results(dots: Model, tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", PHOTO)
    results = dots([PHOTO, tmp_path / "a.png"], whole=True)
    assert [result.source for result in results] == ["", str(tmp_path / "a.png")]
    np.testing.assert_array_equal(results[0][0].keypoints, results[1][0].keypoints)
    with pytest.raises(UsageError):
        dots([PHOTO], AROUND)  # type: ignore[call-overload]
    for several in ("a.mp4", ""):
        with pytest.raises(UsageError, match="not an image"):
            dots(tmp_path / several)


def test_a_stream_follows_people_through_a_video_or_arrays(dots: Model, tmp_path: Path) -> None:
    moved = [stubs.dots_photo(POINTS + np.array([2, 1]) * number) for number in range(5)]
    streamed = list(dots.stream(iter(moved), whole=True, fps=10))
    assert [result.people[0].id for result in streamed] == [1] * 5
    assert [result.time for result in streamed] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    for number, result in enumerate(streamed):
        np.testing.assert_allclose(result[0].keypoints, POINTS + np.array([2, 1]) * number, atol=1.5)
    apart = list(dots.stream(moved, whole=True, track=False))
    assert [result.people[0].id for result in apart] == [None] * 5
    video = video_files.write(tmp_path / "a.mp4", count=7)
    frames = list(dots.stream(video, whole=True, start=0.1))
    assert frames[-1].frame == 6
    assert frames[0].time is not None
    assert frames[0].time >= 0.1


def test_a_stream_goes_on_after_a_broken_file_but_not_if_it_is_all(dots: Model, tmp_path: Path) -> None:
    images.write(tmp_path / "b.png", PHOTO)
    (tmp_path / "a.png").write_text("no image")
    broken, sound = dots.stream(tmp_path, whole=True)
    assert (bool(broken.error), len(broken), len(sound)) == (True, 0, 1)
    with pytest.raises(InputError):
        broken.plot()
    with pytest.raises(InputError):
        list(dots.stream(tmp_path / "a.png", whole=True))
    wrong: tuple[dict[str, Any], ...] = ({"smooth": "much"}, {"smooth": "one-euro", "track": False}, {"fps": 0})
    for options in (*wrong, {"people": "one", "whole": True}, {"start": 2.0, "end": 1.0}):
        with pytest.raises(UsageError):
            next(dots.stream(tmp_path, **options))
    with pytest.raises(UsageError):
        next(dots.stream(PHOTO))


def test_a_stream_reads_only_what_is_asked_for(dots: Model) -> None:
    taken: list[int] = []

    def frames() -> Iterator[Any]:
        for number in range(100):
            taken.append(number)
            yield PHOTO

    stream = dots.stream(frames(), whole=True)
    next(stream)
    next(stream)
    stream.close()
    assert len(taken) <= 3


def test_a_network_is_trained_scored_and_exported_by_the_library(tmp_path: Path) -> None:
    lines: list[str] = []
    tiny = {"stacks": 1, "features": 8, "stem": (4, 4, 8), "input_size": 64, "limit": 4, "batch": 2, "workers": 0}
    run = posehg.train("synthetic", tmp_path / "run", epochs=1, loss="cross-entropy", note=lines.append, **tiny)
    assert len(run.history) == 1
    assert [line.split()[0] for line in lines[-6:]] == ["data", "network", "device", "length", "folder", "epoch"]
    with pytest.raises(UsageError):
        posehg.train("synthetic", tmp_path / "run", note=None, **tiny)
    more = posehg.train("synthetic", tmp_path / "run", resume=True, epochs=2, note=None)
    assert [row["epoch"] for row in more.history] == [1, 2]
    with pytest.raises(UsageError, match="finished"):
        posehg.train("synthetic", tmp_path / "run", resume=True, note=None)
    assert posehg.load(tmp_path / "run", note=lines.append, device="cpu").joints == posehg.load(run.model).joints
    assert str(run.model) in lines[-1]
    with pytest.raises(KeyError, match="epoch"):
        posehg.train("synthetic", tmp_path / "other", epoch=2)
    report = posehg.evaluate(run.model, "synthetic", limit=3, bootstrap=0, device="cpu")
    assert report["data"]["people"] == 3
    folder = posehg.export(run.model, tmp_path / "model", check=False)
    assert posehg.load(folder, device="cpu").joints == posehg.load(run.model, device="cpu").joints
    with pytest.raises(UsageError):
        posehg.export(run.model, tmp_path / "model")


def test_what_a_user_calls_is_explained_and_typed() -> None:
    for name in set(posehg.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(posehg, name)), name
    for member in ("__call__", "stream", "heatmaps", "joints"):
        assert inspect.getdoc(getattr(posehg.Model, member)), member
    for member in ("plot", "save", "to_dict", "to_json", "to_pandas", "angle"):
        assert inspect.getdoc(getattr(posehg.Result, member)), member
