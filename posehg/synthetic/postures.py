"""Random joint angles within human limits, mixed from what arms and legs commonly do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Angles = NDArray[np.float64]
Rng = np.random.Generator
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Posture:
    """Joint angles in degrees; all zero is standing to attention. Rows of two are (right, left).

    root: (pitch forward, lean to the left, turn to the left) of the pelvis.
    spine, neck: the same three, of the whole spine and of neck and head together.
    arms, hips: (2, 3) flexion to the front, abduction to the side, inward rotation.
    elbows, knees: (2,) flexion. ankles: (2,) toes pointed down. hands: (2,) bend towards the palm.
    """

    root: Angles
    spine: Angles
    neck: Angles
    arms: Angles
    elbows: Angles
    hips: Angles
    knees: Angles
    ankles: Angles
    hands: Angles


LIMITS: dict[str, tuple[Angles, Angles]] = {
    "spine": (np.array([-25.0, -30, -40]), np.array([75.0, 30, 40])),
    "neck": (np.array([-45.0, -30, -70]), np.array([50.0, 30, 70])),
    "arms": (np.array([-50.0, -25, -90]), np.array([180.0, 120, 80])),
    "elbows": (np.array(0.0), np.array(145.0)),
    "hips": (np.array([-30.0, -15, -45]), np.array([125.0, 65, 35])),
    "knees": (np.array(0.0), np.array(140.0)),
    "ankles": (np.array(-25.0), np.array(50.0)),
    "hands": (np.array(-50.0), np.array(60.0)),
}
"""Lowest and highest angle of each joint, in Posture's order and units."""

_Arms = tuple[Angles, Angles]  # (2, 3) shoulders, (2,) elbows


@dataclass(frozen=True, eq=False)
class _Legs:
    """hips (2, 3), knees (2,) and what they ask of the rest: bend of the spine, pitch of the pelvis, arm swing."""

    hips: Angles
    knees: Angles
    bend: float = 4.0
    pitch: float = 0.0
    swing: float = 0.0  # how far the right arm goes forward, as the left one goes back
    lying: bool = False


def _normal(rng: Rng, mean: list[float], spread: list[float]) -> tuple[Angles, Angles]:
    """Three angles (2, 3) and a fourth one (2,), for the right and the left side independently."""
    drawn = np.asarray(mean) + np.asarray(spread) * rng.standard_normal((2, len(mean)))
    return drawn[:, :3], drawn[:, 3]


def _arm(rng: Rng, flexion: float, abduction: float, inward: float, elbow: float, spread: float = 1.0) -> _Arms:
    return _normal(rng, [flexion, abduction, inward, elbow], [14 * spread, 10 * spread, 18 * spread, 14 * spread])


def _leg(rng: Rng, flexion: float, abduction: float, knee: float, spread: float = 1.0) -> tuple[Angles, Angles]:
    return _normal(rng, [flexion, abduction, -8, knee], [8 * spread, 5 * spread, 9, 10 * spread])


ARMS: dict[str, tuple[float, Callable[[Rng], _Arms]]] = {
    "hanging": (6.0, lambda rng: _arm(rng, 2, 12, 15, 16)),
    "hips": (1.0, lambda rng: _arm(rng, -18, 48, 55, 95, 0.5)),
    "holding": (2.0, lambda rng: _arm(rng, 35, 6, 25, 75)),
    "crossed": (0.7, lambda rng: _arm(rng, 42, 2, 58, 95, 0.5)),
    "face": (0.8, lambda rng: _arm(rng, 55, 25, 30, 128, 0.7)),
    "forward": (1.2, lambda rng: _arm(rng, 85, 10, 10, 20, 1.3)),
    "sideways": (1.4, lambda rng: _arm(rng, 5, 85, -20, 18, 1.5)),
    "overhead": (2.2, lambda rng: _arm(rng, 160, 18, 0, 22, 1.4)),
    "waving": (1.2, lambda rng: _arm(rng, 10, 80, -78, 85, 1.2)),
    "behind": (0.5, lambda rng: _arm(rng, -38, 16, 10, 25)),
    "free": (1.5, lambda rng: (rng.uniform(*LIMITS["arms"], (2, 3)), rng.beta(0.9, 1.6, 2) * 140)),
}
"""What arms do, and how often."""


def _striding(rng: Rng, reach: float, bent: float, pitch: float) -> _Legs:
    """Walking and running: one leg forward, the other one back with its knee more bent."""
    phase = rng.uniform(-1, 1)
    hips, knees = _leg(rng, 0, 3, 6, 0.7)
    hips[:, 0] += reach * np.array([phase, -phase]) + bent / 3
    knees += bent * rng.uniform(0.3, 1.0, 2) * np.where(hips[:, 0] > hips[::-1, 0], 0.6, 1.2)
    return _Legs(hips, knees, bend=rng.normal(8, 5), pitch=pitch, swing=-phase * reach)


def _crouching(rng: Rng) -> _Legs:
    depth = rng.uniform(0.4, 1.0)
    return _Legs(*_leg(rng, 115 * depth, 18, 135 * depth), bend=rng.normal(30, 14), pitch=20 * depth)


def _kneeling(rng: Rng) -> _Legs:
    hips, knees = _leg(rng, 5, 8, 100)
    if rng.random() < 0.5:
        hips[rng.integers(2), 0] += 85
    return _Legs(hips, knees, bend=rng.normal(10, 12))


def _jumping(rng: Rng) -> _Legs:
    hips, knees = _leg(rng, rng.uniform(0, 70), rng.uniform(5, 35), rng.uniform(5, 90), 2.2)
    return _Legs(hips, knees, bend=rng.normal(8, 15), pitch=rng.normal(0, 15))


def _kicking(rng: Rng) -> _Legs:
    hips, knees = _leg(rng, 0, 8, 12)
    side = rng.integers(2)
    hips[side] += (rng.uniform(30, 105), rng.uniform(0, 45), 0)
    knees[side] += rng.uniform(-10, 60)
    return _Legs(hips, knees, bend=rng.normal(2, 12), pitch=rng.normal(-5, 10))


def _lunging(rng: Rng) -> _Legs:
    hips, knees = _leg(rng, 0, 12, 10)
    side = rng.integers(2)
    hips[side, 0] += rng.uniform(50, 95)
    knees[side] += rng.uniform(50, 90)
    hips[1 - side, 0] -= 15
    return _Legs(hips, knees, bend=rng.normal(8, 12), pitch=rng.normal(8, 8))


def _bending(rng: Rng) -> _Legs:
    return _Legs(*_leg(rng, rng.uniform(30, 85), 8, 12), bend=rng.uniform(25, 65), pitch=rng.uniform(25, 60))


def _lying(rng: Rng) -> _Legs:
    return _Legs(*_leg(rng, 12, 8, 18, 1.8), pitch=rng.choice([-90.0, 90.0]) + rng.normal(0, 8), lying=True)


def _free_legs(rng: Rng) -> _Legs:
    bend = rng.uniform(-15, 50)
    hips, knees = rng.uniform(*LIMITS["hips"], (2, 3)), rng.beta(1.0, 1.5, 2) * 135
    return _Legs(hips, knees, bend=bend, pitch=rng.normal(0, 20))


LEGS: dict[str, tuple[float, Callable[[Rng], _Legs]]] = {
    "standing": (7.0, lambda rng: _Legs(*_leg(rng, 2, 5, 4, 0.6), bend=rng.normal(3, 6))),
    "walking": (4.0, lambda rng: _striding(rng, 28, 22, 2)),
    "running": (2.2, lambda rng: _striding(rng, 52, 85, 12)),
    "sitting": (1.8, lambda rng: _Legs(*_leg(rng, 85, 10, 85, 1.3), bend=rng.normal(10, 12), pitch=rng.normal(-8, 8))),
    "crouching": (0.9, _crouching),
    "kneeling": (0.7, _kneeling),
    "jumping": (1.6, _jumping),
    "kicking": (1.2, _kicking),
    "lunging": (1.2, _lunging),
    "bending": (0.8, _bending),
    "straddling": (1.0, lambda rng: _Legs(*_leg(rng, 15, rng.uniform(22, 55), 12), bend=rng.normal(5, 14))),
    "lying": (0.5, _lying),
    "free": (0.8, _free_legs),
}
"""What legs do, and how often."""


def _pick(rng: Rng, table: dict[str, tuple[float, Value]]) -> Value:
    """One entry of a table of weights and values."""
    weights = np.cumsum([weight for weight, _ in table.values()])
    chosen = int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))
    return list(table.values())[chosen][1]


def random_posture(rng: Rng) -> Posture:
    """A posture within LIMITS; it may still push a hand into the trunk (see body.collides)."""
    legs = _pick(rng, LEGS)(rng)
    arms, elbows = _pick(rng, ARMS)(rng)
    if rng.random() < 0.5:  # otherwise both arms do the same
        others, other_elbows = _pick(rng, ARMS)(rng)
        arms = np.stack([arms[0], others[1]])
        elbows = np.array([elbows[0], other_elbows[1]])
    if legs.swing and rng.random() < 0.7:
        arms, elbows = _arm(rng, 0, 10, 15, 15 + abs(legs.swing) * 1.2)
        arms[:, 0] += np.array([legs.swing, -legs.swing])
    drawn = {
        "spine": np.array([legs.bend, 0, 0]) + rng.standard_normal(3) * (6, 8, 10),
        "neck": np.array([0.1 * legs.bend, 0, 0]) + rng.standard_normal(3) * (14, 8, 24),
        "arms": arms,
        "elbows": elbows,
        "hips": legs.hips,
        "knees": legs.knees,
        "ankles": rng.normal(4, 12, 2),
        "hands": rng.normal(5, 20, 2),
    }
    roll = rng.uniform(-180, 180) if legs.lying else rng.normal(0, 4)
    root = np.array([legs.pitch, roll * (not legs.lying), roll * legs.lying]) + rng.standard_normal(3) * (4, 0, 0)
    return Posture(root=root, **{name: np.clip(value, *LIMITS[name]) for name, value in drawn.items()})
