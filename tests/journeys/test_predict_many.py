"""Many inputs in one call: trees, patterns, lists, a batch that goes on, and one that is taken up again."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from posehg.io.writers import image as pictures
from tests import forks, stubs
from tests.journeys.conftest import Posehg
from tests.journeys.test_predict import records

NAMES = ("a.png", "b b.png", "Привет/a.png", "deep/er/a.png", f"{'long' * 50}.png")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Five photos of a square, in folders, some with the same name."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, stubs.square_photo(90 + 7 * number, 60, 100))
    return tmp_path / "in"


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# ---- which inputs ------------------------------------------------------------------------------------------------


def test_a_folder_is_its_pictures_and_recursive_those_below(posehg: Posehg, square: Path, tree: Path) -> None:
    run = posehg("predict", tree, "--model", square, "--json")
    assert [Path(record["source"]).name for record in records(run.out)] == ["a.png", "b b.png", NAMES[-1]]
    run = posehg("predict", tree, "--model", square, "--json", "--recursive")
    assert len(records(run.out)) == len(NAMES)


def test_results_lie_in_the_tree_of_the_sources(posehg: Posehg, square: Path, tree: Path, tmp_path: Path) -> None:
    run = posehg("predict", tree, "-r", "--model", square, "--out", tmp_path / "out")
    assert run.code == 0, run.err
    assert files_below(tmp_path / "out") == set(NAMES)


def test_a_pattern_and_a_list_name_pictures(
    posehg: Posehg, square: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "list.txt").write_text("a.png\n\nПривет/a.png\n", encoding="utf-8")
    named = [record["source"] for record in records(posehg("predict", f"@{tree}/list.txt", "-m", square, "--json").out)]
    assert named == [str(tree / "a.png"), str(tree / "Привет/a.png")]
    found = [record["source"] for record in records(posehg("predict", f"{tree}/**/a.png", "-m", square, "--json").out)]
    assert sorted(found) == sorted(str(tree / name) for name in NAMES if name.endswith("a.png"))


def test_a_picture_comes_from_standard_input(
    real_posehg: Callable[..., subprocess.Popen[bytes]], model: Path, photo: Path
) -> None:
    command = [sys.executable, "-m", "posehg", "predict", "-", "--whole", "--model", str(model), "--json"]
    run = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=False)
    [record] = records(run.stdout.decode())
    assert (run.returncode, record["source"], record["width"]) == (0, "-", 320)


def test_a_folder_without_pictures_is_an_input_error(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    posehg("predict", tmp_path, "--model", square).assert_failed(3, f"There are no pictures in {tmp_path}.")


# ---- a batch goes on, and is taken up again ----------------------------------------------------------------------


def test_one_bad_file_among_many_is_told_at_the_end(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(23):
        images.write(folder / f"{number}.png", stubs.square_photo(100, 60, 100))
    (folder / "7.png").write_bytes(b"nothing")
    run = posehg("predict", folder, "--model", square, "--out", tmp_path / "out")
    assert run.code == 3
    assert f"1 of 23 photos failed; the others are done: {folder / '7.png'}.\n" in run.err
    assert f"Wrote 22 files into {tmp_path / 'out'}.\n" in run.err
    assert len(files_below(tmp_path / "out")) == 22


def test_what_exists_is_refused_before_anything_is_computed(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b b.png").write_text("mine")
    run = posehg("predict", tree, "--model", square, "--out", tmp_path / "out")
    run.assert_failed(2, f"{tmp_path / 'out' / 'b b.png'} exists already.")
    assert files_below(tmp_path / "out") == {"b b.png"}


def test_skip_existing_does_the_rest_and_then_nothing(posehg: Posehg, square: Path, tree: Path, tmp_path: Path) -> None:
    command = ("predict", tree, "-r", "--model", square, "--out", tmp_path / "out", "--skip-existing")
    assert posehg(*command).code == 0
    kept = tmp_path / "out" / "a.png"
    kept.write_text("mine")
    (tmp_path / "out" / "b b.png").unlink()
    run = posehg(*command)
    assert (run.code, run.out) == (0, "")
    assert run.err == f"Wrote {tmp_path / 'out' / 'b b.png'}\n4 of 5 photos had been done before.\n"
    assert kept.read_text() == "mine"
    run = posehg(*command)
    assert (run.code, run.err) == (0, "5 of 5 photos had been done before; there is nothing left to do.\n")


def test_skip_existing_leaves_a_file_of_all_that_is_there(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path
) -> None:
    command = ("predict", tree, "--model", square, "--out", tmp_path / "all.jsonl", "--skip-existing")
    assert posehg(*command).code == 0
    before = (tmp_path / "all.jsonl").read_bytes()
    assert len(before.splitlines()) == 3
    run = posehg(*command)
    path = tmp_path / "all.jsonl"
    assert (run.code, run.err) == (0, f"{path} is there already and is left as it is; --overwrite makes it anew.\n")
    assert (tmp_path / "all.jsonl").read_bytes() == before


def test_overwrite_and_skip_existing_exclude_each_other(posehg: Posehg, photo: Path) -> None:
    posehg("predict", photo, "--overwrite", "--skip-existing").assert_failed(2, "give one of them.")


def test_a_full_disk_ends_the_run_and_leaves_whole_files(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = os.replace, 0

    def replace(source: object, target: object) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", replace)
    run = posehg("predict", tree, "-r", "--model", square, "--out", tmp_path / "out")
    assert run.code == 3
    assert run.err.count("No space left on device") == 1
    assert files_below(tmp_path / "out") == {"a.png", "b b.png"}


def test_interrupted_it_leaves_whole_files_only(
    real_posehg: Callable[..., subprocess.Popen[bytes]], model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    images.write(folder / "0.png", noise)
    for number in range(1, 300):
        os.link(folder / "0.png", folder / f"{number}.png")
    process = real_posehg("predict", folder, "--whole", "--model", model, "--out", out, "--save", "image,npz,coco")
    end = time.monotonic() + 100
    while len(list(out.rglob("*.npz"))) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode()) == (130, "Interrupted.\n")  # with a file of all it begins anew
    written = sorted(path for path in out.rglob("*") if path.is_file())
    assert len(written) < 600
    for path in written:
        assert path.parent.name in ("image", "npz"), path  # no file of all, and nothing that begins with .posehg
        assert images.read(path).shape == noise.shape if path.suffix == ".png" else np.load(path)["keypoints"].size


# ---- partial, mixed and odd runs -----------------------------------------------------------------------------------


def test_an_input_that_is_none_does_not_keep_the_others_from_being_done(
    posehg: Posehg, square: Path, photo: Path
) -> None:
    (photo.parent / "nothing").mkdir()
    out, nothing = photo.parent / "out", photo.parent / "nothing"
    run = posehg("predict", nothing, photo, f"{nothing}/*.png", "", "-m", square, "--out", out, "--skip-existing")
    assert run.code == 3
    assert files_below(out) == {"photo.png"}
    assert run.err.endswith("3 of 4 photos failed; the others are done.\n")


def test_no_source_is_replaced_by_the_result_of_another(posehg: Posehg, square: Path, photo: Path) -> None:
    images.write(photo.with_suffix(".webp"), images.read(photo))
    before = photo.read_bytes()
    run = posehg("predict", photo.with_suffix(".webp"), photo, "-m", square, "--out", photo.parent, "--overwrite")
    run.assert_failed(2, f"{photo} is one of the inputs, which is never replaced.")
    link = photo.parent / "link"
    link.symlink_to(photo.parent)
    run = posehg("predict", link / "photo.webp", photo, "-m", square, "--out", link, "--overwrite")
    assert run.code == 2
    assert photo.read_bytes() == before


def test_a_folder_that_is_called_like_the_program_is_no_trouble(posehg: Posehg, square: Path, photo: Path) -> None:
    (photo.parent / "out" / "posehg").mkdir(parents=True)
    assert posehg("predict", photo, "-m", square, "--out", photo.parent / "out").code == 0


def test_what_comes_later_is_done_though_the_file_of_all_is_there(
    posehg: Posehg, square: Path, photo: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(photo, folder / "a.png")
    command = ("predict", folder, "-m", square, "--out", out, "--save", "image,coco", "--skip-existing")
    assert posehg(*command).code == 0
    shutil.copy(photo, folder / "b.png")
    assert posehg(*command).code == 0
    assert files_below(out / "image") == {"a.png", "b.png"}
    assert len(json.loads((out / "coco" / "results.json").read_text())) == 2
    assert "there is nothing left to do" in posehg(*command).err


def test_results_below_the_inputs_are_not_looked_at_again(posehg: Posehg, square: Path, tree: Path) -> None:
    command = ("predict", tree, "-r", "-m", square, "--out", tree / "out", "--skip-existing")
    first = posehg(*command)
    assert first.code == 0, first.err
    before = files_below(tree / "out")
    again = posehg(*command)
    assert f"{len(NAMES)} pictures and videos in {tree / 'out'} are left out: results go there.\n" in again.err
    assert files_below(tree / "out") == before


def test_standard_output_gets_what_could_be_done(model: Path, photo: Path) -> None:
    given = (photo, photo.with_name("missing.png"))
    options = ("--whole", "--model", model, "--out", "-", "--save", "json")
    run = forks.run("predict", *given, *options, environment=os.environ)
    assert run.returncode == 3
    assert [bool(record["error"]) for record in records(run.stdout)] == [False, True]


def test_crops_are_told_by_the_names_that_they_have(
    posehg: Posehg, square: Path, photo: Path, empty_photo: Path
) -> None:
    out = photo.parent / "out"
    run = posehg("predict", photo, empty_photo, "-m", square, "--out", out, "--save", "crops")
    told = {line.removeprefix("Wrote ") for line in run.err.splitlines() if line.startswith("Wrote ")}
    assert told == {str(out / "photo_person1.jpg")}
    assert posehg("predict", photo, "-m", square, "--out", photo.parent, "--save", "crops").code == 0


def test_a_picture_that_memory_does_not_let_be_drawn_is_an_input_error(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def render(result: object) -> object:
        calls.append(result)
        if len(calls) == 2:
            raise MemoryError
        return np.zeros((3, 5, 3), dtype=np.uint8)

    monkeypatch.setattr(pictures, "render", render)
    run = posehg("predict", tree, "--model", square, "--out", tmp_path / "out")
    assert run.code == 3
    assert len(files_below(tmp_path / "out")) == 2


def test_boxes_of_what_was_done_before_are_not_called_unused(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "boxes.csv").write_text("image,x,y,w,h\na.png,90,60,100,100\nb b.png,97,60,100,100\n")
    command = ("predict", tree / "a.png", tree / "b b.png", "-m", square, "--out", tmp_path / "out", "--skip-existing")
    assert posehg(*command).code == 0
    (tmp_path / "out" / "a.png").unlink()
    assert "were not used" not in posehg(*command, "--boxes", tmp_path / "boxes.csv").err


def test_a_name_that_is_too_long_is_no_bug(posehg: Posehg, photo: Path) -> None:
    out = photo.with_name("x" * 300 + ".png")
    posehg("predict", photo, "--out", out).assert_failed(3, f"{out} cannot be written: File name too long.")


# ---- names -------------------------------------------------------------------------------------------------------


def test_two_photos_of_one_name_keep_apart(posehg: Posehg, square: Path, photo: Path) -> None:
    other, out = photo.with_suffix(".webp"), photo.parent / "out"
    images.write(other, images.read(photo))
    run = posehg("predict", photo, other, "--model", square, "--out", out)
    assert run.code == 0, run.err
    assert files_below(out) == {"photo.png", "photo-webp.png"}


def test_a_loop_of_links_is_walked_once(posehg: Posehg, square: Path, tree: Path) -> None:
    (tree / "loop").symlink_to(tree, target_is_directory=True)
    run = posehg("predict", tree, "-r", "--model", square, "--json")
    assert run.code == 0
    assert len(records(run.out)) == len(NAMES)


# ---- files of boxes ----------------------------------------------------------------------------------------------


def test_boxes_from_a_file_are_where_people_are(posehg: Posehg, square: Path, tree: Path, tmp_path: Path) -> None:
    rows = ["image,x,y,w,h", "a.png,90,60,100,100", "nowhere.png,1,1,5,5"]
    (tmp_path / "boxes.csv").write_text("\n".join(rows), encoding="utf-8")
    run = posehg("predict", tree / "a.png", tree / "b b.png", "-m", square, "--json", "--boxes", tmp_path / "boxes.csv")
    one, other = records(run.out)
    assert one["people"][0]["bbox"] == [77.5, 47.5, 125, 125]
    assert other["people"] == []
    assert f"{tree / 'b b.png'}: {tmp_path / 'boxes.csv'} has no boxes for it.\n" in run.err
    assert "Boxes of nowhere.png were not used: no input is called so.\n" in run.err


def test_posehgs_own_records_are_boxes_too(posehg: Posehg, square: Path, tree: Path, tmp_path: Path) -> None:
    first = posehg("predict", tree, "-m", square, "--out", tmp_path / "first.jsonl", "--json")
    again = posehg("predict", tree, "-m", square, "--boxes", tmp_path / "first.jsonl", "--json")
    assert again.code == 0, again.err
    for one, other in zip(records(first.out), records(again.out), strict=True):
        assert one["people"][0]["keypoints"][0][:2] == pytest.approx(other["people"][0]["keypoints"][0][:2], abs=3)


def test_a_broken_file_of_boxes_is_named(posehg: Posehg, photo: Path) -> None:
    broken = photo.with_name("boxes.json")
    broken.write_text('[{"image_id": 1}]')
    run = posehg("predict", photo, "--boxes", broken)
    assert run.code == 3
    assert str(broken) in run.err


@pytest.mark.parametrize(
    "two", [("--box", "1,2,3,4", "--people", "all"), ("--whole", "--people", "all"), ("--boxes", "x.csv", "--whole")]
)
def test_only_one_way_says_where_people_are(posehg: Posehg, photo: Path, two: tuple[str, ...]) -> None:
    posehg("predict", photo, *two).assert_failed(2, "are two ways to say where people are: give one of them.")


# ---- everybody ---------------------------------------------------------------------------------------------------


def test_all_finds_each_of_several(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    photo = np.zeros((300, 701, 3), dtype=np.uint8)
    for left in (60, 480):
        photo[90:210, left : left + 120] = 255
    images.write(tmp_path / "two.png", photo)
    [record] = records(posehg("predict", tmp_path / "two.png", "-m", square, "--people", "all", "--json").out)
    middles = sorted(person["keypoints"][0][0] for person in record["people"])
    assert (middles[0], middles[-1]) == pytest.approx((119.5, 539.5), abs=6)
    assert len(middles) <= 3  # to this network both together are a square, too


# ---- memory ------------------------------------------------------------------------------------------------------


def test_a_picture_that_memory_does_not_hold_is_an_input_error(
    posehg: Posehg, square: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = images.warp

    def warp(image: images.Image, *rest: object) -> images.Image:
        if int(image[60, 97].max()) and not int(image[60, 96].max()):
            raise MemoryError
        return real(image, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "warp", warp)
    run = posehg("predict", tree, "--model", square, "--json")
    assert run.code == 3
    assert [bool(record["error"]) for record in records(run.out)] == [False, True, False]
    assert "needs more memory than there is." in run.err


def test_standard_output_takes_a_picture(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Binary(io.StringIO):
        buffer = io.BytesIO()

    monkeypatch.setattr(sys, "stdout", Binary())
    run = posehg("predict", photo, "--model", square, "--out", "-")
    assert (run.code, run.err) == (0, "")
    assert images.read_bytes(Binary.buffer.getvalue(), "stdout").shape == images.read(photo).shape


@pytest.mark.parametrize(("kind", "first"), [("json", '{"posehg"'), ("csv", "source,frame"), ("coco", "[\n{")])
def test_standard_output_takes_one_file_of_all(model: Path, photo: Path, kind: str, first: str) -> None:
    shutil.copy(photo, photo.with_name("second.png"))
    options = ("--whole", "--model", model, "--out", "-", "--save", kind)
    run = forks.run("predict", photo.parent, *options, environment=os.environ)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(first)
    assert run.stdout.count("photo.png") >= 1
    assert run.stdout.count("second.png") >= 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--out", "-", "--json"), "both want standard output"),
        (("--out", "-", "--save", "json,csv"), "--save names 2 kinds"),
        (("--out", "-", "--save", "crops"), "may be several"),
        (("--save", "json"), "--save says what is written, but not where."),
        (("--heatmaps", "all"), "--heatmaps says what is written, but not where."),
        (("--save", "jsn", "--out", "x"), "--save jsn: there is no such kind of files."),
        (("--save", ",", "--out", "x"), "--save names no kind of files."),
        (("--save", "json", "--out", "x.png"), "--save writes into a folder, and --out x.png is one file."),
        (("--heatmaps", "all", "--out", "x.json"), "--out x.json: heatmaps are shown on a picture."),
        (("--heatmaps", "all", "--out", "x.csv"), "--out x.csv: heatmaps are shown on a picture."),
        (("--out", ""), "--out is empty."),
        (("--out", "photo.png/x.png"), "--out photo.png/x.png: photo.png is a file, not a folder."),
        (("--start", "soon"), "--start soon is no time in a video."),
        (("--start", "2:00", "--end", "90"), "--end 90 is not after --start 2:00."),
    ],
)
def test_what_cannot_be_meant_is_refused(
    posehg: Posehg, photo: Path, options: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    posehg("predict", photo, *options).assert_failed(2, sentence)
    assert list(photo.parent.iterdir()) == [photo]


# ---- every kind of files -----------------------------------------------------------------------------------------


def test_every_kind_is_written_and_read_again(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.parent / "out"
    kinds = "image,json,csv,npz,coco,openpose,heatmaps,crops"
    run = posehg("predict", photo, "--model", square, "--out", out, "--save", kinds)
    assert run.code == 0, run.err
    assert files_below(out) == {
        *("image/photo.png", "json/photo.json", "csv/photo.csv", "npz/photo.npz", "coco/results.json"),
        *("openpose/photo_keypoints.json", "heatmaps/photo_heatmaps.jpg", "crops/photo_person1.jpg"),
    }
    record = json.loads((out / "json/photo.json").read_text())
    [result] = json.loads((out / "coco/results.json").read_text())
    keypoints = np.array(record["people"][0]["keypoints"])
    np.testing.assert_allclose(np.array(result["keypoints"]).reshape(-1, 3), keypoints)
    with np.load(out / "npz/photo.npz") as file:
        np.testing.assert_allclose(file["keypoints"][0], keypoints[:, :2], atol=0.006)


def test_heatmaps_of_some_joints_are_a_picture(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("maps.png")
    run = posehg("predict", photo, "--model", square, "--out", out, "--heatmaps", "middle,left_top")
    assert (run.code, run.err) == (0, f"Wrote {out}\n")
    assert images.read(out).std() > 10
    run = posehg("predict", photo, "--model", square, "--out", out, "--overwrite", "--heatmaps", "midle")
    assert run.code == 2
    assert "middle" in run.err
