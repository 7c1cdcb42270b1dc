"""A perspective camera that looks at the world's origin, or near it, from anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posehg.synthetic.body import rotations
from posehg.synthetic.postures import Rng

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Camera:
    """World point p -> picture: q = rotation @ (p - target); pixel = focal * q[:2] / (q[2] + distance) + principal.

    rotation: (3, 3), its rows are the camera's right, down and forward in the world. distance and target in statures;
    focal and principal in pixels (pixel centres are integers).
    """

    rotation: NDArray[np.float64]
    target: NDArray[np.float64]
    distance: float
    focal: float = 1.0
    principal: tuple[float, float] = (0.0, 0.0)

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """World (..., 3) -> pixels (..., 2) and depth in front of the camera (...), in statures."""
        seen = (points - self.target.astype(points.dtype)) @ self.rotation.T.astype(points.dtype)
        depth = seen[..., 2] + points.dtype.type(self.distance)
        scale = points.dtype.type(self.focal) / depth
        return seen[..., :2] * scale[..., None] + np.asarray(self.principal, dtype=points.dtype), depth

    def turned(self, normals: Floats) -> Floats:
        """World directions (..., 3) as the camera has them."""
        return normals @ self.rotation.T.astype(normals.dtype)

    def placed(self, low: Floats, high: Floats, center: tuple[float, float], extent: float) -> Camera:
        """The camera that shows what now lies in the rectangle low .. high with its middle at ``center`` and its longer
        side ``extent`` pixels long."""
        zoom = extent / float(max(high[0] - low[0], high[1] - low[1]))
        middle = (np.asarray(low) + high) / 2 - self.principal
        principal = (center[0] - zoom * float(middle[0]), center[1] - zoom * float(middle[1]))
        return replace(self, focal=self.focal * zoom, principal=principal)


def facing(turn: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """The rotation of a camera, in degrees: turn 0 sees the front of an unturned body, 90 its left side, 180 its back.

    pitch: how far the camera is above, looking down. roll: by how much the picture turns clockwise.
    """
    about_x, about_z, about_y = rotations(np.array([[pitch, 0, 0], [0, roll, 0], [0, 0, -turn]]))
    return np.asarray(about_z @ np.diag([1.0, -1.0, -1.0]) @ about_x @ about_y)


def random_camera(rng: Rng, target: NDArray[np.float64]) -> Camera:
    """As people are photographed: mostly from the front and at eye level, upright in five cases of six, else anyhow."""
    turn = rng.uniform(-180, 180) if rng.random() < 0.35 else rng.normal(0, 40)
    pitch = rng.normal(5, 9) if rng.random() < 0.92 else rng.uniform(-30, 65)
    roll = rng.normal(0, 7) if rng.random() < 0.83 else rng.uniform(-180, 180)
    return Camera(facing(float(turn), float(pitch), float(roll)), target, float(rng.uniform(2.2, 7.0)))
