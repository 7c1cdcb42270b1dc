"""What files of boxes have in common, whatever their format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from posehg.errors import InputError
from posehg.geometry import FARTHEST, SMALLEST, Box

FORMATS = (
    "A file of boxes is COCO's json (detections or annotations), posehg's .jsonl, or a table with the columns "
    "image, x, y, w, h."
)

_LONGEST = 40
"""Letters of a value that an error repeats."""


@dataclass(frozen=True)
class Entry:
    """One box. name: of the picture or video, as the file has it. frame: of a video, from 0 on.

    box: None where the file only says that there is such a picture.
    """

    name: str
    frame: int | None = None
    box: Box | None = None
    score: float | None = None

    def without_box(self) -> Entry:
        return replace(self, box=None)


def refused(path: Path, what: str, place: str = "", hint: str = FORMATS) -> InputError:
    """The error for a file, or a place in it. what: a sentence about it, without its point."""
    return InputError(f"{path}{', ' * bool(place)}{place}: {what}.", hint)


def box_of(numbers: Sequence[float]) -> Box:
    """Raises ValueError for what is not x, y, w and h of a box on a picture. numbers: may be NaN, or huge."""
    if len(numbers) != 4:
        raise ValueError(f"a box is four numbers x, y, w, h, not {len(numbers)}")
    x, y, w, h = numbers
    if not all(abs(number) <= FARTHEST for number in numbers):  # NaN is not
        far = next(number for number in numbers if not abs(number) <= FARTHEST)
        raise ValueError(f"a box on a picture cannot have the number {shown(far)}")
    if w < SMALLEST or h < SMALLEST:
        raise ValueError(f"a box cannot be {float(w):g} wide and {float(h):g} high")
    return Box(float(x), float(y), float(w), float(h))


def name_of(value: object) -> str:
    """The name of a picture, or its number. Raises ValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"a picture has a name or a number, not {shown(value)}")
    return value


def frame_of(value: object) -> int | None:
    """The number of a frame; None for None. Raises ValueError for anything else."""
    if value is None:
        return None
    if not is_number(value) or not 0 <= value < 1e12 or value != int(value):
        raise ValueError(f"a frame has a number from 0 on, not {shown(value)}")
    return int(value)


def score_of(value: object) -> float | None:
    """None for None. Raises ValueError for what is no finite number."""
    if value is None:
        return None
    if not is_number(value) or not abs(value) < 1e300:
        raise ValueError(f"a score is a number, not {shown(value)}")
    return float(value)


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: object) -> str:
    """A value as an error repeats it. What holds others is not looked into: it may be deeper than repr can go."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = "null" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}.."
