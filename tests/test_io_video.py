import itertools
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg.errors import InputError
from posehg.images import Image
from posehg.io.frames import Frame, frames
from posehg.io.sources import expand
from tests import video_files
from tests.video_files import image_of

ROOT = Path(__file__).parent.parent


def shown(path: Path, start: float = 0.0, end: float = float("inf")) -> list[Frame]:
    (source,) = expand([str(path)])
    assert source.kind == "video"
    return list(frames(source, start, end))


@pytest.mark.parametrize("suffix", video_files.CODECS)
def test_every_frame_comes_in_rgb_with_its_index_and_time(tmp_path: Path, suffix: str) -> None:
    found = shown(video_files.write(tmp_path / f"a{suffix}", count=21, fps=7))
    assert [frame.index for frame in found] == list(range(21))
    assert [frame.time for frame in found] == pytest.approx([number / 7 for number in range(21)], abs=0.001)
    assert found[0].fps == pytest.approx(7)
    for number, frame in enumerate(found):
        assert (frame.image.dtype, frame.image.shape) == (np.uint8, (48, 64, 3))
        assert frame.image.flags.c_contiguous
        assert np.abs(frame.image.astype(int) - image_of(number)).mean() < 8


def coded(
    path: Path, images: Iterable[Image], codec: str = "libx264", aspect: int = 1, form: str | None = None
) -> Path:
    """A video in HD's colours, with a keyframe every twelve frames. form: FFmpeg's name, if not by the suffix."""
    with av.open(str(path), "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=10, options={"g": "12", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.sample_aspect_ratio, stream.codec_context.colorspace = Fraction(aspect), 1  # BT.709
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "libvpx-vp9"])
def test_codecs_of_today_are_read_and_the_colours_of_hd_are_kept(tmp_path: Path, codec: str) -> None:
    image = np.full((48, 64, 3), (200, 60, 30), dtype=np.uint8)
    read = shown(coded(tmp_path / "a.mkv", [image] * 3, codec))
    assert len(read) == 3
    assert np.abs(read[0].image.astype(int) - image).max() < 8


@pytest.mark.parametrize("matrix", video_files.TURNS)
def test_a_video_of_a_turned_phone_is_upright(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = video_files.write(tmp_path / "a.mp4", count=2)
    video_files.turn(path, matrix)
    upright, image = video_files.TURNS[matrix](image_of(0)), shown(path)[0].image
    assert image.shape == upright.shape
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - upright).mean() < 8


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    assert shown(coded(tmp_path / "a.mp4", [image_of(0)], aspect=2))[0].image.shape == (48, 128, 3)


@pytest.mark.parametrize(("name", "number", "head"), [("a.mp4", 30, 0), ("a.flv", 0, 24), ("a.flv", 30, 24)])
def test_a_damaged_frame_is_left_out_and_the_others_keep_their_time(
    tmp_path: Path, name: str, number: int, head: int
) -> None:
    path = coded(tmp_path / name, map(image_of, range(60)))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        place, size = packet.pos + head, packet.size - head
    content = bytearray(path.read_bytes())
    content[place : place + size] = bytes(size)
    path.write_bytes(content)
    (source,) = expand([str(path)])
    notes: list[str] = []
    found = list(frames(source, note=notes.append))
    assert 48 <= len(found) < 60
    assert [frame.index for frame in found] == [round(10 * (frame.time or 0)) for frame in found]
    assert [f" {60 - len(found)} of 60 " in note for note in notes] == [True]
    assert found[-1].time == pytest.approx(5.9)


def test_times_are_those_of_the_frames_and_not_those_of_the_rate(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.mp4", count=7)
    video_files.retime(path, [40, 400, 33, 33, 500, 20, 100])
    times = [0, 0.04, 0.44, 0.473, 0.506, 1.006, 1.026]
    assert [frame.time for frame in shown(path)] == pytest.approx(times, abs=1e-3)
    assert [frame.index for frame in shown(path, 0.04, 0.506)] == [1, 2, 3]
    video_files.retime(path, [40, 400, 33, 33, 500, 20, 9000])  # a last frame that is shown long is no cut
    assert len(shown(path)) == 7
    for start, end in ((5, float("inf")), (0.1, 0.2)):
        with pytest.raises(InputError, match=f"{start:g}"):
            shown(path, start, end)


def test_times_that_do_not_increase_follow_the_rate(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.mp4", count=7)
    video_files.retime(path, [100, 0, 0, 300, 100, 100, 100])
    found = shown(path)
    assert [frame.time for frame in found] == pytest.approx([number / 10 for number in range(7)])
    assert found[0].fps == pytest.approx(10)


@pytest.mark.parametrize("suffix", [".avi", ".webm"])
def test_a_video_that_is_cut_short_gives_what_is_there_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = video_files.cut(video_files.write(tmp_path / f"a{suffix}", count=35, fps=7), 0.6)
    (source,) = expand([str(path)])
    found: list[Frame] = []
    with pytest.raises(InputError, match="cut short") as caught:
        found.extend(frames(source))
    assert str(path) in str(caught.value)
    assert "5.0 seconds" in str(caught.value)
    assert 5 <= len(found) <= 25


def half_of_an_mp4(path: Path) -> None:
    video_files.cut(video_files.write(path.with_suffix(".mp4"), count=23), 0.5).rename(path)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "no file"),
        (lambda path: path.write_text("words " * 99), "not"),
        (Path.touch, "not"),
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: video_files.write(path, count=0), "no frames"),
        (half_of_an_mp4, "cut short"),
        (sound_only, "no video"),
    ],
    ids=["missing", "text", "empty", "pipe", "no frames", "no index", "sound only"],
)
def test_a_video_that_cannot_be_read_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], object], what: str
) -> None:
    path = tmp_path / "holiday.avi"
    make(path)
    capfd.readouterr()
    with pytest.raises(InputError, match=what) as caught:
        shown(path)
    assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm"])
def test_damage_anywhere_gives_frames_or_an_input_error(tmp_path: Path, suffix: str) -> None:
    path = video_files.write(tmp_path / f"a{suffix}", count=5)
    whole, random = path.read_bytes(), np.random.default_rng(11)
    for _ in range(20):
        content = np.frombuffer(whole, dtype=np.uint8).copy()
        content[random.integers(0, len(content), 7)] = random.integers(0, 256, 7)
        path.write_bytes(content.tobytes())
        with suppress(InputError):
            shown(path)


class Capture:
    """cv2's camera, which gives three frames."""

    def __init__(self, *arguments: object) -> None:
        self.left, self.released = 3, False

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return self.left >= 0, image_of(0)[..., ::-1] if self.left >= 0 else None

    isOpened = set = lambda *arguments: True  # noqa: N815
    get = lambda *arguments: 30.0  # noqa: E731

    def release(self) -> None:
        self.released = True


def test_a_camera_gives_frames_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: capture)
    (source,) = expand(["webcam"])
    stream = frames(source)
    seen: list[Frame] = []
    with pytest.raises(InputError, match="3"):
        seen.extend(stream)
    assert capture.released
    assert [(frame.index, frame.fps) for frame in seen] == [(i, 30) for i in range(3)]
    assert all(one.time < other.time for one, other in itertools.pairwise(seen))  # type: ignore[operator]
    np.testing.assert_array_equal(seen[0].image, image_of(0))


def test_a_frame_that_is_lost_leaves_a_hole_and_many_are_an_error(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.avi", count=20, fps=7)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for lost in ([3], [3, 4, 11], range(4, 12)):
        content = bytearray(path.read_bytes())
        for place, size in (packets[number] for number in lost):
            content[place : place + size] = bytes(size)
        (tmp_path / "b.avi").write_bytes(content)
        (source,) = expand([str(tmp_path / "b.avi")])
        found, notes = list[Frame](), list[str]()
        with pytest.raises(InputError, match="third") if len(lost) > 6 else nullcontext():
            found.extend(frames(source, note=notes.append))
            assert [frame.index for frame in found] == [number for number in range(20) if number not in lost]
            assert [frame.time for frame in found] == pytest.approx([(frame.index or 0) / 7 for frame in found])
        assert f" {len(lost)} of 20 " in notes[0]


def test_a_part_of_an_mp4_that_is_not_to_be_shown_is_not_missed(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp4", map(image_of, range(40)))
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12  # how long and from where, in milliseconds and in ticks of 1/10240 second
    struct.pack_into(">Ii", content, place, 2000, 10240)
    path.write_bytes(content)
    found = shown(path)
    assert [frame.index for frame in found] == list(range(20))
    assert np.abs(found[0].image.astype(int) - image_of(10)).mean() < 8


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_an_animation_is_a_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    one, *others = [PillowImage.fromarray(image_of(30 * number)) for number in range(4)]
    one.save(path, save_all=True, append_images=others, duration=[100, 200, 50, 0])
    (source,) = expand([str(path)])
    assert source.kind == "animation"
    found = list(frames(source))
    assert [frame.time for frame in found] == pytest.approx([0, 0.1, 0.3, 0.35])
    for number, frame in enumerate(found):
        assert frame.index == number
        assert np.abs(frame.image.astype(int) - image_of(30 * number)).mean() < 8
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (source,) = expand([str(path)])
    with pytest.raises(InputError, match=path.name):
        list(frames(source))


@pytest.mark.parametrize(("count", "previews"), [(1, 0), (3, 0), (1, 2)])
def test_a_tiff_of_several_pages_is_read_with_a_note(tmp_path: Path, count: int, previews: int) -> None:
    pages = [PillowImage.fromarray(image_of(number)) for number in range(count + previews)]
    for number, page in enumerate(pages):
        page.encoderinfo = {"tiffinfo": {254: int(number >= count)}}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (source,) = expand([str(tmp_path / "a.tif")])
    notes: list[str] = []
    [frame] = frames(source, note=notes.append)
    np.testing.assert_array_equal(frame.image, image_of(0))
    assert len(notes) == (count > 1)


@pytest.mark.parametrize("name", ["a.ts", "a.gif", "a.dat", "a"])
@pytest.mark.parametrize("form", ["mpegts", "mp4", "matroska", "avi"])
def test_a_video_is_known_by_its_content(tmp_path: Path, name: str, form: str) -> None:
    assert len(shown(coded(tmp_path / name, [image_of(0)] * 3, form=form))) == 3
    [found] = expand([str(tmp_path)])
    assert bool(found.problem) == (name in ("a.dat", "a"))
