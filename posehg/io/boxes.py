"""Bounding boxes of people, from a file written by a detector or by hand.

    [{"image_id": 785, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}, ..]       COCO detections
    {"images": [..], "annotations": [..], "categories": [..]}                           COCO annotations
    {"posehg": 1, "source": .., "frame": .., "people": [{"bbox": [x, y, w, h], ..}]}    posehg's records, one or lines
    image,x,y,w,h,frame,score                                                           a table with a header

The content decides the format, not the suffix. Coordinates are zero-based pixels of the upright image and boxes are
measured at pixel edges. People are COCO's category 1 or, where the file lists its categories, the one named person, or
the only one; a box without a category is a person. Crowds and boxes without an area are left out. The columns of a
table may be separated by comma, semicolon or tab; with the latter two 1,5 is a number. Its first column may also be
called source, file or file_name; frame and score are optional.

An image is found by its name as given, by its folders as far as both sides have some that tell images apart, by its
file name with or without the suffix, or by COCO's number: 785 for 000000000785.jpg and COCO_val2014_000000000785.jpg. A
frame of a video is found by its index from 0, or by its name in COCO results: walk_000000000012 is frame 12 of
walk.mp4. The closest name wins. Two equally close names, or one name for two images, are an error.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from posehg.errors import InputError
from posehg.geometry import FARTHEST, SMALLEST, Box
from posehg.io import content
from posehg.io.sources import Source, coco_number, has_known_suffix

MAX_BYTES = 1 << 30

_HINT = (
    "A file of boxes is COCO's JSON (detections or annotations), posehg's .jsonl, or a table with the columns "
    "image, x, y, w, h, where x, y is the top left corner."
)
_IMAGE_COLUMNS = ("image", "source", "file", "file_name")
_PERSON, _PERSON_NAMES = "1", ("person", "Person", "people", "People")  # COCO's category, and what others call it
_FRAME_NAME = re.compile(r"(.+)_([0-9]{12})", re.ASCII | re.DOTALL)  # of a frame in COCO results, without its suffix
_NAME, _STEM, _NUMBER = 3, 2, 1  # what two file names share; more is closer

Parts = tuple[str, ...]
Record = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A box. image: the name of the image or video as in the file. frame: index in a video.

    box: None where the file only says that there is such an image.
    """

    image: str
    frame: int | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Unmatched:
    """Names in a file that were never asked for. count: how many. names: the first of them."""

    count: int
    names: tuple[str, ...]


def read(path: str | Path, min_score: float = 0.0) -> BoxFile:
    """The boxes of a file, in its order; boxes with a score below ``min_score`` are left out.

    Raises InputError, naming the file and the place in it, for what cannot be read or understood.
    """
    path = Path(path)
    try:
        if os.path.isdir(path):
            raise InputError(f"{path} is a folder, not a file of boxes.", "Name the file in it.")
        text = content.read_text(path, str(path), MAX_BYTES)
    except ValueError:  # a NUL in its name
        raise InputError(f"There is no file {str(path)!r}.") from None
    try:
        if not text.strip():
            raise ValueError("it is empty")
        is_json = text.lstrip().startswith(("[", "{"))
        rows, people = _json_rows(text.lstrip()) if is_json else (_table_rows(text), {_PERSON})
        return BoxFile(path, _entries(rows, people, min_score))
    except ValueError as error:
        raise InputError(f"{path}: {error}.", _HINT) from None


# ---- whose boxes are these -----------------------------------------------------------------------------------------


class BoxFile:
    """The boxes of a file, by image and by frame. path: what errors call it."""

    def __init__(self, path: Path, entries: Iterable[Entry]) -> None:
        self._path = path
        images: defaultdict[str, dict[int | None, list[Box]]] = defaultdict(dict)
        videos: defaultdict[str, dict[int | None, list[Box]]] = defaultdict(dict)
        self._meanings: defaultdict[str, set[tuple[bool, str]]] = defaultdict(set)
        for entry in entries:
            keys = [(images if entry.frame is None else videos, entry.image, entry.frame)]
            stem = _stem(entry.image)
            if entry.frame is None and (named := _FRAME_NAME.fullmatch(stem)):
                keys.append((videos, named[1], int(named[2])))
            for table, name, frame in keys:
                self._meanings[entry.image].add((table is videos, name))
                table[name].setdefault(frame, []).extend([entry.box] if entry.box else [])
        self._images, self._videos = _Names(images), _Names(videos)
        self._owners: dict[tuple[bool, str], tuple[str, tuple[float, int]]] = {}

    def of(self, source: Source, frame: int | None = None) -> Sequence[Box]:
        """The boxes of an image, or of a video's frame; empty where the file has none.

        Raises InputError where the file does not make clear whose boxes they are.
        """
        names = self._images if frame is None else self._videos
        found, closeness = names.closest(source)
        if len(found) > 1:
            raise InputError(
                f"{source.name} may be {found[0]} or {found[1]} in {self._path}.",
                "Name the image as in the file, with its folders.",
            )
        if not found:
            return ()
        owner, closest = self._owners.setdefault((frame is not None, found[0]), (source.name, closeness))
        if owner == source.name:
            return names.boxes[found[0]].get(frame, ())
        if closest > closeness:
            return ()
        raise InputError(
            f"{found[0]} in {self._path} may be {owner} or {source.name}.",
            "Write the images' names with their folders into the file.",
        )

    def unmatched(self, limit: int = 5) -> Unmatched:
        """The names in the file of which no image or video was asked for; the first ``limit`` of them are listed."""
        left = [name for name, meanings in self._meanings.items() if meanings.isdisjoint(self._owners)]
        return Unmatched(len(left), tuple(left[:limit]))


class _Names:
    """Finds an image or video by its name. boxes: by name as in the file, then by frame (None for an image)."""

    def __init__(self, boxes: dict[str, dict[int | None, list[Box]]]) -> None:
        self.boxes = boxes
        parts = {name: _parts(name) for name in boxes}
        folders = [folders[:-1] for folders in parts.values()]
        shared = len(os.path.commonprefix(folders)) if folders else 0  # noqa: RUF071  # of tuples, not of texts
        # Only what lies below the folder that all names share tells images apart.
        self._depth = {name: len(own) - shared for name, own in parts.items()}
        self._below = {own[shared:]: name for name, own in parts.items()}
        self._whole = {own: name for name, own in parts.items()}
        self._index: defaultdict[tuple[Parts, int, str], list[str]] = defaultdict(list)
        for name, (*above, last) in parts.items():
            forms = _forms(last)
            if re.fullmatch("0|[1-9][0-9]{0,11}", last):  # COCO's lists have only the number of an image
                forms[_NUMBER] = last
            for depth in range(len(above) + 1):
                for kind, form in forms.items():
                    self._index[(tuple(above[len(above) - depth :]), kind, form)].append(name)

    def closest(self, source: Source) -> tuple[list[str], tuple[float, int]]:
        """The closest names, and how close they are: the number of equal parts from the end, and what names share.

        Folders must agree as far as both sides have some that tell images apart, so that the boxes of train/a.jpg are
        not used for val/a.jpg, while a file written in another folder or on another machine still applies.
        """
        if source.name in self.boxes:
            return [source.name], (math.inf, _NAME)
        url = "://" in source.name
        parts = _parts(unquote(urlsplit(source.name).path) if url else os.path.abspath(source.name))
        below = parts[-len(source.relative.parts) :]
        same = [table[below] for table in (self._whole, self._below) if below in table]
        forms = _forms(parts[-1])
        for depth in range(len(parts) - 1, -1, -1):
            for kind, form in forms.items():
                found = self._index.get((parts[len(parts) - 1 - depth : -1], kind, form), [])
                found = [name for name in found if depth + 1 >= min(self._depth[name], len(below))]
                if found and same:
                    # The name that equals the source's own, below what all share, decides or makes it doubtful.
                    found = [name for name in same if name in found][:1] or [*found, same[0]]
                if found:
                    return found, (depth + 1, kind)
        return [], (0, 0)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0] if has_known_suffix(name) else name


def _forms(name: str) -> dict[int, str]:
    """What another name may share with a file name, closest first."""
    stem = _stem(name)
    number = coco_number(stem)
    return {_NAME: name, _STEM: stem, **({} if number is None else {_NUMBER: str(number)})}


def _parts(name: str) -> Parts:
    """Folders and file name of a path of any system; at least one part."""
    path = os.path.normpath(name.replace("\\", "/")).replace("\\", "/")
    return tuple(part for part in PurePosixPath(path).parts if part not in ("/", "//", "..")) or (name,)


# ---- formats: each gives rows, whose values are checked in one place ------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """What a file says at one place, unchecked. bbox: None where it only names an image, or for a crowd."""

    place: str
    image: Any
    frame: Any = None
    bbox: Any = None
    score: Any = None
    category: Any = None


def _json_rows(text: str) -> tuple[list[_Row], set[str]]:
    """The rows, and the categories that are people."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except ValueError as error:
        lines = text.split("\n")  # splitlines would also split at separators within names
        if len(lines) == 1 or '"posehg"' not in lines[0]:
            raise ValueError(f"it is not JSON, or was cut short ({error})") from None
        numbered = [(f"line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
        return [row for place, line in numbered for row in _record_rows(place, line)], {_PERSON}
    if isinstance(data, list):
        detections = _records("detection", data)
        return [_box_row(place, record.get("image_id"), record) for place, record in detections], {_PERSON}
    if "posehg" in data:
        return _record_rows("line 1", text), {_PERSON}
    if "images" in data and "annotations" in data:
        return _annotation_rows(data)
    raise ValueError("it has neither images and annotations nor posehg's people")


def _box_row(place: str, image: Any, record: Record, frame: Any = None) -> _Row:
    is_crowd = record.get("iscrowd") in (1, "1")
    bbox = None if is_crowd else record.get("bbox", "missing")
    _check(bbox is not None or is_crowd, place, "bbox", bbox)
    return _Row(place, image, frame, bbox, record.get("score"), record.get("category_id"))


def _record_rows(place: str, line: str) -> list[_Row]:
    try:
        record = json.loads(line)
        version, image, frame = record["posehg"], record["source"], record.get("frame")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{place}: it is not a record of posehg, or was cut short") from None
    _check(version == 1 and not isinstance(version, bool), place, "version", version)
    people = _records("person", record.get("people"), f"{place}, ")
    return [_Row(place, image, frame), *(_box_row(inner, image, person, frame) for inner, person in people)]


def _annotation_rows(data: Record) -> tuple[list[_Row], set[str]]:
    names: dict[str, str] = {}
    rows = []
    for place, record in _records("image", data["images"]):
        id = _name(place, "id", record.get("id"))
        name = _name(place, "file_name", record.get("file_name", id))
        if id in names:
            raise ValueError(f"{place}: another image has the id {id}")
        names[id] = name
        # An image without annotations has no boxes, rather than those of another image with a similar name.
        rows.append(_Row(place, name))
    for place, record in _records("annotation", data["annotations"]):
        id = _name(place, "image_id", record.get("image_id"))
        _check(id in names, place, "image_id", id)
        rows.append(_box_row(place, names[id], record))
    categories = [record for _, record in _records("category", data.get("categories", []))]
    people = [record for record in categories if record.get("name") in _PERSON_NAMES] or categories
    if len(people) > 1 and people is categories:
        found = ", ".join(_shown(record.get("name")) for record in categories[:5])
        raise ValueError(f"none of its categories is named person, but {found}")
    return rows, {_name("categories", "id", record.get("id")) for record in people} or {_PERSON}


def _table_rows(text: str) -> list[_Row]:
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        lines = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"it is not a table, or was cut short ({error})") from None
    header = [cell.strip().lower() for cell in lines[0]]
    image_column = next((name for name in _IMAGE_COLUMNS if name in header), "image")
    if missing := [name for name in (image_column, *"xywh") if name not in header]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    if twice := [name for name in (image_column, *"xywh", "frame", "score") if header.count(name) > 1]:
        raise ValueError(f"two columns are called {twice[0]}")
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise ValueError(f"row {number}: it has {len(cells)} cells, the first row {len(header)}")
        row: Record = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        for column in (*"xywh", "frame", "score"):
            try:
                text = row.get(column, "")
                row[column] = float(text if separator == "," else text.replace(",", ".")) if text else None
            except ValueError:
                raise ValueError(f"row {number}: its {column} cannot be {_shown(text)}") from None
        bbox = [row[column] for column in "xywh"]
        is_empty = bbox == [None] * 4
        rows.append(_Row(f"row {number}", row[image_column], row["frame"], None if is_empty else bbox, row["score"]))
    return rows


def _records(part: str, records: Any, before: str = "") -> list[tuple[str, Record]]:
    """The objects of a list, each with its place, such as "detection 2"."""
    if not isinstance(records, list):
        raise ValueError(f"{before}{part}: a list is expected, not {_shown(records)}")
    placed = [(f"{before}{part} {number}", record) for number, record in enumerate(records, start=1)]
    for place, record in placed:
        _check(isinstance(record, dict), place, "object", record)
    return placed


def _entries(rows: Sequence[_Row], people: set[str], min_score: float) -> list[Entry]:
    """The rows, checked; those of other things than people, and of low scores, keep their image but have no box."""
    are = [
        row.category is None or (isinstance(row.category, int | str) and str(row.category) in people) for row in rows
    ]
    with_box = [i for i, row in enumerate(rows) if row.bbox is not None or row.category is not None]
    if with_box and not any(are[i] for i in with_box):
        first = _shown(rows[with_box[0]].category)
        raise ValueError(f"no box is of a person (category {' or '.join(sorted(people))}), the first one is of {first}")
    entries = []
    for row, is_person in zip(rows, are, strict=True):
        place, frame, score = row.place, row.frame, row.score
        is_frame = _is_number(frame) and 0 <= frame < 1e12 and frame == int(frame)
        _check(frame is None or is_frame, place, "frame", frame)
        _check(score is None or (_is_number(score) and abs(score) < 1e300), place, "score", score)
        image, box = _name(place, "image", row.image), None if row.bbox is None else _box(place, row.bbox)
        is_kept = is_person and (score is None or score >= min_score)
        entries.append(Entry(image, None if frame is None else int(frame), box if is_kept else None))
    return entries


def _box(place: str, bbox: Any) -> Box | None:
    """None for a box without an area, as some tools write them where there is nothing."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"{place}: a bbox is four numbers x, y, w, h, not {_shown(bbox)}")
    for number in bbox:
        _check(_is_number(number) and abs(number) <= FARTHEST, place, "x, y, w or h", number)  # NaN is not
    x, y, w, h = map(float, bbox)
    if min(w, h) < 0:
        raise ValueError(f"{place}: a box cannot be {w:g} wide and {h:g} high (from corners, w is x2 - x1)")
    return Box(x, y, w, h) if min(w, h) >= SMALLEST else None


def _name(place: str, what: str, value: Any) -> str:
    """A name, or a number as its digits."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    _check(is_number or (isinstance(value, str) and value.strip() and "\0" not in value), place, what, value)
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(is_valid: object, place: str, what: str, value: object) -> None:
    if not is_valid:
        is_missing = value is None or value == "missing"
        raise ValueError(
            f"{place}: it has no {what}" if is_missing else f"{place}: its {what} cannot be {_shown(value)}"
        )


def _shown(value: object) -> str:
    """A value for an error message. A nested one is not shown: it may be too deep for repr."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}.."
