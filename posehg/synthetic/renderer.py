"""A mesh seen by a camera, as a picture with soft edges.

Faces are drawn from far to near into a buffer of face numbers, twice as fine as the picture. Texture coordinates and
brightness are affine on each face, so one pass over the buffer's pixels then gives every pixel's colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.synthetic.camera import Camera
from posehg.synthetic.mesh import SEGMENTS, Mesh
from posehg.synthetic.outfits import TILE, Texture
from posehg.synthetic.postures import Rng

Floats = NDArray[np.float32]

FINE = 2
"""Samples a pixel, along each side."""
_SHIFT = 4  # sub-pixel bits of OpenCV's polygon corners


@dataclass(frozen=True, eq=False)
class Light:
    """direction: (3,) unit vector to the light, camera frame. key, ambient: RGB factors of what it and the sky add."""

    direction: Floats
    key: Floats
    ambient: Floats


def random_light(rng: Rng, rotation: NDArray[np.float64]) -> Light:
    """Mostly from above (in the world) and not from behind; warm, white or bluish; hard or soft."""
    direction = rotation @ rng.normal((0, 1.3, 0), 1.0) + (0, 0, -0.8)
    direction /= np.linalg.norm(direction) + 1e-9
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    soft = rng.uniform(0.3, 0.65)
    power = rng.uniform(0.85, 1.15)
    key, ambient = power * (1.08 - soft) * tint, power * soft * tint[::-1]
    return Light(direction.astype(np.float32), key.astype(np.float32), ambient.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Layer:
    """Part of a picture: colour (h, w, 3) float32 0 .. 1 already multiplied by alpha (h, w, 3: three times the same);
    its corner x, y."""

    colour: Floats
    alpha: Floats
    x: int
    y: int

    def over(self, picture: Floats) -> None:
        """Lay this over a picture (H, W, 3), in place."""
        height, width = self.alpha.shape[:2]
        part = picture[self.y : self.y + height, self.x : self.x + width]
        part *= np.float32(1) - self.alpha
        part += self.colour


_U = (np.arange(SEGMENTS + 1) / SEGMENTS).astype(np.float32)


def _corners(values: Floats, joined: NDArray[np.bool_]) -> Floats:
    """Per-vertex (R, S + 1, C) -> the four corners of every face, in order around it, (F, 4, C)."""
    above, below = values[:-1][joined], values[1:][joined]
    faces = np.stack([above[:, :-1], above[:, 1:], below[:, 1:], below[:, :-1]], axis=2)
    return np.asarray(faces.reshape(-1, 4, values.shape[2]))


def _planes(corners: Floats) -> tuple[Floats, Floats]:
    """(F, 4, 2 + C) pixels and values -> (3, C, F): value = a + b x + c y on each face; twice the signed areas (F,).

    Slopes come from the diagonals, so that faces of which one side has shrunk to a point need no special care.
    """
    first, second = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    inverse = (1 / np.where(np.abs(area) < 1e-3, np.float32(1e-3), area))[:, None]
    by_x = (first[:, 2:] * second[:, 1:2] - second[:, 2:] * first[:, 1:2]) * inverse
    by_y = (second[:, 2:] * first[:, 0:1] - first[:, 2:] * second[:, 0:1]) * inverse
    middle = (corners[:, 0] + corners[:, 1] + corners[:, 2] + corners[:, 3]) * np.float32(0.25)
    start = middle[:, 2:] - by_x * middle[:, 0:1] - by_y * middle[:, 1:2]
    return np.stack([start.T, by_x.T, by_y.T]), area


def render(mesh: Mesh, camera: Camera, textures: Texture, light: Light, size: tuple[int, int]) -> Layer | None:
    """Draw a mesh for a picture of ``size`` = (rows, columns); None where nothing of it is inside."""
    pixels, depth = camera.project(mesh.vertices)
    low = np.clip(np.floor([pixels[..., 0].min(), pixels[..., 1].min()]) - 1, 0, None).astype(int)
    high = np.minimum(np.ceil([pixels[..., 0].max(), pixels[..., 1].max()]) + 2, size[::-1]).astype(int)
    columns, rows = high - low
    if rows <= 0 or columns <= 0:
        return None
    facing = camera.turned(mesh.normals) @ light.direction
    shade = np.clip(facing * np.float32(0.85) + np.float32(0.15), 0, 1)  # wrapped a little around the terminator
    values = np.empty((*depth.shape, 6), dtype=np.float32)
    values[..., :2] = (pixels - (low - 0.5).astype(np.float32)) * FINE - np.float32(0.5)
    values[..., 2], values[..., 3], values[..., 4], values[..., 5] = _U, mesh.v[:, None], shade, depth
    corners = _corners(values, mesh.joined)
    planes, area = _planes(corners)
    seen = np.flatnonzero(area < -0.4)  # negative: its outside faces the camera
    order = seen[np.argsort(-corners[seen, :, 5].sum(axis=1))]
    tile = np.repeat(mesh.tile[:-1][mesh.joined], SEGMENTS)[order]

    buffer = np.zeros((int(rows) * FINE, int(columns) * FINE), dtype=np.int32)
    polygons = np.rint(corners[order, :, :2] * (1 << _SHIFT)).astype(np.int32)
    for number, polygon in enumerate(polygons, start=1):
        cv2.fillConvexPoly(buffer, polygon, number, cv2.LINE_8, _SHIFT)
    colour = _colour(buffer, np.ascontiguousarray(planes[:, :3, order].swapaxes(0, 1)), tile, textures, light)
    small = (int(columns), int(rows))
    colour = np.asarray(cv2.resize(colour, small, interpolation=cv2.INTER_AREA), dtype=np.float32)
    cover = cv2.resize((buffer > 0).astype(np.float32), small, interpolation=cv2.INTER_AREA)
    alpha = np.asarray(cv2.merge((cover, cover, cover)), dtype=np.float32)
    return Layer(colour, alpha, int(low[0]), int(low[1]))


def _ramp(light: Light) -> Floats:
    """(256, 3): what a surface's own colour is multiplied by, from what the light does not reach to what faces it."""
    return np.asarray(light.ambient + np.linspace(0, 1, 256, dtype=np.float32)[:, None] * light.key)


def _colour(
    buffer: NDArray[np.int32], planes: Floats, tile: NDArray[np.int64], textures: Texture, light: Light
) -> Floats:
    """The colour (h, w, 3) of every sample of a buffer of face numbers: 0 = nothing, n = planes[:, :, n - 1].

    planes: (3, 3, F), for u, v and brightness each their start and their slopes by x and y.
    """
    places = np.flatnonzero(buffer)
    face = np.take(buffer, places) - 1
    rows = places.astype(np.int32) // np.int32(buffer.shape[1])
    x, y = (places - rows * buffer.shape[1]).astype(np.float32), rows.astype(np.float32)
    u, v, shade = (
        np.take(start, face) + np.take(by_x, face) * x + np.take(by_y, face) * y for start, by_x, by_y in planes
    )
    column = np.clip(u * TILE, 0, TILE - 1).astype(np.int32)
    row = np.clip(v * TILE, 0, TILE - 1).astype(np.int32)
    albedo = np.take(textures, np.take(tile.astype(np.int32) * (TILE * TILE), face) + row * TILE + column, axis=0)
    lit = np.take(_ramp(light), (np.clip(shade, 0, 1) * 255).astype(np.int32), axis=0)
    colour = np.zeros((buffer.size, 3), dtype=np.float32)
    colour[places] = np.multiply(albedo, lit, out=albedo)
    return colour.reshape(*buffer.shape, 3)
