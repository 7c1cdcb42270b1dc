"""Videos by cv2, whose wheels have no H.264: MPEG-4 part 2 in .mp4, VP8 in .webm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from posehg.errors import InputError
from posehg.images import Image

_CODECS = {".mp4": "mp4v", ".webm": "VP80"}  # VP9 takes five times as long


class Cv2Encoder:
    """path: what errors call the file. size: (rows, columns), which every frame has: of another nothing is written."""

    def __init__(self, path: Path, temporary: Path, size: tuple[int, int], rate: float) -> None:
        code = _CODECS[path.suffix.lower()]
        self._path, self._temporary, self._count = path, temporary, 0
        with _silence():
            fourcc = cv2.VideoWriter.fourcc(*code)
            self._writer = cv2.VideoWriter(str(temporary), cv2.CAP_FFMPEG, fourcc, rate, size[::-1])
        if not self._writer.isOpened():
            hint = "Install PyAV: pipx inject posehg av, or pip install 'posehg[video]'"
            raise InputError(f"{path} cannot be written: this cv2 does not write {code} of that size.", hint)

    def add(self, image: Image, time: float | None) -> None:
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Raises InputError where less was written than was given: cv2 itself does not tell, as of a full disk."""
        self._writer.release()
        capture = cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # of a .webm from its length in seconds, and so not exact
        capture.release()
        if abs(count - self._count) > 1 + 0.01 * self._count:
            raise InputError(f"{self._path} cannot be written: it was not written to its end.", "Is the disk full?")


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing is printed by libraries: cv2 calls a .webm's code unsupported, and then writes it."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
