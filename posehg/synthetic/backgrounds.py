"""Places without people: open country, streets, rooms and plain clutter, none of them real."""

import cv2
import numpy as np

from posehg.synthetic.body import Rng
from posehg.synthetic.textures import Colour, Floats, patch, random_colour, shaded

_GROUNDS = np.array(
    [
        *((0.30, 0.42, 0.18), (0.45, 0.44, 0.42), (0.72, 0.64, 0.50), (0.25, 0.25, 0.26)),
        *((0.50, 0.36, 0.24), (0.90, 0.91, 0.93), (0.24, 0.40, 0.50), (0.62, 0.30, 0.22)),
    ],
    dtype=np.float32,
)
_SKY, _WALL, _GREEN = (
    np.array(rgb, dtype=np.float32) for rgb in ((0.45, 0.62, 0.85), (0.6, 0.55, 0.5), (0.2, 0.3, 0.13))
)


def random_background(rng: Rng, rows: int, columns: int) -> Floats:
    """A place without people, (rows, columns, 3) float32 RGB 0 .. 1; often out of focus."""
    sharp = rng.random() < 0.5
    # What is out of focus needs no fine pixels: a third of the sides is a ninth of the work.
    factor = 1.0 if sharp else rng.uniform(1.5, 3.5)
    places = (_outdoors, _room, _clutter, _mixed, _plain)
    place = places[rng.choice(len(places), p=[0.34, 0.28, 0.16, 0.14, 0.08])]
    size = round(rows / factor), round(columns / factor)
    canvas = place(rng, np.empty((*size, 3), dtype=np.float32))
    for _ in range(rng.integers(0, 7)):
        _thing(rng, canvas, _muted(rng), float(2.5 / rng.uniform(0.04, 0.4)))
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 5)):
            _bar(rng, canvas, random_colour(rng), rng.uniform(20, 90))
    canvas = shaded(canvas, patch(rng, *size, rng.uniform(0.3, 2)), rng.uniform(0.0, 0.15))
    if sharp:
        return canvas
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.0))))
    return np.asarray(cv2.resize(canvas, (columns, rows), interpolation=cv2.INTER_LINEAR))


def _outdoors(rng: Rng, canvas: Floats) -> Floats:
    """Sky, ground, and along the horizon sometimes trees and houses."""
    rows, columns = canvas.shape[:2]
    horizon = int(rows * rng.uniform(0.25, 0.8))
    top, bottom = _near(rng, _SKY), _near(rng, np.full(3, 0.85, dtype=np.float32), 0.08)
    sky = _gradient(horizon, columns, top, bottom)
    clouds = np.clip(patch(rng, horizon, columns, rng.uniform(0.3, 1)), 0, 2)
    canvas[:horizon] = shaded(sky, clouds, rng.uniform(0, 0.25))
    canvas[horizon:] = _textured(rng, rows - horizon, columns, *_ground(rng), rng.uniform(0.7, 2), 0.3)
    if rng.random() < 0.6:  # foliage whose upper edge is ragged
        height = max(int(horizon * rng.uniform(0.15, 0.9)), 2)
        first, second = _near(rng, _GREEN, 0.05), _near(rng, _GREEN, 0.12)
        leaves = _textured(rng, height, columns, first, second, rng.uniform(1, 2), 0.5)
        edge = patch(rng, height, columns, rng.uniform(0.4, 1.5)) * 0.35
        inside = edge + np.linspace(-0.6, 1.4, height, dtype=np.float32)[:, None] > 0
        cv2.copyTo(leaves, inside.astype(np.uint8), canvas[horizon - height : horizon])
    for _ in range(rng.integers(1, 5) if rng.random() < 0.5 else 0):
        x, width = int(rng.integers(-40, columns)), int(rng.integers(30, 140))
        y = int(horizon * rng.uniform(0.0, 0.8))
        wall = _near(rng, _WALL)
        cv2.rectangle(canvas, (x, y), (x + width, horizon), wall.tolist(), -1)
        if rng.random() < 0.7:
            step, glass = int(rng.integers(10, 28)), (wall * rng.uniform(0.3, 0.7)).tolist()
            for row in range(y + 5, horizon - step // 2, step)[:7]:
                for column in range(x + 4, x + width - step // 2, step)[:7]:
                    cv2.rectangle(canvas, (column, row), (column + step // 2, row + int(step * 0.6)), glass, -1)
    return canvas


def _room(rng: Rng, canvas: Floats) -> Floats:
    """Wall and floor, sometimes a corner, doors, pictures, shelves."""
    rows, columns = canvas.shape[:2]
    floor = int(rows * rng.uniform(0.55, 0.95))
    wall = _near(rng, np.full(3, rng.uniform(0.3, 0.9), dtype=np.float32), 0.06)
    canvas[:floor] = _textured(rng, floor, columns, wall, _near(rng, wall, 0.05), rng.uniform(0.2, 1), 0.3)
    canvas[floor:] = _textured(rng, rows - floor, columns, *_ground(rng), rng.uniform(0.5, 2), 0.2)
    if rng.random() < 0.4:
        corner = int(columns * rng.uniform(0.1, 0.9))
        canvas[:floor, corner:] *= rng.uniform(0.75, 0.95)
    if rng.random() < 0.6:
        cv2.line(canvas, (0, floor), (columns, floor), _near(rng, wall, 0.2).tolist(), int(rng.integers(1, 5)))
    for _ in range(rng.integers(0, 6)):
        x, y = int(rng.integers(-20, columns)), int(rng.integers(-20, floor))
        width, height = (int(value) for value in rng.integers(15, 110, 2))
        colour = _near(rng, wall, 0.25) if rng.random() < 0.6 else _muted(rng)
        end = (x + width, min(y + height, floor) if rng.random() < 0.6 else floor)
        cv2.rectangle(canvas, (x, y), end, colour.tolist(), -1)
        if rng.random() < 0.4:
            cv2.rectangle(canvas, (x, y), end, (colour * 0.5).tolist(), int(rng.integers(1, 4)))
    return canvas


def _clutter(rng: Rng, canvas: Floats) -> Floats:
    """Overlapping things of every size, as in photographs."""
    canvas = _mixed(rng, canvas)
    palette = [_muted(rng) for _ in range(5)]
    for size in np.sort(2.5 / rng.uniform(0.02, 0.6, rng.integers(20, 60)))[::-1]:
        _thing(rng, canvas, _near(rng, palette[rng.integers(5)], 0.1), float(size))
    return canvas


def _mixed(rng: Rng, canvas: Floats) -> Floats:
    (rows, columns), colour = canvas.shape[:2], _muted(rng)
    return _textured(rng, rows, columns, colour, _near(rng, colour, 0.15), rng.uniform(0.3, 2), rng.uniform(0.1, 0.5))


def _plain(rng: Rng, canvas: Floats) -> Floats:
    (rows, columns), colour = canvas.shape[:2], _muted(rng)
    return _gradient(rows, columns, colour, _near(rng, colour, 0.15))


def _textured(rng: Rng, rows: int, columns: int, first: Colour, second: Colour, zoom: float, contrast: float) -> Floats:
    """Two colours mixed by a random field."""
    share = np.clip(patch(rng, rows, columns, zoom) * np.float32(contrast) + np.float32(0.5), 0, 1)
    return np.asarray(cv2.transform(share, np.column_stack([second - first, first])))


def _gradient(rows: int, columns: int, first: Colour, second: Colour) -> Floats:
    ramp = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    column: Floats = first + ramp * (second - first)
    return np.repeat(column, columns, axis=1)


def _muted(rng: Rng) -> Colour:
    """A colour of places, which are seldom as strong as a shirt's."""
    colour = random_colour(rng)
    grey = colour.mean()
    return np.asarray(grey + (colour - grey) * rng.beta(1.2, 1.6), dtype=np.float32)


def _near(rng: Rng, colour: Colour, spread: float = 0.12) -> Colour:
    shift = 0.5 * rng.normal(0, spread, 3) + rng.normal(0, spread)  # lightness varies more than hue
    return np.asarray(np.clip(colour + shift, 0, 1), dtype=np.float32)


def _ground(rng: Rng) -> tuple[Colour, Colour]:
    colour = _GROUNDS[rng.integers(len(_GROUNDS))]
    return _near(rng, colour, 0.04), _near(rng, colour, 0.07)


def _thing(rng: Rng, canvas: Floats, colour: Colour, size: float) -> None:
    """One box, ellipse, polygon or bar anywhere."""
    rows, columns = canvas.shape[:2]
    x, y = int(rng.integers(0, columns)), int(rng.integers(0, rows))
    kind, angle = rng.random(), rng.uniform(0, 360)
    if kind < 0.3:
        axes = (int(size) + 1, int(size * rng.uniform(0.3, 1)) + 1)
        cv2.ellipse(canvas, (x, y), axes, angle, 0, 360, colour.tolist(), -1)
    elif kind < 0.7:
        corners = np.array(cv2.boxPoints(((x, y), (2 * size, size * rng.uniform(0.4, 2)), angle if kind < 0.5 else 0)))
        cv2.fillConvexPoly(canvas, np.rint(corners).astype(np.int32), colour.tolist())
    elif kind < 0.85:
        corners = np.array([x, y]) + rng.normal(0, size, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], colour.tolist())
    else:
        _bar(rng, canvas, colour, max(size, 8) * 2)


def _bar(rng: Rng, canvas: Floats, colour: Colour, length: float) -> None:
    """A shaded bar with round ends: a pole, a branch, or what could be mistaken for an arm."""
    rows, columns = canvas.shape[:2]
    start = rng.uniform((0, 0), (columns, rows))
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    width = max(2, length * rng.uniform(0.08, 0.25))
    for share, light in ((1.0, 0.7), (0.65, 0.9), (0.3, 1.05)):
        shift = np.array([-along[1], along[0]]) * width * (1 - share) * 0.3
        ends = [tuple(int(value) for value in start + shift + reach * along) for reach in (0, length)]
        cv2.line(canvas, ends[0], ends[1], (colour * light).tolist(), max(1, int(width * share)), cv2.LINE_AA)
