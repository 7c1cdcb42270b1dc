"""Reading inputs (images, videos, cameras, bounding boxes) and writing results."""

from __future__ import annotations

from posehg.io.sources import Frame, Source, expand, frames
from posehg.io.video import CutShort

__all__ = ["CutShort", "Frame", "Source", "expand", "frames"]
