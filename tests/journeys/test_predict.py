"""posehg predict on one image, or a few: what is printed and written, and how people are found."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from posehg import checkpoints, images
from posehg.skeletons import Skeleton
from tests import stubs
from tests.journeys.conftest import ROOT, Posehg


def records(text: str) -> list[dict[str, Any]]:
    """Each line of the text, as strict JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_images_give_tables_of_joints_and_no_file(posehg: Posehg, square: Path, photo: Path) -> None:
    second = photo.with_name("second.png")
    shutil.copy(photo, second)
    before = set(photo.parent.iterdir())
    run = posehg("predict", photo, "--model", square)
    assert (run.code, run.err) == (0, "")
    rows = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in run.out.splitlines() if line.strip()}
    x, y, score = map(float, rows["middle"])
    assert (x, y) == pytest.approx((159.5, 109.5), abs=2)
    assert score > 0.7
    assert set(rows) >= {"right top", "left top", "right bottom", "left bottom"}
    lines = posehg("predict", photo, second, "--model", square).out.splitlines()
    assert [line for line in lines if line.endswith(".png")] == [str(photo), str(second)]
    assert set(photo.parent.iterdir()) == before


@pytest.mark.parametrize(("joints", "times"), [(("lower", "rower", "nose"), 1), (("lwrist", "rwrist", "nose"), 0)])
def test_joints_that_may_be_left_and_right_but_are_not_paired_are_named_once(
    posehg: Posehg, photo: Path, tmp_path: Path, joints: tuple[str, ...], times: int
) -> None:
    checkpoints.save_folder(tmp_path / "odd", stubs.tiny(Skeleton("odd", joints, ())))
    second = shutil.copy(photo, tmp_path / "second.png")
    run = posehg("predict", photo, second, "--model", tmp_path / "odd", "--whole", "--json")
    assert run.code == 0
    assert run.err.count(" and ".join(joints[:2])) == times


def test_out_writes_the_skeleton_or_the_json_that_is_printed(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("drawn.png")
    run = posehg("predict", photo, "--model", square, "--out", out)
    assert (run.code, run.out, run.err) == (0, "", f"Wrote {out}\n")
    drawn, before = images.read(out), images.read(photo)
    assert drawn.shape == before.shape
    assert (drawn != before).any()
    run = posehg("predict", photo, "--model", square, "--out", out.with_suffix(".json"), "--json")
    assert run.out == out.with_suffix(".json").read_text(encoding="utf-8")
    assert posehg("predict", photo, "-m", square, "-o", out, "--overwrite", "--background", "none").code == 0
    assert PillowImage.open(out).mode == "RGBA"


def test_every_format_is_written_and_agrees(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.parent / "out"
    formats = "image,json,csv,csv-wide,npz,coco,openpose,heatmaps,crops"
    run = posehg("predict", photo, "--model", square, "--out", out, "--save", formats)
    assert run.code == 0, run.err
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert "9 files" in run.err
    assert "own 5 joints" in run.err
    assert files == {
        *(
            "image/photo.png",
            "json/photo.json",
            "csv/photo.csv",
            "csv-wide/photo.csv",
            "npz/photo.npz",
            "coco/results.json",
        ),
        *("openpose/photo_keypoints.json", "heatmaps/photo_heatmaps.jpg", "crops/photo_person1.jpg"),
    }
    record = json.loads((out / "json/photo.json").read_text())
    [result] = json.loads((out / "coco/results.json").read_text())
    keypoints = np.array(record["people"][0]["keypoints"])
    np.testing.assert_allclose(np.array(result["keypoints"]).reshape(-1, 3), keypoints)
    with np.load(out / "npz/photo.npz") as file:
        np.testing.assert_allclose(file["keypoints"][0], keypoints[:, :2], atol=0.006)


def test_heatmaps_of_some_joints_are_an_image(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("maps.png")
    run = posehg("predict", photo, "--model", square, "--out", out, "--heatmaps", "middle,left_top")
    assert (run.code, run.err) == (0, f"Wrote {out}\n")
    assert images.read(out).std() > 10
    run = posehg("predict", photo, "--model", square, "--out", out, "--overwrite", "--heatmaps", "midle")
    run.assert_failed(2, "midle")
    assert "middle" in run.err


def test_json_has_one_record_an_image(posehg: Posehg, square: Path, photo: Path, empty_photo: Path) -> None:
    missing = photo.with_name("mäßig.png")
    run = posehg("predict", photo, missing, empty_photo, "--model", square, "--json")
    assert run.code == 3
    found, failed, empty = records(run.out)
    assert [record["source"] for record in (found, failed, empty)] == [str(photo), str(missing), str(empty_photo)]
    assert (found["width"], found["height"], found["error"], found["joints"][0]) == (320, 240, None, "middle")
    assert [len(record["people"]) for record in (found, failed, empty)] == [1, 0, 0]
    assert str(missing) in failed["error"]
    assert (failed["width"], empty["error"]) == (None, None)
    assert found["people"][0]["keypoints"][0][:2] == pytest.approx([159.5, 109.5], abs=2)


@pytest.mark.parametrize(("also", "code"), [([], 0), (["no.png"], 3)])
def test_its_process_ends_without_cleaning_up_but_with_all_that_it_printed(
    photo: Path, also: list[str], code: int
) -> None:
    script = "import atexit, posehg.cli.app as app; atexit.register(print, 'cleaned up'); app.run()"
    arguments = ["predict", photo, *also, "--whole", "--model", "small", "--json"]
    ended = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    assert [record["source"] for record in records(ended.stdout)] == [str(photo), *also]


def test_a_closed_pipe_ends_it(model: Path, photo: Path) -> None:
    command = [sys.executable, "-m", "posehg", "predict", photo, "--model", model, "--whole"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # type: ignore[union-attr]
        assert (process.stderr.read(), process.wait(120)) == (b"", 0)  # type: ignore[union-attr]


def test_a_closed_pipe_ends_it_only_if_no_files_are_to_be_written(photo: Path, empty_photo: Path) -> None:
    command = [sys.executable, "-m", "posehg", "predict", photo, empty_photo, "no.png", "--whole", "--model", "small"]
    with subprocess.Popen([*command, "--json", "--out", photo.with_name("out")], cwd=ROOT, stdout=-1, stderr=-1) as run:
        run.stdout.close()  # type: ignore[union-attr]
        run.stderr.close()  # type: ignore[union-attr]
    assert run.returncode == 3
    assert {path.name for path in photo.with_name("out").iterdir()} == {photo.name, empty_photo.name}


@pytest.mark.skipif(sys.platform == "win32", reason="its shell cannot close them")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(closed: str, photo: Path) -> None:
    for name, code in ((str(photo), 0), ("no.png", 3)):
        command = [sys.executable, "-m", "posehg", "predict", name, "--whole", "--model", "small", "--json"]
        command += ["--overwrite", "--out", str(photo.with_name("drawn.png"))]
        run = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == code, run.stderr
        assert not {"bug", "Traceback"} & set(run.stderr.split())
    assert images.read(photo.with_name("drawn.png")).shape == images.read(photo).shape


def test_the_current_folder_is_one_for_results(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photo.with_name("results")
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert posehg("predict", photo, "--model", square, "--out", ".").code == 0
    posehg("predict", photo.name, "--model", square, "--out", ".", "--overwrite").assert_failed(2, photo.name)
    assert [path.name for path in folder.iterdir()] == [photo.name]


@pytest.mark.filterwarnings("default::UserWarning")
def test_an_image_that_lacks_its_end_is_read_with_a_note(posehg: Posehg, square: Path, photo: Path) -> None:
    cut = photo.with_name("cut.jpg")
    PillowImage.open(photo).save(cut, progressive=True)
    cut.write_bytes(cut.read_bytes()[:-2])
    run = posehg("predict", cut, "--model", square, "--json")
    assert run.code == 0, run.err
    assert str(cut) in run.err
    assert len(records(run.out)[0]["people"]) == 1


HANDS = np.array([[200.0, 150], [140, 110], [259, 191]])


@pytest.fixture
def dots_photo(tmp_path: Path) -> Path:
    path = tmp_path / "dots.png"
    images.write(path, stubs.dots_photo(HANDS))
    return path


@pytest.mark.parametrize(
    "where", [("--whole",), ("--box", "100,60,200,180"), ("--box", "-60,-30,420.5,330", "--no-flip")]
)
def test_any_box_gives_the_joints(posehg: Posehg, dots: Path, dots_photo: Path, where: tuple[str, ...]) -> None:
    run = posehg("predict", dots_photo, "--model", dots, "--json", *where)
    [person] = records(run.out)[0]["people"]
    np.testing.assert_allclose(np.array(person["keypoints"])[:, :2], HANDS, atol=4)


def test_each_box_gives_a_person_or_an_error_outside_the_image(posehg: Posehg, dots: Path, dots_photo: Path) -> None:
    run = posehg("predict", dots_photo, "-m", dots, "--json", "--box", "90,50,220,200", "--box", "80,40,240,220")
    people = records(run.out)[0]["people"]
    assert [person["crop"] for person in people] == [[62.5, 12.5, 275, 275], [50, 0, 300, 300]]
    for person in people:  # the joints are 119 x 81 pixels apart
        assert person["bbox"] == pytest.approx([132.5, 102.5, 134, 96], abs=4)
    posehg("predict", dots_photo, "--model", dots, "--box", "500,10,20,20").assert_failed(3, "500,10,20,20")


def test_nobody_is_an_error_only_if_asked(posehg: Posehg, square: Path, photo: Path, empty_photo: Path) -> None:
    run = posehg("predict", empty_photo, "--model", square)
    assert (run.code, run.out, str(empty_photo) in run.err) == (0, "", True)
    run = posehg("predict", empty_photo, photo, "--model", square, "--json", "--fail-if-empty")
    assert run.code == 4
    assert [len(record["people"]) for record in records(run.out)] == [0, 1]
    assert "1 of 2" in run.err


PillowImage.init()
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000", "PPM", "TGA", "MPO")
SUFFIXES = sorted(suffix for suffix, format in PillowImage.registered_extensions().items() if format in FORMATS)
MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "LA", "PA", "RGBX", "I;16")
SIDES = st.one_of(st.integers(1, 40), st.sampled_from((127, 1009)))


@given(st.sampled_from(MODES), SIDES, SIDES, st.integers(0, 9), st.sampled_from(SUFFIXES))
@example("RGB", 1, 1, 6, ".png")
@example("RGB", 3000, 1, 6, ".jpg")
@example("F", 5, 3, 0, ".tiff")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_image_that_pillow_writes_gives_a_result_or_a_clear_error(
    posehg: Posehg, model: Path, tmp_path: Path, mode: str, width: int, height: int, orientation: int, suffix: str
) -> None:
    exif, path, out = PillowImage.Exif(), tmp_path / f"noise{suffix}", tmp_path / "drawn.png"
    exif[0x0112] = orientation
    out.unlink(missing_ok=True)
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    try:
        via = {"PA": "P", "I;16": "I"}.get(mode, "RGB")
        PillowImage.fromarray(noise).convert(via).convert(mode).save(path, exif=exif.tobytes())
    except (OSError, ValueError, KeyError, TypeError, SystemError, AttributeError):
        return  # Pillow does not write this mode, or size, in this format
    run = posehg("predict", path, "--whole", "--no-flip", "--model", model, "--json", "--out", out)
    [record] = records(run.out)
    if run.code == 0:
        assert sorted((record["width"], record["height"])) == sorted((width, height))
        assert np.isfinite(np.array(record["people"][0]["keypoints"])).all()
        assert images.read(out).shape == (record["height"], record["width"], 3)
    else:
        assert (run.code, bool(record["error"]), record["people"]) == (3, True, [])
        assert str(path) in record["error"]
        assert "bug" not in run.err
        assert not out.exists()
