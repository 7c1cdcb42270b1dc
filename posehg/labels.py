"""Words beside points, each where it hides the least.

Of the places around its point a label takes the cheapest: one that covers no dot and no line, is not nearer to another
point than to its own, and lies outward. One that is not beside its point gets a leader line to it. Labels never
overlap, and one that finds no good place is left out.

Places are measured at pixel edges as boxes are: left, top, right, bottom.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Floats = NDArray[np.float64]
Coverage = NDArray[np.float32]
Canvas = NDArray[np.uint8]

_WIDEST, _HIGHEST = 0.3, 0.2
"""Of the picture: a larger label is left out."""

_DEAREST = 1.3
"""What a place may cost."""

_EASY = 0.7
"""A place that costs less is a good one."""

_RINGS = (0.0, 1.0, 2.0, 3.2)
"""How far from the dot's edge labels may stand, in heights of a label."""

_APART = 0.5
"""How far from its dot, in heights, a label needs a leader line."""

_LEADER = 0.5
"""Half the width of a leader line, in pixels, for what it must not cross."""

_DIRECTIONS = np.array(
    [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1), (0.5, -1), (-0.5, -1), (0.5, 1), (-0.5, 1)]
)
"""On which side of the point the label's middle lies, in halves of its width and height."""


@dataclass(frozen=True, eq=False)
class Wish:
    """What is to be written beside a point.

    point: (2,), its pixel's centre being an integer. clear: the radius of its dot in pixels. size: of the letters, in
    pixels. outward: (2,), where there is room, as a direction; (0, 0) where that is not known. rank: lower ones choose
    their places first. needed: it may cover dots and lines where it must, only no other label.
    """

    text: str
    point: Floats
    clear: float
    size: float
    outward: Floats
    rank: int = 0
    needed: bool = False


@dataclass(frozen=True, eq=False)
class Obstacles:
    """What labels should not cover: dots (N, 3) are x, y, radius; lines (M, 5) are x, y, x, y, radius."""

    dots: Floats = field(default_factory=lambda: np.empty((0, 3)))
    lines: Floats = field(default_factory=lambda: np.empty((0, 5)))


@dataclass(frozen=True, eq=False)
class Label:
    """A text and the whole pixels it takes: left, top, right, bottom.

    leader: (2, 2), the ends of a line to it from its dot's edge, as points; None where it stands beside the dot.
    """

    text: str
    size: float
    place: tuple[int, int, int, int]
    leader: Floats | None = None


def place(wishes: Sequence[Wish], obstacles: Obstacles, shape: tuple[int, ...]) -> list[Label]:
    """Labels inside a picture of that shape, at most one a wish: none where no place is good enough.

    Lower ranks choose first, and within a rank who has the least choice. In a small picture labels that would take
    more than 0.3 of its width or 0.2 of its height are left out.
    """
    taken, leaders = np.empty((0, 4)), np.empty((0, 5))
    found: list[Label] = []
    for options in sorted(_all_options(wishes, obstacles, shape), key=lambda options: options.order):
        label = _best(options, taken, leaders)
        if label is not None:
            found.append(label)
            taken = np.vstack([taken, label.place])
        if label is not None and label.leader is not None:
            leaders = np.vstack([leaders, (*(label.leader + 0.5).ravel(), _LEADER)])
    return found


def write(canvas: Canvas, labels: Sequence[Label]) -> None:
    """Write labels on an RGB uint8 canvas, in place: white, with a black edge."""
    for label in labels:
        left, top, right, bottom = label.place
        edge, ink = _letters(label.text, label.size)
        below = canvas[top:bottom, left:right]
        canvas[top:bottom, left:right] = np.rint(below * (1 - edge) * (1 - ink) + 255 * ink).astype(np.uint8)


# ---- letters -----------------------------------------------------------------------------------------------------


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _edge(size: float) -> int:
    return max(1, round(size / 12))


def _spaced(text: str) -> str:
    """With wide gaps between the words: the letters' edges eat much of them."""
    return text.replace(" ", "  ")


@lru_cache(1024)
def _bounds(text: str, size: float) -> tuple[int, int, int, int]:
    """Where the ink of a text written at (0, 0) lies; as high as every text of that size."""
    edge, pen = _edge(size), ImageDraw.Draw(PillowImage.new("L", (1, 1)))
    left, _, right, _ = pen.textbbox((0, 0), _spaced(text), _font(size), stroke_width=edge)
    _, top, _, bottom = pen.textbbox((0, 0), "#hp", _font(size), stroke_width=edge)
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


@lru_cache(1024)
def _letters(text: str, size: float) -> tuple[Coverage, Coverage]:
    """How much a text with its edge, and a text alone, cover of each pixel of its place: (H, W, 1), 0 .. 1."""
    left, top, right, bottom = _bounds(text, size)
    masks = []
    for edge in (_edge(size), 0):
        mask = PillowImage.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).text((-left, -top), _spaced(text), 255, _font(size), stroke_width=edge)
        masks.append(np.asarray(mask, dtype=np.float32)[..., None] / np.float32(255))
    return masks[0], masks[1]


# ---- places ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Options:
    """Where a label may stand, (C, 4), with which leaders, (C, 5), at what cost, (C,), as long as no other is there."""

    wish: Wish
    places: Floats
    ends: Floats
    costs: Floats

    @property
    def order(self) -> tuple[int, int]:
        """Who chooses first."""
        return self.wish.rank, int((self.costs < _EASY).sum())


def _all_options(wishes: Sequence[Wish], obstacles: Obstacles, shape: tuple[int, ...]) -> Iterator[_Options]:
    """Of each wish that the picture is large enough for."""
    dots = obstacles.dots + np.array([0.5, 0.5, 0])
    lines = obstacles.lines + np.array([0.5, 0.5, 0.5, 0.5, 0])
    for wish in wishes:
        left, top, right, bottom = _bounds(wish.text, wish.size)
        width, height = right - left, bottom - top
        if width > _WIDEST * shape[1] or height > _HIGHEST * shape[0]:
            continue
        places, rings = _candidates(wish, width, height, shape)
        ends = _leaders(wish, places)
        yield _Options(wish, places, ends, _costs(wish, places, rings, ends, dots, lines))


def _best(options: _Options, taken: Floats, leaders: Floats) -> Label | None:
    wish, places, ends = options.wish, options.places, options.ends
    costs = np.where(_blocked(places, ends, taken, leaders), np.inf, options.costs)
    best = int(np.argmin(costs))
    if costs[best] > (sys.float_info.max if wish.needed else _DEAREST):
        return None
    left, top, right, bottom = (round(edge) for edge in places[best])
    leader = ends[best, :4].reshape(2, 2) - 0.5
    apart = math.dist(*leader) > _APART * (bottom - top)
    return Label(wish.text, wish.size, (left, top, right, bottom), leader if apart else None)


def _candidates(wish: Wish, width: int, height: int, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """(C, 4) places of that size around a point, moved into the picture, and how far from it: (C,), in heights."""
    rings = np.repeat(_RINGS, len(_DIRECTIONS))
    toward = np.tile(_DIRECTIONS, (len(_RINGS), 1))
    gaps = wish.clear + 1 + rings * height
    unit = toward / np.hypot(*toward.T)[:, None]
    corners = wish.point + 0.5 + gaps[:, None] * unit + (toward - 1) / 2 * (width, height)
    corners = np.rint(np.clip(corners, 0, (shape[1] - width, shape[0] - height)))
    return np.hstack([corners, corners + np.array([width, height])]), rings


def _leaders(wish: Wish, places: Floats) -> Floats:
    """(C, 5) lines from the dot's edge to the nearest point of each place."""
    point = wish.point + 0.5
    nearest = np.clip(point, places[:, :2], places[:, 2:])
    apart = nearest - point
    length = np.maximum(np.hypot(*apart.T), 1e-6)[:, None]
    start = point + apart * np.minimum(wish.clear / length, 1)
    return np.hstack([start, nearest, np.full((len(places), 1), _LEADER)])


def _blocked(places: Floats, ends: Floats, taken: Floats, leaders: Floats) -> NDArray[np.bool_]:
    """(C,): where labels would overlap, or a leader would run through a label."""
    left, top, right, bottom = places.T[..., None]
    blocked: NDArray[np.bool_] = (
        (left < taken[:, 2]) & (taken[:, 0] < right) & (top < taken[:, 3]) & (taken[:, 1] < bottom)
    ).any(axis=1)
    return blocked | (_within(leaders, places) > 0).any(axis=0) | (_within(ends, taken) > 0).any(axis=1)


def _costs(wish: Wish, places: Floats, rings: Floats, ends: Floats, dots: Floats, lines: Floats) -> Floats:
    """(C,): what each place hides and how easily it is misread; 1 is about a line that runs through the text."""
    height = places[0, 3] - places[0, 1]
    point, reach = wish.point + 0.5, np.append(places[:, :2].min(axis=0), places[:, 2:].max(axis=0))
    dots, lines = _near(dots[:, [0, 1, 0, 1, 2]], reach, 2 * height)[:, [0, 1, 4]], _near(lines, reach, 0.0)
    away, radii, others = _distances(dots, places), dots[:, 2], np.hypot(*(dots[:, :2] - point).T) >= 1
    hidden = np.clip((radii + 0.5 - away) / (radii + 0.5), 0, 1).sum(axis=1)
    crossed = np.minimum(_within(lines, places) / height, 2).sum(axis=0)
    # Whoever reads a label takes it for that of the nearest dot.
    own = np.hypot(*(np.clip(point, places[:, :2], places[:, 2:]) - point).T) - wish.clear
    misread = np.clip(1 - ((away - radii)[:, others].min(axis=1, initial=1e9) - own) / height, 0, 2)
    middle = (places[:, :2] + places[:, 2:]) / 2 - point
    outward = middle @ wish.outward / np.maximum(np.hypot(*middle.T), 1e-6)
    astray = _strays(ends, dots[others])
    return 3 * hidden + crossed + 0.5 * misread + 0.25 * (1 - outward) + 0.35 * rings + astray


def _near(lines: Floats, reach: Floats, margin: float) -> Floats:
    """Those of (M, 5) lines that may come closer than ``margin`` to a place."""
    low, high = np.minimum(lines[:, :2], lines[:, 2:4]), np.maximum(lines[:, :2], lines[:, 2:4])
    margins = lines[:, 4:] + margin
    chosen: Floats = lines[((low - margins < reach[2:]) & (high + margins > reach[:2])).all(axis=1)]
    return chosen


def _distances(dots: Floats, places: Floats) -> Floats:
    """(C, N): of each dot's middle from each place, 0 within."""
    left, top, right, bottom = places.T[..., None]
    x, y = dots[:, 0], dots[:, 1]
    distances: Floats = np.hypot(
        np.maximum(np.maximum(left - x, x - right), 0), np.maximum(np.maximum(top - y, y - bottom), 0)
    )
    return distances


def _strays(ends: Floats, dots: Floats) -> Floats:
    """(C,): of how many dots each leader passes too near."""
    x, y, right, down = ends.T[:4, :, None]
    run_x, run_y, to_x, to_y = right - x, down - y, dots[:, 0] - x, dots[:, 1] - y
    along = np.clip((to_x * run_x + to_y * run_y) / np.maximum(run_x**2 + run_y**2, 1e-6), 0, 1)
    strays: Floats = (np.hypot(to_x - along * run_x, to_y - along * run_y) < dots[:, 2] + 2).sum(axis=1).astype(float)
    return strays


def _within(lines: Floats, places: Floats) -> Floats:
    """(M, C): how much of each line's length lies in each place."""
    if not (len(lines) and len(places)):
        return np.zeros((len(lines), len(places)))
    along_x, along_y = (_crossing(lines, places, axis) for axis in (0, 1))
    enter = np.maximum(np.maximum(along_x[0], along_y[0]), 0)
    leave = np.minimum(np.minimum(along_x[1], along_y[1]), 1)
    inside: Floats = np.maximum(leave - enter, 0) * np.hypot(*(lines[:, 2:4] - lines[:, :2]).T)[:, None]
    return inside


def _crossing(lines: Floats, places: Floats, axis: int) -> tuple[Floats, Floats]:
    """(M, C) each: where along a line, its length being 1, it enters and leaves a place's columns or rows."""
    start, end, radius = lines[:, axis, None], lines[:, axis + 2, None], lines[:, 4, None]
    run = np.where(np.abs(end - start) < 1e-9, 1e-9, end - start)
    first, second = (places[:, axis] - radius - start) / run, (places[:, axis + 2] + radius - start) / run
    return np.minimum(first, second), np.maximum(first, second)
