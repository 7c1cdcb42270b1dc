"""Boxes of people from JSON.

    [..]                 COCO's list of detections: image_id (a number or a name), bbox [x, y, w, h]; score, category_id
    {"images": ..}       COCO's annotations: images with id, file_name; annotations with image_id, bbox; iscrowd,
                         category_id; categories with id, name
    {"posehg": ..}       a record of posehg: source, frame, people with bbox and score; of several, one a line

People are COCO's category 1 or, where the file lists its categories, the one called person, or the only one. What has
no category is taken for a person. Crowds are left out: their box is not that of somebody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from posehg.io.boxes_entry import Entry, box_of, frame_of, is_number, name_of, refused, score_of, shown

PERSON = "1"
"""COCO's category of people."""

RECORD = 1
"""The version of posehg's records that is read."""

_DETECTION = 'A detection is {"image_id": .., "category_id": 1, "bbox": [x, y, w, h], "score": ..}.'
_ANNOTATION = "What each entry has to have is said in https://cocodataset.org/#format-data"
_RECORD = "Records are what posehg predict --json prints, one a line."

Record = dict[str, Any]
T = TypeVar("T")


def entries(path: Path, text: str) -> list[Entry]:
    """Those of a text that begins with a bracket. Raises InputError, naming file and place, for what cannot be read."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise refused(path, "its brackets are too deep") from None
    except ValueError as error:
        lines = text.split("\n")  # splitlines would find ends of lines in names, too
        if _record(lines[0]) and len(lines) > 1:
            return [entry for number, record in _lines(path, lines) for entry in _people(path, record, number)]
        raise refused(path, f"it is not JSON, or was cut short ({error})") from None
    if isinstance(content, list):
        return _detections(path, content)
    if "posehg" in content:
        return list(_people(path, content, 1))
    if "annotations" in content and "images" in content:
        return _annotations(path, content)
    raise refused(path, "it has neither images and annotations nor posehg's people")


def _placed(path: Path, place: str, hint: str, make: Callable[..., T], *arguments: Any) -> T:
    """What is made of the arguments; a mistake in them is told with its place in the file."""
    try:
        return make(*arguments)
    except ValueError as error:
        raise refused(path, str(error), place, hint) from None


def _numbers(record: Record) -> Sequence[float]:
    if "bbox" not in record:
        raise ValueError("it has no bbox")
    numbers = record["bbox"]
    if not isinstance(numbers, list):
        raise ValueError(f"its bbox is {shown(numbers)}, not [x, y, w, h]")
    for number in numbers:
        if not is_number(number):
            raise ValueError(f"its bbox holds {shown(number)}, not a number")
    return numbers


def _records(path: Path, part: str, records: Any, hint: str, place: str = "") -> list[Record]:
    """Raises InputError for what is not a list of objects. part: what one of them is called."""
    if not isinstance(records, list):
        raise refused(path, f"where a list is expected of each {part}, there is {shown(records)}", place, hint)
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            where = f"{place}{', ' * bool(place)}{part} {number}"
            raise refused(path, f"it is {shown(record)}, not an object", where, hint)
    return records


# ---- COCO --------------------------------------------------------------------------------------------------------


def _detections(path: Path, content: list[Any]) -> list[Entry]:
    records = _records(path, "detection", content, _DETECTION)
    found = [_placed(path, f"detection {n}", _DETECTION, _detection, record) for n, record in enumerate(records, 1)]
    return _chosen(path, records, found, {PERSON})


def _detection(record: Record) -> Entry:
    if "image_id" not in record:
        raise ValueError("it has no image_id")
    return Entry(name_of(record["image_id"]), None, box_of(_numbers(record)), score_of(record.get("score")))


def _annotations(path: Path, content: Record) -> list[Entry]:
    pictures = _pictures(path, _records(path, "image", content["images"], _ANNOTATION))
    people = _people_ids(path, _records(path, "category", content.get("categories", []), _ANNOTATION))
    records = _records(path, "annotation", content["annotations"], _ANNOTATION)
    found = [
        _placed(path, f"annotation {n}", _ANNOTATION, _annotation, record, pictures)
        for n, record in enumerate(records, 1)
    ]
    # A picture of which nothing is said has nobody, and is not to be taken for another one of a similar name.
    return [*map(Entry, pictures.values()), *_chosen(path, records, found, people)]


def _pictures(path: Path, records: Sequence[Record]) -> dict[str, str]:
    """The name of each picture by its id."""
    pictures: dict[str, str] = {}
    names: set[str] = set()
    for number, record in enumerate(records, start=1):
        place = f"image {number}"
        id = _placed(path, place, _ANNOTATION, _id, record)
        name = _placed(path, place, _ANNOTATION, name_of, record.get("file_name", id))
        if id in pictures or name in names:
            twice = f"the id {id}" if id in pictures else f"the name {name}"
            raise refused(path, f"another image has {twice}", place, _ANNOTATION)
        pictures[id] = name
        names.add(name)
    return pictures


def _people_ids(path: Path, categories: Sequence[Record]) -> set[str]:
    people = [category for category in categories if category.get("name") == "person"]
    if not people and len(categories) > 1:
        names = ", ".join(shown(category.get("name")) for category in categories[:5])
        raise refused(path, f"none of its categories is person, but {names}", hint="Keep one category in the file.")
    chosen = people or categories
    return {_placed(path, "categories", _ANNOTATION, _id, category) for category in chosen} or {PERSON}


def _id(record: Record) -> str:
    """An image or category is known by a number, or a name. Raises ValueError where it is not."""
    if isinstance(record.get("id"), bool) or not isinstance(record.get("id"), int | str):
        raise ValueError("it has no id")
    return str(record["id"])


def _annotation(record: Record, pictures: dict[str, str]) -> Entry:
    id = name_of(record.get("image_id"))
    if id not in pictures:
        raise ValueError(f"there is no image {id}")
    # The box of a crowd is of many, and nobody's size: no reason to refuse it.
    box = None if record.get("iscrowd") else box_of(_numbers(record))
    return Entry(pictures[id], None, box, score_of(record.get("score")))


def _chosen(path: Path, records: Sequence[Record], found: Sequence[Entry], people: set[str]) -> list[Entry]:
    """The entries, with the boxes of people only. Raises InputError where all boxes are of other things."""
    kinds = [record.get("category_id") for record in records]
    are = [kind is None or (isinstance(kind, int | str) and str(kind) in people) for kind in kinds]
    if records and not any(are):
        wanted = " or ".join(sorted(people))
        hint = f"People are category {wanted}; leave category_id out where all boxes are to be taken."
        raise refused(path, f"no box is of category {wanted}, the first one is of {shown(kinds[0])}", hint=hint)
    return [entry if is_person else entry.without_box() for entry, is_person in zip(found, are, strict=True)]


# ---- posehg's records --------------------------------------------------------------------------------------------


def _record(line: str) -> Record | None:
    """The record that a line holds; None where it holds none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "posehg" in record else None


def _lines(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, Record]]:
    """The records, each with the number of its line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = _record(line)
            if record is None:
                raise refused(path, "it is not a record of posehg, or was cut short", f"line {number}", _RECORD)
            yield number, record


def _people(path: Path, record: Record, line: int) -> Iterator[Entry]:
    place = f"line {line}"
    if not is_number(record["posehg"]) or record["posehg"] != RECORD:
        told = f"it is of version {shown(record['posehg'])}, and posehg reads {RECORD}"
        raise refused(path, told, place, "Update posehg, or predict again.")
    name = _placed(path, place, _RECORD, name_of, record.get("source"))
    frame = _placed(path, place, _RECORD, frame_of, record.get("frame"))
    yield Entry(name, frame)
    for number, person in enumerate(_records(path, "person", record.get("people"), _RECORD, place), start=1):
        yield _placed(path, f"{place}, person {number}", _RECORD, _person, name, frame, person)


def _person(name: str, frame: int | None, person: Record) -> Entry:
    return Entry(name, frame, box_of(_numbers(person)), score_of(person.get("score")))
