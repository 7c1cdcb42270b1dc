"""Videos that are written: right size, colours, time and sound, and whole or not there."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.errors import InputError, UsageError
from posehg.images import Image
from posehg.io import video_writer as video
from tests.results import small_disk

SIZE = (46, 62)


@pytest.fixture(params=["av", "cv2"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the video is written with."""
    if request.param == "av":
        pytest.importorskip("av")
    else:
        monkeypatch.setattr(video, "keeps_sound", lambda: False)
    return str(request.param)


suffixes = pytest.mark.parametrize("suffix", video.SUFFIXES)


def shade(number: int, size: tuple[int, int] = SIZE) -> Image:
    """A frame of one colour, lighter with its number, reddish on the left and bluish on the right."""
    image = np.full((*size, 3), 40 + 10 * number, dtype=np.uint8)
    image[:, : size[1] // 2, 0] += 60
    image[:, size[1] // 2 :, 2] += 60
    return image


def write(path: Path, count: int = 7, rate: float = 7, size: tuple[int, int] = SIZE) -> None:
    with video.create(path, rate) as add:
        for number in range(count):
            add(shade(number, size), number / rate)


def frames(path: Path) -> list[Image]:
    capture, read = cv2.VideoCapture(str(path)), []
    while (answer := capture.read())[0]:
        read.append(answer[1][..., ::-1])
    return read


@suffixes
def test_every_frame_is_there_in_its_colours(tmp_path: Path, library: str, suffix: str) -> None:
    write(tmp_path / f"a{suffix}")
    read = frames(tmp_path / f"a{suffix}")
    assert len(read) == 7
    for number, frame in enumerate(read):
        for part in (slice(8, 24), slice(38, 54)):  # away from the edge between the colours
            expected = shade(number)[8:-8, part].mean(axis=(0, 1))
            np.testing.assert_allclose(frame[8:-8, part].mean(axis=(0, 1)), expected, atol=7)
    assert list(tmp_path.iterdir()) == [tmp_path / f"a{suffix}"]


@suffixes
@pytest.mark.parametrize("rate", [7, 29.97002997, 23.976023976, 59.94005994, 1.5])
def test_the_rate_is_that_of_the_source(tmp_path: Path, library: str, suffix: str, rate: float) -> None:
    write(tmp_path / f"a{suffix}", 11, rate)
    assert cv2.VideoCapture(str(tmp_path / f"a{suffix}")).get(cv2.CAP_PROP_FPS) == pytest.approx(rate, rel=0.01)


@suffixes
@pytest.mark.parametrize("size", [(46, 62), (47, 62), (46, 61), (47, 61), (101, 17), (3, 97)])
def test_odd_sides_get_a_pixel_more_and_nothing_is_cut_off(
    tmp_path: Path, library: str, suffix: str, size: tuple[int, int]
) -> None:
    write(tmp_path / f"a{suffix}", size=size)
    read = frames(tmp_path / f"a{suffix}")
    rows, columns = (max(16, side + side % 2) for side in size)
    assert [frame.shape for frame in read] == [(rows, columns, 3)] * 7


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40))
def test_a_frame_is_made_larger_by_its_own_border(rows: int, columns: int) -> None:
    image = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    size = max(16, rows + rows % 2), max(16, columns + columns % 2)
    whole = video.fitted(image, size)
    assert whole.shape == (*size, 3)
    np.testing.assert_array_equal(whole[:rows, :columns], image)
    assert (whole[rows:, :columns] == image[-1]).all()


def test_a_frame_of_another_size_is_fitted_into_the_first(tmp_path: Path, library: str) -> None:
    with video.create(tmp_path / "a.mp4", 7) as add:
        for size in ((40, 80), (80, 40), (200, 400)):
            add(np.full((*size, 3), 200, dtype=np.uint8), None)
    read = frames(tmp_path / "a.mp4")
    assert [frame.shape for frame in read] == [(40, 80, 3)] * 3
    assert read[1][20, 40].min() > 180
    assert read[1][20, 10].max() < 30  # beside the tall one
    assert read[2].min() > 180


@suffixes
@pytest.mark.parametrize("stop", [KeyboardInterrupt, InputError("x"), OSError("elsewhere")])
def test_a_film_that_is_stopped_leaves_nothing(
    tmp_path: Path, library: str, suffix: str, stop: BaseException | type[BaseException]
) -> None:
    def run() -> None:
        with video.create(tmp_path / f"a{suffix}", 7) as add:
            add(shade(1), 0)
            assert not (tmp_path / f"a{suffix}").exists()
            raise stop

    with pytest.raises(stop if isinstance(stop, type) else type(stop)) as caught:
        run()
    assert caught.value is stop or isinstance(stop, type)
    assert not list(tmp_path.iterdir())


def test_a_film_without_frames_is_no_film(tmp_path: Path, library: str) -> None:
    with (
        pytest.raises(InputError, match=r"a\.mp4 is not written: there was no frame"),
        video.create(tmp_path / "a.mp4", 7),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_replaced_only_where_that_is_allowed(tmp_path: Path, library: str) -> None:
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "mine"
    with video.create(tmp_path / "a.mp4", 7, overwrite=True) as add:
        add(shade(1), None)
    assert len(frames(tmp_path / "a.mp4")) == 1


@pytest.mark.parametrize("rate", [0, -25, float("nan"), float("inf"), 90_000])
def test_a_rate_that_is_none_is_told(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InputError, match="are no rate of a video"), video.create(tmp_path / "a.mp4", rate):
        pytest.fail("the work has begun")


@pytest.mark.parametrize("name", ["a.avi", "a", "a.mp4.txt"])
def test_other_kinds_of_video_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.mp4 or \.webm"), video.create(tmp_path / name, 7):
        pytest.fail("the work has begun")


@pytest.mark.parametrize("name", ["кот и собака.mp4", "A.MP4", "x" * 200 + ".webm"])
def test_any_name_will_do(tmp_path: Path, library: str, name: str) -> None:
    write(tmp_path / name)
    assert len(frames(tmp_path / name)) == 7


def test_a_folder_whose_name_is_not_utf8_is_told(tmp_path: Path, library: str) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this disk has UTF-8 names only")
    with pytest.raises(InputError, match="not UTF-8"):
        write(folder / "a.mp4")
    assert not list(folder.iterdir())


@suffixes
def test_nothing_is_printed(tmp_path: Path, library: str, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")


@suffixes
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, library: str, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (5, 200, 200, 3), dtype=np.uint8)

    def run() -> None:
        with video.create(tmp_path / f"a{suffix}", 7) as add:
            for number in range(60):
                add(noise[number % 5], number / 7)

    with small_disk(20_000), pytest.raises(InputError, match=rf"a\{suffix} cannot be written"):
        run()
    assert not list(tmp_path.iterdir())


# ---- what PyAV does alone ----------------------------------------------------------------------------------------


@pytest.fixture
def av() -> Any:
    return pytest.importorskip("av")


def test_videos_are_of_the_kinds_that_play_everywhere(tmp_path: Path, av: Any) -> None:
    for suffix, codec in ((".mp4", "h264"), (".webm", "vp9")):
        write(tmp_path / f"a{suffix}")
        stream = av.open(str(tmp_path / f"a{suffix}")).streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == (codec, "yuv420p")
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays while it is still loaded


@suffixes
def test_each_frame_has_its_own_time(tmp_path: Path, av: Any, suffix: str) -> None:
    times = [2.0, 2.1, 2.5, 2.5, 2.4, 3.7]  # two that do not grow
    with video.create(tmp_path / f"a{suffix}", 10) as add:
        for number, time in enumerate(times):
            add(shade(number), time)
    read = [frame.time for frame in av.open(str(tmp_path / f"a{suffix}")).decode(video=0)]
    np.testing.assert_allclose(read, [0, 0.1, 0.5, 0.5, 0.5, 1.7], atol=0.003)
    assert read == sorted(set(read))


def test_frames_without_times_follow_the_rate(tmp_path: Path, av: Any) -> None:
    with video.create(tmp_path / "a.mp4", 8) as add:
        for number in range(5):
            add(shade(number), None)
    read = [frame.time for frame in av.open(str(tmp_path / "a.mp4")).decode(video=0)]
    np.testing.assert_allclose(read, np.arange(5) / 8, atol=1e-4)


RATE = 22_050


def with_sound(av: Any, path: Path, codec: str, picture: str, delay: float = 0.0) -> Path:
    """Three seconds of black at 25 frames a second, silent but for a beep from 1.5 to 1.6 s; all ``delay`` s late."""
    rate = 48_000 if codec == "libopus" else RATE
    container = av.open(str(path), "w")
    film = container.add_stream(picture, rate=25)
    film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
    sound = container.add_stream(codec, rate=rate)
    sound.codec_context.layout = "mono"
    for number in range(75):
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
        frame.pts, frame.time_base = number + round(25 * delay), Fraction(1, 25)
        container.mux(film.encode(frame))
    times = np.arange(3 * rate) / rate
    wave = np.where((times >= 1.5) & (times < 1.6), 0.8 * np.sin(2 * np.pi * 997 * times), 0).astype(np.float32)
    for start in range(0, len(wave), 1024):
        piece = np.ascontiguousarray(wave[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start + round(rate * delay), Fraction(1, rate)
        container.mux(sound.encode(frame))
    for stream in (film, sound):
        container.mux(stream.encode())
    container.close()
    return path


def beep(av: Any, path: Path) -> float:
    """When it is first loud, in seconds; NaN where it never is."""
    container = av.open(str(path))
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    for frame in container.decode(audio=0):
        for piece in resampler.resample(frame):
            loud = np.flatnonzero(np.abs(piece.to_ndarray()[0]) > 0.3)
            if len(loud):
                return float(piece.time + loud[0] / RATE)
    return float("nan")


SOUNDS = {"aac": ("a.mp4", "libx264"), "pcm_s16le": ("a.mov", "libx264"), "libopus": ("a.webm", "libvpx")}


@suffixes
@pytest.mark.parametrize("codec", SOUNDS)
@pytest.mark.parametrize(("first", "delay"), [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0)])
def test_the_sound_stays_with_the_pictures(
    tmp_path: Path, av: Any, suffix: str, codec: str, first: float, delay: float
) -> None:
    name, picture = SOUNDS[codec]
    source = with_sound(av, tmp_path / name, codec, picture, delay)
    with video.create(tmp_path / f"out{suffix}", 25, sound_of=source) as add:
        for number in range(40):
            add(shade(number % 5), first + number / 25)
    container = av.open(str(tmp_path / f"out{suffix}"))
    assert container.streams.audio[0].codec_context.name == {".mp4": "aac", ".webm": "opus"}[suffix]
    assert container.duration / 1e6 == pytest.approx(1.6, abs=0.08)
    assert beep(av, tmp_path / f"out{suffix}") == pytest.approx(1.5 - first, abs=0.02)


def test_sound_of_another_part_is_left_out(tmp_path: Path, av: Any) -> None:
    source = with_sound(av, tmp_path / "a.mp4", "aac", "libx264")
    for first in (0.0, 1.8):
        path = tmp_path / f"out{first}.mp4"
        with video.create(path, 25, sound_of=source) as add:
            for number in range(20):
                add(shade(number % 5), first + number / 25)
        assert np.isnan(beep(av, path))


def test_sound_that_fits_is_copied_as_it_is(tmp_path: Path, av: Any) -> None:
    source = with_sound(av, tmp_path / "a.mp4", "aac", "libx264")
    with video.create(tmp_path / "out.mp4", 25, sound_of=source) as add:
        for number in range(75):
            add(shade(number % 5), number / 25)
    before, after = (
        [bytes(packet) for packet in av.open(str(path)).demux(audio=0) if packet.size]
        for path in (source, tmp_path / "out.mp4")
    )
    assert len(after) >= len(before) - 2  # nothing is heard of what is at the very ends
    assert any(before[start : start + len(after)] == after for start in range(3))


@pytest.mark.parametrize("kind", ["silent", "no video", "missing", "cut"])
def test_a_source_without_sound_does_not_stop_the_film(tmp_path: Path, av: Any, kind: str) -> None:
    source = tmp_path / "a.mkv"
    if kind == "silent":
        source = tmp_path / "a.mp4"
        write(source)
    elif kind == "no video":
        source.write_bytes(b"no video at all" * 100)
    elif kind == "cut":
        with_sound(av, source, "aac", "libx264")
        source.write_bytes(source.read_bytes()[:6000])
    with video.create(tmp_path / "out.mp4", 7, sound_of=source) as add:
        for number in range(7):
            add(shade(number), number / 7)
    assert len(frames(tmp_path / "out.mp4")) == 7


def test_without_pyav_there_is_a_film_without_sound(tmp_path: Path, av: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = with_sound(av, tmp_path / "a.mp4", "aac", "libx264")
    assert video.keeps_sound()
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    assert not video.keeps_sound()
    with video.create(tmp_path / "out.mp4", 7, sound_of=source) as add:
        add(shade(1), 0)
    assert not av.open(str(tmp_path / "out.mp4")).streams.audio
