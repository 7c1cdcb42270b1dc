"""People in a table: a CSV file with a row for each person.

    image                   the image's file; the column may also be called file_name, filename, file or source
    x, y, w, h              the bounding box, from its top left corner; all four or none, also within a row;
                            or its corners: x1, y1, x2, y2, or xmin, ymin, xmax, ymax
    JOINT_x, JOINT_y        for each joint, as nose_x, nose_y; both are empty if it is not labelled
    JOINT_v                 0 not labelled, 1 hidden, 2 visible, as in COCO; without it a labelled joint is visible
    split                   train, val or another, in all rows or in none
    id                      names the person; by default the image and a number
    head_size               the unit of PCKh, in pixels
    area                    the unit of OKS: the area of the person's outline, in square pixels

Tables of ``posehg predict --save csv-wide`` are read, too: their columns bbox_x and so on are the box, and joints whose
JOINT_score is below 0.3 are not labelled; id, which numbers a video's tracks, is not read from them.

Only ``image`` and the joints are required; other columns are not read. Coordinates are zero-based pixels, (0, 0) is the
centre of the top left one. The separator is a comma, semicolon or tab, which Excel may name in a line ``sep=;`` above
the header; if it is not the comma, 1,5 is a number, as spreadsheets of many countries write it. A row without joints
and box means that nobody is in the image.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from itertools import chain
from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import box_of, decoded, entry, extent, image_name, keypoints_of, opened, positive
from posehg.errors import NotAvailable, UsageError
from posehg.files import BOX_COLUMNS, CORNERS, IMAGE_COLUMNS, box_columns, box_sides, table_start
from posehg.poses import THRESHOLD, Person
from posehg.skeletons import of_joints

_KNOWN = (*IMAGE_COLUMNS, *BOX_COLUMNS, *chain(*CORNERS), "split", "id", "head_size", "area")
_OF_PREDICT = {f"bbox_{side}": side for side in BOX_COLUMNS} | {"id": "track"}
_HINT = "The columns are image and JOINT_x, JOINT_y; optional are x, y, w, h, JOINT_v, split, id, head_size and area."


def read(path: Path, name: str, category: str = "", boxes: bool = False) -> Dataset:
    """Everyone in the table, on images named as in it; ``boxes`` has no effect, because each table has joints.

    Rows that make no sense are left out and ``malformed``. Raises NotAvailable for a file without such a header.
    """
    if category:
        raise UsageError(f"{path} is a table, which has no category {category!r}.", f"Name the file alone: {path}")
    notes: list[str] = []
    malformed: list[NotAvailable] = []
    with opened(path, "a CSV table") as file:
        text = decoded(path, file.getvalue(), notes)
        separator, start = table_start(text)
        lines = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    names = [cell.strip() for cell in next(iter(lines[start:]), [])]
    header = [name.lower() if name.lower() in _KNOWN else name for name in names]
    if called := [name for name in IMAGE_COLUMNS if name in header]:
        header = ["image" if name == called[0] else name for name in header]
    if set(_OF_PREDICT) <= set(header):
        header = [_OF_PREDICT.get(name, name) for name in header]
    with entry(path, "first row", _HINT):
        joints = _joints(header)
    people: dict[str, Person] = {}
    marks: dict[Path, str] = {}
    on_image: Counter[Path] = Counter()
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        with entry(path, f"row {number}", _HINT, malformed):
            if len(cells) < len(header) or any(cells[len(header) :]):  # Excel may add empty ones
                raise ValueError(f"it has {len(cells)} cells, the first row {len(header)}")
            row = dict(zip(header, cells, strict=False))
            image = image_name(row["image"])
            if "" in (row.get("split"), row.get("id")):
                raise ValueError("its cell of the column split or id is empty")
            if "split" in row and marks.setdefault(image, row["split"]) != row["split"]:
                raise ValueError(f"{image} is in {marks[image]} and in {row['split']}")
            on_image[image] += 1
            id = row.get("id") or f"{image.as_posix()}:{on_image[image]}"
            person = _person(id, row, image, joints, decimal_comma=separator != ",")
            if id in people:
                raise ValueError(f"another person has the id {id}")
            if person.box.w or np.isfinite(person.keypoints).any():
                people[id] = person
    images = {image.as_posix(): image for image in on_image}
    read = Dataset(name, "all", of_joints(name, joints), list(people.values()), note=" ".join(notes))
    return replace(read, images=images, marks=marks, malformed=malformed)


def _joints(header: Sequence[str]) -> tuple[str, ...]:
    """The joints that have columns. Raises ValueError if the header is incomplete or ambiguous."""
    joints = tuple(dict.fromkeys(name[:-2] for name in header if name[-2:] in ("_x", "_y", "_v") and name[:-2]))
    box = BOX_COLUMNS if set(BOX_COLUMNS) & set(header) else ()
    needed = ("image", *box, *(f"{joint}_{axis}" for joint in joints for axis in "xy"))
    if missing := [name for name in needed if name not in header]:
        raise ValueError(f"it has no column {' or '.join(missing)}")
    if twice := [name for name in needed if header.count(name) > 1]:
        raise ValueError(f"it has {header.count(twice[0])} columns {twice[0]}")
    if not joints:
        raise ValueError("it has no columns of joints")
    for joint in joints:
        if f"{joint}_w" in header:
            raise ValueError(f"{joint} looks like a box, whose columns are called x, y, w and h")
    return joints


def _person(id: str, row: Mapping[str, str], image: Path, joints: Sequence[str], decimal_comma: bool) -> Person:
    def number(column: str) -> float:
        """NaN for an empty cell and for a column that the table lacks."""
        text = row.get(column, "").replace(",", "." if decimal_comma else ",") or "nan"
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{text!r} in the column {column} is not a number") from None

    triples = []
    for joint in joints:
        x, y, v, score = (number(f"{joint}_{column}") for column in ("x", "y", "v", "score"))
        if math.isnan(x) != math.isnan(y):
            raise ValueError(f"{joint} has an x or a y, but not both")
        is_labelled = not (math.isnan(x) or score < THRESHOLD)
        triples.append((x, y, 2.0 * is_labelled if math.isnan(v) else v))
    keypoints, visible = keypoints_of(np.array(triples))
    columns, box = box_columns(row), None
    sides = box_sides(columns, *map(number, columns))
    if not np.isnan(sides).all():
        if np.isnan(sides).any() or 0 in sides[2:]:
            raise ValueError(f"a box has {', '.join(columns)}, and its width and height are above 0")
        box = box_of(*sides)
    head_size, area = (positive(number(what) if row.get(what) else None, what) for what in ("head_size", "area"))
    return Person(image, extent(box, keypoints), keypoints, visible, head_size, id, area=area)
