"""numpy's .npz: all people of one picture, or of a run, in one array, numbers as exact as they were.

    keypoints      (N, J, 2) float64  pixels of the upright picture, pixel centres being integers; N people
    scores         (N, J) float64     of the joints, 0 .. 1
    person_scores  (N,) float64
    boxes          (N, 4) float64     x, y, width and height of the square that the network looked at, in pixels
    tracks         (N,) int64         the ids of people who are followed through a video, else -1
    pictures       (N,) int64         on which picture somebody is: an index of the arrays below
    sources        (M,) text          every picture or frame, with people or without
    frames         (M,) int64         of a video, the frame's number from 0 on; -1 for a picture
    times          (M,) float64       of a video, seconds; NaN for a picture
    sizes          (M, 2) int64       rows and columns; 0, 0 where the picture could not be read
    errors         (M,) text          why it could not be read; empty where it could
    joints         (J,) text          names
    model          text               the name of the network
    posehg         int64              the version of this list, 1

Read it:

    import numpy as np

    with np.load("run.npz") as file:
        keypoints, pictures, sources = file["keypoints"], file["pictures"], file["sources"]
        wrist = file["joints"].tolist().index("left_wrist")
    for picture, source in enumerate(sources):
        people = keypoints[pictures == picture]  # (people, joints, 2)
        print(source, people[:, wrist])

Where each picture shows one person of a data set, and they are in its order, ``posehg eval --from run.npz`` scores it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TypeVar
from zipfile import ZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posehg.files import naming
from posehg.io.writers import growing
from posehg.io.writers.growing import Add
from posehg.io.writers.result import Found
from posehg.io.writers.spool import Rows, Texts, member, save_texts

VERSION = 1


@contextmanager
def archive(path: Path, overwrite: bool = False) -> Iterator[Add]:
    """An .npz file, which appears when the block ends without error. Until then its numbers wait on its own disk."""
    with growing.whole(path, overwrite) as temporary, ExitStack() as stack:
        with naming(path):
            columns = _Columns(path.parent, stack)

        def add(found: Found) -> None:
            with naming(path):
                columns.add(found)

        yield add
        with naming(path):
            columns.save(temporary)


write = growing.one(archive)

Column = TypeVar("Column", Rows, Texts)


class _Columns:
    """What has been added so far. folder: where it waits."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        def opened(column: Column) -> Column:
            return stack.enter_context(closing(column))

        kinds = {"keypoints": "<f8", "scores": "<f8", "person_scores": "<f8", "boxes": "<f8", "tracks": "<i8"}
        kinds |= {"pictures": "<i8", "frames": "<i8", "times": "<f8", "sizes": "<i8"}
        self._rows = {name: opened(Rows(folder, kind)) for name, kind in kinds.items()}
        self._texts = {name: opened(Texts(folder)) for name in ("sources", "errors")}
        self._joints: tuple[str, ...] = ()
        self._model = ""
        self._pictures = 0

    def add(self, found: Found) -> None:
        """Raises ValueError for a number that is not finite, and for other joints than those of the results before."""
        if self._pictures and found.skeleton.joints != self._joints:
            raise ValueError(f"Results of {len(found.skeleton.joints)} joints among those of {len(self._joints)}.")
        self._joints, self._model = found.skeleton.joints, found.model
        rows = self._rows
        for pose in found.poses:
            rows["keypoints"].add(_finite(pose.keypoints, (len(self._joints), 2)))
            rows["scores"].add(_finite(pose.scores, (len(self._joints),)))
            rows["person_scores"].add(_finite(pose.score, ()))
            rows["boxes"].add(_finite(pose.box.as_tuple(), (4,)))
            rows["tracks"].add(-1 if pose.id is None else pose.id)
            rows["pictures"].add(self._pictures)
        rows["frames"].add(-1 if found.frame is None else found.frame)
        rows["times"].add(math.nan if found.time is None else found.time)
        rows["sizes"].add(found.shape[:2] if found.shape else (0, 0))
        self._texts["sources"].add(found.source)
        self._texts["errors"].add(found.error or "")
        self._pictures += 1

    def save(self, path: Path) -> None:
        joints = len(self._joints)
        shapes = {"keypoints": (joints, 2), "scores": (joints,), "boxes": (4,), "sizes": (2,)}
        with ZipFile(path, "w") as file:
            for name, rows in self._rows.items():
                with member(file, name) as array:
                    rows.save(array, shapes.get(name, ()))
            for name, texts in self._texts.items():
                with member(file, name) as array:
                    texts.save(array)
            save_texts(file, "joints", self._joints)
            save_texts(file, "model", self._model)
            with member(file, "posehg") as array:
                np.lib.format.write_array(array, np.array(VERSION, dtype="<i8"), allow_pickle=False)


def _finite(values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise ValueError(f"Numbers of shape {numbers.shape}, or not finite, where finite ones of {shape} are due.")
    return numbers
