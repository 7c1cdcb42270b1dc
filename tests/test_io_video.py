from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from posehg.errors import InputError
from posehg.io import CutShort, Frame, each, expand, frames, video
from tests import video_files
from tests.video_files import picture

ROOT = Path(__file__).parent.parent


def shown(path: Path) -> list[Frame]:
    (source,) = expand([str(path)])
    assert source.kind == "video"
    return list(frames(source))


def first_image(path: Path) -> np.ndarray:
    return shown(path)[0].image


@pytest.mark.parametrize("suffix", video_files.CODECS)
def test_every_frame_of_a_video_comes_in_rgb_with_its_number_and_time(tmp_path: Path, suffix: str) -> None:
    found = shown(video_files.write(tmp_path / f"a{suffix}", count=23, fps=7))
    assert [frame.frame for frame in found] == list(range(23))
    assert [frame.time for frame in found] == pytest.approx([number / 7 for number in range(23)], abs=0.001)
    for number, frame in enumerate(found):
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        far = np.abs(frame.image.astype(int) - picture(number))
        assert far.shape == (48, 64, 3)
        assert far.mean() < 8


def test_a_video_says_how_long_it_is_and_how_fast(tmp_path: Path) -> None:
    clip = shown(video_files.write(tmp_path / "a.mp4", count=21, fps=7))[0].clip
    assert clip is not None
    assert (clip.fps, clip.duration) == (pytest.approx(7), pytest.approx(3))


@pytest.mark.parametrize("degrees", video_files.QUARTERS)
def test_a_video_of_a_turned_phone_is_upright(tmp_path: Path, degrees: int) -> None:
    path = video_files.write(tmp_path / "a.mp4", count=2)
    video_files.turn(path, degrees)
    upright = np.rot90(picture(0), -degrees // 90)
    image = first_image(path)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 8


def test_times_are_those_of_the_frames_and_not_those_of_the_rate(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.mp4", count=7)
    video_files.retime(path, [40, 400, 33, 33, 500, 20, 100])
    assert [frame.time for frame in shown(path)] == pytest.approx([0, 0.04, 0.44, 0.473, 0.506, 1.006, 1.026], abs=1e-3)


class Capture:
    """cv2's reader, with a video made up: when each frame is shown, in milliseconds, and what the file says."""

    def __init__(self, times: list[float], fps: float, count: float, opened: bool = True) -> None:
        self.times, self.fps, self.count, self.opened = times, fps, count, opened
        self.place = -1
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.place += 1
        there = self.place < len(self.times)
        return there, picture(self.place) if there else None

    def get(self, what: int) -> float:
        return {
            cv2.CAP_PROP_FPS: self.fps,
            cv2.CAP_PROP_FRAME_COUNT: self.count,
            cv2.CAP_PROP_POS_MSEC: self.times[min(max(self.place, 0), len(self.times) - 1)] if self.times else 0.0,
        }[what]

    def set(self, what: int, value: float) -> bool:
        return False

    def release(self) -> None:
        self.released = True


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Path, Capture]]:
    def fake(times: list[float], fps: float, count: float = 0, opened: bool = True) -> tuple[Path, Capture]:
        capture = Capture(times, fps, count, opened)
        monkeypatch.setattr(cv2, "VideoCapture", lambda *arguments: capture)
        (tmp_path / "a.mp4").write_bytes(b"anything")
        return tmp_path / "a.mp4", capture

    return fake


Fake = Callable[..., tuple[Path, Capture]]


@pytest.mark.parametrize("fps", [0.0, float("nan"), -1.0, float("inf")])
def test_a_video_without_rate_and_times_still_has_growing_times(faked: Fake, fps: float) -> None:
    path, _ = faked([0.0] * 5, fps, count=-9e18)
    found = shown(path)
    assert [frame.time for frame in found] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert found[0].clip is not None
    assert (found[0].clip.fps, found[0].clip.duration) == (None, None)


def test_times_that_go_back_or_stand_still_are_not_believed(faked: Fake) -> None:
    path, _ = faked([0, 100, 50, 100, 400, float("nan")], fps=10)
    assert [frame.time for frame in shown(path)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_frames_are_read_as_they_are_asked_for(faked: Fake) -> None:
    path, capture = faked([40.0 * number for number in range(1000)], fps=25)
    (source,) = expand([str(path)])
    stream = frames(source)
    assert [frame.frame for frame in itertools.islice(stream, 3)] == [0, 1, 2]
    assert capture.place == 2
    stream.close()  # type: ignore[attr-defined]
    assert capture.released


# ---- what is wrong with a video ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".avi", ".webm"])
def test_a_video_that_is_cut_short_gives_what_is_there_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = video_files.cut(video_files.write(tmp_path / f"a{suffix}", count=35, fps=7), 0.6)
    *found, (_, end) = each(expand([str(path)]))
    assert isinstance(end, CutShort)
    assert re.fullmatch(rf"{path} ends after \d\.\d of 5\.0 seconds: it was cut short\.", str(end))
    assert 5 <= len(found) <= 25


def test_a_little_less_than_promised_is_not_cut_short(faked: Fake) -> None:
    assert len(shown(faked([100.0 * number for number in range(92)], fps=10, count=100)[0])) == 92
    with pytest.raises(CutShort):
        shown(faked([100.0 * number for number in range(88)], fps=10, count=100)[0])


def test_a_video_whose_index_is_cut_off_is_an_input_error(tmp_path: Path) -> None:
    path = video_files.cut(video_files.write(tmp_path / "a.mp4", count=23), 0.5)
    with pytest.raises(InputError, match="not a video that can be read, or was cut short") as caught:
        shown(path)
    assert not isinstance(caught.value, CutShort)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.write_bytes(b""), "not a video that can be read"),
        (lambda path: path.write_text("words " * 99), "not a video that can be read"),
        (lambda path: path.symlink_to("nowhere.avi"), "is a link to nowhere.avi, which is not there"),
        (lambda path: path.symlink_to(path.name), "cannot be read"),
        (lambda path: os.mkfifo(path), "is not a file"),
        (lambda path: video_files.write(path, count=0), "has no frames"),
    ],
    ids=["missing", "empty", "text", "broken link", "link to itself", "pipe", "no frames"],
)
def test_a_video_that_cannot_be_read_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "holiday.avi"
    make(path)
    with pytest.raises(InputError, match=reason) as caught:
        shown(path)
    assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_video_that_may_not_be_read_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By hand, as nothing is forbidden to root.
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = video_files.write(tmp_path / "a.avi", count=2)
    monkeypatch.setattr(video, "open", refuse, raising=False)
    with pytest.raises(InputError, match="may not be read"):
        shown(path)


@pytest.mark.parametrize(
    "name", ["a b.avi", "фильм.avi", "я" * 120 + ".avi", "a\udcff.avi", "a:b%03d [1].avi", "01.avi"]
)
def test_a_video_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    video_files.write(Path("plain.avi"), count=3).rename(name)
    assert len(shown(Path(name))) == 3


@pytest.mark.parametrize("suffix", video_files.CODECS)
def test_damage_anywhere_gives_frames_or_an_input_error(tmp_path: Path, suffix: str) -> None:
    whole = video_files.write(tmp_path / f"a{suffix}", count=5).read_bytes()
    path = tmp_path / f"damaged{suffix}"
    random = np.random.default_rng(11)
    for _ in range(20):
        content = np.frombuffer(whole, dtype=np.uint8).copy()
        places = random.integers(0, len(content), 7)
        content[places] = random.integers(0, 256, 7)
        path.write_bytes(content.tobytes())
        *_, (source, end) = each(expand([str(path)]))
        assert isinstance(end, Frame) or source.name in str(end)


def test_ffmpeg_says_nothing_on_its_own(tmp_path: Path) -> None:
    # In a process of its own, as FFmpeg asks once how much it is to say.
    path = video_files.cut(video_files.write(tmp_path / "a.mp4", count=23), 0.5)
    code = f"from posehg.io import *; print([str(end) for _, end in each(expand([{str(path)!r}, 'webcam:99']))])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stderr == ""
    assert "not a video" in run.stdout
    assert "Camera 99 is not there" in run.stdout


# ---- cameras -------------------------------------------------------------------------------------------------------


def test_a_camera_that_is_not_there_is_an_input_error(capfd: pytest.CaptureFixture[str]) -> None:
    (source,) = expand(["webcam:97"])
    with pytest.raises(InputError, match="Camera 97 is not there"):
        next(frames(source))
    assert capfd.readouterr() == ("", "")


def test_a_camera_gives_frames_until_it_goes_away(faked: Fake) -> None:
    _, capture = faked([0.0, 0.0, 0.0], fps=30)
    *found, (_, end) = each(expand(["webcam"]))
    assert str(end) == "Camera 0 stopped after 3 frames."
    seen = [frame for _, frame in found if isinstance(frame, Frame)]
    assert [frame.frame for frame in seen] == [0, 1, 2]
    assert all(one.time < other.time for one, other in itertools.pairwise(seen))
    assert seen[0].clip is not None
    assert seen[0].clip.duration is None
    assert capture.released
