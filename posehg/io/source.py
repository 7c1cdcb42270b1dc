"""One input before it is opened, and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from posehg.errors import InputError
from posehg.images import Image

Kind = Literal["image", "video", "camera"]

Span = tuple[float, float]
"""Seconds of a video: what is shown from the first on and before the second."""

ALL: Span = (0.0, math.inf)

_PHOTOS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".heic", ".heif", ".hif"}
_OTHERS = {".tif", ".tiff", ".bmp", ".gif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm"}
_FILMS = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv"}
_CAMCORDERS = {".3gp", ".3g2", ".mts", ".m2ts"}

PICTURES = frozenset(_PHOTOS | _OTHERS)
VIDEOS = frozenset(_FILMS | _CAMCORDERS)
"""The suffixes, in small letters, by which both are found in folders. Not .ts, which is a programming language too."""

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Source:
    """One input before it is opened.

    name: what it is called in reports, and opened by: a path, a URL, ``-`` (standard input), ``webcam:0``.
    relative: where its results belong below a folder: never absolute, never upwards, and unlike that of any other
        source of the same call, even without the suffix and to those who do not tell small letters from capitals.
    problem: why there is nothing to open, as in a folder without pictures; reading the source raises it.
    """

    name: str
    kind: Kind
    relative: Path
    problem: InputError | None = None


@dataclass(frozen=True)
class Clip:
    """What a video says of itself. fps: frames a second, on average. duration: seconds. None: unknown."""

    fps: float | None
    duration: float | None


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture, or one of a video.

    image: RGB uint8 (H, W, 3), upright.
    frame: its number in the video, from 0. time: seconds from the video's beginning on, growing from frame to frame,
        as the file says and not as its rate would have it. clip: the video it is of. All None for a picture.
    """

    image: Image
    frame: int | None = None
    time: float | None = None
    clip: Clip | None = None


def kind_of(name: str) -> Kind:
    """By the suffix; what has none of ours is taken for a picture, whose reader looks inside."""
    return "video" if PurePath(name).suffix.lower() in VIDEOS else "image"


def is_known(name: str) -> bool:
    return PurePath(name).suffix.lower() in PICTURES | VIDEOS
