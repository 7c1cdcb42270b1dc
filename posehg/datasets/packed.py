"""Packed data sets: the parts of the pictures that show the persons of one split, in one file NAME-SPLIT.zip.

It is an ordinary ZIP file, whose pictures are not compressed again:

    0000000.jpg, 0000001.jpg, ...   one a person: all that its views can show
    annotations.json                what is known of them, in pixels of their parts
    the ZIP's comment               SHA-256 of all bytes before it, in hexadecimal: the last 64 bytes of the file

    annotations.json: format, version, name, split, note, origin (see Dataset)
                      skeleton: name, joints, limbs, torso; flip_pairs and sigmas where it has its own
                      reach: padding, size (see parts.Reach)
                      source: SHA-256 of the annotation that was packed
                      persons: file, id, box [x, y, w, h], keypoints [x, y, x, y, ...] (null where not labelled),
                               visible [true, ...], head_size (number or null), area (where it is known),
                               others [box, ...] (further people whom the part shows)

``packing`` writes it.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from posehg.datasets import sealing
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import unreadable
from posehg.datasets.joining import ReadBySource
from posehg.datasets.packed_pictures import AGAIN, Reader
from posehg.datasets.parts import Reach
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import SKELETONS, Skeleton

__all__ = ["ANNOTATIONS", "FORMAT", "VERSION", "Reader", "load", "made_of"]

ANNOTATIONS = "annotations.json"
FORMAT, VERSION = "posehg-packed", 1

_EXPECTED = "a packed data set"

# What zipfile raises for archives that others wrote, and what comes of another JSON.
_BROKEN_ZIP = (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, struct.error)
_BROKEN_JSON = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, UsageError)


def load(path: Path) -> Dataset:
    """The persons of a packed set, each on a picture of its own, which is read when it is asked for.

    Raises NotAvailable, naming the file, where any of its bytes is not as it was written.
    """
    content, reader = _open(path)
    try:
        return _dataset(path, content, reader)
    except _BROKEN_JSON as error:
        raise _unreadable(path, error) from None


def made_of(path: Path) -> tuple[Reach, str]:
    """What a pack was cut for, and the digest of what was packed. Raises NotAvailable as ``load`` does."""
    content, reader = _open(path)
    return reader.reach, str(content.get("source"))


def shortfalls(dataset: Dataset, needed: Reach) -> list[str]:
    """A sentence for each pack that the set is read from and that was cut for less than ``needed``."""
    read = dataset.read
    readers = read.readers.values() if isinstance(read, ReadBySource) else [read]
    short = [reader for reader in readers if isinstance(reader, Reader) and not reader.reach.covers(needed)]
    return [
        f"{reader.path} was packed for smaller or tamer views than these, which show black or blur beyond it. "
        "Pack it again for them, or use the set itself."
        for reader in short
    ]


def _open(path: Path) -> tuple[dict[str, Any], Reader]:
    """What annotations.json says, and the reader of the pictures."""
    seal = _seal(path)
    try:
        with ZipFile(path) as archive:
            content = json.loads(archive.read(ANNOTATIONS))
            places = {entry.filename: (entry.header_offset, entry.file_size) for entry in archive.infolist()}
        _check_version(path, content)
        return content, Reader(path, seal, places, _reach(**content["reach"]))
    except (*_BROKEN_ZIP, *_BROKEN_JSON) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> NotAvailable:
    return unreadable(path, _EXPECTED, f"{type(error).__name__}: {error}", AGAIN)


def _seal(path: Path) -> bytes:
    try:
        seal = sealing.intact(path)
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None
    if seal is None:
        raise unreadable(path, _EXPECTED, "its checksum does not hold", AGAIN)
    return seal


def _check_version(path: Path, content: dict[str, Any]) -> None:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}")
    if content["version"] != VERSION:
        hint = "Update posehg, or pack the data set again."
        raise NotAvailable(f"{path} has version {content['version']} of its format; posehg reads {VERSION}.", hint)


def _dataset(path: Path, content: dict[str, Any], reader: Reader) -> Dataset:
    skeleton = Skeleton.from_dict(content["skeleton"])
    skeleton = next((known for known in SKELETONS.values() if known == skeleton), skeleton)
    persons = [_person(path, record, len(skeleton.joints)) for record in content["persons"]]
    for person in persons:
        reader.places[person.image.name]  # a KeyError is told by the caller
    return Dataset(
        name=str(content["name"]),
        split=str(content["split"]),
        skeleton=skeleton,
        persons=persons,
        read=reader,
        note=str(content.get("note", "")),  # packs of older versions have none of these
        origin=int(content.get("origin", 0)),
    )


def _reach(padding: float, size: int) -> Reach:
    return Reach(float(padding), int(size))


def _person(path: Path, record: dict[str, Any], joints: int) -> Person:
    keypoints = np.array(record["keypoints"], dtype=np.float64).reshape(joints, 2)  # null becomes NaN
    visible = np.array(record["visible"], dtype=np.bool_).reshape(joints)
    if np.isinf(keypoints).any():
        raise ValueError("a joint lies nowhere")
    head_size, area = record["head_size"], record.get("area")
    return Person(
        image=path / record["file"],
        box=_box(*record["box"]),
        keypoints=keypoints,
        visible=visible,
        head_size=None if head_size is None else float(head_size),
        id=str(record["id"]),
        others=tuple(_box(*box) for box in record["others"]),
        area=None if area is None else float(area),
    )


def _box(x: float, y: float, w: float, h: float) -> Box:
    box = Box(float(x), float(y), float(w), float(h))
    if not (0 < box.w < math.inf and 0 < box.h < math.inf and math.isfinite(box.x + box.y)):
        raise ValueError(f"a box is {x}, {y}, {w}, {h}")
    return box
