"""Videos that are written: right size, colours, times and sound, and whole or not there."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.errors import InputError, UsageError
from posehg.images import Image
from posehg.io import video_writer
from tests.results import small_disk

suffixes = pytest.mark.parametrize("suffix", video_writer.SUFFIXES)


def shade(number: int, size: tuple[int, int] = (46, 62)) -> Image:
    """A frame of one colour, lighter with its number, reddish on the left and bluish on the right."""
    image = np.full((*size, 3), 40 + 10 * number, dtype=np.uint8)
    image[:, : size[1] // 2, 0] += 60
    image[:, size[1] // 2 :, 2] += 60
    return image


def write(
    path: Path, count: int = 7, rate: float = 7, size: tuple[int, int] = (46, 62), start: float = 0, **options: Any
) -> Path:
    with video_writer.create(path, rate, **options) as add:
        for number in range(count):
            add(shade(number % 5, size), start + number / rate)
    return path


def opened(path: Path) -> Any:
    return av.open(BytesIO(path.read_bytes()))


def frames(path: Path) -> list[Image]:
    return [frame.to_ndarray(format="rgb24") for frame in opened(path).decode(video=0)]


def times(path: Path) -> list[float]:
    return [frame.time for frame in opened(path).decode(video=0)]


@suffixes
def test_every_frame_is_there_in_its_colours_in_a_file_that_plays(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")
    read = frames(path)
    assert len(read) == 7
    for number, frame in enumerate(read):
        for part in (slice(8, 24), slice(38, 54)):  # away from the edge between the colours
            expected = shade(number % 5)[8:-8, part].mean(axis=(0, 1))
            np.testing.assert_allclose(frame[8:-8, part].mean(axis=(0, 1)), expected, atol=7)
    assert list(tmp_path.iterdir()) == [path]
    context = opened(path).streams.video[0].codec_context
    assert (context.name, context.pix_fmt) == ({".mp4": "h264", ".webm": "vp9"}[suffix], "yuv420p")
    content = path.read_bytes()
    assert suffix != ".mp4" or content.index(b"moov") < content.index(b"mdat")  # plays while it is downloaded


@suffixes
@pytest.mark.parametrize("rate", [7, 29.97002997, 23.976023976, 1.5])
def test_the_rate_is_that_of_the_source(tmp_path: Path, suffix: str, rate: float) -> None:
    path = write(tmp_path / f"a{suffix}", 11, rate)
    assert float(opened(path).streams.video[0].average_rate) == pytest.approx(rate, rel=0.01)


@suffixes
@pytest.mark.parametrize("size", [(47, 61), (101, 17), (3, 97)])
def test_odd_sides_get_a_pixel_more(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    rows, columns = (max(16, side + side % 2) for side in size)
    assert {frame.shape for frame in frames(write(tmp_path / f"a{suffix}", size=size))} == {(rows, columns, 3)}


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40))
def test_a_frame_is_made_larger_by_its_own_border(rows: int, columns: int) -> None:
    image = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    size = max(16, rows + rows % 2), max(16, columns + columns % 2)
    whole = video_writer.fitted(image, size)
    assert whole.shape == (*size, 3)
    np.testing.assert_array_equal(whole[:rows, :columns], image)
    assert (whole[rows:, :columns] == image[-1]).all()


def test_a_frame_of_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    with video_writer.create(tmp_path / "a.mp4", 7) as add:
        for size in ((40, 80), (80, 40), (200, 400)):
            add(np.full((*size, 3), 200, dtype=np.uint8), None)
    read = frames(tmp_path / "a.mp4")
    assert [frame.shape for frame in read] == [(40, 80, 3)] * 3
    assert read[1][20, 40].min() > 180
    assert read[1][20, 10].max() < 30  # beside the tall one
    assert read[2].min() > 180


@suffixes
@pytest.mark.parametrize(
    ("given_times", "expected"),
    [
        ([2.0, 2.1, 2.5, 2.5, 2.4, 3.7], [0, 0.1, 0.5, 0.5, 0.5, 1.7]),  # two do not increase
        ([None] * 5, [0, 0.125, 0.25, 0.375, 0.5]),
    ],
)
def test_each_frame_has_its_own_time(
    tmp_path: Path, suffix: str, given_times: list[float | None], expected: list[float]
) -> None:
    with video_writer.create(tmp_path / f"a{suffix}", 8) as add:
        for number, time in enumerate(given_times):
            add(shade(number), time)
    read = times(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(read, expected, atol=0.003)
    assert read == sorted(set(read))


@suffixes
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), InputError("x")])
def test_a_video_that_is_stopped_leaves_nothing(tmp_path: Path, suffix: str, stop: BaseException) -> None:
    def run() -> None:
        with video_writer.create(tmp_path / f"a{suffix}", 7) as add:
            add(shade(1), 0)
            assert not (tmp_path / f"a{suffix}").exists()
            raise stop

    with pytest.raises(type(stop)) as caught:
        run()
    assert caught.value is stop
    assert not list(tmp_path.iterdir())


@suffixes
def test_a_full_disk_is_an_input_error_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (5, 200, 200, 3), dtype=np.uint8)

    def run() -> None:
        with video_writer.create(tmp_path / f"a{suffix}", 7) as add:
            for number in range(60):
                add(noise[number % 5], number / 7)

    with small_disk(20_000), pytest.raises(InputError, match=rf"a\{suffix}"):
        run()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "rate"), [("a.mp4", 0), ("a.mp4", float("nan")), ("a.mp4", 90_000), ("a.avi", 7), ("a.mp4.txt", 7)]
)
def test_impossible_rates_and_other_kinds_of_video_are_refused(tmp_path: Path, name: str, rate: float) -> None:
    with pytest.raises((UsageError, InputError), match=name), video_writer.create(tmp_path / name, rate):
        pytest.fail("the work has begun")


def test_a_video_without_frames_and_one_that_exists_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.mp4"), video_writer.create(tmp_path / "a.mp4", 7):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        write(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "mine"
    assert len(frames(write(tmp_path / "a.mp4", overwrite=True))) == 7


@pytest.mark.parametrize("name", ["кот и собака.mp4", "A.MP4", "x" * 200 + ".webm", "a\udcff.mp4", "a:b%03d.mp4"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    assert len(frames(write(tmp_path / name))) == 7


# ---- sound ---------------------------------------------------------------------------------------------------------

RATE = 22_050
SOUNDS = {"aac": ("a.mp4", "libx264"), "pcm_s16le": ("a.mov", "libx264"), "libopus": ("a.webm", "libvpx")}


def with_sound(folder: Path, codec: str = "aac", delay: float = 0.0) -> Path:
    """Three seconds of black at 25 frames a second, silent but for a beep from 1.5 to 1.6 s; all ``delay`` s late."""
    name, codec_of_video = SOUNDS[codec]
    rate = 48_000 if codec == "libopus" else RATE
    container = av.open(str(folder / name), "w")
    video: Any = container.add_stream(codec_of_video, rate=25)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    sound: Any = container.add_stream(codec, rate=rate)
    sound.codec_context.layout = "mono"
    for number in range(75):
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
        frame.pts, frame.time_base = number + round(25 * delay), Fraction(1, 25)
        container.mux(video.encode(frame))
    seconds = np.arange(3 * rate) / rate
    wave = np.where((seconds >= 1.5) & (seconds < 1.6), 0.8 * np.sin(2 * np.pi * 997 * seconds), 0).astype(np.float32)
    for start in range(0, len(wave), 1024):
        piece = np.ascontiguousarray(wave[None, start : start + 1024])
        samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = rate, start + round(rate * delay), Fraction(1, rate)
        container.mux(sound.encode(samples))
    for stream in (video, sound):
        container.mux(stream.encode())
    container.close()
    return folder / name


def beep(path: Path) -> float:
    """When it is first loud, in seconds; NaN where it never is."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    for frame in opened(path).decode(audio=0):
        for piece in resampler.resample(frame):
            loud = np.flatnonzero(np.abs(piece.to_ndarray()[0]) > 0.3)
            if len(loud):
                return float(piece.time + loud[0] / RATE)
    return float("nan")


@suffixes
@pytest.mark.parametrize("codec", SOUNDS)
@pytest.mark.parametrize(("start", "delay"), [(0.0, 0.0), (1.0, 2.0), (1.8, 0.0)])
def test_the_sound_stays_with_the_frames(tmp_path: Path, suffix: str, codec: str, start: float, delay: float) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, 40, 25, start=start, sound_of=with_sound(tmp_path, codec, delay))
    container = opened(path)
    assert container.streams.audio[0].codec_context.name == {".mp4": "aac", ".webm": "opus"}[suffix]
    assert container.duration / 1e6 == pytest.approx(1.6 if start < 1.8 else 1.4, abs=0.25)
    if start > 1.5:
        assert np.isnan(beep(path))  # the part that is kept is silent
    else:
        assert beep(path) == pytest.approx(1.5 - start, abs=0.02)


def test_sound_that_fits_is_copied_as_it_is(tmp_path: Path) -> None:
    source = with_sound(tmp_path)
    path = write(tmp_path / "out.mp4", 75, 25, sound_of=source)
    before, after = (
        [bytes(packet) for packet in opened(file).demux(audio=0) if packet.size] for file in (source, path)
    )
    assert len(after) >= len(before) - 2  # nothing is heard of what is at the very ends
    assert any(before[start : start + len(after)] == after for start in range(3))


@pytest.mark.parametrize("kind", ["silent", "no video", "missing", "cut"])
def test_a_source_without_sound_does_not_stop_the_video(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "a.mkv"
    if kind == "silent":
        source = write(tmp_path / "a.mp4")
    elif kind == "no video":
        source.write_bytes(b"no video at all" * 100)
    elif kind == "cut":
        source.write_bytes(with_sound(tmp_path).read_bytes()[:6000])
    assert len(frames(write(tmp_path / "out.mp4", sound_of=source))) == 7
