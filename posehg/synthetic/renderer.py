"""Cameras, light, and meshes drawn with soft edges.

Faces are drawn from far to near into a buffer of face numbers, twice as fine as the image. Texture coordinates and
brightness are affine on each face, so one pass over the buffer's pixels then gives every pixel's colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.synthetic.body import Rng, rotations
from posehg.synthetic.figure import SEGMENTS, Mesh
from posehg.synthetic.textures import TILE, Floats, Texture

FINE = 2
"""Samples a pixel, along each side."""
_SHIFT = 4  # sub-pixel bits of OpenCV's polygon corners


@dataclass(frozen=True, eq=False)
class Camera:
    """World point p -> image: q = rotation @ (p - target); pixel = focal * q[:2] / (q[2] + distance) + principal.

    rotation: (3, 3), its rows are the camera's right, down and forward in the world. distance and target in statures;
    focal and principal in pixels (pixel centres are integers).
    """

    rotation: NDArray[np.float64]
    target: NDArray[np.float64]
    distance: float
    focal: float = 1.0
    principal: tuple[float, float] = (0.0, 0.0)

    def project(self, points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """World (..., 3) -> pixels (..., 2) and depth in front of the camera (...), in statures."""
        seen = (points - self.target.astype(points.dtype)) @ self.rotation.T.astype(points.dtype)
        depth = seen[..., 2] + points.dtype.type(self.distance)
        scale = points.dtype.type(self.focal) / depth
        return seen[..., :2] * scale[..., None] + np.asarray(self.principal, dtype=points.dtype), depth

    def framing(self, mesh: Mesh, center: NDArray[np.float64], extent: float) -> Camera:
        """This camera, zoomed and shifted: the mesh is centred on ``center``, its longer side ``extent`` pixels."""
        pixels = self.project(mesh.vertices)[0].reshape(-1, 2)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        zoom = extent / float(max(high[0] - low[0], high[1] - low[1]))
        middle = (np.asarray(low) + high) / 2 - self.principal
        x, y = (float(center[i]) - zoom * float(middle[i]) for i in (0, 1))
        return replace(self, focal=self.focal * zoom, principal=(x, y))


def facing(turn: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """The rotation of a camera, in degrees: turn 0 sees the front of an unturned body, 90 its left side, 180 its back.

    pitch: how far the camera is above, looking down. roll: how far the image turns clockwise.
    """
    about_x, about_z, about_y = rotations(np.array([[pitch, 0, 0], [0, roll, 0], [0, 0, -turn]]))
    return np.asarray(about_z @ np.diag([1.0, -1.0, -1.0]) @ about_x @ about_y)


def random_camera(rng: Rng, target: NDArray[np.float64]) -> Camera:
    """Mostly from the front at eye level, as people are photographed; upright five times in six."""
    turn = rng.uniform(-180, 180) if rng.random() < 0.35 else rng.normal(0, 40)
    pitch = rng.normal(5, 9) if rng.random() < 0.92 else rng.uniform(-30, 65)
    roll = rng.normal(0, 7) if rng.random() < 0.83 else rng.uniform(-180, 180)
    return Camera(facing(float(turn), float(pitch), float(roll)), target, float(rng.uniform(2.2, 7.0)))


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


def render(canvas: Floats, mesh: Mesh, camera: Camera, textures: Texture, light: Light) -> Floats:
    """Draws a mesh over an image (H, W, 3) 0 .. 1 in place; returns (H, W), the share of each pixel that it covers."""
    covered = np.zeros(canvas.shape[:2], dtype=np.float32)
    pixels, depth = camera.project(mesh.vertices)
    low = np.clip(np.floor([pixels[..., 0].min(), pixels[..., 1].min()]) - 1, 0, None).astype(int)
    high = np.minimum(np.ceil([pixels[..., 0].max(), pixels[..., 1].max()]) + 2, covered.shape[::-1]).astype(int)
    columns, rows = (int(side) for side in high - low)
    if rows <= 0 or columns <= 0:
        return covered
    towards = (mesh.normals @ camera.rotation.T.astype(np.float32)) @ light.direction
    shade = np.clip(towards * np.float32(0.85) + np.float32(0.15), 0, 1)  # wrapped a little around the terminator
    values = np.empty((*depth.shape, 6), dtype=np.float32)
    values[..., :2] = (pixels - (low - 0.5).astype(np.float32)) * FINE - np.float32(0.5)
    values[..., 2] = (np.arange(SEGMENTS + 1) / SEGMENTS).astype(np.float32)
    values[..., 3], values[..., 4], values[..., 5] = mesh.v[:, None], shade, depth
    above, below = values[:-1][mesh.joined], values[1:][mesh.joined]
    faces = np.stack([above[:, :-1], above[:, 1:], below[:, 1:], below[:, :-1]], axis=2)
    corners = faces.reshape(-1, 4, 6)  # the four corners of every face, in order around it
    # On a face each value is start + by_x * x + by_y * y. The slopes come from the diagonals: a side may have length 0.
    first, second = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]  # twice the signed area
    inverse = (1 / np.where(np.abs(area) < 1e-3, np.float32(1e-3), area))[:, None]
    by_x = (first[:, 2:] * second[:, 1:2] - second[:, 2:] * first[:, 1:2]) * inverse
    by_y = (second[:, 2:] * first[:, 0:1] - first[:, 2:] * second[:, 0:1]) * inverse
    middle = (corners[:, 0] + corners[:, 1] + corners[:, 2] + corners[:, 3]) * np.float32(0.25)
    start = middle[:, 2:] - by_x * middle[:, 0:1] - by_y * middle[:, 1:2]
    seen = np.flatnonzero(area < -0.4)  # negative: its outside faces the camera
    order = seen[np.argsort(-corners[seen, :, 5].sum(axis=1))]
    tile = np.repeat(mesh.tile[:-1][mesh.joined], SEGMENTS)[order]

    buffer = np.zeros((rows * FINE, columns * FINE), dtype=np.int32)
    polygons = np.rint(corners[order, :, :2] * (1 << _SHIFT)).astype(np.int32)
    for number, polygon in enumerate(polygons, start=1):
        cv2.fillConvexPoly(buffer, polygon, number, cv2.LINE_8, _SHIFT)
    planes = np.ascontiguousarray(np.stack([start.T, by_x.T, by_y.T])[:, :3, order].swapaxes(0, 1))
    colour = _colour(buffer, planes, tile, textures, light)
    colour = np.asarray(cv2.resize(colour, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)
    cover = cv2.resize((buffer > 0).astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    there = np.s_[low[1] : low[1] + rows, low[0] : low[0] + columns]
    covered[there] = cover
    canvas[there] *= np.float32(1) - cv2.merge((cover, cover, cover))
    canvas[there] += colour
    return covered


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
    # What a surface's own colour is multiplied by, from what the light does not reach to what faces it.
    ramp = light.ambient + np.linspace(0, 1, 256, dtype=np.float32)[:, None] * light.key
    lit = np.take(ramp, (np.clip(shade, 0, 1) * 255).astype(np.int32), axis=0)
    colour = np.zeros((buffer.size, 3), dtype=np.float32)
    colour[places] = np.multiply(albedo, lit, out=albedo)
    return colour.reshape(*buffer.shape, 3)
