"""Videos that are written: right size, colours, times and sound, and whole or not there."""

from collections.abc import Iterable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from posehg.errors import InputError
from posehg.images import Image
from posehg.io.frames import frames as posehg_frames
from posehg.io.sources import expand
from posehg.io.writers import VIDEO_FILES, VideoWriter
from tests.results import failed, result

suffixes = pytest.mark.parametrize("suffix", VIDEO_FILES)


def shade(number: int, size: tuple[int, int] = (46, 62)) -> Image:
    """A frame of one colour, lighter with its number, reddish on the left and bluish on the right."""
    image = np.full((*size, 3), 40 + 10 * number, dtype=np.uint8)
    image[:, : size[1] // 2, 0] += 60
    image[:, size[1] // 2 :, 2] += 60
    return image


def write(
    path: Path,
    images: Iterable[Image] | None = None,
    times: Iterable[float] = range(99),
    fps: float = 7,
    source: str = "walk.mp4",
    **options: Any,
) -> Path:
    """A video of seven frames or of these images."""
    with VideoWriter(path, **options) as writer:
        frames = zip(images or map(shade, [0, 1, 2, 3, 4, 0, 1]), times, strict=False)
        for number, (image, time) in enumerate(frames):
            time = time / fps if isinstance(times, range) else time
            writer.add(result(source, people=0, image=image, frame=number, time=time, fps=fps))
    return path


def opened(path: Path) -> Any:
    return av.open(BytesIO(path.read_bytes()))


def frames(path: Path) -> list[Image]:
    return [frame.to_ndarray(format="rgb24") for frame in opened(path).decode(video=0)]


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
@pytest.mark.parametrize(
    ("fps", "expected"), [(7, 7), (29.97002997, 29.97), (1.5, 1.5), (float("nan"), 25), (0, 25), (90_000, 25)]
)
def test_the_rate_is_that_of_the_source_if_it_can_be(tmp_path: Path, suffix: str, fps: float, expected: float) -> None:
    path = write(tmp_path / f"a{suffix}", times=[number / expected for number in range(7)], fps=fps)
    assert float(opened(path).streams.video[0].average_rate) == pytest.approx(expected, rel=0.01)


@suffixes
@pytest.mark.parametrize("size", [(47, 61), (101, 17), (3, 97)])
def test_odd_sides_get_a_pixel_more(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    rows, columns = (max(16, side + side % 2) for side in size)
    read = frames(write(tmp_path / f"a{suffix}", [shade(number, size) for number in range(3)]))
    assert {frame.shape for frame in read} == {(rows, columns, 3)}
    assert np.abs(read[0][size[0] - 1 :, :8].astype(int) - shade(0, size)[-1, :8]).max() < 30  # its own border


def test_a_frame_of_another_size_is_stretched_to_the_first(tmp_path: Path) -> None:
    sizes = ((40, 80), (80, 40), (200, 400))
    read = frames(write(tmp_path / "a.mp4", [np.full((*size, 3), 200, dtype=np.uint8) for size in sizes]))
    assert [frame.shape for frame in read] == [(40, 80, 3)] * 3
    assert min(frame.min() for frame in read) > 180


@suffixes
def test_each_frame_has_its_own_time(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", times=[2.0, 2.1, 2.5, 2.5, 2.4, 3.7])  # two do not increase
    read = [frame.time for frame in opened(path).decode(video=0)]
    np.testing.assert_allclose(read, [0, 0.1, 0.5, 0.5, 0.5, 1.7], atol=0.003)
    assert read == sorted(set(read))


def test_frames_that_could_not_be_processed_are_left_out_and_without_any_there_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number in range(5):
            writer.add(failed() if number == 2 else result(image=shade(0), frame=number, time=number / 10, fps=10.0))
    assert writer.written == [tmp_path / "a.mp4"]
    assert len(frames(tmp_path / "a.mp4")) == 4
    with pytest.raises(InputError, match=r"b\.mp4"), VideoWriter(tmp_path / "b.mp4") as writer:
        writer.add(failed())
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


@pytest.mark.parametrize("name", ["кот и собака.mp4", "A.MP4", "x" * 200 + ".webm", "a\udcff.mp4", "a:b%03d [1].mp4"])
def test_a_video_of_any_name_is_written_and_read(tmp_path: Path, name: str) -> None:
    (source,) = expand([str(write(tmp_path / name))])
    assert len(list(posehg_frames(source))) == 7


RATE = 22_050
SOUNDS = {"aac": ("a.mp4", "libx264"), "pcm_s16le": ("a.mov", "libx264"), "libopus": ("a.webm", "libvpx")}


def with_sound(folder: Path, codec: str = "aac", delay: float = 0.0, missing: tuple[float, float] = (0.0, 0.0)) -> Path:
    """Three seconds of black at 25 frames a second, silent but for a beep from 1.5 to 1.6 s; all ``delay`` s late.

    missing: from when to when there is no sound.
    """
    name, codec_of_video = SOUNDS[codec]
    rate = 48_000 if codec == "libopus" else RATE
    with av.open(str(folder / name), "w") as container:
        video: Any = container.add_stream(codec_of_video, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = container.add_stream(codec, rate=rate)
        sound.codec_context.layout = "mono"
        for number in range(75):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(25 * delay), Fraction(1, 25)
            container.mux(video.encode(frame))
        seconds = np.arange(3 * rate) / rate
        wave = np.where((seconds >= 1.5) & (seconds < 1.6), 0.8 * np.sin(2 * np.pi * 997 * seconds), 0)
        for start in [at for at in range(0, len(wave), 1024) if not missing[0] <= at / rate < missing[1]]:
            piece = np.ascontiguousarray(wave[None, start : start + 1024], dtype=np.float32)
            samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = rate, start + round(rate * delay), Fraction(1, rate)
            container.mux(sound.encode(samples))
        for stream in (video, sound):
            container.mux(stream.encode())
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
    source, times = with_sound(tmp_path, codec, delay), [start + number / 25 for number in range(40)]
    path = write(tmp_path / f"out{suffix}", [shade(0)] * 40, times, 25, str(source))
    container = opened(path)
    assert container.streams.audio[0].codec_context.name == {".mp4": "aac", ".webm": "opus"}[suffix]
    assert container.duration / 1e6 == pytest.approx(1.6 if start < 1.8 else 1.4, abs=0.25)
    if start > 1.5:
        assert np.isnan(beep(path))  # the part that is kept is silent
    else:
        assert beep(path) == pytest.approx(1.5 - start, abs=0.02)


@suffixes
@pytest.mark.parametrize(("codec", "begin"), [("pcm_s16le", 0.0), ("libopus", 0.0), ("libopus", 0.4)])
def test_sound_that_starts_late_or_has_a_gap_stays_with_the_frames(
    tmp_path: Path, suffix: str, codec: str, begin: float
) -> None:
    source = with_sound(tmp_path, codec, missing=(begin, 1.2))
    path = write(tmp_path / f"out{suffix}", [shade(0)] * 60, fps=25, source=str(source))
    assert beep(path) == pytest.approx(1.5, abs=0.03)


@pytest.mark.parametrize("kind", ["silent", "no video", "missing", "cut"])
def test_a_source_without_sound_does_not_stop_the_video(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "a.mkv"
    if kind == "silent":
        source = write(tmp_path / "a.mp4")
    elif kind == "no video":
        source.write_bytes(b"no video at all" * 100)
    elif kind == "cut":
        source.write_bytes(with_sound(tmp_path).read_bytes()[:6000])
    assert len(frames(write(tmp_path / "out.mp4", source=str(source)))) == 7


def test_a_size_that_the_encoder_refuses_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wide\.mp4 cannot be written"):
        write(tmp_path / "wide.mp4", [np.zeros((16, 20_000, 3), np.uint8)])
    assert not list(tmp_path.iterdir())
