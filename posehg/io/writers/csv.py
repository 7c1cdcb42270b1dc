"""Joints as a table, one row each, for spreadsheets and statistics: comma-separated, UTF-8, with a header.

    source        the picture or video as it was given
    frame, time   of a video: the frame's number from 0 on and its time in seconds; empty for a picture
    person        counts the people of a picture or frame from 1 on
    id            of somebody who is followed through a video, else empty
    joint         its name
    x, y          pixels of the upright picture, pixel centres being integers
    score         of the joint, 0 .. 1
    person_score  of the person: the mean of the joints' scores

A picture without people has no row, nor has one that could not be read; both have their line in a .jsonl file. Read it:

    import csv
    import numpy as np

    with open("run.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrists = [row for row in rows if row["joint"] == "left_wrist"]
    points = np.array([(float(row["x"]), float(row["y"])) for row in wrists])  # (people, 2)

A byte of a file name that is not UTF-8 is written as backslash, u, dc and its two hexadecimal digits.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from posehg.io.writers import growing
from posehg.io.writers.growing import Add
from posehg.io.writers.json import pixels, score, seconds
from posehg.io.writers.result import Found

COLUMNS = ("source", "frame", "time", "person", "id", "joint", "x", "y", "score", "person_score")

Cell = str | int | float | None
"""None is an empty cell."""


@contextmanager
def table(path: Path, overwrite: bool = False) -> Iterator[Add]:
    """A .csv file, which appears when the block ends without error."""
    with growing.text(path, overwrite) as write_text:
        writer = csv.writer(SimpleNamespace(write=write_text), lineterminator="\n")
        writer.writerow(COLUMNS)
        yield lambda found: writer.writerows(rows(found))


write = growing.one(table)


def rows(found: Found) -> Iterator[list[Cell]]:
    """One a joint, in the order of COLUMNS. Raises ValueError for a number that is not finite."""
    time = None if found.time is None else seconds(found.time)
    for number, pose in enumerate(found.poses, start=1):
        head: list[Cell] = [found.source, found.frame, time, number, pose.id]
        for joint, (x, y), sure in zip(pose.skeleton.joints, pose.keypoints, pose.scores, strict=True):
            yield [*head, joint, pixels(x), pixels(y), score(sure), score(pose.score)]
