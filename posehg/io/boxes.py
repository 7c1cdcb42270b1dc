"""Where people are on pictures and in videos, from a file that somebody else wrote.

    [{"image_id": 785, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}, ..]       COCO's list of detections
    {"images": [..], "annotations": [..], "categories": [..]}                           COCO's annotations
    {"posehg": 1, "source": .., "frame": .., "people": [{"bbox": [x, y, w, h], ..}]}    posehg's records, one or lines
    image,x,y,w,h,frame,score                                                           a table with a header

The content tells which it is, not the name. Coordinates are zero-based pixels of the upright picture, a box begins at a
pixel's edge; boxes are given back as they stand in the file, in its order. boxes_json and boxes_csv say the details.

A picture is found in the file by its name as given, by the folders above it as far as they agree, by its file name,
by that without the suffix, or by COCO's number: 785 for 000000000785.jpg and for COCO_val2014_000000000785.jpg. A frame
of a video is found by the ``frame`` of its row or record, counted from 0, or by the name that COCO's results have of it
here: walk_000000000012 is frame 12 of walk.mp4. The closest name wins. Where two are as close, or one name would be of
two pictures, that is an error: no picture gets the boxes of another one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posehg.errors import InputError
from posehg.geometry import Box
from posehg.images import unreadable
from posehg.io import boxes_csv, boxes_json, stream
from posehg.io.boxes_entry import Entry, refused
from posehg.io.boxes_names import Closeness, Match, Names, stem_of
from posehg.io.source import Source

MAX_BYTES = 1 << 30

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_FRAME = re.compile(r"(.+)_([0-9]{12})", re.ASCII | re.DOTALL)
"""The name of a frame in COCO's results, without a suffix."""

_WITH_FOLDERS = "Write the pictures' names with their folders into the file."


@dataclass(frozen=True)
class Unmatched:
    """Names in a file that nobody asked for. count: how many. names: the first of them."""

    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Film:
    """A video's boxes. names: the file's own for it or its frames, in order. frames: the boxes of each that it has."""

    names: dict[str, None] = field(default_factory=dict)
    frames: dict[int, list[Box]] = field(default_factory=dict)


class BoxFile:
    """The boxes of a file, which knows who asked for them. path: what errors call it."""

    def __init__(self, path: Path, entries: Iterable[Entry]) -> None:
        self._path = path
        self._pictures: dict[str, list[Box]] = {}
        self._films: dict[str, _Film] = {}
        for entry in entries:
            self._add(entry)
        self._picture_names = Names(self._pictures)
        self._film_names = Names(self._films)
        self._owners: dict[tuple[bool, str], tuple[str, Closeness]] = {}

    def of(self, source: Source, frame: int | None = None) -> Sequence[Box]:
        """The boxes of a picture, or of a video's frame; none where the file has none.

        Raises InputError where it is not clear whose boxes those in the file are.
        """
        film = frame is not None
        matches = (self._film_names if film else self._picture_names).closest(source)
        if len(matches) > 1:
            first, second, *_ = (match.name for match in matches)
            raise InputError(
                f"{source.name} may be {first} or {second} in {self._path}.",
                "Give the picture by the name that it has in the file, with its folders.",
            )
        if not matches or not self._is_owner(film, matches[0], source):
            return ()
        name = matches[0].name
        return self._films[name].frames.get(frame, ()) if frame is not None else self._pictures[name]

    def unmatched(self, limit: int = 5) -> Unmatched:
        """The names in the file that were not those of any picture or video asked for, of which ``limit`` are named."""
        asked: set[str] = set()
        for film, name in self._owners:
            asked.update(self._films[name].names if film else (name,))
        known = dict.fromkeys(self._pictures)
        for there in self._films.values():
            known.update(there.names)
        left = [name for name in known if name not in asked]
        return Unmatched(len(left), tuple(left[:limit]))

    def _add(self, entry: Entry) -> None:
        if entry.frame is not None:
            self._add_frame(entry.name, entry.frame, entry.name, entry.box)
            return
        boxes = self._pictures.setdefault(entry.name, [])
        if entry.box is not None:
            boxes.append(entry.box)
        if frame := _FRAME.fullmatch(stem_of(entry.name)):
            self._add_frame(frame[1], int(frame[2]), entry.name, entry.box)

    def _add_frame(self, video: str, frame: int, name: str, box: Box | None) -> None:
        film = self._films.setdefault(video, _Film())
        film.names[name] = None
        boxes = film.frames.setdefault(frame, [])
        if box is not None:
            boxes.append(box)

    def _is_owner(self, film: bool, match: Match, source: Source) -> bool:
        """Whether the name in the file is this source's. It is not where a source with a closer name had it before.

        Raises InputError where another source had it that was no closer.
        """
        owner, closeness = self._owners.setdefault((film, match.name), (source.name, match.closeness))
        if owner == source.name:
            return True
        if closeness > match.closeness:
            return False
        raise InputError(f"{match.name} in {self._path} may be {owner} or {source.name}.", _WITH_FOLDERS)


def read(path: str | Path, min_score: float = 0.0) -> BoxFile:
    """The boxes of a file.

    min_score: boxes with a lower score are left out; one without a score is not.
    Raises InputError, naming the file and the place in it, for what cannot be read or meant.
    """
    path = Path(path)
    text = _text(path, _content(path))
    entries = (boxes_json if text.startswith(("[", "{")) else boxes_csv).entries(path, text)
    kept = [entry if entry.score is None or entry.score >= min_score else entry.without_box() for entry in entries]
    return BoxFile(path, kept)


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file of boxes.", "Name the file in it.")
        with open(path, "rb") as file:
            return stream.read(file, str(path), MAX_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError:  # a NUL in its name
        raise InputError(f"There is no file {str(path)!r}.") from None


def _text(path: Path, content: bytes) -> str:
    """Without white space around it."""
    try:
        if content.startswith(_UTF16):  # what PowerShell writes
            text = content.decode("utf-16")
        elif b"\0" in content:
            raise refused(path, "it is not a text file")
        else:
            # A name on disk may be any bytes: what is not UTF-8 is kept as Python keeps it in paths.
            text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    except UnicodeDecodeError:
        raise refused(path, "it is not a text file") from None
    if not text.strip():
        raise refused(path, "it is empty")
    return text.lstrip() if text.lstrip().startswith(("[", "{")) else text
