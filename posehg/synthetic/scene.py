"""One image: who stands where (cheap: joints, visibility, bbox), and how it is painted (only when it is looked at).

A mesh is drawn face by face, from far to near, into a buffer of face numbers that is twice as fine as the image.
Texture coordinates and brightness are affine on each face, so one pass over the buffer then gives every pixel's colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.synthetic import body as bodies
from posehg.synthetic.backgrounds import random_background
from posehg.synthetic.body import Array, Rng, rotations
from posehg.synthetic.figure import SEGMENTS, Mesh, dress
from posehg.synthetic.textures import TILE, Floats, Outfit, grain, paint, patch, random_colour, random_outfit, shaded

FINE = 2
"""Samples a pixel, along each side."""
_SHIFT = 4  # sub-pixel bits of OpenCV's polygon corners


@dataclass(frozen=True, eq=False)
class Camera:
    """World point p -> image: q = rotation @ (p - target); pixel = focal * q[:2] / (q[2] + distance) + principal.

    rotation: (3, 3), its rows are the camera's right, down and forward in the world. distance and target in statures;
    focal and principal in pixels (pixel centres are integers).
    """

    rotation: Array
    target: Array
    distance: float
    focal: float = 1.0
    principal: tuple[float, float] = (0.0, 0.0)

    def project(self, points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """World (..., 3) -> pixels (..., 2) and depth in front of the camera (...), in statures."""
        seen = (points - self.target.astype(points.dtype)) @ self.rotation.T.astype(points.dtype)
        depth = seen[..., 2] + points.dtype.type(self.distance)
        scale = points.dtype.type(self.focal) / depth
        return seen[..., :2] * scale[..., None] + np.asarray(self.principal, dtype=points.dtype), depth

    def framing(self, mesh: Mesh, center: Array, extent: float) -> Camera:
        """This camera, zoomed and shifted: the mesh is centred on ``center``, its longer side ``extent`` pixels."""
        pixels = self.project(mesh.vertices)[0].reshape(-1, 2)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        zoom = extent / float(max(high[0] - low[0], high[1] - low[1]))
        middle = (np.asarray(low) + high) / 2 - self.principal
        x, y = (float(center[i]) - zoom * float(middle[i]) for i in (0, 1))
        return replace(self, focal=self.focal * zoom, principal=(x, y))


def facing(turn: float, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """The rotation of a camera, in degrees: turn 0 sees the front of an unturned body, 90 its left side, 180 its back.

    pitch: how far the camera is above, looking down. roll: how far the image turns clockwise.
    """
    about_x, about_z, about_y = rotations(np.array([[pitch, 0, 0], [0, roll, 0], [0, 0, -turn]]))
    return np.asarray(about_z @ np.diag([1.0, -1.0, -1.0]) @ about_x @ about_y)


def random_camera(rng: Rng, target: Array) -> Camera:
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


def random_light(rng: Rng, rotation: Array) -> Light:
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
class Scene:
    """A person in front of a camera. occluders: polygons (N, 2) in pixels that lie in front of everything.

    size: (rows, columns). seed: what the painting's random numbers start from.
    """

    body: bodies.Body
    outfit: Outfit
    mesh: Mesh
    camera: Camera
    occluders: tuple[Array, ...]
    size: tuple[int, int]
    seed: tuple[int, ...]


def _random_figure(rng: Rng) -> tuple[bodies.Body, Outfit, Mesh]:
    """A person in a random posture that does not run through itself, as far as a few tries can tell."""
    proportions = bodies.random_proportions(rng)
    for _ in range(8):
        body = bodies.build(proportions, bodies.random_posture(rng))
        if not bodies.collides(body):
            break
    outfit = random_outfit(rng, body.proportions.feminine)
    return body, outfit, dress(body, outfit)


def random_scene(seed: tuple[int, ...], size: int | None = None) -> Scene:
    """The scene that belongs to a seed; 192 .. 256 pixels a side without ``size``."""
    rng = np.random.default_rng(seed)
    rows, columns = (size, size) if size else (int(value) for value in rng.integers(192, 257, 2))
    body, outfit, mesh = _random_figure(rng)
    share = rng.uniform(0.6, 0.85)
    middle = (columns / 2 - 0.5, rows / 2 - 0.5) + rng.normal(0, 0.03, 2) * (columns, rows)
    if rng.random() < 0.07:  # cut off by the border
        share *= rng.uniform(1.1, 1.5)
        middle += rng.normal(0, 0.1, 2) * (columns, rows)
    extent = share * min(rows, columns)
    camera = random_camera(rng, body.joints.mean(axis=0)).framing(mesh, middle, extent)
    occluders = []  # boxes, discs and bars, small enough to leave most of the body in sight
    for _ in range(rng.integers(1, 3) if rng.random() < 0.1 else 0):
        center = middle + rng.normal(0, 0.3, 2) * extent
        kind, turn = rng.random(), rng.uniform(0, np.pi)
        count = 24 if kind < 0.35 else 4
        half = extent * (rng.uniform(0.05, 0.15, 2) if kind < 0.7 else np.array([rng.uniform(0.3, 1.0), 0.03]))
        angle = 2 * np.pi * (np.arange(count) + 0.5) / count
        points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * half * (1.0 if count > 4 else 1.41)
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        occluders.append(points @ spin + center)
    return Scene(body, outfit, mesh, camera, tuple(occluders), (rows, columns), seed)


_LIMBS = (
    *(("shoulder", "elbow", 0.034, 0.026), ("elbow", "wrist", 0.026, 0.018)),
    *(("hip", "knee", 0.055, 0.037), ("knee", "ankle", 0.037, 0.022)),
)
_SOLID: tuple[tuple[str, str, float, float], ...] = (
    *(("pelvis", "thorax", 0.088, 0.075), ("upper_neck", "head_top", 0.05, 0.05)),
    *((f"{side}_{start}", f"{side}_{end}", a, b) for side in bodies.SIDES for start, end, a, b in _LIMBS),
)
"""What hides joints: from one joint to another, with the radius at each, in statures."""
_SHARES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def hidden_by_body(body: bodies.Body, camera: Camera) -> NDArray[np.bool_]:
    """(16,) joints that lie behind a part of the body which is clearly nearer to the camera than they are.

    A part's own skin over a joint does not hide it: what hides is nearer by half its radius and 4 % of a stature.
    """
    starts = np.stack([body.joint(start) for start, _, _, _ in _SOLID])
    ends = np.stack([body.joint(end) for _, end, _, _ in _SOLID])
    radii = np.array([row[2:] for row in _SOLID]) * body.proportions.girth
    balls = (starts[:, None] + _SHARES[:, None] * (ends - starts)[:, None]).reshape(-1, 3)
    radius = (radii[:, :1] + _SHARES * (radii[:, 1:] - radii[:, :1])).ravel()
    joints, joint_depth = camera.project(body.joints)
    centres, depth = camera.project(balls)
    covered = np.hypot(*(joints[:, None] - centres).transpose(2, 0, 1)) < 0.9 * radius * camera.focal / depth
    nearer = depth < joint_depth[:, None] - (0.5 * radius + 0.04)
    return np.asarray((covered & nearer).any(axis=1))


def person(scene: Scene, image: Path, id: str) -> Person:
    """The annotation of a scene. The bbox is that of the clothed body's silhouette, cut off at the image's borders.

    head_size: 0.6 of the diagonal, in pixels, of the square around the ball between upper_neck and head_top. A ball
    looks the same from everywhere, so the unit of PCKh does not depend on how the head is turned.
    """
    (rows, columns), body, camera = scene.size, scene.body, scene.camera
    points = np.asarray(camera.project(body.joints)[0], dtype=np.float64)
    outline = camera.project(scene.mesh.vertices)[0].reshape(-1, 2)
    inside = ((points >= -0.5) & (points < (columns - 0.5, rows - 0.5))).all(axis=1)
    hidden = hidden_by_body(body, camera)
    for shape in scene.occluders:
        corners = shape.astype(np.float32)
        hidden |= [cv2.pointPolygonTest(corners, (float(x), float(y)), False) >= 0 for x, y in points]
    box = Box.bounding(np.clip(outline, 0, (columns - 1, rows - 1)))
    assert box is not None
    _, depth = camera.project(np.stack([body.joint("upper_neck"), body.joint("head_top")]))
    head = body.proportions.head * camera.focal / float(depth.mean())
    return Person(image, box, points, inside & ~hidden, 0.6 * math.sqrt(2) * head, id)


def paint_scene(scene: Scene) -> Image:
    """The image of a scene: RGB uint8 (H, W, 3)."""
    rng, (rows, columns) = np.random.default_rng((*scene.seed, 1)), scene.size
    canvas = random_background(rng, *scene.size)
    light = random_light(rng, scene.camera.rotation)
    if rng.random() < 0.12:  # another person, behind and well to the side, without an annotation
        body, outfit, mesh = _random_figure(rng)
        side = rng.choice([-1, 1])
        middle = np.array([columns * (0.5 + side * rng.uniform(0.38, 0.6)), rows * rng.uniform(0.35, 0.65)])
        camera = random_camera(rng, body.joints.mean(axis=0)).framing(mesh, middle, rng.uniform(0.25, 0.8) * rows)
        render(canvas, mesh, camera, paint(rng, outfit), random_light(rng, camera.rotation))
    render(canvas, scene.mesh, scene.camera, paint(rng, scene.outfit), light)
    for shape in scene.occluders:
        mask = np.zeros((rows, columns), dtype=np.uint8)
        cv2.fillConvexPoly(mask, np.rint(shape * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        alpha = cv2.merge((mask, mask, mask)) * np.float32(1 / 255)
        shade = shaded(np.ones_like(canvas), patch(rng, rows, columns, rng.uniform(0.5, 2)), rng.uniform(0.05, 0.25))
        canvas += alpha * (random_colour(rng) * shade - canvas)
    return develop(rng, canvas)


def paint_group(seed: tuple[int, ...], size: int) -> tuple[Image, list[Box], list[Box]]:
    """Up to eight people, far ones first: the image (size, size, 3), the boxes of all who can be seen, and of those
    hardly to be seen behind others. A box is that of the clothed body, cut off at the image's borders."""
    rng = np.random.default_rng(seed)
    canvas = random_background(rng, size, size)
    front = np.full((size, size), -1)  # whose pixel it is
    boxes: list[tuple[Box, int]] = []
    for extent in sorted(size * np.exp(rng.uniform(math.log(0.12), math.log(0.9), rng.integers(0, 9)))):
        body, outfit, mesh = _random_figure(rng)
        middle = rng.uniform(0.02 * size, 0.98 * size, 2)
        camera = random_camera(rng, body.joints.mean(axis=0)).framing(mesh, middle, float(extent))
        covered = render(canvas, mesh, camera, paint(rng, outfit), random_light(rng, camera.rotation)) > 0.5
        row, column = np.nonzero(covered)
        box = Box.bounding(np.stack((column, row), axis=1))
        if box is not None:
            front[covered] = len(boxes)
            boxes.append((box, len(row)))
    shares = [(front == number).sum() / pixels for number, (_, pixels) in enumerate(boxes)]
    seen = [box for share, (box, _) in zip(shares, boxes, strict=True) if share >= 0.3]
    hidden = [box for share, (box, _) in zip(shares, boxes, strict=True) if share < 0.3]
    return develop(rng, canvas), seen, hidden


def develop(rng: Rng, canvas: Floats) -> Image:
    """From light to a stored image: blur, exposure, contrast, white balance, sensor noise, sometimes JPEG."""
    rows, columns = canvas.shape[:2]
    if rng.random() < 0.4:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.3, 1.1))))
    contrast = rng.normal(1.0, 0.13) * (1 + 0.03 * rng.standard_normal(3))
    offset = 0.5 + rng.normal(0, 0.06) - 0.5 * contrast
    # OpenCV's transform, as numpy is slow where the last axis has three entries.
    canvas = np.asarray(cv2.transform(canvas, 255 * np.column_stack([np.diag(contrast), offset + 0.5 / 255])))
    if rng.random() < 0.6:
        canvas += np.float32(rng.exponential(4.0)) * grain(rng, rows, columns)
    image: Image = np.clip(canvas, 0, 255, out=canvas).astype(np.uint8)
    if rng.random() < 0.03:
        image = np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2)
    if rng.random() < 0.2:
        quality = int(rng.integers(25, 90))
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1], 1))
    return image


def render(canvas: Floats, mesh: Mesh, camera: Camera, textures: Floats, light: Light) -> Floats:
    """Draws a mesh over an image (H, W, 3) 0 .. 1 in place; returns (H, W), the share of each pixel that it covers."""
    covered = np.zeros(canvas.shape[:2], dtype=np.float32)
    pixels, depth = camera.project(mesh.vertices)
    low = np.clip(np.floor([pixels[..., 0].min(), pixels[..., 1].min()]) - 1, 0, None).astype(int)
    high = np.minimum(np.ceil([pixels[..., 0].max(), pixels[..., 1].max()]) + 2, canvas.shape[1::-1]).astype(int)
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
    buffer: NDArray[np.int32], planes: Floats, tile: NDArray[np.int64], textures: Floats, light: Light
) -> Floats:
    """The colour (h, w, 3) of every sample of a buffer of face numbers: 0 is nothing, n is planes[:, :, n - 1]."""
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
