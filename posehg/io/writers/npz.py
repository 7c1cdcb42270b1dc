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
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike

from posehg.files import naming
from posehg.io.writers.writer import FileWriter
from posehg.poses import Result

_OF_PERSON = ("keypoints", "scores", "person_scores", "boxes", "tracks", "pictures")
_OF_IMAGE = ("sources", "errors", "frames", "times", "sizes")
_WHOLE_NUMBERS = ("tracks", "pictures", "sources", "errors", "frames", "sizes")  # texts are numbered: most are repeated


class NpzWriter(FileWriter):
    """An archive of all results, which are of networks with the same joints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._columns: dict[str, IO[bytes]] = {}
        with naming(self.path):
            for name in (*_OF_PERSON, *_OF_IMAGE):  # each waits in a file, so that memory does not grow
                self._columns[name] = self.stack.enter_context(TemporaryFile(dir=self.path.parent))  # noqa: SIM115
        self._texts: dict[str, dict[str, int]] = {"sources": {}, "errors": {}}
        self._joints: tuple[str, ...] = ()
        self._model = ""
        self._people = self._images = 0

    def add(self, result: Result) -> None:
        self._joints, self._model = result.skeleton.joints, result.model
        sources, errors = self._texts["sources"], self._texts["errors"]
        source = sources.setdefault(result.source, len(sources))
        error = errors.setdefault(result.error or "", len(errors))
        frame = -1 if result.frame is None else result.frame
        time = math.nan if result.time is None else result.time
        with naming(self.path):
            for pose in result.poses:
                track = -1 if pose.id is None else pose.id
                row = (pose.keypoints, pose.scores, pose.score, pose.box.as_tuple(), track, self._images)
                self._append(_OF_PERSON, row)
            self._append(_OF_IMAGE, (source, error, frame, time, result.size or (0, 0)))
        self._people += len(result.poses)
        self._images += 1

    def _append(self, names: Sequence[str], row: Sequence[ArrayLike]) -> None:
        for name, value in zip(names, row, strict=True):
            self._columns[name].write(np.asarray(value, dtype=_dtype(name)).tobytes())

    def finish(self) -> None:
        joints = len(self._joints)
        of_row = {"keypoints": (joints, 2), "scores": (joints,), "boxes": (4,), "sizes": (2,)}
        arrays: dict[str, Any] = {"joints": np.array(self._joints, np.str_), "model": self._model, "posehg": 1}
        for name, column in self._columns.items():
            column.flush()
            values = np.memmap(column, _dtype(name), "r") if column.tell() else np.empty(0, _dtype(name))
            arrays[name] = values.reshape(self._images if name in _OF_IMAGE else self._people, *of_row.get(name, ()))
            if name in self._texts:
                arrays[name] = np.array([*self._texts[name], ""])[arrays[name]]
        with open(self.temporary, "wb") as file:
            np.savez_compressed(file, **arrays)


def _dtype(column: str) -> str:
    return "<i8" if column in _WHOLE_NUMBERS else "<f8"
