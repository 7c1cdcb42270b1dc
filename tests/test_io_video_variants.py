"""Videos as many programs write them: codecs, containers, turns, aspects, sound and damage, drawn by seeded chance.

What is read must be what was written, or the difference must be noted or an error.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posehg.errors import InputError
from posehg.images import Image
from posehg.io.frames import Frame, frames
from posehg.io.sources import expand
from tests.video_files import TURNS, turn

ROWS, COLUMNS, RATE = 48, 64, 2
COLOURS = np.array([(220, 40, 40), (40, 200, 40), (40, 60, 220), (230, 230, 230)])  # of the four quarters
ENCODERS = {
    "libx264": ("mp4 mov mkv avi ts flv", "yuv420p"),
    "libx265": ("mp4 mkv ts", "yuv420p"),
    "mpeg4": ("mp4 avi mkv 3gp", "yuv420p"),
    "libvpx": ("webm mkv", "yuv420p"),
    "libvpx-vp9": ("webm mp4", "yuv420p"),
    "libsvtav1": ("mp4 webm mkv", "yuv420p"),
    "mpeg2video": ("mpg ts", "yuv420p"),
    "mjpeg": ("avi mov", "yuvj420p"),
    "ffv1": ("mkv avi", "bgr0"),
    "prores_ks": ("mov", "yuv422p10le"),
    "wmv2": ("wmv", "yuv420p"),
    "gif": ("gif", "rgb8"),
}
FORMATS = {"mkv": "matroska", "ts": "mpegts", "mpg": "mpeg", "wmv": "asf"}
STATE_ASPECT = ("mp4", "mov")
STATE_DURATION = ("mp4", "mov", "mkv", "webm", "avi", "flv", "wmv", "3gp")  # else a cut cannot be seen
CHECKED = ("mp4", "mov", "mkv", "webm", "avi", "3gp")  # where and in which codecs packets of zeros can be told
MANY = 4  # of each codec in each container


@dataclass(frozen=True)
class Variant:
    """turn: one of TURNS. sound: none, longer or later. damage: none, packet (of zeros) or cut."""

    codec: str
    suffix: str
    seed: int
    count: int
    keys: int
    b_frames: int
    turn: tuple[int, int, int, int]
    aspect: Fraction
    sound: str
    damage: str

    def __str__(self) -> str:
        return f"{self.codec}-{self.suffix}-{self.seed}"


def variants() -> list[Variant]:
    found = []
    for codec, (suffixes, _) in ENCODERS.items():
        for suffix in suffixes.split():
            for seed in range(MANY):
                random = np.random.default_rng([seed, *f"{codec}{suffix}".encode()])
                one = lambda values, random=random: values[random.integers(len(values))]  # noqa: E731
                turns = list(TURNS) if suffix in ("mp4", "mov") else [(1, 0, 0, 1)]
                aspects = [Fraction(1), Fraction(1), Fraction(2), Fraction(4, 3), Fraction(1, 2)]
                sounds = ["none", "longer", "later"] if suffix in ("mp4", "mov", "mkv", "avi") else ["none"]
                damages = ["none", "none"] + ["cut"] * (suffix in STATE_DURATION)
                damages += ["packet"] * (suffix in CHECKED and codec != "ffv1")
                found.append(
                    Variant(
                        codec,
                        suffix,
                        seed,
                        count=int(random.integers(6, 13)),
                        keys=int(random.integers(2, 6)),
                        b_frames=int(random.integers(3)) if codec in ("libx264", "libx265") and suffix != "avi" else 0,
                        turn=one(turns),
                        aspect=one(aspects) if suffix in STATE_ASPECT else Fraction(1),
                        sound=one(sounds),
                        damage=one(damages),
                    )
                )
    return found


def image_of(number: int) -> Image:
    """Four quarters of different colours, and in the middle a gray that tells the number."""
    image = np.repeat(np.repeat(COLOURS.reshape(2, 2, 3), ROWS // 2, 0), COLUMNS // 2, 1).astype(np.uint8)
    image[16:32, 20:44] = 10 + 20 * number
    return image


def number_of(frame: Frame) -> int:
    rows, columns = frame.image.shape[:2]
    middle = frame.image[rows // 2 - 3 : rows // 2 + 3, columns // 2 - 3 : columns // 2 + 3]
    return round((float(middle.mean()) - 10) / 20)


def corners(image: Image) -> list[int]:
    """The numbers of the colours in the corners, row by row."""
    rows, columns = image.shape[:2]
    places = [(y, x) for y in (rows // 8, rows - rows // 8) for x in (columns // 8, columns - columns // 8)]
    seen = np.array([image[y - 2 : y + 2, x - 2 : x + 2].mean(axis=(0, 1)) for y, x in places])
    return [int(number) for number in np.abs(seen[:, None] - COLOURS).sum(axis=2).argmin(axis=1)]


def write(path: Path, variant: Variant) -> None:
    pixels = ENCODERS[variant.codec][1]
    options = {"g": str(variant.keys), **({"bf": str(variant.b_frames)} if variant.b_frames else {})}
    options |= {"x265-params": "log-level=none"} if variant.codec == "libx265" else {}
    with av.open(str(path), "w", format=FORMATS.get(variant.suffix, variant.suffix)) as container:
        stream: Any = container.add_stream(variant.codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, pixels
        stream.sample_aspect_ratio = variant.aspect
        if variant.codec != "libsvtav1":
            stream.bit_rate = 2_000_000
        sound: Any = None
        if variant.sound != "none":
            sound = container.add_stream("mp2" if variant.suffix == "avi" else "aac", rate=48_000)
            sound.codec_context.layout = "mono"
        seconds = {"longer": range(variant.count // RATE + 6), "later": range(1, variant.count // RATE)}
        later = iter(seconds.get(variant.sound, ()))
        for number in range(variant.count):
            frame = av.VideoFrame.from_ndarray(image_of(number), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            for second in later if number == variant.count - 1 else islice(later, number % RATE):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.int16), format="s16", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 48_000, 48_000 * second, Fraction(1, 48_000)
                container.mux(sound.encode(samples))
        for encoder in [stream, *([sound] if sound else [])]:
            container.mux(encoder.encode())
    if variant.turn != (1, 0, 0, 1):
        turn(path, variant.turn)


def harm(path: Path, variant: Variant) -> None:
    content = bytearray(path.read_bytes())
    if variant.damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    if variant.damage == "packet":
        with av.open(str(path)) as container:
            packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        place, size = packets[variant.seed % (variant.count - 1)]
        content[place : place + size] = bytes(size)
        path.write_bytes(content)


def read(path: Path) -> tuple[list[Frame], list[str]]:
    """The frames, and the notes or error."""
    (source,) = expand([str(path)])
    found, said = list[Frame](), list[str]()
    try:
        for frame in frames(source, note=said.append):
            found.append(frame)
    except InputError as error:
        said.append(str(error))
    return found, said


def opencv_count(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_what_is_read_is_what_was_written_or_the_difference_is_said(
    tmp_path: Path, variant: Variant, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{variant.suffix}"
    write(path, variant)
    harm(path, variant)
    capfd.readouterr()  # some encoders print
    found, said = read(path)
    assert capfd.readouterr().err == ""
    upright = TURNS[variant.turn](np.zeros((ROWS, round(COLUMNS * variant.aspect), 3), np.uint8))
    layout = corners(TURNS[variant.turn](image_of(0)))
    for frame in found:
        assert frame.image.shape == upright.shape
        assert corners(frame.image) == layout or said
        assert frame.index == round(RATE * (frame.time or 0))
        assert number_of(frame) == frame.index or said
    assert [frame.index for frame in found] == list(range(variant.count)) or said
    if variant.damage == "none":
        assert not said
        assert opencv_count(path) in (variant.count, 0)  # it lacks some codecs
    elif found:
        assert len(said) <= 2
