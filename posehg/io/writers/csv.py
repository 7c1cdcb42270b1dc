"""Joints as a table for spreadsheets and statistics: comma-separated, UTF-8, with a header.

In the long form, a row for each joint:

    source        the image or video as it was given
    frame, time   of a video, the number of the frame from 0 and its time in seconds; empty for an image
    person        numbers the people of an image or frame from 1
    id            the track id, in a video, else empty
    joint         its name
    x, y          pixels of the upright image; pixel centres are integers
    score         of the joint, 0 .. 1
    person_score  the mean of the person's joint scores
    bbox_x, bbox_y, bbox_w, bbox_h   the person's bounding box

In the wide form, a row for each person, with a column for each number:

    source, frame, time, person, id   as above
    score         the person's: the mean of the joint scores
    bbox_x, bbox_y, bbox_w, bbox_h
    right_ankle_x, right_ankle_y, right_ankle_score and so on, for each joint in the network's order

An image without people, or that could not be read, has no rows; it has a line in a .jsonl file. A
byte of a file name that is not UTF-8 is written as backslash, u, dc and its two hexadecimal digits.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from posehg.io.writers.json import rounded, sides, triples
from posehg.io.writers.writer import TextWriter
from posehg.poses import Pose, Result

if TYPE_CHECKING:
    from rich.table import Table


_HEAD = ("source", "frame", "time", "person", "id")
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")
COLUMNS = [*_HEAD, "joint", "x", "y", "score", "person_score", *_BOX]
"""Of the long form."""


class CsvWriter(TextWriter):
    """A row for each joint of each person."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rows = csv.writer(self, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, result: Result) -> None:
        self._rows.writerows(rows(result))


class WideCsvWriter(TextWriter):
    """A row for each person."""

    _is_empty = True

    def add(self, result: Result) -> None:
        rows = csv.writer(self, lineterminator="\n")
        if self._is_empty:
            of_joints = [f"{joint}_{part}" for joint in result.skeleton.joints for part in ("x", "y", "score")]
            rows.writerow([*_HEAD, "score", *_BOX, *of_joints])
            self._is_empty = False
        for head, pose in _people(result):
            numbers = [number for triple in triples(pose) for number in triple]
            rows.writerow([*head, rounded(pose.score, 4), *sides(pose.bbox), *numbers])


def rows(result: Result) -> Iterator[list[Any]]:
    """The cells of each row, one for each of COLUMNS; None is empty."""
    for head, pose in _people(result):
        for joint, triple in zip(pose.skeleton.joints, triples(pose), strict=True):
            yield [*head, joint, *triple, rounded(pose.score, 4), *sides(pose.bbox)]


def _people(result: Result) -> Iterator[tuple[tuple[Any, ...], Pose]]:
    """The cells of _HEAD for each person, and the person."""
    time = None if result.time is None else rounded(result.time, 4)
    for number, pose in enumerate(result.people, start=1):
        yield (result.source, result.frame, time, number, pose.id), pose


def joints_table(poses: Sequence[Pose], threshold: float) -> Table:
    """For the terminal, one line a joint: name, x and y in image pixels, score. Joints under the threshold are dim."""
    from rich import box
    from rich.table import Table

    table = Table("joint", box=box.SIMPLE_HEAD)
    for heading in ("x", "y", "score"):
        table.add_column(heading, justify="right")
    for number, pose in enumerate(poses, start=1):
        if len(poses) > 1:
            table.add_row(f"person {number if pose.id is None else pose.id}", "", "", f"{pose.score:.2f}", style="bold")
        for joint, (x, y), score in zip(pose.skeleton.joints, pose.keypoints, pose.scores, strict=True):
            style = None if score >= threshold else "dim"
            table.add_row(joint.replace("_", " "), f"{x:.1f}", f"{y:.1f}", f"{score:.2f}", style=style)
        table.add_section()
    return table
