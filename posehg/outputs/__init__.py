"""Files that results are written to. A writer takes (path, result, overwrite) and writes the whole file or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posehg.outputs import image, json
from posehg.outputs.result import Result

Writer = Callable[[Path, Result, bool], None]

WRITERS: dict[str, Writer] = {
    ".png": image.write,
    ".jpg": image.write,
    ".jpeg": image.write,
    ".webp": image.write,
    ".json": json.write,
}
"""By the suffix, in small letters, of the file that is asked for."""

__all__ = ["WRITERS", "Result", "Writer"]
