"""numpy's .npz: all people of an image, or of a run, in one array, with all digits.

    keypoints      (N, J, 2) float64  pixels of the upright image; pixel centres are integers; N people
    scores         (N, J) float64     of the joints, 0 .. 1
    person_scores  (N,) float64
    boxes          (N, 4) float64     x, y, width and height of the person's bounding box, in pixels
    crops          (N, 4) float64     and of the square that the network saw
    tracks         (N,) int64         track ids in videos, else -1
    images         (N,) int64         the image that a person is in: an index of the arrays below
    sources        (M,) text          every image or frame, with people or without
    frames         (M,) int64         of a video, the number of the frame from 0; -1 for an image
    times          (M,) float64       of a video, seconds; NaN for an image
    sizes          (M, 2) int64       rows and columns; 0, 0 if the image could not be read
    errors         (M,) text          why there are no poses; empty without an error
    joints         (J,) text          names
    model          text               the name of the network
    posehg         int64              the version of this list, 1

``keypoints[images == m]`` are the people in image or frame m. ``posehg eval --from run.npz`` scores the file on the
data set whose images these are.
"""

import math
from typing import Any

import numpy as np

from posehg.io.writers.writer import FileWriter
from posehg.poses import Result


class NpzWriter(FileWriter):
    """An archive of all results, which are of networks with the same joints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._people = bytearray()  # rows of 500 bytes: numpy arrays of each person would take ten times as much
        self._images: list[tuple[Any, ...]] = []
        self._joints: tuple[str, ...] = ()
        self._model = ""

    def add(self, result: Result) -> None:
        self._joints, self._model = result.skeleton.joints, result.model
        for pose in result.people:
            track = -1 if pose.id is None else pose.id
            boxes, place = (tuple(pose.bbox), tuple(pose.crop)), (track, len(self._images))
            row = (pose.keypoints, pose.scores, pose.score, *boxes, *place)
            self._people += np.array(row, dtype=self._person()).tobytes()
        frame = -1 if result.frame is None else result.frame
        time = math.nan if result.time is None else result.time
        self._images.append((result.source, frame, time, result.size or (0, 0), result.error or ""))

    def _person(self) -> np.dtype[np.void]:
        joints = len(self._joints)
        parts = [("keypoints", "<f8", (joints, 2)), ("scores", "<f8", joints), ("person_scores", "<f8")]
        return np.dtype([*parts, ("boxes", "<f8", 4), ("crops", "<f8", 4), ("tracks", "<i8"), ("images", "<i8")])

    def finish(self) -> None:
        dtype = self._person()
        people = np.frombuffer(self._people, dtype)
        sources, frames, times, sizes, errors = zip(*self._images, strict=True) if self._images else ((),) * 5
        arrays: dict[str, Any] = {name: people[name] for name in dtype.names or ()}
        arrays |= {"frames": np.array(frames, "<i8"), "times": np.array(times, "<f8")}
        arrays |= {"sizes": np.array(sizes, "<i8").reshape(-1, 2), "posehg": 1}
        texts = {"sources": sources, "errors": errors, "joints": self._joints, "model": self._model}
        arrays |= {name: np.array(text, np.str_) for name, text in texts.items()}
        with open(self.temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
