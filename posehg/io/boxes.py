"""Bounding boxes of people, from a file written by a detector or by hand.

    [{"image_id": 785, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}, ..]       COCO detections
    {"images": [..], "annotations": [..], "categories": [..]}                           COCO annotations
    {"posehg": 1, "source": .., "frame": .., "people": [{"bbox": [x, y, w, h], ..}]}    posehg's records, one or lines
    image,x,y,w,h,frame,score                                                           a table with a header

The content decides the format, not the suffix. Coordinates are zero-based pixels of the upright image and boxes are
measured at pixel edges. People are COCO's category 1 or, where the file lists its categories, the one named person, or
the only one; a box without a category is a person, and crowds are left out. The columns of a table may be separated by
comma, semicolon or tab; with the latter two 1,5 is a number. Its first column may also be called source, file or
file_name; frame and score are optional.

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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
_FRAME_NAME = re.compile(r"(.+)_([0-9]{12})", re.ASCII | re.DOTALL)  # of a frame in COCO results, without its suffix
_NAME, _STEM, _NUMBER = 3, 2, 1  # what two file names share; more is closer

Parts = tuple[str, ...]
Record = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One box. image: the name of the image or video as in the file. frame: index in a video.

    box: None where the file only says that there is such an image.
    """

    image: str
    frame: int | None = None
    box: Box | None = None
    score: float | None = None


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
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file of boxes.", "Name the file in it.")
        text = content.read_text(path, str(path), MAX_BYTES)
    except ValueError:  # a NUL in its name
        raise InputError(f"There is no file {str(path)!r}.") from None
    with _at(path):
        if not text.strip():
            raise ValueError("it is empty")
    is_json = text.lstrip().startswith(("[", "{"))
    found = _read_json(path, text.lstrip()) if is_json else _read_table(path, text)
    kept = [entry if entry.score is None or entry.score >= min_score else replace(entry, box=None) for entry in found]
    return BoxFile(path, kept)


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
        same = self._below.get(below)
        for depth in range(len(parts) - 1, -1, -1):
            for kind, form in _forms(parts[-1]).items():
                found = self._index.get((parts[len(parts) - 1 - depth : -1], kind, form), [])
                found = [name for name in found if depth + 1 >= min(self._depth[name], len(below))]
                if found and same is not None:
                    # The name that both sides have below their shared folders decides, or makes it doubtful.
                    found = [same] if same in found else [*found, same]
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


# ---- formats -------------------------------------------------------------------------------------------------------


@contextmanager
def _at(path: Path, place: str = "") -> Iterator[None]:
    """A ValueError in the block becomes an InputError that names the file and the place in it."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{path}{', ' if place else ''}{place}: {error}.", _HINT) from None


def _read_json(path: Path, text: str) -> list[Entry]:
    with _at(path):
        try:
            data = json.loads(text)
        except RecursionError:
            raise ValueError("its brackets are nested too deeply") from None
        except ValueError as error:
            lines = text.split("\n")  # splitlines would also split at separators within names
            if len(lines) == 1 or not isinstance(_record_in(lines[0]), dict):
                raise ValueError(f"it is not JSON, or was cut short ({error})") from None
            data = None
        if isinstance(data, dict) and "posehg" not in data and not {"annotations", "images"} <= data.keys():
            raise ValueError("it has neither images and annotations nor posehg's people")
    if data is None:
        numbered = [(number, _record_in(line)) for number, line in enumerate(lines, 1) if line.strip()]
        return [entry for number, record in numbered for entry in _read_record(path, f"line {number}", record)]
    if isinstance(data, list):
        return _read_detections(path, data)
    return _read_record(path, "line 1", data) if "posehg" in data else _read_annotations(path, data)


def _record_in(line: str) -> Record | None:
    """The posehg record in a line; None where there is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "posehg" in record else None


def _read_record(path: Path, place: str, record: Record | None) -> list[Entry]:
    with _at(path, place):
        if record is None:
            raise ValueError("it is not a record of posehg, or was cut short")
        if isinstance(record["posehg"], bool) or record["posehg"] != 1:
            raise ValueError(f"it is of version {_shown(record['posehg'])}, and this posehg reads version 1")
        image, frame = _image_name(record.get("source")), _frame_index(record.get("frame"))
    entries = [Entry(image, frame)]
    for inner, person in _records(path, "person", record.get("people"), f"{place}, "):
        with _at(path, inner):
            entries.append(Entry(image, frame, _bbox(person), _score(person.get("score"))))
    return entries


def _read_detections(path: Path, data: list[Any]) -> list[Entry]:
    entries = []
    for place, record in _records(path, "detection", data):
        with _at(path, place):
            if "image_id" not in record:
                raise ValueError("it has no image_id")
            image = _image_name(record["image_id"])
            entries.append((Entry(image, None, _bbox(record), _score(record.get("score"))), record.get("category_id")))
    return _people_only(path, entries, {"1"})


def _read_annotations(path: Path, data: Record) -> list[Entry]:
    names: dict[str, str] = {}
    known: set[str] = set()
    for place, record in _records(path, "image", data["images"]):
        with _at(path, place):
            id = _id(record)
            name = _image_name(record.get("file_name", id))
            if id in names or name in known:
                raise ValueError(f"another image has {f'the id {id}' if id in names else f'the name {name}'}")
            names[id] = name
            known.add(name)
    categories = [category for _, category in _records(path, "category", data.get("categories", []))]
    people = [category for category in categories if category.get("name") == "person"] or categories
    with _at(path, "categories"):
        if len(people) > 1 and people is categories:
            raise ValueError(f"none is named person, but {', '.join(_shown(c.get('name')) for c in categories[:5])}")
        wanted = {_id(category) for category in people} or {"1"}
    entries = []
    for place, record in _records(path, "annotation", data["annotations"]):
        with _at(path, place):
            id = _image_name(record.get("image_id"))
            if id not in names:
                raise ValueError(f"there is no image {id}")
            box = None if record.get("iscrowd") else _bbox(record)
            entries.append((Entry(names[id], None, box, _score(record.get("score"))), record.get("category_id")))
    # An image without annotations has no boxes, rather than those of another image with a similar name.
    return [*map(Entry, names.values()), *_people_only(path, entries, wanted)]


def _people_only(path: Path, entries: list[tuple[Entry, object]], people: set[str]) -> list[Entry]:
    """The entries, with the boxes of people only. Raises InputError where all boxes are of something else."""
    are = [kind is None or (isinstance(kind, int | str) and str(kind) in people) for _, kind in entries]
    with _at(path):
        if entries and not any(are):
            wanted = " or ".join(sorted(people))
            raise ValueError(f"no box is of a person (category {wanted}), the first one is of {_shown(entries[0][1])}")
    return [
        entry if is_person else replace(entry, box=None) for (entry, _), is_person in zip(entries, are, strict=True)
    ]


def _read_table(path: Path, text: str) -> list[Entry]:
    separator = max(",;\t", key=text.partition("\n")[0].count)
    with _at(path):
        try:
            rows = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
        except csv.Error as error:
            raise ValueError(f"it is not a table, or was cut short ({error})") from None
        header = [cell.strip().lower() for cell in rows[0]]
        image_column = next((name for name in _IMAGE_COLUMNS if name in header), "image")
        missing = [name for name in (image_column, *"xywh") if name not in header]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}")
        twice = [name for name in (image_column, *"xywh", "frame", "score") if header.count(name) > 1]
        if twice:
            raise ValueError(f"two columns are called {twice[0]}")

    def number(row: dict[str, str], column: str) -> float | None:
        cell = row.get(column, "")
        try:
            return float(cell if separator == "," else cell.replace(",", ".")) if cell else None
        except ValueError:
            raise ValueError(f"{_shown(cell)} in the column {column} is not a number") from None

    entries = []
    for line, cells in enumerate(rows[1:], start=2):
        with _at(path, f"row {line}"):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise ValueError(f"it has {len(cells)} cells, the first row {len(header)}")
            row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            given = [value for column in "xywh" if (value := number(row, column)) is not None]
            if given and len(given) < 4:
                raise ValueError("some of x, y, w, h are missing")
            frame, score = _frame_index(number(row, "frame")), _score(number(row, "score"))
            entries.append(Entry(_image_name(row[image_column]), frame, _box(given) if given else None, score))
    return entries


# ---- values --------------------------------------------------------------------------------------------------------


def _records(path: Path, part: str, records: Any, before: str = "") -> list[tuple[str, Record]]:
    """The objects of a list, each with its place, such as "detection 2". Raises InputError for anything else."""
    with _at(path, before.rstrip(", ")):
        if not isinstance(records, list):
            raise ValueError(f"a list is expected of each {part}, not {_shown(records)}")
    placed = [(f"{before}{part} {number}", record) for number, record in enumerate(records, start=1)]
    for place, record in placed:
        with _at(path, place):
            if not isinstance(record, dict):
                raise ValueError(f"it is {_shown(record)}, not an object")
    return placed


def _bbox(record: Record) -> Box:
    numbers = record.get("bbox")
    if not isinstance(numbers, list):
        raise ValueError(f"its bbox is {_shown(numbers)}, not [x, y, w, h]" if "bbox" in record else "it has no bbox")
    for number in numbers:
        if not _is_number(number):
            raise ValueError(f"its bbox holds {_shown(number)}, not a number")
    return _box(numbers)


def _box(numbers: Sequence[float]) -> Box:
    if len(numbers) != 4:
        raise ValueError(f"a box is four numbers x, y, w, h, not {len(numbers)}")
    x, y, w, h = numbers
    far = [number for number in numbers if not abs(number) <= FARTHEST]  # NaN is not
    if far:
        raise ValueError(f"a box in an image cannot have the number {_shown(far[0])}")
    if w < SMALLEST or h < SMALLEST:
        raise ValueError(f"a box cannot be {float(w):g} wide and {float(h):g} high")
    return Box(float(x), float(y), float(w), float(h))


def _id(record: Record) -> str:
    if isinstance(record.get("id"), bool) or not isinstance(record.get("id"), int | str):
        raise ValueError("it has no id")
    return str(record["id"])


def _image_name(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"an image has a name or a number, not {_shown(value)}")
    return value


def _frame_index(value: Any) -> int | None:
    if value is not None and (not _is_number(value) or not 0 <= value < 1e12 or value != int(value)):
        raise ValueError(f"a frame has an index from 0, not {_shown(value)}")
    return None if value is None else int(value)


def _score(value: Any) -> float | None:
    if value is not None and (not _is_number(value) or not abs(value) < 1e300):
        raise ValueError(f"a score is a number, not {_shown(value)}")
    return None if value is None else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """A value for an error message. A nested one is not shown: it may be too deep for repr."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}.."
