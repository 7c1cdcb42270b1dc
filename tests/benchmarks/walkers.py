"""Rendered videos of people who walk back and forth past each other, with their true joints.

One figure walks in front of the other; both turn round at the borders, so they meet once on every way across. A frame
is made when it is asked for, from its number alone.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Points
from posehg.images import Image
from posehg.synthetic import body as bodies
from posehg.synthetic.backgrounds import random_background
from posehg.synthetic.body import Posture, Rng
from posehg.synthetic.figure import dress
from posehg.synthetic.scene import Camera, Light, facing, random_light, render
from posehg.synthetic.textures import Outfit, Texture, paint, random_outfit

SIZE = (360, 640)
"""Rows and columns of a frame."""
FPS = 25.0
_DISTANCE = 6.0  # of the camera, in statures
_STRIDE = 1.1  # seconds that two steps take
_TURN = 0.5  # seconds that turning round takes
_SIDEWAYS = 65.0  # degrees by which a walker is turned from the camera


@dataclass(frozen=True, eq=False)
class Walker:
    """A person who walks between two places at one speed.

    height: in pixels. ground: the row of the feet. left, right: the columns between which they walk. way: seconds from
    one to the other. late: by how much of a way they are behind.
    """

    proportions: bodies.Proportions
    outfit: Outfit
    textures: Texture
    height: float
    ground: float
    left: float
    right: float
    way: float
    late: float

    def _phase(self, time: float) -> float:
        """0 .. 2: walking to the right until 1, and back."""
        return (time / self.way + self.late) % 2

    def column(self, time: float) -> float:
        phase = self._phase(time)
        return self.left + (self.right - self.left) * (phase if phase < 1 else 2 - phase)

    def _turned(self, time: float) -> float:
        """Degrees to the body's own left: to the image's right at first, back in the second half."""
        phase, half = self._phase(time), _TURN / self.way / 2
        there = min(phase, 1 - phase) if phase < 1 else max(1 - phase, phase - 2)  # from the nearest turning place
        return _SIDEWAYS * math.sin(math.pi / 2 * max(-1.0, min(1.0, there / half)))

    def body(self, time: float) -> bodies.Body:
        swing = math.sin(2 * math.pi * time / _STRIDE + self.late)
        other = math.cos(2 * math.pi * time / _STRIDE + self.late)
        arms = np.array([[-25 * swing, 12.0, 10.0], [25 * swing, 12.0, 10.0]])
        hips = np.array([[26 * swing + 4, 3.0, -5.0], [-26 * swing + 4, 3.0, -5.0]])
        return bodies.build(
            self.proportions,
            Posture(
                root=np.array([2.0, 0.0, self._turned(time)]),
                spine=np.array([4.0, 0.0, 6 * swing]),
                neck=np.array([2.0, 0.0, -4 * swing]),
                arms=arms,
                elbows=np.array([25 - 12 * swing, 25 + 12 * swing]),
                hips=hips,
                knees=np.array([8 + 38 * max(0.0, other), 8 + 38 * max(0.0, -other)]),
                ankles=np.zeros(2),
                hands=np.zeros(2),
            ),
        )

    def camera(self, time: float) -> Camera:
        """Where the pelvis, the world's origin, is on the image."""
        focal = self.height * _DISTANCE
        return Camera(
            facing(0.0, 4.0), np.zeros(3), _DISTANCE, focal, (self.column(time), self.ground - 0.52 * self.height)
        )

    def joints(self, time: float) -> Points:
        """(16, 2) in MPII's order, photo pixels."""
        return np.asarray(self.camera(time).project(self.body(time).joints)[0], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame. joints: (2, 16, 2), the walkers' in photo pixels. hidden: the share of the one behind that is hidden."""

    image: Image
    time: float
    joints: NDArray[np.float64]
    hidden: float


@dataclass(frozen=True)
class Street:
    """Two walkers before a background; of equal seeds, the same frames. The first walker is behind the second."""

    seed: int
    way: float = 3.4

    @cached_property
    def _background(self) -> NDArray[np.float32]:
        return random_background(self._rng(0), *SIZE)

    @cached_property
    def _light(self) -> Light:
        return random_light(self._rng(1), facing(0.0, 4.0))

    @cached_property
    def walkers(self) -> tuple[Walker, Walker]:
        behind = _walker(self._rng(2), self.way, height=185, ground=325, late=0.0)
        before = _walker(self._rng(3), self.way, height=205, ground=342, late=1.0)
        return behind, replace(before, late=before.late + self._rng(4).uniform(-0.15, 0.15))

    def _rng(self, what: int) -> Rng:
        return np.random.default_rng((self.seed, what))

    def moment(self, time: float, noise: int) -> Moment:
        """What is there at a time; noise: the number of the sensor's noise."""
        canvas = self._background.copy()
        behind, before = (
            render(canvas, dress(walker.body(time), walker.outfit), walker.camera(time), walker.textures, self._light)
            for walker in self.walkers
        )
        grain = self._rng(1000 + noise).normal(0, 3, (*SIZE, 1))
        image = np.clip(255 * canvas + grain, 0, 255).astype(np.uint8)
        joints = np.stack([walker.joints(time) for walker in self.walkers])
        return Moment(image, time, joints, float((behind * before).sum() / behind.sum()))


def _walker(rng: Rng, way: float, height: float, ground: float, late: float) -> Walker:
    proportions = bodies.random_proportions(rng)
    outfit = random_outfit(rng, proportions.feminine)
    margin = rng.uniform(50, 90, 2)
    return Walker(proportions, outfit, paint(rng, outfit), height, ground, margin[0], SIZE[1] - margin[1], way, late)
