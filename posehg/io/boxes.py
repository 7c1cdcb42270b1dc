"""Bounding boxes of people, from a file written by a detector or by hand.

    [{"image_id": 785, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}, ..]       COCO detections
    {"images": [..], "annotations": [..], "categories": [..]}                           COCO annotations
    {"posehg": 1, "source": .., "frame": .., "people": [{"bbox": [x, y, w, h], ..}]}    posehg's records, one or lines
    image,x,y,w,h,frame                                                                 a table with a header

The content decides the format, not the suffix. Coordinates are zero-based pixels of the upright image and boxes are
measured at pixel edges. People are COCO's category 1 or, where the file lists its categories, the one named person, or
the only one; a box without a category is a person. Crowds and boxes without an area are left out. Numbers may be
written as text, ids as floats. The columns of a table may be separated by comma, semicolon or tab; with the latter two
1,5 is a number. Its first column may also be called source, file, filename or file_name; corners x1, y1, x2, y2 or
xmin, ymin, xmax, ymax may stand for the box; frame is optional, and other columns are ignored. In
posehg's own table with a row per person the box is called bbox_x and so on.

An image is found by its name as given, by its file name with or without the suffix, or by COCO's number: 785 for
000000000785.jpg and COCO_val2014_000000000785.jpg; folders must agree as far as both sides have some. The frames of a
video count from 0. The closest name wins. Two equally close names, or one name for two images, are an
error.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from posehg.errors import InputError, NotAvailable
from posehg.files import IMAGE_COLUMNS, as_number, box_columns, box_sides, id_text, table_start
from posehg.geometry import FARTHEST, Box
from posehg.io.content import is_url, read_text
from posehg.io.sources import Source, coco_number, has_known_suffix

MAX_BYTES = 1 << 30

_HINT = (
    "A file of boxes is COCO's JSON (detections or annotations), posehg's .jsonl, or a table with the columns "
    "image, x, y, w, h, where x, y is the top left corner."
)
_PERSON = "1"  # COCO's category

T = TypeVar("T")
Entry = tuple[str, int | None, Box | None]
"""The image or video as the file names it, the index of a frame, and its box; None if there is only the name."""
Key = tuple[bool, str]  # whether it is a video, and its name in the file


def read(path: Path, note: Callable[[str], None]) -> BoxFile:
    """The boxes of a file, in its order; ``note`` takes a sentence on boxes that are left out.

    Raises NotAvailable, naming the file and the place in it, for what cannot be read or understood.
    """
    try:
        text = read_text(str(path), MAX_BYTES).lstrip()
        entries = _json_entries(text) if text.startswith(("[", "{")) else _table_entries(text)
    except InputError as error:
        raise NotAvailable(str(error), error.hint) from None
    except ValueError as error:
        raise NotAvailable(f"{path}: {error}.", _HINT) from None
    if skipped := sum(box is not None and not box.is_plausible for *_, box in entries):
        note(f"{path}: boxes without an area are left out ({skipped:,}).")
    return BoxFile(path, entries)


class BoxFile:
    """The boxes of a file, by image and by frame. path: what errors call it."""

    def __init__(self, path: Path, entries: Iterable[Entry]) -> None:
        self._path = path
        self._boxes: defaultdict[Key, dict[int | None, list[Box]]] = defaultdict(dict)  # by frame; None for an image
        for image, frame, box in entries:
            boxes = self._boxes[(frame is not None, image)].setdefault(frame, [])
            boxes += [box] if box and box.is_plausible else []
        self._owners: dict[Key, str] = {}  # the images to which boxes were given
        self._named: defaultdict[tuple[bool, str | int], list[tuple[tuple[str, ...], Key]]] = defaultdict(list)
        for key in self._boxes:
            parts = _parts(key[1])
            for form in _forms(parts[-1]):
                self._named[(key[0], form)].append((parts, key))

    def of(self, source: Source, frame: int | None = None) -> Sequence[Box]:
        """The boxes of an image, or of a video's frame; empty where the file has none.

        Raises InputError where the file does not make clear whose boxes they are.
        """
        found = self._closest(source, frame is not None)
        if len(found) > 1:
            raise InputError(
                f"{source.name} matches {found[0][1]} and {found[1][1]} in {self._path}.",
                "Name the image as in the file, with its folders.",
            )
        if not found:
            return ()
        owner = self._owners.setdefault(found[0], source.name)
        if owner != source.name:
            raise InputError(
                f"{found[0][1]} in {self._path} matches {owner} and {source.name}.",
                "Write the images' names with their folders into the file.",
            )
        return self._boxes[found[0]].get(frame, ())

    def check(self, sources: Sequence[Source]) -> None:
        """Raises InputError if the file names none of these images and videos."""
        if sources and not any(self._closest(source, is_video) for source in sources for is_video in (False, True)):
            named = f"It names {next(iter(self._boxes))[1]}, for example." if self._boxes else ""
            raise InputError(f"{self._path} has boxes for none of the inputs.", named)

    def _closest(self, source: Source, is_video: bool) -> list[Key]:
        """The names that are most alike and, of these, those with the most equal folders from the end.

        Folders must agree as far as both sides have some, so that the boxes of train/a.jpg are not used for val/a.jpg,
        while a file written in another folder or on another machine still applies.
        """
        if (is_video, source.name) in self._boxes:
            return [(is_video, source.name)]
        parts = _parts(unquote(urlsplit(source.name).path) if is_url(source.name) else os.path.abspath(source.name))
        below = parts[-len(source.relative.parts) :]
        for form in _forms(parts[-1]):
            found = defaultdict(list)  # by the number of equal parts
            for theirs, key in self._named.get((is_video, form), ()):
                folders = os.path.commonprefix([parts[-2::-1], theirs[-2::-1]])  # noqa: RUF071  # of tuples, not of texts
                if len(folders) + 1 >= min(len(theirs), len(below)):
                    found[len(folders)].append((theirs, key))
            if found:
                closest = found[max(found)]
                return [key for theirs, key in closest if theirs == below] or [key for _, key in closest]
        return []


def _forms(name: str) -> list[str | int]:
    """What names of a file's image may be alike, closest first; COCO's lists have only the number of an image."""
    stem = os.path.splitext(name)[0] if has_known_suffix(name) else name
    number = int(name) if re.fullmatch("0|[1-9][0-9]{0,11}", name) else coco_number(stem)
    return [*dict.fromkeys((name, stem)), *([] if number is None else [number])]


def _parts(name: str) -> tuple[str, ...]:
    """Folders and file name of a path of any system; at least one part."""
    path = os.path.normpath(name.replace("\\", "/"))
    return tuple(part for part in PurePosixPath(path).parts if part not in ("/", "//", "..")) or (name,)


def _json_entries(text: str) -> list[Entry]:
    values: list[Any] = []
    decoder, at = json.JSONDecoder(), 0
    try:
        while at < len(text):  # one value, or several as in a .jsonl file
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            while text[at : at + 1].isspace():
                at += 1
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON, or was cut short ({error})") from None
    data = values[0]
    if isinstance(data, list):
        return _of_people("detection", data, {_PERSON})
    if "posehg" in data:
        return [entry for entries in _each("record", values, _of_record) for entry in entries]
    if "images" not in data or "annotations" not in data:
        raise ValueError("it is neither a COCO file nor a file of posehg predict")
    # An image without a name has its id for one.
    images = _each("image", data["images"], lambda i: (id_text(i["id"]), _entry(i.get("file_name", i["id"]))[0]))
    names = dict(images)
    if len(images) > len(set(names.values())):
        raise ValueError("two of its images have the same id or file_name")
    categories = _each("category", data.get("categories", []), lambda one: (id_text(one["id"]), str(one["name"])))
    people = {id for id, name in categories if name.lower() in ("person", "people")}
    if not people and len(categories) > 1:
        raise ValueError("none of its categories is named person")
    # An image without annotations has no boxes, rather than those of another image with a similar name.
    entries: list[Entry] = [(name, None, None) for name in names.values()]
    people = people or {id for id, _ in categories} or {_PERSON}
    return entries + _of_people("annotation", data["annotations"], people, names)


def _of_record(record: Any) -> list[Entry]:
    if record["posehg"] != 1:
        raise ValueError(f"its version is {reprlib.repr(record['posehg'])}, and posehg reads 1")
    image, frame = record["source"], record["frame"]
    return [_entry(image, frame), *_each("person", record["people"], lambda one: _entry(image, frame, one["bbox"]))]


def _of_people(part: str, records: Any, people: set[str], names: dict[str, str] | None = None) -> list[Entry]:
    """The boxes with these categories; of others, and of crowds, only the images' names. names: by id."""
    others = []

    def entry(record: Any) -> Entry:
        image, category = record["image_id"], record.get("category_id")
        if names is not None and id_text(image) not in names:
            raise ValueError(f"no image has the id {reprlib.repr(image)}")
        image = names[id_text(image)] if names else image
        if category is not None and id_text(category) not in people:
            others.append(category)
            return _entry(image)
        if (crowd := record.get("iscrowd") or 0) not in (0, 1, "0", "1"):
            raise ValueError(f"its iscrowd cannot be {reprlib.repr(crowd)}")
        if not record.get("bbox", names is None):  # null or []; annotations of joints need no box at all
            return _entry(image, None, [0, 0, 0, 0])
        return _entry(image) if crowd in (1, "1") else _entry(image, None, record["bbox"])

    entries = _each(part, records, entry)
    if others and len(others) == len(entries):
        wanted = " or ".join(sorted(people))
        raise ValueError(f"no box is of a person, category {wanted}: the first is of {reprlib.repr(others[0])}")
    return entries


def _each(part: str, records: Any, convert: Callable[[Any], T]) -> list[T]:
    """The converted objects of a list. An error names the object, such as "detection 2"."""
    if not isinstance(records, list):
        raise ValueError(f"{part}: a list is expected, not {reprlib.repr(records)}")
    converted = []
    for number, record in enumerate(records, start=1):
        try:
            converted.append(convert(record))
        except KeyError as error:
            raise ValueError(f"{part} {number} has no {error.args[0]}") from None
        except (TypeError, AttributeError):
            raise ValueError(f"{part} {number}: an object is expected, not {reprlib.repr(record)}") from None
        except ValueError as error:
            raise ValueError(f"{part} {number}: {error}") from None
    return converted


def _table_entries(text: str) -> list[Entry]:
    separator, above = table_start(text)
    text = text.split("\n", above)[-1]
    lines = csv.DictReader(StringIO(text, newline=""), delimiter=separator, strict=True)
    entries = []
    try:
        header = lines.fieldnames = [cell.strip().lower() for cell in lines.fieldnames or ()]
        if "joint" not in header:  # posehg's table with a row per person calls them bbox_x and so on
            header = lines.fieldnames = [cell.removeprefix("bbox_") for cell in header]
        image = next((name for name in IMAGE_COLUMNS if name in header), "image")
        box = box_columns(header)
        if missing := [name for name in (image, *box) if name not in header]:
            raise ValueError(f"the header lacks {' and '.join(missing)}")
        for row in lines:
            if None in row or None in row.values():
                raise ValueError(f"it does not have the {len(header)} cells of the first line")
            if any(row.values()):
                cells = (row.get(column, "").replace(",", ".") for column in ("frame", *box))
                frame, *numbers = (float(cell) if cell.strip() else math.nan for cell in cells)
                bbox = () if all(map(math.isnan, numbers)) else [*box_sides(box, *numbers)]
                entries.append(_entry(row[image].strip(), None if math.isnan(frame) else frame, bbox))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"line {lines.line_num + above}: {error}") from None
    return entries


def _entry(image: Any, frame: Any = None, bbox: Any = ()) -> Entry:
    """The values, checked. bbox: () where the file only names an image."""
    if isinstance(image, float) and image.is_integer():
        image = int(image)
    if isinstance(image, bool) or not isinstance(image, int | str) or not str(image).strip() or "\0" in str(image):
        raise ValueError(f"its image cannot be {reprlib.repr(image)}")
    if frame is not None and not (isinstance(frame, int | float) and 0 <= frame < 1e12 and frame == int(frame)):
        raise ValueError(f"its frame cannot be {reprlib.repr(frame)}")
    index = None if frame is None else int(frame)
    if bbox == ():
        return str(image), index, None
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"a bbox is four numbers x, y, w, h, not {reprlib.repr(bbox)}")
    x, y, w, h = sides = [as_number(value, "x, y, w or h") for value in bbox]
    if far := [value for value, side in zip(bbox, sides, strict=True) if not abs(side) <= FARTHEST]:
        raise ValueError(f"its x, y, w or h cannot be {reprlib.repr(far[0])}")
    if min(w, h) < 0:
        raise ValueError(f"a box cannot be {w:g} wide and {h:g} high (from corners, w is x2 - x1)")
    return str(image), index, Box(x, y, w, h)
