"""Files that results are written to.

A writer takes (path, result, overwrite) and writes the file of one picture, or of a frame of a video: whole or not at
all. What collects a run, or a video, is opened once and given its results one by one (see ``growing``). A video with
skeletons on it is written by ``video``, and which names files have is said by ``naming``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from posehg.io.writers import coco, crops, csv, heatmaps, image, json, npz, openpose
from posehg.io.writers.growing import Add, Collect
from posehg.io.writers.result import Found, Heatmaps, Look, Result

__all__ = ["COLLECTORS", "SAVES", "WRITERS", "Add", "Collect", "Found", "Heatmaps", "Look", "Result", "Save", "Writer"]

Writer = Callable[[Path, Result, bool], None]

WRITERS: dict[str, Writer] = {
    ".png": image.write,
    ".jpg": image.write,
    ".jpeg": image.write,
    ".webp": image.write,
    ".json": json.write,
    ".csv": csv.write,
    ".npz": npz.write,
}
"""--out FILE of one picture, by the suffix in small letters."""

COLLECTORS: dict[str, Collect] = {
    ".jsonl": json.lines,
    ".csv": csv.table,
    ".npz": npz.archive,
}
"""--out FILE of any number of pictures or frames, by the suffix in small letters."""


@dataclass(frozen=True)
class Save:
    """A kind of files that --save writes, and what follows a source's name in theirs.

    picture: writes the file of each picture. video: collects the file of each video; where there is none each frame has
    its own, as a picture. run: collects the one file of all; its name is its ending alone.
    """

    picture: tuple[str, Writer] | None = None
    video: tuple[str, Collect] | None = None
    run: tuple[str, Collect] | None = None


SAVES: dict[str, Save] = {
    "image": Save(picture=(".png", image.write)),
    "json": Save(picture=(".json", json.write), video=(".jsonl", json.lines)),
    "csv": Save(picture=(".csv", csv.write), video=(".csv", csv.table)),
    "npz": Save(picture=(".npz", npz.write), video=(".npz", npz.archive)),
    "coco": Save(run=("results.json", coco.results)),
    "openpose": Save(picture=("_keypoints.json", openpose.write)),
    "heatmaps": Save(picture=("_heatmaps.jpg", heatmaps.write)),
    "crops": Save(picture=(".jpg", crops.write)),
}
"""--save KIND,KIND. The frames of a video whose ``image`` is saved may become a video instead: video.SUFFIXES."""


def files_of(kind: str, path: Path, people: int) -> list[Path]:
    """The files that stand for a picture's path when so many people were found: crops are as many as they."""
    return [crops.of_person(path, number + 1) for number in range(people)] if kind == "crops" else [path]


def is_done(kind: str, path: Path) -> bool:
    """Whether an earlier run has written a picture's file; of crops, whose number nobody knows before, the first."""
    return (crops.of_person(path, 1) if kind == "crops" else path).exists()
