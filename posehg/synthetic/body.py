"""An articulated body: random postures within human limits, proportions, and the place of every joint and bone.

A bone's frame (3, 3) has its x, y, z axes as columns, in the world: x to the body's left, y back along the bone
(so that a limb runs along -y from its origin; trunk, neck and head run along +y), z to the body's front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import MPII

Array = NDArray[np.float64]
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

    root: Array
    spine: Array
    neck: Array
    arms: Array
    elbows: Array
    hips: Array
    knees: Array
    ankles: Array
    hands: Array


LIMITS: dict[str, tuple[Array, Array]] = {
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

_Arms = tuple[Array, Array]  # (2, 3) shoulders, (2,) elbows


@dataclass(frozen=True, eq=False)
class _Legs:
    """hips (2, 3), knees (2,) and what they ask of the rest: bend of the spine, pitch of the pelvis, arm swing."""

    hips: Array
    knees: Array
    bend: float = 4.0
    pitch: float = 0.0
    swing: float = 0.0  # how far the right arm goes forward, as the left one goes back
    lying: bool = False


def _normal(rng: Rng, mean: list[float], spread: list[float]) -> tuple[Array, Array]:
    """Three angles (2, 3) and a fourth one (2,), for the right and the left side independently."""
    drawn = np.asarray(mean) + np.asarray(spread) * rng.standard_normal((2, len(mean)))
    return drawn[:, :3], drawn[:, 3]


def _arm(rng: Rng, flexion: float, abduction: float, inward: float, elbow: float, spread: float = 1.0) -> _Arms:
    return _normal(rng, [flexion, abduction, inward, elbow], [14 * spread, 10 * spread, 18 * spread, 14 * spread])


def _leg(rng: Rng, flexion: float, abduction: float, knee: float, spread: float = 1.0) -> tuple[Array, Array]:
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
    """A posture within LIMITS; it may still push a hand into the trunk (see ``collides``)."""
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


# ---- bodies --------------------------------------------------------------------------------------------------------

BONES = (
    *("pelvis", "belly", "chest", "neck", "head"),
    *("right_upper_arm", "left_upper_arm", "right_forearm", "left_forearm", "right_hand", "left_hand"),
    *("right_thigh", "left_thigh", "right_shank", "left_shank", "right_foot", "left_foot"),
    *("right_collar", "left_collar"),  # from the thorax to the shoulder
    "lap",  # between the thighs: what a skirt hangs from
)
BONE = {name: index for index, name in enumerate(BONES)}
SIDES = ("right", "left")
ARM = (("upper_arm", "shoulder"), ("forearm", "elbow"), ("hand", "wrist"))
LEG = (("thigh", "hip"), ("shank", "knee"), ("foot", "ankle"))
"""The bones of a limb from the trunk outwards, each with the joint at which it begins."""


@dataclass(frozen=True)
class Proportions:
    """Lengths in statures (half widths for hips and shoulders); girth and belly are factors."""

    hips: float = 0.052
    shoulders: float = 0.112
    lower_spine: float = 0.085
    middle_spine: float = 0.095
    upper_spine: float = 0.105
    neck: float = 0.052
    head: float = 0.132
    upper_arm: float = 0.172
    forearm: float = 0.146
    hand: float = 0.1
    thigh: float = 0.240
    shank: float = 0.240
    foot: float = 0.15
    girth: float = 1.0
    belly: float = 1.0
    feminine: bool = False


def random_proportions(rng: Rng) -> Proportions:
    """Adults of any build, and sometimes a child."""
    feminine = bool(rng.random() < 0.5)
    child = rng.random() < 0.12
    factor = np.clip(1 + 0.045 * rng.standard_normal(10), 0.88, 1.12)
    torso, arms, legs = factor[0], factor[1], factor[2] * (0.92 if child else 1.0)
    base = Proportions()
    return Proportions(
        hips=base.hips * factor[3] * (1.08 if feminine else 1.0),
        shoulders=base.shoulders * factor[4] * (0.92 if feminine or child else 1.04),
        lower_spine=base.lower_spine * torso,
        middle_spine=base.middle_spine * torso,
        upper_spine=base.upper_spine * torso,
        neck=base.neck * factor[5],
        head=base.head * factor[6] * (1.28 if child else 1.0),
        upper_arm=base.upper_arm * arms * factor[7] ** 0.5,
        forearm=base.forearm * arms * factor[8] ** 0.5,
        thigh=base.thigh * legs * factor[9] ** 0.5,
        shank=base.shank * legs,
        girth=float(np.clip(rng.normal(1.0, 0.11), 0.8, 1.4)),
        belly=float(np.clip(rng.normal(1.0, 0.12), 0.85, 1.5)),
        feminine=feminine,
    )


@dataclass(frozen=True, eq=False)
class Body:
    """joints: (16, 3) in MPII's order; origins: (B, 3) and frames: (B, 3, 3) in the order of BONES. World, statures."""

    proportions: Proportions
    joints: Array
    origins: Array
    frames: Array

    def joint(self, name: str) -> Array:
        """The (3,) position of one of MPII's joints."""
        return np.asarray(self.joints[MPII.index(name)])

    def inside(self, bone: str, points: Array) -> Array:
        """World points (N, 3) in the frame of a bone."""
        return np.asarray((points - self.origins[BONE[bone]]) @ self.frames[BONE[bone]])


def rotations(degrees: Array) -> Array:
    """(N, 3) angles about x, z and y -> (N, 3, 3): a point turns about y first, then about z, then about x."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(np.radians(degrees)).T, np.sin(np.radians(degrees)).T
    result = np.empty((len(degrees), 3, 3))
    result[:, 0] = np.stack([cb * cc, -sb, cb * sc], axis=1)
    row1, row2 = np.stack([sb * cc, cb, sb * sc], axis=1), np.stack([-sc, 0 * sc, cc], axis=1)
    result[:, 1] = ca[:, None] * row1 - sa[:, None] * row2
    result[:, 2] = sa[:, None] * row1 + ca[:, None] * row2
    return result


def _local_rotations(posture: Posture) -> Array:
    """(17, 3, 3): pelvis, belly, chest, neck, head, then for right and left: arm, elbow, hand, hip, knee, ankle."""
    trunk = np.array([1.0, -1, 1])  # forward, to the left, turned to the left
    rows = [posture.root * trunk, posture.spine / 2 * trunk, posture.spine / 2 * trunk]
    rows += [posture.neck / 2 * trunk, posture.neck / 2 * trunk]
    for i, side in enumerate((-1.0, 1.0)):  # the right side is the left one mirrored: turns about y and z change sign
        limb = np.array([-1.0, side, -side])  # flexion, abduction, inward rotation
        rows += [posture.arms[i] * limb, np.array([-posture.elbows[i], 0, 0])]
        rows += [np.array([0, -side * posture.hands[i], 0])]
        rows += [posture.hips[i] * limb, np.array([posture.knees[i], 0, 0])]
        rows += [np.array([posture.ankles[i] - 90.0, 0, 0])]  # a foot's -y points to the toes
    return rotations(np.stack(rows))


def build(proportions: Proportions, posture: Posture) -> Body:
    """Forward kinematics; the pelvis is the world's origin."""
    p = proportions
    turn = _local_rotations(posture)
    frames = np.empty((len(BONES), 3, 3))
    origins = np.zeros((len(BONES), 3))
    joints: dict[str, Array] = {}

    frames[0] = turn[0]
    for index, length in enumerate((p.lower_spine, p.middle_spine, p.upper_spine, p.neck), start=1):
        frames[index] = frames[index - 1] @ turn[index]
        origins[index] = origins[index - 1] + length * frames[index - 1][:, 1]
    joints["pelvis"], joints["thorax"], joints["upper_neck"] = origins[0], origins[3], origins[4]
    joints["head_top"] = origins[4] + p.head * frames[4][:, 1]

    for i, (side, sign) in enumerate(zip(SIDES, (-1.0, 1.0), strict=True)):
        local = turn[5 + 6 * i : 11 + 6 * i]
        raised = float(0.5 - 0.5 * local[0][1, 1])  # 0 for a hanging arm, 1 for one straight up: it lifts the shoulder
        shoulder = np.array([sign * p.shoulders * (1 - 0.12 * raised), -0.012 + 0.04 * raised, -0.004])
        shoulder = origins[3] + frames[2] @ shoulder
        collar = BONE[f"{side}_collar"]
        origins[collar], frames[collar] = origins[3], _pointing(shoulder - origins[3], frames[2][:, 2])
        hip = origins[0] + frames[0] @ np.array([sign * p.hips, 0, 0])
        arm, leg = (p.upper_arm, p.forearm, 0.0), (p.thigh, p.shank, 0.0)
        for start, parent, chain, lengths, rotation in (
            (shoulder, 2, ARM, arm, local[:3]),
            (hip, 0, LEG, leg, local[3:]),
        ):
            frame, place = frames[parent], start
            for (bone, joint), length, turned in zip(chain, lengths, rotation, strict=True):
                frame = frame @ turned
                index = BONE[f"{side}_{bone}"]
                frames[index], origins[index], joints[f"{side}_{joint}"] = frame, place, place
                place = place - length * frame[:, 1]
    thighs = frames[BONE["right_thigh"]][:, 1] + frames[BONE["left_thigh"]][:, 1]
    up = thighs / (np.linalg.norm(thighs) + 1e-9)
    left = _across(frames[0][:, 0], up)
    frames[BONE["lap"]] = np.stack([left, up, np.cross(left, up)], axis=1)
    return Body(p, np.stack([joints[name] for name in MPII.joints]), origins, frames)


def _across(direction: Array, up: Array) -> Array:
    """The unit vector nearest to a direction among those at a right angle to ``up``."""
    across = direction - up * (up @ direction)
    return np.asarray(across / (np.linalg.norm(across) + 1e-9))


def _pointing(along: Array, front: Array) -> Array:
    """A frame whose -y points along a vector, with z as far to the front as that allows."""
    up = -along / np.linalg.norm(along)
    ahead = _across(front, up)
    return np.stack([np.cross(up, ahead), up, ahead], axis=1)


def collides(body: Body) -> bool:
    """Whether an elbow, forearm or hand lies within the trunk or the head."""
    p = body.proportions
    points = []
    for side in SIDES:
        elbow, wrist = body.joint(f"{side}_elbow"), body.joint(f"{side}_wrist")
        tip = wrist - p.hand * 0.8 * body.frames[BONE[f"{side}_hand"]][:, 1]
        points += [elbow, (elbow + wrist) / 2, wrist, tip]
    arms = np.stack(points)
    chest, head, pelvis = (body.inside(bone, arms) for bone in ("chest", "head", "pelvis"))
    in_trunk = (chest[:, 0] / (0.115 * p.girth)) ** 2 + ((chest[:, 2] - 0.005) / (0.088 * p.girth)) ** 2 < 1
    in_trunk &= (chest[:, 1] > -0.12) & (chest[:, 1] < p.upper_spine)
    in_hips = (pelvis[:, 0] / (0.115 * p.girth)) ** 2 + (pelvis[:, 2] / (0.088 * p.girth)) ** 2 < 1
    in_hips &= (pelvis[:, 1] > -0.07) & (pelvis[:, 1] < 0.1)
    in_head = ((head - (0, 0.5 * p.head, 0.006)) ** 2).sum(axis=1) < (0.55 * p.head) ** 2
    return bool((in_trunk | in_hips | in_head).any())
