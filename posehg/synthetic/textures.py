"""What surfaces look like: random fields, colours, and a person's outfit with its textures.

The fields look like cloth, ground, foliage and sensor noise; they are cut from a few that are computed once. A texture
is a square tile for each material, painted for each person.
"""

import colorsys
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.synthetic.body import Rng

Floats = NDArray[np.float32]
Texture = Floats
Colour = Floats

TILE = 64
"""Texels along each side of a tile. Rows go down the body part, columns around it; its front is in the middle."""

Tile = IntEnum("Tile", "SKIN HEAD HAIR SHIRT SLEEVE TRUNKS LEG SHOE SHIN", start=0)  # shin: bare, stocking or sock

_SIDE = 512
_ROWS, _COLUMNS = np.mgrid[:TILE, :TILE].astype(np.float32)
_MIDDLE = TILE // 2
_FROM_MIDDLE = np.abs(_COLUMNS[:1] - _MIDDLE)

_SKINS = np.array(
    [(244, 212, 190), (230, 188, 160), (214, 165, 130), (184, 132, 98), (140, 94, 66), (96, 62, 44), (64, 42, 33)],
    dtype=np.float32,
) / np.float32(255)
_HAIRS = np.array(
    [
        *((20, 17, 16), (42, 30, 24), (76, 52, 36), (116, 82, 50)),
        *((184, 148, 96), (214, 190, 140), (150, 62, 32), (150, 148, 146)),
    ],
    dtype=np.float32,
) / np.float32(255)


@lru_cache(maxsize=1)
def _fields() -> Floats:
    """(4, 512, 512) of mean 0 and deviation 1 whose amplitude falls as frequency ** -1.0 .. -1.9."""
    rng = np.random.default_rng(20_160_322)
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
    frequency[0, 0] = 1
    fields = []
    for power in (1.0, 1.3, 1.6, 1.9):
        spectrum = np.fft.rfft2(rng.standard_normal((_SIDE, _SIDE))) / frequency**power
        spectrum[0, 0] = 0
        field = np.fft.irfft2(spectrum, s=(_SIDE, _SIDE))
        fields.append(field / field.std())
    return np.stack(fields).astype(np.float32)


@lru_cache(maxsize=1)
def _grain() -> Floats:
    """(512, 512, 3) white noise, slightly blurred as a sensor's is after demosaicing; deviation about 1."""
    white = np.random.default_rng(20_160_323).standard_normal((_SIDE, _SIDE, 3)).astype(np.float32)
    grey = white.mean(axis=2, keepdims=True) * 1.2
    return np.asarray(0.7 * white + 0.7 * grey, dtype=np.float32)


def patch(rng: Rng, rows: int, columns: int, zoom: float) -> Floats:
    """A (rows, columns) piece of a random field; the larger ``zoom``, the finer its structure. Not to be written to."""
    field = _fields()[rng.integers(4)]
    height, width = (min(_SIDE, max(8, round(size * zoom))) for size in (rows, columns))
    y, x = rng.integers(0, _SIDE - height + 1), rng.integers(0, _SIDE - width + 1)
    piece = field[y : y + height, x : x + width]
    return np.asarray(cv2.resize(piece, (columns, rows), interpolation=cv2.INTER_LINEAR))


def shaded(canvas: Floats, field: Floats, strength: float) -> Floats:
    """An (H, W, 3) image made lighter and darker by an (H, W) random field."""
    factor = field * np.float32(strength) + np.float32(1)
    return np.asarray(cv2.multiply(canvas, cv2.merge((factor, factor, factor))))


def grain(rng: Rng, rows: int, columns: int) -> Floats:
    """A (rows, columns, 3) piece of sensor noise of deviation about 1; sides up to 512."""
    y, x = rng.integers(0, _SIDE - rows + 1), rng.integers(0, _SIDE - columns + 1)
    return _grain()[y : y + rows, x : x + columns]


@dataclass(frozen=True)
class Outfit:
    """Which skin is covered, and how wide. Shares run from the shoulder or the hip down: 0 nothing, 1 to the end.

    sleeve: share of upper arm and forearm together (1 = long). leg: share of thigh and shank together.
    loose_top, loose_leg: radius of the cloth in radii of the limb. hem: how far the shirt reaches below the waist, in
    statures. skirt: its length in thighs, 0 for none. hair: "short", "long", "bun", "bald", "cap", "helmet" or "hood".
    """

    sleeve: float
    leg: float
    loose_top: float
    loose_leg: float
    hem: float
    skirt: float
    hair: str
    barefoot: bool


def random_outfit(rng: Rng, feminine: bool) -> Outfit:
    styles = ("short", "long", "bun", "bald", "cap", "helmet", "hood")
    weights = (0.18, 0.45, 0.2, 0.0, 0.06, 0.06, 0.05) if feminine else (0.62, 0.04, 0.0, 0.1, 0.12, 0.08, 0.04)
    shorts, briefs, capri = rng.uniform((0.3, 0.12, 0.6), (0.5, 0.2, 0.8))
    leg = rng.choice([1.0, shorts, briefs, capri], p=[0.58, 0.24, 0.1, 0.08])
    skirt = float(rng.uniform(0.5, 1.5)) if feminine and rng.random() < 0.22 else 0.0
    return Outfit(
        sleeve=float(rng.choice([1.0, rng.uniform(0.22, 0.42), 0.06, 0.62], p=[0.42, 0.36, 0.16, 0.06])),
        leg=0.14 if skirt else float(leg),
        loose_top=float(1.06 + abs(rng.normal(0, 0.12))),
        loose_leg=float(1.05 + abs(rng.normal(0, 0.12))),
        hem=float(rng.choice([0.0, 0.05, 0.09, 0.15], p=[0.35, 0.3, 0.25, 0.1])),
        skirt=skirt,
        hair=str(rng.choice(styles, p=weights)),
        barefoot=bool(rng.random() < 0.12),
    )


def random_colour(rng: Rng) -> Colour:
    """A colour of clothes: often black, white, grey or denim."""
    kind = rng.random()
    if kind < 0.3:
        value = rng.choice([0.06, 0.12, 0.35, 0.6, 0.85, 0.93])
        return np.asarray(np.clip(value + rng.normal(0, 0.02, 3), 0.02, 0.97), dtype=np.float32)
    if kind < 0.42:
        hsv = (rng.normal(0.61, 0.02) % 1, rng.uniform(0.3, 0.65), rng.uniform(0.18, 0.6))
    else:
        hsv = (rng.random(), rng.beta(2, 1.6), rng.beta(2.2, 1.4))
    return np.array(colorsys.hsv_to_rgb(*hsv), dtype=np.float32)


def paint(rng: Rng, outfit: Outfit) -> Texture:
    """(tiles * TILE * TILE, 3) in 0 .. 1: every texture of one person, in the order of Tile."""
    place = rng.uniform(0, len(_SKINS) - 1)
    low = int(place)
    skin = _SKINS[low] + (place - low) * (_SKINS[min(low + 1, len(_SKINS) - 1)] - _SKINS[low])
    skin = (skin * rng.uniform(0.92, 1.06, 3)).astype(np.float32)
    hair = (_HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.8, 1.2)).astype(np.float32)
    shirt, trousers, flesh = _cloth(rng), _cloth(rng), _mottled(rng, skin, 0.04, 1.0)
    if rng.random() < 0.12:  # a suit or a dress
        trousers = shirt
    sleeve = _cloth(rng) if rng.random() < 0.12 else shirt
    scalp = random_colour(rng) if outfit.hair in ("cap", "helmet", "hood") else hair
    # The order of these lines is the order of the random numbers.
    head = _face(rng, skin, hair, outfit.hair)
    hair_tile = _mottled(rng, scalp, 0.15, 3.0)
    front = _shirt(rng, shirt, skin)
    shoe = flesh if outfit.barefoot else _shoe(rng)
    shin = flesh.copy()
    if not outfit.barefoot and rng.random() < 0.5:
        top = int(rng.choice([10, 45, 54], p=[0.3, 0.3, 0.4]))
        shin[top:] = random_colour(rng)
    return np.stack([flesh, head, hair_tile, front, sleeve, trousers, trousers, shoe, shin]).reshape(-1, 3)


def _mottled(rng: Rng, colour: Colour, contrast: float, zoom: float) -> Texture:
    """A tile of a colour, made lighter and darker by a random field."""
    return np.asarray(colour * (1 + contrast * patch(rng, TILE, TILE, zoom)[..., None]), dtype=np.float32)


def _cloth(rng: Rng) -> Texture:
    """Plain, striped, checked, dotted, printed or two-coloured, with folds."""
    first, second = random_colour(rng), random_colour(rng)
    y, x = _ROWS, _COLUMNS
    kind = rng.random()
    width = rng.choice([4, 8, 16])
    if kind < 0.5:
        mask = np.zeros((TILE, TILE), dtype=bool)
    elif kind < 0.7:
        mask = (y if kind < 0.64 else x) % width < width * rng.uniform(0.2, 0.6)
    elif kind < 0.78:
        mask = (x // (width / 2) + y // (width / 2)) % 2 > 0
    elif kind < 0.82:
        mask = (x + y) % width < width / 2
    elif kind < 0.87:
        mask = np.hypot(x % width - width / 2, y % width - width / 2) < width / 3.5
    elif kind < 0.94:
        mask = patch(rng, TILE, TILE, rng.uniform(0.5, 3)) > rng.uniform(-0.3, 0.8)
    else:
        mask = y > TILE * rng.uniform(0.3, 0.7)
    contrast, zoom = rng.uniform(0.02, 0.13), rng.uniform(0.6, 2.5)
    return _mottled(rng, np.where(mask[..., None], second, first), contrast, zoom)


def _shirt(rng: Rng, texture: Texture, skin: Colour) -> Texture:
    """What tells a shirt's front from its back (an opening, a print, a bib; sometimes nothing), and the neckline."""
    texture = texture.copy()
    accent = random_colour(rng).tolist()
    kind = rng.random()
    if kind < 0.3:
        cv2.rectangle(texture, (_MIDDLE - 9, 18), (_MIDDLE + 8, 18 + int(rng.integers(6, 16))), accent, -1)
    elif kind < 0.5:
        cv2.line(texture, (_MIDDLE, 0), (_MIDDLE, TILE), accent, int(rng.integers(1, 3)))
    elif kind < 0.62:
        half = int(rng.integers(3, 6))
        corners = [(_MIDDLE - half, 0), (_MIDDLE + half, 0), (_MIDDLE + 2, TILE), (_MIDDLE - 2, TILE)]
        cv2.fillConvexPoly(texture, np.array(corners), accent)
    elif kind < 0.72:
        cv2.circle(texture, (_MIDDLE, 26), int(rng.integers(4, 8)), accent, -1)
    elif kind < 0.78:
        cv2.rectangle(texture, (0, 16), (3, 36), accent, -1)  # a number or a rucksack on the back
        cv2.rectangle(texture, (TILE - 4, 16), (TILE, 36), accent, -1)
    deep = int(rng.choice([2, 5, 9, 14]))
    neckline = np.array([(_MIDDLE - 9, 0), (_MIDDLE + 9, 0), (_MIDDLE, deep + 3)])
    cv2.fillConvexPoly(texture, neckline, skin.tolist())
    return texture


def _face(rng: Rng, skin: Colour, hair: Colour, style: str) -> Texture:
    """The head all around, chin at the bottom: scalp, brows, eyes, nose, mouth, ears; sometimes beard or glasses."""
    texture = _mottled(rng, skin, 0.04, 1.0)
    dark, red = (0.35 * skin).tolist(), (skin * (0.85, 0.55, 0.55)).tolist()
    if style != "bald":
        shade = hair * (1 + 0.12 * patch(rng, TILE, TILE, 3.0)[..., None])
        line = np.interp(_FROM_MIDDLE, [0, 9, 13, 17, 19, 32], [14, 15, 20, 30, 46, 52]) + rng.uniform(-3, 3)
        texture = np.where((line > _ROWS)[..., None], shade, texture).astype(np.float32)
    for sign in (-1, 1):
        eye = (_MIDDLE + sign * 5, 33)
        cv2.ellipse(texture, eye, (3, 2), 0, 0, 360, (0.8 * skin).tolist(), -1)
        cv2.ellipse(texture, eye, (2, 1), 0, 0, 360, (0.92, 0.92, 0.9), -1)
        cv2.circle(texture, eye, 1, (0.08, 0.06, 0.05), -1)
        cv2.line(texture, (eye[0] - 3, 28), (eye[0] + 3, 28), (0.5 * hair + 0.15 * skin).tolist(), 1)
        cv2.ellipse(texture, (_MIDDLE + sign * 16, 36), (2, 6), 0, 0, 360, red, -1)
    cv2.line(texture, (_MIDDLE - 1, 43), (_MIDDLE + 1, 43), dark, 1)
    if rng.random() < 0.22:
        beard = (_FROM_MIDDLE < 16) & (44 + 0.02 * (16 - _FROM_MIDDLE) ** 2 < _ROWS)
        texture = np.where(beard[..., None], 0.7 * hair + 0.2 * skin, texture).astype(np.float32)
    cv2.ellipse(texture, (_MIDDLE, 49), (4, 1 + int(rng.random() < 0.3)), 0, 0, 360, red, -1)
    if rng.random() < 0.3:
        cv2.line(texture, (_MIDDLE - 2, 49), (_MIDDLE + 2, 49), (0.9, 0.9, 0.88), 1)
    if rng.random() < 0.15:
        glass = (random_colour(rng) * 0.2).tolist()
        for sign in (-1, 1):
            cv2.ellipse(texture, (_MIDDLE + sign * 5, 33), (4, 4), 0, 0, 360, glass, -1)
        cv2.line(texture, (_MIDDLE - 16, 31), (_MIDDLE + 16, 31), glass, 1)
    return texture


def _shoe(rng: Rng) -> Texture:
    """Front is up: the sole lies at the seam, the laces in the middle."""
    texture = np.tile(random_colour(rng), (TILE, TILE, 1))
    sole = random_colour(rng).tolist()
    cv2.rectangle(texture, (0, 0), (10, TILE), sole, -1)
    cv2.rectangle(texture, (TILE - 11, 0), (TILE, TILE), sole, -1)
    if rng.random() < 0.6:
        cv2.rectangle(texture, (_MIDDLE - 4, 10), (_MIDDLE + 4, 34), random_colour(rng).tolist(), -1)
    return texture
