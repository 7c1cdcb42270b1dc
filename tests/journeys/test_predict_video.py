"""Videos: streamed, followed, written as files that play."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from posehg import io as inputs
from posehg.io import Frame
from posehg.io import video as video_inputs
from posehg.io import video_writer as video
from tests import stubs
from tests.journeys.conftest import Posehg
from tests.journeys.test_predict import records

FRAMES, RATE = 13, 10


def film(path: Path, lefts: list[int]) -> Path:
    """A white square, 100 pixels wide, that walks."""
    with video.create(path, RATE) as add:
        for left in lefts:
            add(stubs.square_photo(left, 60, 100), None)
    return path


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    return film(tmp_path / "walk.mp4", [30 + 11 * frame for frame in range(FRAMES)])


def read(path: Path) -> list[np.ndarray]:
    [source] = inputs.expand([str(path)])
    return [frame.image for frame in inputs.frames(source)]


def test_somebody_is_followed_with_one_number(posehg: Posehg, square: Path, walk: Path) -> None:
    run = posehg("predict", walk, "--model", square, "--json")
    assert run.code == 0, run.err
    lines = records(run.out)
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    np.testing.assert_allclose([line["time"] for line in lines], np.arange(FRAMES) / RATE, atol=0.011)
    assert [[person["id"] for person in line["people"]] for line in lines] == [[1]] * FRAMES
    middles = [line["people"][0]["keypoints"][0][0] for line in lines]
    np.testing.assert_allclose(middles, [79.5 + 11 * frame for frame in range(FRAMES)], atol=6)


def test_who_stands_in_a_box_of_the_first_frame_is_followed(posehg: Posehg, square: Path, walk: Path) -> None:
    options = ("--box", "30,60,100,100", "--smooth", "one-euro")
    run = posehg("predict", walk, "--model", square, "--json", *options)
    assert run.code == 0, run.err
    assert [[person["id"] for person in line["people"]] for line in records(run.out)] == [[1]] * FRAMES


def test_who_fills_each_frame_has_one_number(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    still = tmp_path / "still.mp4"
    with video.create(still, RATE) as add:
        for frame in range(7):
            add(stubs.square_photo(55 + frame % 3, 15, 210), None)
    run = posehg("predict", still, "--model", square, "--json", "--whole")
    assert [[person["id"] for person in line["people"]] for line in records(run.out)] == [[1]] * 7


def test_everybody_has_a_number_of_their_own(posehg: Posehg, square: Path, walk: Path) -> None:
    """To this network parts of a square are squares, too: several people."""
    run = posehg("predict", walk, "--model", square, "--json", "--people", "all", "--end", "0.25")
    assert run.code == 0, run.err
    numbers = [[person["id"] for person in line["people"]] for line in records(run.out)]
    assert sorted(numbers[0]) == list(range(1, 1 + len(numbers[0])))
    assert len(numbers[0]) > 1
    assert all(len(set(frame)) == len(frame) for frame in numbers)


def test_boxes_of_frames_are_taken_as_they_are(posehg: Posehg, square: Path, walk: Path, tmp_path: Path) -> None:
    rows = [f"walk.mp4,{frame},{30 + 11 * frame},60,100,100" for frame in range(0, FRAMES, 2)]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,frame,x,y,w,h", *rows]))
    run = posehg("predict", walk, "--model", square, "--json", "--boxes", tmp_path / "boxes.csv")
    assert [len(line["people"]) for line in records(run.out)] == [1 - frame % 2 for frame in range(FRAMES)]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("beside", [False, True])
def test_the_film_that_comes_out_plays(
    posehg: Posehg, square: Path, walk: Path, tmp_path: Path, suffix: str, beside: bool
) -> None:
    out = tmp_path / f"out{suffix}"
    run = posehg("predict", walk, "--model", square, "--out", out, *(["--side-by-side"] if beside else []))
    assert (run.code, run.out, run.err) == (0, "", f"Wrote {out}\n")
    before, after = read(walk), read(out)
    assert len(after) == len(before)
    assert after[0].shape == (240, 640 if beside else 320, 3)
    drawn = after[5][:, -320:].astype(int)
    assert np.abs(drawn - before[5]).max() > 60


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".npz"])
def test_the_joints_of_all_frames_are_one_file(
    posehg: Posehg, square: Path, walk: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"joints{suffix}"
    assert posehg("predict", walk, "--model", square, "--out", out).code == 0
    match suffix:
        case ".jsonl":
            assert len(records(out.read_text())) == FRAMES
        case ".csv":
            assert len(out.read_text().splitlines()) == 1 + 5 * FRAMES
        case ".npz":
            with np.load(out) as file:
                assert file["tracks"].tolist() == [1] * FRAMES
                assert file["frames"].tolist() == list(range(FRAMES))


def test_a_folder_holds_what_each_video_and_photo_has(
    posehg: Posehg, square: Path, walk: Path, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("predict", walk, photo, "-m", square, "--out", out, "--save", "image,json,openpose,coco")
    run = posehg(*command)
    assert run.code == 0, run.err
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    frames = {f"openpose/walk_{frame:012d}_keypoints.json" for frame in range(FRAMES)}
    whole = {"image/walk.mp4", "image/photo.png", "json/walk.jsonl", "json/photo.json"}
    assert names == frames | whole | {"openpose/photo_keypoints.json", "coco/results.json"}
    ids = [result["image_id"] for result in json.loads((out / "coco/results.json").read_text())]
    assert ids == [*(f"walk_{frame:012d}" for frame in range(FRAMES)), "photo.png"]
    assert "2 of 2 inputs had been done before" in posehg(*command, "--skip-existing").err


def test_a_part_of_a_video(posehg: Posehg, square: Path, walk: Path, tmp_path: Path) -> None:
    run = posehg("predict", walk, "--model", square, "--json", "--start", "0.35", "--end", "0:00.9")
    assert [line["frame"] for line in records(run.out)] == [4, 5, 6, 7, 8]
    run = posehg("predict", walk, "--model", square, "--json", "--start", "5")
    assert run.code == 3
    assert f"{walk} has no frame after 5 seconds: its last one is shown at 1.20." in run.err


def test_what_there_is_of_a_video_cut_short_is_done(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    long = film(tmp_path / "long.webm", [30 + frame for frame in range(40)])
    content = long.read_bytes()
    long.write_bytes(content[: len(content) * 2 // 3])
    run = posehg("predict", long, "--model", square, "--out", tmp_path / "out.mp4", "--json")
    assert run.code == 3
    lines = records(run.out)
    assert "cut short" in lines[-1]["error"]
    assert 5 < len(lines) < 41
    assert len(read(tmp_path / "out.mp4")) == len(lines) - 1


def test_a_video_without_frames_leaves_no_file(posehg: Posehg, square: Path, walk: Path, tmp_path: Path) -> None:
    walk.write_bytes(walk.read_bytes()[:40])
    run = posehg("predict", walk, "--model", square, "--out", tmp_path / "out.mp4")
    run.assert_failed(3, str(walk))
    assert not (tmp_path / "out.mp4").exists()


def test_nobody_in_a_video_is_said_once(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    with video.create(path, RATE) as add:
        for _ in range(3):
            add(np.zeros((60, 80, 3), dtype=np.uint8), None)
    run = posehg("predict", path, "--model", square, "--json", "--fail-if-empty")
    assert run.code == 4
    assert run.err.count("nobody was found.") == 1
    assert len(records(run.out)) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "nothing says where to."),
        (("--out", "x.png"), "--out x.png: a video does not become that."),
        (("--out", "x.mp4", "--background", "none"), "a video cannot be transparent."),
        (("--out", "-"), "--out -: a video cannot go there."),
    ],
)
def test_what_a_video_cannot_become_is_refused(
    posehg: Posehg, walk: Path, options: tuple[str, ...], sentence: str
) -> None:
    run = posehg("predict", walk, *options)
    assert run.code == 2, run.err
    assert sentence in run.err
    assert list(walk.parent.iterdir()) == [walk]


# ---- partial, mixed and odd runs -----------------------------------------------------------------------------------


def test_a_video_of_which_some_files_are_there_gets_the_others(
    posehg: Posehg, square: Path, walk: Path, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert posehg("predict", walk, "-m", square, "--out", out, "--save", "image,json").code == 0
    before = (out / "json" / "walk.jsonl").stat().st_mtime_ns
    kinds = ("--save", "image,json,csv", "--skip-existing")
    run = posehg("predict", walk, photo, "-m", square, "--out", out, *kinds)
    assert run.code == 0, run.err
    assert (out / "csv" / "walk.csv").is_file()
    assert (out / "image" / "photo.png").is_file()
    assert (out / "json" / "walk.jsonl").stat().st_mtime_ns == before


def test_frames_that_are_there_are_refused_before_the_work(
    posehg: Posehg, square: Path, walk: Path, tmp_path: Path
) -> None:
    command = ("predict", walk, "-m", square, "--out", tmp_path / "out", "--save", "openpose", "--start", "0.5")
    first = posehg(*command)
    assert first.code == 0, first.err
    assert f"Wrote 8 files of {walk} into {tmp_path / 'out'}\n" in first.err
    posehg(*command).assert_failed(2, "_keypoints.json exists already")


def test_a_video_that_cannot_be_written_is_told_once_and_left(
    posehg: Posehg, square: Path, walk: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image").touch()
    run = posehg("predict", walk, photo, "-m", square, "--out", tmp_path / "out", "--save", "image,json", "--json")
    assert run.code == 3
    assert run.err.count("Error: ") == 2  # one a source
    assert len(records(run.out)) < FRAMES


def test_frames_that_fail_have_a_record_in_the_files_of_the_video(
    posehg: Posehg, square: Path, walk: Path, tmp_path: Path
) -> None:
    rows = [f"walk.mp4,{frame},{'900' if frame == 5 else 30 + 11 * frame},60,100,100" for frame in range(FRAMES)]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,frame,x,y,w,h", *rows]))
    options = ("--out", tmp_path / "out", "--save", "json", "--boxes", tmp_path / "boxes.csv")
    run = posehg("predict", walk, "--model", square, *options)
    assert run.code == 3
    lines = records((tmp_path / "out" / "walk.jsonl").read_text())
    assert [line["frame"] for line in lines if line["error"]] == [5]
    assert len(lines) == FRAMES


def test_heatmaps_are_no_film(posehg: Posehg, square: Path, walk: Path) -> None:
    run = posehg("predict", walk, "-m", square, "--out", walk.with_name("x.mp4"), "--heatmaps", "all")
    run.assert_failed(2, "heatmaps are shown on a picture.")


# ---- cameras -----------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_a_camera_and_finishes_its_film(
    posehg: Posehg, square: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def camera(number: int) -> Iterator[Frame]:
        frame = 0
        while True:
            if frame == 7:
                os.kill(os.getpid(), signal.SIGINT)
            yield Frame(stubs.square_photo(100, 60, 100), frame, frame / RATE, RATE, None)
            frame += 1

    monkeypatch.setattr(video_inputs, "camera", camera)
    out = tmp_path / "out.mp4"
    run = posehg("predict", "webcam", "--model", square, "--out", out)
    assert (run.code, run.err) == (0, f"Wrote {out}\n")
    assert 5 <= len(read(out)) <= 12


def test_a_camera_that_is_not_there_is_an_input_error(posehg: Posehg, square: Path) -> None:
    run = posehg("predict", "webcam:99", "--model", square, "--json")
    assert run.code == 3
    assert "Camera 99 is not there" in run.err
