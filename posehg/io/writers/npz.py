"""numpy's .npz: all people of an image, or of a run, in one array, with all digits.

    keypoints      (N, J, 2) float64  pixels of the upright image; pixel centres are integers; N people
    scores         (N, J) float64     of the joints, 0 .. 1
    person_scores  (N,) float64
    boxes          (N, 4) float64     x, y, width and height of the square that the network saw, in pixels
    tracks         (N,) int64         track ids in videos, else -1
    pictures       (N,) int64         the image that a person is on: an index of the arrays below
    sources        (M,) text          every image or frame, with people or without
    frames         (M,) int64         of a video, the number of the frame from 0; -1 for an image
    times          (M,) float64       of a video, seconds; NaN for an image
    sizes          (M, 2) int64       rows and columns; 0, 0 if the image could not be read
    errors         (M,) text          why there are no poses; empty without an error
    joints         (J,) text          names
    model          text               the name of the network
    posehg         int64              the version of this list, 1

To read it:

    import numpy as np

    with np.load("run.npz") as file:
        keypoints, pictures, sources = file["keypoints"], file["pictures"], file["sources"]
        wrist = file["joints"].tolist().index("left_wrist")
    for picture, source in enumerate(sources):
        people = keypoints[pictures == picture]  # (people, joints, 2)
        print(source, people[:, wrist])

``posehg eval --from run.npz`` scores the file on the data set whose images these are.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import ArrayLike

from posehg.files import naming
from posehg.io.writers.writer import FileWriter
from posehg.poses import Result

VERSION = 1

_IN_MEMORY = 1 << 20  # bytes; what a column has beyond them waits in a temporary file beside the archive
_CHUNK = 4096  # texts that are written at a time

_COLUMNS = {
    **{"keypoints": "<f8", "scores": "<f8", "person_scores": "<f8", "boxes": "<f8", "tracks": "<i8", "pictures": "<i8"},
    **{"sources": "<i8", "frames": "<i8", "times": "<f8", "sizes": "<i8", "errors": "<i8"},
}
"""The arrays with a row for each person, and those with a row for each image. Texts are numbered: most are repeated."""

_TEXTS = ("sources", "errors")


class NpzWriter(FileWriter):
    """An archive of all results. All must be of networks with the same joints."""

    def begin(self) -> None:
        super().begin()
        self._stack = ExitStack()
        self._columns: dict[str, IO[bytes]] = {
            name: self._stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self.path.parent)))  # noqa: SIM115
            for name in _COLUMNS
        }
        self._texts: dict[str, dict[str, int]] = {name: {} for name in _TEXTS}
        self._joints: tuple[str, ...] = ()
        self._model = ""
        self._people = self._images = 0

    def add(self, result: Result) -> None:
        if self._images and result.skeleton.joints != self._joints:
            raise ValueError(f"Results of {len(result.skeleton.joints)} joints among those of {len(self._joints)}.")
        self._joints, self._model = result.skeleton.joints, result.model
        with naming(self.path):
            for pose in result.poses:
                self._append("keypoints", pose.keypoints)
                self._append("scores", pose.scores)
                self._append("person_scores", pose.score)
                self._append("boxes", pose.box.as_tuple())
                self._append("tracks", -1 if pose.id is None else pose.id)
                self._append("pictures", self._images)
            self._append("frames", -1 if result.frame is None else result.frame)
            self._append("times", math.nan if result.time is None else result.time)
            self._append("sizes", result.size or (0, 0))
            for name, text in zip(_TEXTS, (result.source, result.error or ""), strict=True):
                self._append(name, self._texts[name].setdefault(text, len(self._texts[name])))
        self._people += len(result.poses)
        self._images += 1

    def _append(self, column: str, row: ArrayLike) -> None:
        self._columns[column].write(np.asarray(row, dtype=_COLUMNS[column]).tobytes())

    def finish(self) -> None:
        joints = len(self._joints)
        of_person = {"keypoints": (joints, 2), "scores": (joints,), "boxes": (4,)}
        with ZipFile(self.temporary, "w") as archive:
            for name, column in self._columns.items():
                column.seek(0)
                if name in _TEXTS:
                    self._write_texts(archive, name, column)
                    continue
                rows = self._images if name in ("frames", "times", "sizes") else self._people
                shape = (rows, 2) if name == "sizes" else (rows, *of_person.get(name, ()))
                with _member(archive, name) as file:
                    _write_header(file, _COLUMNS[name], shape)
                    shutil.copyfileobj(column, file)
            for name, value in {"joints": self._joints, "model": self._model, "posehg": VERSION}.items():
                array = np.array(value, dtype="<i8" if name == "posehg" else np.str_)
                with _member(archive, name) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        self._stack.close()

    def _write_texts(self, archive: ZipFile, name: str, column: IO[bytes]) -> None:
        texts = list(self._texts[name])
        dtype = f"<U{max(map(len, texts), default=0) or 1}"
        with _member(archive, name) as file:
            _write_header(file, dtype, (self._images,))
            while numbers := column.read(8 * _CHUNK):
                file.write(np.array([texts[number] for number in np.frombuffer(numbers, "<i8")], dtype).tobytes())

    def discard(self) -> None:
        self._stack.close()
        super().discard()


@contextmanager
def _member(archive: ZipFile, name: str) -> Iterator[IO[bytes]]:
    entry = ZipInfo(f"{name}.npy")  # without the time, so that equal results are equal bytes
    entry.compress_type = ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as file:
        yield file


def _write_header(file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    header: dict[str, Any] = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
