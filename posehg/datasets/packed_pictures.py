"""Reads the pictures of a packed data set, whose format ``packed`` describes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from posehg.datasets import sealing
from posehg.datasets.parts import Reach
from posehg.errors import InputError
from posehg.images import Image
from posehg.poses import Person

AGAIN = "Copy it again, or pack it again: posehg data pack --overwrite"

_LOCAL_HEADER = 30
"""Bytes of a ZIP entry before its name and its extra field, whose lengths are the last two numbers of them."""


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads the picture of a person of the pack; may be copied to other processes, which open the file themselves.

    seal: the file's last bytes as it was loaded. places: for each file in it, where its entry begins and its length.
    """

    path: Path
    seal: bytes
    places: Mapping[str, tuple[int, int]]
    reach: Reach

    def __call__(self, person: Person) -> Image:
        """RGB uint8 (H, W, 3). Raises InputError where the pack is no longer what was loaded."""
        offset, length = self.places[person.image.name]
        content = _opened(self.path, self.seal)
        try:
            name, extra = struct.unpack_from("<HH", content, offset + _LOCAL_HEADER - 4)
            begin = offset + _LOCAL_HEADER + name + extra
            with PillowImage.open(BytesIO(content[begin : begin + length])) as picture:
                return np.array(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError, struct.error) as error:
            raise InputError(f"{person.image} is not a picture ({error}).", AGAIN) from None


@lru_cache(maxsize=16)
def _opened(path: Path, seal: bytes) -> mmap:
    """The file in memory, where readers do not share a place in it, as they would in an open file after a fork."""
    try:
        with open(path, "rb") as file:
            content = mmap(file.fileno(), 0, access=ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: it is empty now
        raise InputError(f"{path} can no longer be read: {error}.") from None
    if content[-sealing.LENGTH :] != seal:
        raise InputError(f"{path} was replaced while it was in use.", "Start again.")
    return content
