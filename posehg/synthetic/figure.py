"""A body in its clothes: tubes around its bones, each a row of elliptical rings."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from posehg.synthetic.body import BONE, SIDES, Body
from posehg.synthetic.textures import Floats, Outfit, Tile

SEGMENTS = 10
"""Faces around a tube."""

Ring = tuple[float, float, float, float, float, float, float]
"""x, y, z of the centre in the bone's frame, half width along x, half depth along z, v, bone."""

Row = tuple[float, float, float, float, float]
"""y and z of the centre, half width, half depth, v, of a ring around a known bone."""

Profile = tuple[tuple[float, float], ...]
"""(share of the length, radius in statures), from the top down."""

UPPER_ARM: Profile = ((0, 0.034), (0.18, 0.035), (0.5, 0.031), (0.8, 0.026), (1, 0.025))
FOREARM: Profile = ((0, 0.025), (0.22, 0.027), (0.6, 0.022), (1, 0.0165))
THIGH: Profile = ((0, 0.056), (0.2, 0.056), (0.6, 0.046), (0.9, 0.037), (1, 0.036))
SHANK: Profile = ((0, 0.036), (0.28, 0.038), (0.6, 0.029), (0.9, 0.021), (1, 0.022))
COLLAR: Profile = ((0, 0.02), (0.4, 0.028), (1, 0.033))

PALM = ((0.0, 0.013, 0.016), (0.25, 0.012, 0.023), (0.5, 0.011, 0.024), (0.8, 0.008, 0.019), (1.0, 0.001, 0.004))
THUMB = ((0.1, 0.012, 0.009), (0.35, 0.028, 0.009), (0.58, 0.034, 0.006), (0.62, 0.034, 0.001))
"""(share of the length, half width, half depth); of the thumb: (share, distance to the front, radius)."""

FOOT = (
    # share of the length before the ankle, height of the centre over the sole, half width and half height, in statures
    *((-0.30, 0.022, 0.003, 0.004), (-0.26, 0.022, 0.017, 0.02), (-0.05, 0.027, 0.022, 0.027)),
    *((0.25, 0.021, 0.023, 0.021), (0.55, 0.015, 0.027, 0.015), (0.68, 0.012, 0.024, 0.012)),
    (0.74, 0.010, 0.006, 0.004),
)
SOLE = -0.04
"""Height of the sole over the ankle, in statures."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """R rings of SEGMENTS + 1 vertices each (the last one repeats the first: the texture's seam, at the back).

    vertices, normals: (R, S + 1, 3) world, statures. v: (R,) position in the texture's tile, 0 .. 1 down the part.
    tile: (R,). joined: (R - 1,) bool, whether a ring and the next one belong to the same tube.
    """

    vertices: Floats
    normals: Floats
    v: Floats
    tile: NDArray[np.int64]
    joined: NDArray[np.bool_]


class Tubes:
    """Collects rings, tube by tube."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.tiles: list[int] = []
        self.joined: list[bool] = []

    def add(self, tile: Tile, rings: list[Ring]) -> None:
        self.rings += rings
        self.tiles += [int(tile)] * len(rings)
        self.joined += [True] * (len(rings) - 1) + [False]

    def stack(self, tile: Tile, bone: str, rows: Iterable[Row], scale: float = 1.0, x: float = 0.0) -> None:
        """Add a tube around one bone; ``scale`` is the unit of the rows, in statures."""
        index = float(BONE[bone])
        self.add(tile, [(x, y * scale, z * scale, a * scale, b * scale, v, index) for y, z, a, b, v in rows])

    def dressed(
        self, part: tuple[str, float, Profile], girth: float, skin: Tile, cloth: Tile, cover: float, loose: float
    ) -> None:
        """Add a limb of which the share ``cover`` from the top is in cloth. part: bone, length, profile."""
        cover = min(cover, 1.0)
        if cover > 0.05:
            self.add(cloth, limb(*part, girth * loose, 0.0, cover, wide=True))
        if cover < 1:
            self.add(skin, limb(*part, girth, max(cover - 0.03, 0.0) if cover > 0.05 else 0.0))


def limb(
    bone: str, length: float, profile: Profile, girth: float, start: float = 0.0, stop: float = 1.0, wide: bool = False
) -> list[Ring]:
    """A limb from the share ``start`` of its length to ``stop``, with round ends where these are its joints.

    wide: cloth, which does not narrow as much as the limb within it.
    """
    index = float(BONE[bone])

    def ring(share: float, scale: float, shift: float) -> Ring:
        (low, first), (high, second) = next(pair for pair in pairwise(profile) if share <= pair[1][0])
        radius = (first + (second - first) * (share - low) / (high - low)) * girth
        if wide:
            radius = 0.72 * radius + 0.28 * profile[0][1] * girth
        return 0.0, shift * radius - share * length, 0.0, scale * radius, scale * radius, share, index

    rings = [ring(0, 0.001, 1.0), ring(0, 0.5, 0.87), ring(0, 0.87, 0.5)] if start == 0 else []
    between = [share for share, _ in profile if start < share < stop]
    rings += [ring(share, 1.0, 0.0) for share in (start, *between, stop)]
    rings += [ring(stop, 0.8, -0.55), ring(stop, 0.001, -0.9)] if stop == 1 else [ring(stop, 0.001, 0.0)]
    return rings


def _arms(tubes: Tubes, body: Body, outfit: Outfit) -> None:
    """Palms towards the body, thumbs to the front when the arms hang; fingers slightly bent."""
    p = body.proportions
    girth = p.girth**0.8 * (0.9 if p.feminine else 1.04)
    for side, sign in (("right", -1.0), ("left", 1.0)):
        collar = limb(f"{side}_collar", p.shoulders, COLLAR, girth * 1.02, 0.4)
        tubes.add(Tile.SLEEVE, [(x, y, z, a, b, 0.2 + 0.1 * v, bone) for x, y, z, a, b, v, bone in collar])
        upper, lower = (f"{side}_upper_arm", p.upper_arm, UPPER_ARM), (f"{side}_forearm", p.forearm, FOREARM)
        tubes.dressed(upper, girth, Tile.SKIN, Tile.SLEEVE, outfit.sleeve / 0.55, outfit.loose_top)
        tubes.dressed(lower, girth, Tile.SKIN, Tile.SLEEVE, (outfit.sleeve - 0.55) / 0.45, outfit.loose_top)
        hand = float(BONE[f"{side}_hand"])
        rings: list[Ring] = [
            (-sign * 0.15 * p.hand * t * t, -t * p.hand, 0.0, a * girth, b * girth, t, hand) for t, a, b in PALM
        ]
        tubes.add(Tile.SKIN, rings)
        tubes.stack(Tile.SKIN, f"{side}_hand", [(-t * p.hand, z, r * girth, r * girth, t) for t, z, r in THUMB])


def _legs(tubes: Tubes, body: Body, outfit: Outfit, skirt: float) -> None:
    """What a skirt hides is left out: it is too near to the cloth to be told from it by depth."""
    p = body.proportions
    girth = p.girth * (1.03 if p.feminine else 1.0)
    for side in SIDES:
        upper, lower = (f"{side}_thigh", p.thigh, THIGH), (f"{side}_shank", p.shank, SHANK)
        if skirt:
            tubes.add(Tile.SKIN, limb(*upper, girth, min(0.85 * skirt, 0.9)))
            tubes.add(Tile.SHIN, limb(*lower, girth, max(skirt - 1.1, 0.0)))
        else:
            tubes.dressed(upper, girth, Tile.SKIN, Tile.LEG, outfit.leg / 0.5, outfit.loose_leg)
            tubes.dressed(lower, girth, Tile.SHIN, Tile.LEG, (outfit.leg - 0.5) / 0.5, outfit.loose_leg)
    length, size = p.foot, 1.0 if outfit.barefoot else 1.12
    rows = [(-t * length, SOLE + z, size * a, size * b, 0.3 + t * 0.9) for t, z, a, b in FOOT]
    for side in SIDES:
        tubes.stack(Tile.SHOE, f"{side}_foot", rows)


def _trunk(tubes: Tubes, body: Body, outfit: Outfit) -> None:
    """Hips in trousers, then shirt and neck; rings hang on pelvis, belly or chest, so that the trunk bends."""
    p = body.proportions
    pelvis, belly, chest = (float(BONE[name]) for name in ("pelvis", "belly", "chest"))
    # The first width covers the thighs' round ends, the last one reaches half way into the shoulders.
    hips, waist, bust = (1.06, 0.9, 1.0) if p.feminine else (1.0, 1.0, 1.05)
    wide, deep = p.hips / 0.052 * hips * p.girth, p.girth * (1.05 if p.feminine else 1.0)
    shoulders = p.shoulders / 0.112
    breast = 0.012 if p.feminine else 0.003
    top, g = outfit.loose_top, p.girth
    gut = p.belly * g
    shirt: list[Ring] = [
        (0, p.upper_spine + 0.012, -0.006, 0.03, 0.03, 0.0, chest),
        (0, p.upper_spine - 0.004, -0.006, 0.062 * shoulders, 0.04, 0.05, chest),
        (0, p.upper_spine - 0.022, -0.002, 0.1 * shoulders, 0.052 * g, 0.16, chest),
        (0, p.upper_spine - 0.055, 0.002 + breast / 2, 0.108 * shoulders * bust, 0.064 * g, 0.3, chest),
        (0, 0.01, 0.004 + breast, 0.098 * shoulders * g, 0.066 * g + breast / 2, 0.48, chest),
        (0, 0.045, 0.004 + 0.012 * (gut - 1), 0.085 * waist * gut * top, 0.059 * gut * top, 0.66, belly),
        (0, -0.005, 0.004 + 0.02 * (gut - 1), 0.083 * waist * gut * top, 0.058 * gut * top, 0.8, belly),
    ]
    reach = 0.06 - outfit.hem
    for y, a, b in ((0.05, 0.089, 0.061), (0.01, 0.099, 0.069), (-0.03, 0.106, 0.075), (-0.08, 0.11, 0.078)):
        if y >= reach - 0.02 or y == 0.05:
            a, b = (1.05 * top**0.5 * half for half in (a * wide, b * deep))
            shirt.append((0, y, -0.004, a, b, 0.85 + 0.15 * (0.05 - y) / 0.13, pelvis))
    tubes.add(Tile.SHIRT, [*shirt, (*shirt[-1][:3], 0.001, 0.001, *shirt[-1][5:])])
    trousers = ((0.062, -0.002, 0.082, 0.058, 0.0), (0.02, -0.006, 0.093, 0.066, 0.3), (-0.015, -0.009, 0.1, 0.07, 0.6))
    rows = [(y, z, a * wide, b * deep, v) for y, z, a, b, v in (*trousers, (-0.05, -0.007, 0.088, 0.06, 0.9))]
    ends = (0.066, -0.002, 0.001, 0.001, 0.0), (-0.068, -0.002, 0.001, 0.001, 1.0)
    tubes.stack(Tile.TRUNKS, "pelvis", [ends[0], *rows, ends[1]])
    radius = 0.03 * g**0.6 * (0.88 if p.feminine else 1.05)
    neck = (p.neck + 0.03, 0.004, 0.9 * radius, radius, 0.0), (0.5 * p.neck, 0.0, radius, radius, 0.3)
    tubes.stack(Tile.SKIN, "neck", [*neck, (-0.01, -0.004, 1.25 * radius, 1.15 * radius, 0.8)])


HEAD = (
    # share of the height over the chin, half width, half depth, forward shift, all in heights of the head
    *((1.0, 0.002, 0.003, -0.01), (0.97, 0.13, 0.17, -0.01), (0.88, 0.24, 0.31, -0.008), (0.72, 0.31, 0.395, 0.0)),
    *((0.5, 0.315, 0.395, 0.02), (0.3, 0.285, 0.34, 0.055), (0.12, 0.215, 0.25, 0.12), (0.02, 0.13, 0.15, 0.19)),
    (-0.02, 0.01, 0.01, 0.19),
)

HAIR: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "short": (
        *((1.03, 0.01, 0.01, -0.03), (0.98, 0.2, 0.22, -0.03), (0.82, 0.32, 0.34, -0.06), (0.6, 0.335, 0.31, -0.11)),
        *((0.4, 0.27, 0.22, -0.16), (0.25, 0.15, 0.1, -0.2), (0.22, 0.01, 0.01, -0.2)),
    ),
    "bun": (
        *((0.95, 0.01, 0.01, -0.4), (0.9, 0.13, 0.13, -0.42), (0.75, 0.16, 0.15, -0.44), (0.62, 0.1, 0.1, -0.42)),
        (0.58, 0.01, 0.01, -0.4),
    ),
    "long": (
        *((1.03, 0.01, 0.01, -0.03), (0.98, 0.22, 0.24, -0.04), (0.8, 0.34, 0.36, -0.06), (0.55, 0.36, 0.3, -0.13)),
        *((0.2, 0.36, 0.24, -0.18), (-0.1, 0.36, 0.2, -0.22), (-0.35, 0.3, 0.14, -0.25), (-0.42, 0.02, 0.02, -0.25)),
    ),
    "hood": (
        *((1.08, 0.01, 0.01, -0.05), (1.0, 0.26, 0.28, -0.06), (0.75, 0.39, 0.38, -0.09), (0.4, 0.39, 0.34, -0.1)),
        *((0.05, 0.34, 0.3, -0.08), (-0.2, 0.36, 0.3, -0.05), (-0.22, 0.01, 0.01, -0.05)),
    ),
}
"""What stands off the back of the head, in HEAD's terms; the scalp itself is painted on the head."""


def _head(tubes: Tubes, body: Body, outfit: Outfit) -> None:
    h = body.proportions.head
    tubes.stack(Tile.HEAD, "head", [(y, z, a, b, 1 - max(y, 0)) for y, a, b, z in HEAD], h)
    nose = ((0.5, 0.38, 0.03, 0.02), (0.36, 0.43, 0.05, 0.05), (0.3, 0.43, 0.055, 0.045), (0.27, 0.41, 0.01, 0.01))
    tubes.stack(Tile.SKIN, "head", [(*row, 0.5) for row in nose], h)
    for sign in (-1, 1):
        ear = ((0.56, 0.01), (0.52, 0.07), (0.4, 0.065), (0.33, 0.01))
        rows = [(y * h, -0.02 * h, 0.35 * b * h + 0.01 * h, b * h, 0.5) for y, b in ear]
        tubes.stack(Tile.SKIN, "head", rows, x=sign * 0.31 * h)
    if outfit.hair in ("cap", "helmet", "hood"):
        low, wide = (0.68, 1.07) if outfit.hair == "cap" else (0.62, 1.16)
        crown = [(y, a * wide, b * wide, z) for y, a, b, z in HEAD if y > low] + [(low, 0.315 * wide, 0.4 * wide, 0.0)]
        lift = wide - 1
        tubes.stack(Tile.HAIR, "head", [(y + lift * (y - 0.5), z, a, b, 1 - y) for y, a, b, z in crown], h)
    if outfit.hair == "cap":
        brim = ((0.71, 0.01, 0.01, 0.4), (0.705, 0.25, 0.27, 0.42), (0.68, 0.25, 0.27, 0.44), (0.675, 0.01, 0.01, 0.44))
        tubes.stack(Tile.HAIR, "head", [(y, z, a, b, 0.3) for y, a, b, z in brim], h)
    if outfit.hair in HAIR:
        tubes.stack(Tile.HAIR, "head", [(y, z, a, b, (1.1 - y) / 1.6) for y, a, b, z in HAIR[outfit.hair]], h)


def _skirt(tubes: Tubes, body: Body, skirt: float) -> None:
    """A cone from the waist down the legs, wide enough for both of them."""
    p, lap = body.proportions, float(BONE["lap"])
    knees = body.inside("lap", np.stack([body.joint(f"{side}_knee") for side in SIDES]))
    spread_x, spread_z = (np.abs(knees[0, axis] - knees[1, axis]) / 2 for axis in (0, 2))
    length = skirt * p.thigh
    wide, deep = 0.1 * p.girth, 0.07 * p.girth
    a_end = max(float(spread_x) * min(skirt, 1.2) + 0.055, wide) * 1.12
    b_end = max(float(spread_z) * min(skirt, 1.2) + 0.05, deep) * 1.12
    rings: list[Ring] = [(0, 0.05, 0.0, 0.088 * p.girth, 0.064 * p.girth, 0.0, float(BONE["pelvis"]))]
    for share in (0.12, 0.4, 0.7, 1.0):
        a, b = wide + (a_end - wide) * share, deep + (b_end - deep) * share
        rings.append((0, -share * length, 0.0, a, b, share, lap))
    rings.append((0, -0.97 * length, 0.0, 0.001, 0.001, 1.0, lap))
    tubes.add(Tile.TRUNKS, rings)


_ANGLE = 2 * np.pi * np.arange(SEGMENTS + 1) / SEGMENTS
_SIN, _COS = np.sin(_ANGLE)[None, :, None], np.cos(_ANGLE)[None, :, None]  # 0 is the back, a quarter on is the left


def dress(body: Body, outfit: Outfit) -> Mesh:
    """The surface of a body in its clothes."""
    tubes = Tubes()
    # A skirt only fits thighs that point roughly the same way.
    right, left = (body.frames[BONE[f"{side}_thigh"]][:, 1] for side in SIDES)
    skirt = outfit.skirt if float(right @ left) > 0.72 else 0.0
    _trunk(tubes, body, outfit)
    _arms(tubes, body, outfit)
    _legs(tubes, body, outfit, skirt)
    _head(tubes, body, outfit)
    if skirt:
        _skirt(tubes, body, skirt)

    rings = np.array(tubes.rings)
    bone, joined = rings[:, 6].astype(np.int64), np.array(tubes.joined)
    frames = body.frames[bone]
    centre = body.origins[bone] + np.einsum("rij,rj->ri", frames, rings[:, :3])
    across, along = frames[:, :, 0] * rings[:, 3:4], frames[:, :, 2] * rings[:, 4:5]
    vertices = centre[:, None] + _SIN * across[:, None] - _COS * along[:, None]
    around = _COS * across[:, None] + _SIN * along[:, None]
    step = np.where(joined[:-1, None, None], vertices[1:] - vertices[:-1], 0)
    down = np.zeros_like(vertices)
    down[:-1] += step
    down[1:] += step
    # Wide steps count more in the sum, and a pole's ring has nearly no circumference: both still give a direction.
    normals = np.cross(around, down)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-12
    v = rings[:, 5].astype(np.float32)
    return Mesh(vertices.astype(np.float32), normals.astype(np.float32), v, np.array(tubes.tiles), joined[:-1])
