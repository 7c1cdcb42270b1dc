"""Smooth lines and dots of any width, painted from each pixel's distance to them.

So a line lies where its ends lie to a fraction of a pixel, its edge is smooth, and its colour runs from end to end:

    distance to the line    0 ......... radius ... radius + casing ...
    colour                  the line's  | the casing's | the image's

Canvases are RGB uint8 (H, W, 3) and are painted in place; points are (x, y) with pixel centres at integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.uint8]
Floats = NDArray[np.float32]
Patch = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Stroke:
    """A line with round ends, or a dot where both ends are the same.

    ends: (2, 2) points. radius: half the width, in pixels. colours: (2, 3) RGB 0 .. 255, of the two ends.
    """

    ends: NDArray[np.float64]
    radius: float
    colours: Floats


def paint(canvas: Canvas, strokes: Sequence[Stroke], casing: float, opacity: float) -> None:
    """Paint a black casing of that width (pixels) and opacity (0 .. 1) around all strokes, then the strokes."""
    if strokes:
        _paint_casing(canvas, strokes, casing, opacity)
    for stroke in strokes:
        place = _patch(canvas.shape, stroke.ends, stroke.radius)
        along, coverage = _coverage(place, stroke, stroke.radius)
        touched = coverage > 0  # a slanting line covers little of its patch
        start, end = stroke.colours
        _blend(canvas[place], touched, start + (end - start) * along[touched][:, None], coverage)


def _paint_casing(canvas: Canvas, strokes: Sequence[Stroke], casing: float, opacity: float) -> None:
    # All at once: one after the other, casings would add up where strokes meet.
    widest = max(stroke.radius for stroke in strokes) + casing
    region = _patch(canvas.shape, np.concatenate([stroke.ends for stroke in strokes]), widest)
    rows, columns = region
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)
    for stroke in strokes:
        place = _patch(canvas.shape, stroke.ends, stroke.radius + casing)
        _, coverage = _coverage(place, stroke, stroke.radius + casing)
        part = mask[_seen_from(rows.start, place[0]), _seen_from(columns.start, place[1])]
        np.maximum(part, coverage, out=part)
    _blend(canvas[region], mask > 0, np.zeros(3, dtype=np.float32), mask * np.float32(opacity))


def _seen_from(start: int, part: slice) -> slice:
    return slice(part.start - start, part.stop - start)


def _patch(shape: tuple[int, ...], ends: NDArray[np.float64], radius: float) -> Patch:
    """The rows and columns of the canvas that strokes of such ends may touch."""
    limit = (shape[1], shape[0])
    left, top = np.clip(np.floor(ends.min(axis=0) - radius - 1), 0, limit).astype(int)
    right, bottom = np.clip(np.ceil(ends.max(axis=0) + radius + 2), 0, limit).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _coverage(place: Patch, stroke: Stroke, radius: float) -> tuple[Floats, Floats]:
    """For each pixel of the patch: how far along the stroke it lies, 0 .. 1, and how much of it the stroke covers."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float64) for part in place)
    start, end = stroke.ends
    length = float(np.hypot(*(end - start)))
    ux, uy = (end - start) / length if length > 0 else (1.0, 0.0)
    x, y = columns - start[0], (rows - start[1])[:, None]
    run = (x * ux + y * uy).astype(np.float32)
    beyond = np.maximum(np.maximum(run - length, -run), 0)
    distance = np.hypot((x * uy - y * ux).astype(np.float32), beyond)
    return np.clip(run / max(length, 1e-6), 0, 1), np.clip(radius + 0.5 - distance, 0, 1)


def _blend(part: Canvas, touched: NDArray[np.bool_], colour: Floats, opacity: Floats) -> None:
    """colour: of every touched pixel, (n, 3), or of all, (3,). opacity: (h, w) as the part of the canvas."""
    below = part[touched].astype(np.float32)
    part[touched] = np.rint(below + (colour - below) * opacity[touched][:, None]).astype(np.uint8)
