"""posehg predict on videos and cameras: streamed, tracked, written as files that play."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from posehg.io.frames import Frame, frames
from posehg.io.sources import expand
from posehg.io.writers import VideoWriter
from tests import stubs, video_files
from tests.journeys.conftest import Posehg
from tests.journeys.test_predict import records
from tests.results import result

FRAMES, RATE = 13, 10


def made(path: Path, images: list[np.ndarray]) -> Path:
    with VideoWriter(path) as writer:
        for frame, image in enumerate(images):
            writer.add(result(image=image, people=0, frame=frame, time=frame / RATE, fps=float(RATE)))
    return path


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """A white square, 100 pixels wide, that walks."""
    return made(tmp_path / "walk.mp4", [stubs.square_photo(30 + 11 * frame, 60, 100) for frame in range(FRAMES)])


def read(path: Path) -> list[np.ndarray]:
    [source] = expand([str(path)])
    return [frame.image for frame in frames(source)]


def ids(out: str) -> list[list[int]]:
    return [[person["id"] for person in line["people"]] for line in records(out)]


def test_a_person_is_tracked_with_one_id(posehg: Posehg, square: Path, walk: Path, tmp_path: Path) -> None:
    run = posehg("predict", walk, "--model", square, "--json", "--out", tmp_path / "joints.npz")
    assert run.code == 0, run.err
    lines = records(run.out)
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    np.testing.assert_allclose([line["time"] for line in lines], np.arange(FRAMES) / RATE, atol=0.011)
    assert ids(run.out) == [[1]] * FRAMES
    middles = [line["people"][0]["keypoints"][0][0] for line in lines]
    np.testing.assert_allclose(middles, [79.5 + 11 * frame for frame in range(FRAMES)], atol=6)
    with np.load(tmp_path / "joints.npz") as file:
        assert (file["tracks"].tolist(), file["frames"].tolist()) == ([1] * FRAMES, list(range(FRAMES)))
    options = ("--box", "30,60,100,100", "--smooth", "one-euro")  # the box of the first frame
    assert ids(posehg("predict", walk, "--model", square, "--json", *options).out) == [[1]] * FRAMES
    frames = [np.maximum(stubs.square_photo(30, 60, 100), 90 * (frame >= 4)).astype(np.uint8) for frame in range(7)]
    lit = made(tmp_path / "lit.mp4", frames)  # looks like a cut, which must not end the person of the box
    assert ids(posehg("predict", lit, "--model", square, "--json", *options).out) == [[1]] * 7
    still = made(tmp_path / "still.mp4", [stubs.square_photo(55 + frame % 3, 15, 210) for frame in range(7)])
    assert ids(posehg("predict", still, "--model", square, "--json", "--whole").out) == [[1]] * 7


def test_everyone_has_an_id_of_their_own(posehg: Posehg, square: Path, walk: Path) -> None:
    """To this network parts of a square are squares, too: several people."""
    found = ids(posehg("predict", walk, "--model", square, "--json", "--people", "all", "--end", "0.25").out)
    assert len(found[0]) > 1
    assert sorted(found[0]) == list(range(1, 1 + len(found[0])))
    assert all(len(set(frame)) == len(frame) for frame in found)


def test_boxes_of_frames_and_frames_that_fail(posehg: Posehg, square: Path, walk: Path, tmp_path: Path) -> None:
    rows = [f"walk.mp4,{frame},{'900' if frame == 6 else 30 + 11 * frame},60,100,100" for frame in range(0, FRAMES, 2)]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,frame,x,y,w,h", *rows]))
    options = ("--out", tmp_path / "out", "--save", "json", "--boxes", tmp_path / "boxes.csv")
    assert posehg("predict", walk, "--model", square, *options).code == 3
    lines = records((tmp_path / "out" / "walk.jsonl").read_text())
    assert [len(line["people"]) for line in lines] == [frame % 2 == 0 and frame != 6 for frame in range(FRAMES)]
    assert [line["frame"] for line in lines if line["error"]] == [6]


@pytest.mark.parametrize(("suffix", "beside"), [(".mp4", False), (".webm", True)])
def test_the_video_that_comes_out_plays(
    posehg: Posehg, square: Path, walk: Path, tmp_path: Path, suffix: str, beside: bool
) -> None:
    out = tmp_path / f"out{suffix}"
    run = posehg("predict", walk, "--model", square, "--out", out, *(["--side-by-side"] if beside else []))
    assert (run.code, run.out, run.err) == (0, "", f"Wrote {out}\n")
    before, after = read(walk), read(out)
    assert len(after) == len(before)
    assert after[0].shape == (240, 640 if beside else 320, 3)
    assert np.abs(after[5][:, -320:].astype(int) - before[5]).max() > 60


def test_a_video_that_may_show_several_people_is_colored_by_person_even_on_frames_of_one(
    posehg: Posehg, square: Path, walk: Path, tmp_path: Path
) -> None:
    def drawn(*options: str) -> np.ndarray:
        out = tmp_path / "out.mp4"
        run = posehg("predict", walk, "--model", square, "--out", out, "--overwrite", "--end", "0.35", *options)
        assert run.code == 0, run.err
        return np.array(read(out)).astype(int)

    for people, default in (("one", "limb"), ("all", "person")):
        plain = drawn("--people", people)
        for color in ("limb", "person"):
            difference = np.abs(drawn("--people", people, "--color", color) - plain).max()
            assert (difference < 30) == (color == default)


def test_a_folder_of_videos_and_images(posehg: Posehg, square: Path, walk: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("predict", walk, photo, "-m", square, "--out", out, "--save")
    run = posehg(*command, "image,json,openpose,coco")
    assert run.code == 0, run.err
    assert f"{FRAMES + 6} files" in run.err
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    of_frames = {f"openpose/walk_{frame:012d}_keypoints.json" for frame in range(FRAMES)}
    whole = {"image/walk.mp4", "image/photo.png", "json/walk.jsonl", "json/photo.json"}
    assert names == of_frames | whole | {"openpose/photo_keypoints.json", "coco/results.json"}
    found = [result["image_id"] for result in json.loads((out / "coco/results.json").read_text())]
    assert found == [*(f"walk_{frame:012d}" for frame in range(FRAMES)), "photo.png"]
    assert "2 of 2" in posehg(*command, "image,json,openpose,coco", "--skip-existing").err
    (out / "json" / "walk.jsonl").write_text("mine")
    assert posehg(*command, "image,json,csv", "--skip-existing").code == 0
    assert (out / "csv" / "walk.csv").is_file()
    assert (out / "json" / "walk.jsonl").read_text() == "mine"


def test_a_part_of_a_video(posehg: Posehg, square: Path, walk: Path) -> None:
    run = posehg("predict", walk, "--model", square, "--json", "--start", "0.35", "--end", "0:00.9")
    assert [line["frame"] for line in records(run.out)] == [4, 5, 6, 7, 8]
    out = walk.with_name("joints.csv")
    posehg("predict", walk, "--model", square, "--out", out, "--start", "5").assert_failed(3, str(walk))
    assert not out.exists()


def test_the_readable_part_of_a_broken_video_is_done(posehg: Posehg, square: Path, walk: Path, tmp_path: Path) -> None:
    long = made(tmp_path / "long.webm", [stubs.square_photo(30 + frame, 60, 100) for frame in range(40)])
    content = long.read_bytes()
    long.write_bytes(content[: len(content) * 2 // 3])
    run = posehg("predict", long, "--model", square, "--out", tmp_path / "out.mp4", "--json")
    assert run.code == 3
    lines = records(run.out)
    assert str(long) in lines[-1]["error"]
    assert 5 < len(lines) < 41
    assert len(read(tmp_path / "out.mp4")) == len(lines) - 1
    walk.write_bytes(walk.read_bytes()[:40])
    posehg("predict", walk, "--model", square, "--out", tmp_path / "none.mp4").assert_failed(3, str(walk))
    assert not (tmp_path / "none.mp4").exists()


def test_nobody_in_a_video_is_reported_once(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    path = made(tmp_path / "empty.mp4", [np.zeros((60, 80, 3), dtype=np.uint8)] * 3)
    run = posehg("predict", path, "--model", square, "--json", "--fail-if-empty")
    assert (run.code, len(records(run.out)), run.err.count(str(path))) == (4, 3, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((), "video"),
        (("--out", "x.png"), ".png"),
        (("--out", "x.mp4", "--background", "none"), "--background none"),
        (("--out", "-"), "--out -"),
        (("--out", "x.mp4", "--heatmaps", "all"), "heatmaps"),
    ],
)
def test_what_a_video_cannot_become(posehg: Posehg, walk: Path, options: tuple[str, ...], named: str) -> None:
    posehg("predict", walk, *options).assert_failed(2, named)
    assert list(walk.parent.iterdir()) == [walk]


def test_a_video_that_is_not_written(posehg: Posehg, square: Path, walk: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image").touch()
    run = posehg("predict", walk, photo, "-m", square, "--out", tmp_path / "out", "--save", "json,image", "--json")
    assert (run.code, run.err.count("Error: ")) == (3, 2)  # one a source
    assert len(records(run.out)) < FRAMES
    assert not list((tmp_path / "out" / "json").iterdir())


def test_ctrl_c_ends_a_camera(posehg: Posehg, square: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def camera(number: int) -> Iterator[Frame]:
        frame = 0
        while True:
            if frame == 7:
                os.kill(os.getpid(), signal.SIGINT)
            yield Frame(stubs.square_photo(100, 60, 100), frame, frame / RATE, RATE)
            frame += 1

    monkeypatch.setattr("posehg.io.frames.camera", camera)
    out = tmp_path / "out.mp4"
    run = posehg("predict", "webcam", "--model", square, "--out", out)
    assert (run.code, run.err) == (0, f"Wrote {out}\n")
    assert 5 <= len(read(out)) <= 12


def test_a_camera_that_is_missing_is_an_input_error(posehg: Posehg, square: Path) -> None:
    run = posehg("predict", "webcam:99", "--model", square, "--json")
    assert (run.code, "99" in run.err) == (3, True)


def test_an_animation_is_a_video_unless_the_output_holds_one_image(
    posehg: Posehg, square: Path, tmp_path: Path
) -> None:
    images = [Image.fromarray(stubs.square_photo(30 + 11 * frame, 60, 100)) for frame in range(4)]
    images[0].save(tmp_path / "walk.gif", save_all=True, append_images=images[1:], duration=100)
    predict = ("predict", tmp_path / "walk.gif", "--model", square)
    run = posehg(*predict, "--out", tmp_path / "drawn.mp4", "--json")
    assert (run.code, run.err.count("first of")) == (0, 0)
    assert [(line["frame"], line["time"]) for line in records(run.out)] == [(0, 0), (1, 0.1), (2, 0.2), (3, 0.3)]
    assert ids(run.out) == [[1]] * 4
    assert len(read(tmp_path / "drawn.mp4")) == 4
    for out in (("--out", tmp_path / "first.png"), ("--out", tmp_path / "first.json"), ()):
        run = posehg(*predict, *out)
        assert (run.code, run.err.count("walk.gif: the first of its 4 frames")) == (0, 1)
    run = posehg("predict", tmp_path / "walk.gif", tmp_path / "first.png", "--model", square, "--out", tmp_path / "out")
    assert run.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first.png", "walk.mp4"]


def test_a_few_damaged_frames_are_noted(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.avi", count=12, fps=5)
    images = path.read_bytes().split(b"\xff\xd8\xff")
    path.write_bytes(b"\xff\xd8\xff".join([*images[:4], bytes(200) + images[4][200:], *images[5:]]))
    run = posehg("predict", path, "--model", square, "--json")
    assert (run.code, run.err.count(" 1 of 12 ")) == (0, 1)
    lines = records(run.out)
    assert len(lines) == 11
    assert [round(5 * line["time"]) for line in lines] == [line["frame"] for line in lines]
