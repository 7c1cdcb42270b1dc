"""A surface of tubes: rows of elliptical rings, each of which hangs on a bone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from posehg.synthetic.body import BONE, Body
from posehg.synthetic.outfits import Tile

SEGMENTS = 10
"""Faces around a tube."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Mesh:
    """R rings of SEGMENTS + 1 vertices each (the last one repeats the first: the texture's seam, at the back).

    vertices, normals: (R, S + 1, 3) world, statures. v: (R,) place in the texture's tile, 0 .. 1 down the part.
    tile: (R,). joined: (R - 1,) bool, whether a ring and the next one belong to the same tube.
    """

    vertices: Floats
    normals: Floats
    v: Floats
    tile: NDArray[np.int64]
    joined: NDArray[np.bool_]


Ring = tuple[float, float, float, float, float, float, float]
"""x, y, z of the middle in the bone's frame, half width along x, half depth along z, v, bone."""

Profile = tuple[tuple[float, float], ...]
"""(share of the length, radius in statures), from the top down."""


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


def _radius(profile: Profile, share: float) -> float:
    for (low, first), (high, second) in pairwise(profile):
        if share <= high:
            return first + (second - first) * (share - low) / (high - low)
    return profile[-1][1]


def limb(
    bone: str, length: float, profile: Profile, girth: float, start: float = 0.0, stop: float = 1.0, wide: bool = False
) -> list[Ring]:
    """A limb from the share ``start`` of its length to ``stop``; round ends where it starts or stops at a joint.

    wide: cloth, which does not narrow as much as the limb within it.
    """
    index = float(BONE[bone])
    shares = [start, *(share for share, _ in profile if start < share < stop), stop]
    rings: list[Ring] = []

    def ring(share: float, scale: float, shift: float) -> Ring:
        radius = _radius(profile, share) * girth
        if wide:
            radius = 0.72 * radius + 0.28 * profile[0][1] * girth
        return 0.0, shift * radius - share * length, 0.0, scale * radius, scale * radius, share, index

    if start == 0:
        rings += [ring(0, 0.001, 1.0), ring(0, 0.5, 0.87), ring(0, 0.87, 0.5)]
    rings += [ring(share, 1.0, 0.0) for share in shares]
    rings += [ring(stop, 0.8, -0.55), ring(stop, 0.001, -0.9)] if stop == 1 else [ring(stop, 0.001, 0.0)]
    return rings


_ANGLE = 2 * np.pi * np.arange(SEGMENTS + 1) / SEGMENTS
_SIN, _COS = np.sin(_ANGLE)[None, :, None], np.cos(_ANGLE)[None, :, None]  # 0 is the back, a quarter on is the left


def surface(tubes: Tubes, body: Body) -> Mesh:
    rings = np.array(tubes.rings)
    bone, joined = rings[:, 6].astype(np.int64), np.array(tubes.joined)
    frames = body.frames[bone]
    middle = body.origins[bone] + np.einsum("rij,rj->ri", frames, rings[:, :3])
    across, along = frames[:, :, 0] * rings[:, 3:4], frames[:, :, 2] * rings[:, 4:5]
    vertices = middle[:, None] + _SIN * across[:, None] - _COS * along[:, None]
    around = _COS * across[:, None] + _SIN * along[:, None]
    step = np.where(joined[:-1, None, None], vertices[1:] - vertices[:-1], 0)
    down = np.zeros_like(vertices)
    down[:-1] += step
    down[1:] += step
    # Wide steps count more in the sum, and a pole's ring has nearly no circumference: both still give a direction.
    normals = np.cross(around, down)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-12
    return Mesh(
        vertices.astype(np.float32),
        normals.astype(np.float32),
        rings[:, 5].astype(np.float32),
        np.array(tubes.tiles),
        joined[:-1],
    )
