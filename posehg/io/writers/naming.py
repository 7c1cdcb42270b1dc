"""Which file a picture's, or a frame's, results go to.

    OUT/walks/a.png                        --out OUT, --save image      the tree of the sources is kept below OUT
    OUT/image/walks/a.png                  --save image,openpose        of several kinds each has its own folder
    OUT/openpose/walks/a_keypoints.json
    OUT/openpose/v_000000000012_keypoints.json                          frame 12 of the video v.mp4
    OUT/results.json                       --save coco                  one file of all

Sources that differ without their suffixes never share a file. For that a name that reads like a frame of another source
gets a ~ behind it, a folder that is named like a file of results a _, and a name too long for what is put behind it
loses its end to eight digits that are its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from posehg.io.sources import coco_number

MAX_BYTES = 255 - 40
"""Of a name. Disks take 255; a frame's number and a kind's ending follow."""

_FRAME = re.compile(r"_00[0-9]{10}~*$", re.ASCII)
"""A frame's number behind the name of its video."""

_FILE = re.compile(r"\.(png|jpe?g|webp|jsonl?|csv|npz|mp4|webm)_*$", re.IGNORECASE)


def place(out: Path, kind: str, kinds: Sequence[str]) -> Path:
    """The folder for files of one of the kinds that are written: ``out``, or of several each its own in it."""
    return out / kind if len(kinds) > 1 else out


def target(folder: Path, relative: PurePath, ending: str, frame: int | None = None) -> Path:
    """The file of a source, or of a frame of a video.

    relative: where the source's results belong below the folder, with the source's own suffix: walks/a.jpg.
    ending: what the kind of files puts behind a name: _keypoints.json.
    """
    if relative.is_absolute() or ".." in relative.parts or not relative.name:
        raise ValueError(f"{relative} leads out of {folder}.")
    *folders, name = relative.parts
    stem = PurePath(name).stem
    if frame is None and _FRAME.search(stem) and coco_number(stem) is None:
        stem += "~"
    number = "" if frame is None else f"_{frame:012d}"
    below = [f"{part}_" if _FILE.search(part) else part for part in folders]
    return folder.joinpath(*below, f"{_shortened(stem)}{number}{ending}")


def _shortened(name: str) -> str:
    code = name.encode("utf-8", "surrogateescape")
    if len(code) <= MAX_BYTES:
        return name
    digits = hashlib.sha256(code).hexdigest()[:8]
    return f"{code[: MAX_BYTES - 9].decode('utf-8', 'ignore')}~{digits}"
