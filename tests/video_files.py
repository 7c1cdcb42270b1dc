"""Small videos, and what phones and bad connections do to them. Grey tells the frame, a white corner what is up."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from posehg.images import Image

SIZE = (48, 64)
"""Rows, columns."""

CODECS = {".avi": "MJPG", ".mp4": "mp4v", ".webm": "VP80"}

TURNS: dict[tuple[int, int, int, int], Callable[[Image], Image]] = {
    (1, 0, 0, 1): lambda image: image,
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
    (0, -1, 1, 0): lambda image: np.rot90(image, 1),
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (0, 1, 1, 0): lambda image: image.swapaxes(0, 1),
}
"""The first numbers a, b, c, d of an MP4's matrix, and what it does: shown x = a x + c y, shown y = b x + d y."""


def image_of(number: int, size: tuple[int, int] = SIZE) -> Image:
    """RGB: the top left quarter white, the rest dark red, and the lighter the later."""
    rows, columns = size
    image = np.zeros((rows, columns, 3), dtype=np.uint8)
    image[..., 0] = 7 * number % 256
    image[: rows // 2, : columns // 2] = 255
    return image


def write(path: Path, count: int, fps: float = 7, size: tuple[int, int] = SIZE) -> Path:
    """A video of ``image_of(0)`` and so on; its suffix is one of CODECS."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODECS[path.suffix]), fps, size[::-1])
    assert writer.isOpened()
    for number in range(count):
        writer.write(image_of(number, size)[..., ::-1])
    writer.release()
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Make an MP4 say, as phones do, that its frames are to be turned or mirrored."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (number * 0x10000 for number in matrix)
    struct.pack_into(">9i", content, content.index(b"tkhd") + 4 + 24 + 16, a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(content)


def retime(path: Path, durations: Sequence[int]) -> None:
    """Make the frames of an MP4 last as given, in milliseconds: the index lies at the file's end and may grow."""
    content = path.read_bytes()
    entries = b"".join(struct.pack(">2I", 1, duration) for duration in durations)
    table = struct.pack(">I4s2I", 16 + len(entries), b"stts", 0, len(durations)) + entries
    begin = content.index(b"stts") - 4
    (length,) = struct.unpack_from(">I", content, begin)
    changed = bytearray(content[:begin] + table + content[begin + length :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = changed.index(box, content.index(b"moov")) - 4
        (size,) = struct.unpack_from(">I", changed, place)
        struct.pack_into(">I", changed, place, size + len(table) - length)
    # Ticks a second of the frames' own clock, and how many of them there are.
    struct.pack_into(">2I", changed, changed.index(b"mdhd") + 4 + 12, 1000, sum(durations))
    edits = changed.find(b"edts")
    if edits >= 0:  # what says that the old length is to be shown
        changed[edits : edits + 4] = b"free"
    path.write_bytes(changed)


def cut(path: Path, part: float) -> Path:
    """The first part of a file, as another one; of an MP4 without its index, which lies at the end."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    return path
