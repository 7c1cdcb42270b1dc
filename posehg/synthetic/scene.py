"""One image: who stands where (cheap: joints, visibility, bbox), and how it is painted (only when it is looked at)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.synthetic import body as bodies
from posehg.synthetic.backgrounds import random_background
from posehg.synthetic.body import Rng
from posehg.synthetic.figure import Mesh, dress
from posehg.synthetic.renderer import Camera, random_camera, random_light, render
from posehg.synthetic.textures import Outfit, grain, paint, patch, random_colour, random_outfit, shaded


@dataclass(frozen=True, eq=False)
class Scene:
    """A person in front of a camera. occluders: polygons (N, 2) in pixels that lie in front of everything.

    size: (rows, columns). seed: what the painting's random numbers start from.
    """

    body: bodies.Body
    outfit: Outfit
    mesh: Mesh
    camera: Camera
    occluders: tuple[bodies.Array, ...]
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


def develop(rng: Rng, canvas: NDArray[np.float32]) -> Image:
    """From light to a stored image: exposure, contrast, white balance, blur, sensor noise, sometimes JPEG."""
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
