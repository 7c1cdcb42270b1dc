"""Boxes of people from a table: a CSV file with a row for each.

    image         the picture or video; the column may also be called source, file or file_name
    x, y, w, h    the box, from its top left corner; all four empty where nobody is to be seen
    frame         of a video, from 0 on; empty for a picture
    score         how sure it is

The last two columns may be left out, and other columns are not read. Cells are parted by comma, semicolon or tab; where
it is not the comma, 1,5 is a number, as spreadsheets of many countries write it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from posehg.io.boxes_entry import FORMATS, Entry, box_of, frame_of, name_of, refused, score_of, shown

NAMES = ("image", "source", "file", "file_name")
"""What the column of the pictures may be called; of several the first one counts."""

_BOX = ("x", "y", "w", "h")
_COLUMNS = (*NAMES, *_BOX, "frame", "score")
_OTHERS = {"width": "w", "height": "h", "left": "x", "top": "y", "filename": "file_name", "image_id": "image"}
_CORNERS = {"x1", "y1", "x2", "y2", "xmin", "ymin", "xmax", "ymax"}

Row = Mapping[str, str]


def entries(path: Path, text: str) -> list[Entry]:
    """Those of a table with a header. Raises InputError, naming file and row, for what cannot be read."""
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        lines = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise refused(path, f"it is not a table, or was cut short ({error})") from None
    header = [cell.strip().lower() for cell in lines[0]]
    _check(path, header)
    found = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            found.append(_entry(_row(header, cells), comma=separator != ","))
        except ValueError as error:
            raise refused(path, str(error), f"row {number}") from None
    return found


def _check(path: Path, header: Sequence[str]) -> None:
    """Raises InputError for a header that misses something, or says it twice."""
    twice = [name for name in header if name in _COLUMNS and header.count(name) > 1]
    if twice:
        raise refused(path, f"two columns are called {twice[0]}")
    missing = [name for name in ("image", *_BOX) if name not in header]
    if "image" in missing and not set(NAMES).isdisjoint(header):
        missing.remove("image")
    if missing:
        raise refused(path, f"it has no column {', '.join(missing)}", hint=f"{FORMATS}{_meant(header)}")


def _meant(header: Sequence[str]) -> str:
    """What a column that is not known may be meant for, as the end of a hint."""
    if len(_CORNERS & set(header)) > 1:
        return " From corners, w is x2 - x1 and h is y2 - y1."
    for name in header:
        like = [_OTHERS[name]] if name in _OTHERS else get_close_matches(name, _COLUMNS, n=1, cutoff=0.75)
        if like and name not in _COLUMNS and name.isprintable():
            return f" Is {name} meant to be {like[0]}?"
    return ""


def _row(header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise ValueError(f"it has {len(cells)} cells, the first row {len(header)}")
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _entry(row: Row, comma: bool) -> Entry:
    name = name_of(next(row[column] for column in NAMES if column in row))
    numbers = [_number(row, column, comma) for column in _BOX]
    given = [number for number in numbers if number is not None]
    if given and len(given) < len(numbers):
        raise ValueError("a box is four numbers x, y, w, h, and some are missing")
    frame, score = frame_of(_number(row, "frame", comma)), score_of(_number(row, "score", comma))
    return Entry(name, frame, box_of(given) if given else None, score)


def _number(row: Row, column: str, comma: bool) -> float | None:
    """None for an empty cell and where there is no such column."""
    cell = row.get(column, "")
    if not cell:
        return None
    try:
        return float(cell.replace(",", ".") if comma else cell)
    except ValueError:
        raise ValueError(f"{shown(cell)} in the column {column} is not a number") from None
