"""Many inputs in one call: trees, patterns, lists, standard input, and runs that are continued."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from tests import forks, stubs
from tests.journeys.conftest import Posehg, environment
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


def test_results_mirror_the_folders_of_the_inputs(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = posehg("predict", tree, "--model", square, "--json")
    assert [Path(record["source"]).name for record in records(run.out)] == ["a.png", "b b.png", NAMES[-1]]
    (tree / "loop").symlink_to(tree, target_is_directory=True)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    run = posehg("predict", tree, "-r", "--model", square, "--json", "--out", ".")
    assert (run.code, len(records(run.out))) == (0, len(NAMES))
    assert files_below(tmp_path / "out") == set(NAMES)


def test_an_image_comes_from_standard_input(model: Path, photo: Path) -> None:
    command = [sys.executable, "-m", "posehg", "predict", "-", "--whole", "--model", str(model), "--json"]
    run = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=False)
    [record] = records(run.stdout.decode())
    assert (run.returncode, record["source"], record["width"]) == (0, "-", 320)


def test_inputs_that_mean_nothing_do_not_stop_the_rest(posehg: Posehg, square: Path, photo: Path) -> None:
    (photo.parent / "nothing").mkdir()
    out, nothing = photo.parent / "out", photo.parent / "nothing"
    run = posehg("predict", nothing, photo, f"{nothing}/*.png", "", "-m", square, "--out", out, "--skip-existing")
    assert run.code == 3
    assert "3 of 4" in run.err
    assert files_below(out) == {"photo.png"}


def test_of_many_inputs_only_errors_are_reported_one_by_one(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(23):
        images.write(folder / f"{number}.png", stubs.square_photo(100, 60, 100))
    (folder / "7.png").write_bytes(b"nothing")
    run = posehg("predict", folder, "--model", square, "--out", tmp_path / "out")
    run.assert_failed(3, "7.png")
    assert all(said in run.err for said in ("22 files", "1 of 23"))
    assert len(run.err.splitlines()) < 6
    assert len(files_below(tmp_path / "out")) == 22


def test_a_file_of_all_inputs_cannot_tell_what_is_left_to_do(
    posehg: Posehg, square: Path, tree: Path, tmp_path: Path
) -> None:
    """An input that was added later is not in the file, and must not count as done."""
    for out in (("--out", tmp_path / "all.jsonl"), ("--out", tmp_path / "out", "--save", "coco")):
        assert posehg("predict", tree, "-r", "--model", square, *out).code == 0
        posehg("predict", tree, "-r", "--model", square, *out, "--skip-existing").assert_failed(2, "--skip-existing")


def test_skip_existing_does_the_rest_and_then_nothing(posehg: Posehg, square: Path, tree: Path, tmp_path: Path) -> None:
    command = ("predict", tree, "-r", "--model", square, "--out", tmp_path / "out", "--skip-existing")
    assert posehg(*command).code == 0
    kept = tmp_path / "out" / "a.png"
    kept.write_text("mine")
    (tmp_path / "out" / "b b.png").unlink()
    run = posehg(*command)
    assert (run.code, run.out, "4 of 5" in run.err) == (0, "", True)
    assert "Wrote 1 " in run.err
    assert kept.read_text() == "mine"
    run = posehg(*command)
    assert (run.code, "5 of 5" in run.err, "Wrote" in run.err) == (0, True, False)


def test_interrupted_it_leaves_whole_files_only(model: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    images.write(folder / "0.png", noise)
    for number in range(1, 300):
        os.link(folder / "0.png", folder / f"{number}.png")
    options = ("--whole", "--model", model, "--out", out, "--save", "image,npz,coco")
    process = forks.start("predict", folder, *options, environment=environment())
    end = time.monotonic() + 100
    while len(list(out.rglob("*.npz"))) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "Interrupted.\n")
    written = sorted(path for path in out.rglob("*") if path.is_file())
    assert len(written) < 600
    for path in written:
        assert path.parent.name in ("image", "npz"), path  # no file of all, and nothing that begins with .posehg
        assert images.read(path).shape == noise.shape if path.suffix == ".png" else np.load(path)["keypoints"].size


def test_an_image_goes_to_stdout(posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Binary(io.StringIO):
        buffer = io.BytesIO()

    monkeypatch.setattr(sys, "stdout", Binary())
    run = posehg("predict", photo, "--model", square, "--out", "-")
    assert (run.code, run.err) == (0, "")
    assert images.read_bytes(Binary.buffer.getvalue(), "stdout").shape == images.read(photo).shape


@pytest.mark.parametrize(
    ("kind", "first"), [("json", '{"posehg"'), ("csv", "source,frame"), ("csv-wide", "source,frame"), ("coco", "[\n{")]
)
def test_standard_output_takes_one_file_of_all_inputs(model: Path, photo: Path, kind: str, first: str) -> None:
    second, missing = photo.with_name("second.png"), photo.with_name("missing.png")
    shutil.copy(photo, second)
    options = ("--whole", "--model", model, "--out", "-", "--save", kind)
    run = forks.run("predict", photo, missing, second, *options, environment=environment())
    assert run.returncode == 3
    assert run.stdout.startswith(first)
    assert run.stdout.count("photo.png") >= 1
    assert run.stdout.count("second.png") >= 1


def test_boxes_from_a_file_are_where_people_are(posehg: Posehg, square: Path, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("image,x,y,w,h\na.png,90,60,100,100\n")
    options = ("-m", square, "--boxes", tmp_path / "boxes.csv", "--json")
    run = posehg("predict", tree / "a.png", tree / "b b.png", *options)
    one, other = records(run.out)
    assert one["people"][0]["crop"] == [77.5, 47.5, 125, 125]
    assert other["people"] == []
    assert "b b.png" in run.err
