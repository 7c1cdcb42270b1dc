"""Words beside points, each where it hides the least.

Of the places around its point a label takes the cheapest: one that covers no dot and no line, is not nearer to another
point than to its own, and lies outward. One that is not beside its point gets a leader line to it. Labels never
overlap, and one that finds no good place is left out.

Places are measured at pixel edges as boxes are: left, top, right, bottom.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Floats = NDArray[np.float64]
Canvas = NDArray[np.uint8]

_WIDEST, _HIGHEST = 0.3, 0.2
"""Of the picture: a larger label is left out."""

_DEAREST = 2.0
"""What a place may cost."""

_RINGS = (0.0, 1.0, 2.0, 3.2)
"""How far from the dot's edge labels may stand, in heights of a label."""

_APART = 0.5
"""How far from its dot, in heights, a label needs a leader line."""

_LEADER = 0.5
"""Half the width of a leader line, in pixels, for what it must not cross."""

_DIRECTIONS = np.array(
    [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)]
    + [(0.5, -1), (-0.5, -1), (0.5, 1), (-0.5, 1)],
    dtype=np.float64,
)
"""On which side of the point the label's middle lies, in halves of its width and height."""


@dataclass(frozen=True, eq=False)
class Wish:
    """What is to be written beside a point.

    point: (2,), its pixel's centre being an integer. clear: the radius of its dot in pixels. size: of the letters, in
    pixels. outward: (2,), where there is room, as a direction; (0, 0) where that is not known.
    """

    text: str
    point: Floats
    clear: float
    size: float
    outward: Floats


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


def place(wishes: Sequence[Wish], obstacles: Obstacles, shape: tuple[int, ...]) -> list[Label | None]:
    """One label a wish, inside a picture of that shape; None where no place is good enough.

    The first wish chooses first. In a small picture labels that would take more than 0.3 of its width or 0.2 of its
    height are left out.
    """
    taken, leaders = np.empty((0, 4)), np.empty((0, 5))
    found: list[Label | None] = []
    for wish in wishes:
        label = _best(wish, obstacles, taken, leaders, shape)
        found.append(label)
        if label is not None:
            taken = np.vstack([taken, label.place])
            if label.leader is not None:
                leaders = np.vstack([leaders, (*(label.leader + 0.5).ravel(), _LEADER)])
    return found


def write(canvas: Canvas, labels: Sequence[Label]) -> None:
    """Write labels on an RGB uint8 canvas, in place: white, with a black edge."""
    for label in labels:
        left, top, right, bottom = label.place
        font, edge = _font(label.size), _edge(label.size)
        patch = PillowImage.fromarray(canvas[top:bottom, left:right])
        x, y, *_ = _bounds(label.text, label.size)
        ImageDraw.Draw(patch).text((-x, -y), _spaced(label.text), "white", font, stroke_width=edge, stroke_fill="black")
        canvas[top:bottom, left:right] = np.asarray(patch)


# ---- letters -----------------------------------------------------------------------------------------------------


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _edge(size: float) -> int:
    return max(1, round(size / 12))


def _spaced(text: str) -> str:
    """With wide gaps between the words: the letters' edges eat much of them."""
    return text.replace(" ", "  ")


@cache
def _bounds(text: str, size: float) -> tuple[int, int, int, int]:
    """Where the ink of a text written at (0, 0) lies; as high as every text of that size."""
    edge, pen = _edge(size), ImageDraw.Draw(PillowImage.new("L", (1, 1)))
    left, _, right, _ = pen.textbbox((0, 0), _spaced(text), _font(size), stroke_width=edge)
    _, top, _, bottom = pen.textbbox((0, 0), "#hp", _font(size), stroke_width=edge)
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


# ---- places ------------------------------------------------------------------------------------------------------


def _best(wish: Wish, obstacles: Obstacles, taken: Floats, leaders: Floats, shape: tuple[int, ...]) -> Label | None:
    left, top, right, bottom = _bounds(wish.text, wish.size)
    width, height = right - left, bottom - top
    if width > _WIDEST * shape[1] or height > _HIGHEST * shape[0]:
        return None
    places, rings = _candidates(wish, width, height, shape)
    ends = _leaders(wish, places)
    costs = _costs(wish, places, rings, ends, obstacles)
    costs[_blocked(places, ends, taken, leaders)] = np.inf
    best = int(np.argmin(costs))
    if costs[best] > _DEAREST:
        return None
    at = [round(edge) for edge in places[best]]
    leader = ends[best, :4].reshape(2, 2)
    apart = math.dist(*leader) > _APART * height
    return Label(wish.text, wish.size, (at[0], at[1], at[2], at[3]), leader - 0.5 if apart else None)


def _candidates(wish: Wish, width: int, height: int, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """(C, 4) places of that size around a point, moved into the picture, and how far from it: (C,), in heights."""
    rings = np.repeat(_RINGS, len(_DIRECTIONS))
    toward = np.tile(_DIRECTIONS, (len(_RINGS), 1))
    gaps = wish.clear + 1 + rings * height
    unit = toward / np.hypot(*toward.T)[:, None]
    corners = wish.point + 0.5 + gaps[:, None] * unit + (toward - 1) / 2 * (width, height)
    corners = np.rint(np.clip(corners, 0, (shape[1] - width, shape[0] - height)))
    return np.hstack([corners, corners + (width, height)]), rings


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
    overlapping = (places[:, None, :2] < taken[:, 2:]) & (taken[:, :2] < places[:, None, 2:])
    blocked: NDArray[np.bool_] = overlapping.all(axis=2).any(axis=1)
    return blocked | (_within(leaders, places) > 0).any(axis=0) | (_within(ends, taken) > 0).any(axis=1)


def _costs(wish: Wish, places: Floats, rings: Floats, ends: Floats, obstacles: Obstacles) -> Floats:
    """(C,): what each place hides and how easily it is misread; 1 is about a line that runs through the text."""
    height = places[0, 3] - places[0, 1]
    point, dots, radii = wish.point + 0.5, obstacles.dots[:, :2] + 0.5, obstacles.dots[:, 2]
    away = _distances(dots, places)
    hidden = np.clip((radii + 1 - away) / (radii + 1), 0, 1).sum(axis=1)
    lines = obstacles.lines + (0.5, 0.5, 0.5, 0.5, 0)
    crossed = np.minimum(_within(lines, places) / height, 2).sum(axis=0)
    # Whoever reads a label takes it for that of the nearest dot.
    own = _distances(point[None], places)[:, 0] - wish.clear
    others = np.where(np.hypot(*(dots - point).T) < 1, np.inf, away - radii).min(axis=1, initial=np.inf)
    misread = np.clip(1 - (others - own) / height, 0, 2)
    middle = (places[:, :2] + places[:, 2:]) / 2 - point
    outward = middle / np.maximum(np.hypot(*middle.T), 1e-6)[:, None] @ wish.outward
    astray = _strays(ends, dots, radii, point)
    return 3 * hidden + crossed + 0.5 * misread + 0.25 * (1 - outward) + 0.35 * rings + astray


def _distances(points: Floats, places: Floats) -> Floats:
    """(C, N): of each point from each place, 0 within."""
    beyond = np.maximum(places[:, None, :2] - points, points - places[:, None, 2:])
    distances: Floats = np.hypot(*np.moveaxis(np.maximum(beyond, 0), 2, 0))
    return distances


def _strays(ends: Floats, dots: Floats, radii: Floats, point: Floats) -> Floats:
    """(C,): of how many other dots than its own each leader runs through."""
    run = ends[:, None, 2:4] - ends[:, None, :2]
    to_dot = dots - ends[:, None, :2]
    along = np.clip((to_dot * run).sum(axis=2) / np.maximum((run * run).sum(axis=2), 1e-6), 0, 1)
    near = np.hypot(*np.moveaxis(to_dot - along[..., None] * run, 2, 0)) < radii + 1
    strays: Floats = (near & (np.hypot(*(dots - point).T) >= 1)).sum(axis=1).astype(np.float64)
    return strays


def _within(lines: Floats, places: Floats) -> Floats:
    """(M, C): how much of each line's length lies in each place."""
    start, run, radius = lines[:, None, :2], (lines[:, 2:4] - lines[:, :2])[:, None], lines[:, None, 4:5]
    run = np.where(np.abs(run) < 1e-9, 1e-9, run)
    a, b = (places[:, :2] - radius - start) / run, (places[:, 2:] + radius - start) / run
    enter, leave = np.minimum(a, b).max(axis=2), np.maximum(a, b).min(axis=2)
    length = np.hypot(*(lines[:, 2:4] - lines[:, :2]).T)[:, None]
    inside: Floats = np.maximum(np.minimum(leave, 1) - np.maximum(enter, 0), 0) * length
    return inside
