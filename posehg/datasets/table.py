"""People in a table: a CSV file with a row for each person.

    image                   the picture's file
    x, y, w, h              the person's box, from its top left corner; all four or none, also in a single row
    JOINT_x, JOINT_y        for each joint, as nose_x, nose_y; both empty where it is not labelled
    JOINT_v                 0 not labelled, 1 hidden, 2 visible, as COCO has it; without it a labelled joint is visible
    split                   train, val or another, in all rows or in none
    id                      names the person; without it the picture does, with a number
    head_size               the unit of PCKh, in pixels
    area                    the unit of OKS: of the person's outline, in square pixels

All but ``image`` and the joints may be left out, and other columns are not read. Places are zero-based pixels, (0, 0)
the middle of the top left one. Cells are parted by comma, semicolon or tab; where it is not the comma, 1,5 is a number,
as spreadsheets of many countries write it. A row without joints and box says that nobody is to be seen.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import numpy as np

from posehg.datasets.annotated import Annotated, area_of, box_of, extent, keypoints_of, mark, picture_name, wrong
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import of_joints

_BOX = ("x", "y", "w", "h")
_KNOWN = ("image", *_BOX, "split", "id", "head_size", "area")
_LONG = ("split", "head_size", "area")
"""Of the known columns those that nothing else is nearly called; uid and idx are columns of other people's."""
_HINT = (
    "The columns are image, and NAME_x and NAME_y of each joint; x, y, w, h, NAME_v, split, id, head_size, area may be."
)

Row = Mapping[str, str]


@dataclass(frozen=True)
class _Table:
    """joints: the names. rows: the number of each as a spreadsheet shows it, and its cells by column.

    comma: whether a number may have a decimal comma.
    """

    joints: tuple[str, ...]
    rows: Sequence[tuple[int, Row]]
    comma: bool


def read(path: Path, name: str) -> Annotated:
    """name: of a new skeleton. Raises NotAvailable, naming file and row, for what cannot be read."""
    table = _parse(path, _text(path))
    people: dict[str, Person] = {}
    marks: dict[Path, str] = {}
    pictures: dict[str, Path] = {}
    on_picture: Counter[Path] = Counter()
    for number, row in table.rows:
        try:
            picture = picture_name(row["image"])
            pictures[picture.as_posix()] = picture
            if "split" in row:
                mark(marks, picture, _split(row))
            on_picture[picture] += 1
            person = _person(picture, row, table, on_picture[picture])
            if person.id in people:
                raise ValueError(f"another person has the id {person.id}")
        except ValueError as error:
            raise wrong(path, f"row {number}", error, _HINT) from None
        if person.box.w or np.isfinite(person.keypoints).any():
            people[person.id] = person
    return Annotated.of(of_joints(name, table.joints), list(people.values()), pictures, marks)


# ---- the table ---------------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        hint = "Save it as CSV in UTF-8."
        raise NotAvailable(f"{path} is not a table of text in UTF-8.", hint) from None
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None


def _parse(path: Path, text: str) -> _Table:
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        lines = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise NotAvailable(f"{path} is not a CSV file, or was cut short ({error}).", _HINT) from None
    header = [_column(cell) for cell in lines[0]] if lines else []
    joints = _joints(path, header)
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in cells):
            if len(cells) != len(header):
                raise wrong(path, f"row {number}", f"it has {len(cells)} cells, the first row {len(header)}", _HINT)
            rows.append((number, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    return _Table(joints, rows, comma=separator != ",")


def _column(cell: str) -> str:
    """Capitals do not matter but in the names of joints."""
    name = cell.strip()
    if name.lower() in _KNOWN:
        return name.lower()
    return name[:-2] + name[-2:].lower() if name[-2:].lower() in ("_x", "_y", "_v", "_w", "_h") else name


def _joints(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """Raises NotAvailable for a header that misses something or can be meant in two ways."""

    def refused(what: str) -> NotAvailable:
        return NotAvailable(f"{path}: {what}.", _HINT)

    twice = [name for name, times in Counter(header).items() if times > 1 and name]
    if twice:
        raise refused(f"two columns are called {twice[0]}")
    if "image" not in header:
        raise refused("it has no column image" if header else "it is empty")
    box = [name for name in _BOX if name in header]
    if box and len(box) < len(_BOX):
        raise refused(f"of a box it has the columns {', '.join(box)} only")
    stems = dict.fromkeys(name[:-2] for name in header if name[-2:] in ("_x", "_y", "_v") and name not in _KNOWN)
    joints = tuple(stem for stem in stems if stem)
    if not joints:
        raise refused("it has no columns of joints")
    for joint in joints:
        for axis in "xy":
            if f"{joint}_{axis}" not in header:
                raise refused(f"the joint {joint} has no column {joint}_{axis}")
        if {f"{joint}_w", f"{joint}_h"} & set(header):
            raise refused(f"{joint} looks like a box, whose columns are called x, y, w and h")
    for name in header:
        like = get_close_matches(name.lower(), _LONG, n=1, cutoff=0.8)
        if like and name not in _KNOWN and name[:-2] not in joints:
            raise refused(f"there is no column {name}, but {like[0]}")
    return joints


# ---- a row -------------------------------------------------------------------------------------------------------


def _split(row: Row) -> str:
    if not row["split"]:
        raise ValueError("it has no split")
    return row["split"]


def _person(picture: Path, row: Row, table: _Table, number: int) -> Person:
    keypoints, visible = keypoints_of(np.array([_triple(row, joint, table.comma) for joint in table.joints]))
    if row.get("id") == "":
        raise ValueError("it has no id")
    return Person(
        picture,
        extent(_box(row, table.comma), keypoints),
        keypoints,
        visible,
        head_size=_size(row, "head_size", table.comma),
        id=row.get("id") or f"{picture.as_posix()}:{number}",
        area=area_of(_size(row, "area", table.comma)),
    )


def _triple(row: Row, joint: str, comma: bool) -> tuple[float, float, float]:
    x, y, v = (_number(row, f"{joint}_{column}", comma) for column in "xyv")
    if math.isnan(x) != math.isnan(y):
        raise ValueError(f"{joint} has an x or a y, but not both")
    if math.isnan(v):
        v = 0.0 if math.isnan(x) else 2.0
    if v > 0 and math.isnan(x):
        raise ValueError(f"{joint} has a v of {v:g}, but no place")
    return x, y, v


def _box(row: Row, comma: bool) -> Box | None:
    x, y, w, h = (_number(row, column, comma) for column in _BOX)
    given = [not math.isnan(number) for number in (x, y, w, h)]
    if not any(given):
        return None
    if not all(given) or w == 0 or h == 0:
        raise ValueError("a box has x, y, w and h, and the last two are above 0")
    return box_of(x, y, w, h)


def _size(row: Row, column: str, comma: bool) -> float | None:
    size = _number(row, column, comma)
    if size <= 0:
        raise ValueError(f"{column} must be above 0, not {size:g}")
    return None if math.isnan(size) else size


def _number(row: Row, column: str, comma: bool) -> float:
    """NaN for an empty cell and where there is no such column."""
    cell = row.get(column, "")
    text = cell.replace(",", ".") if comma else cell
    if not text or text.lower() == "nan":
        return math.nan
    try:
        number = math.inf if "_" in text else float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{cell!r} in the column {column} is not a number")
    return number
