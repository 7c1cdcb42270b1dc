"""An articulated body: random postures within human limits, proportions, and the place of every joint and bone.

A bone's frame (3, 3) has its x, y, z axes as columns, in the world: x to the body's left, y back along the bone
(so that a limb runs along -y from its origin; trunk, neck and head run along +y), z to the body's front.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import MPII

Array = NDArray[np.float64]
Rng = np.random.Generator


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


LIMITS: dict[str, tuple[Any, Any]] = {
    "spine": ((-25, -30, -40), (75, 30, 40)),
    "neck": ((-45, -30, -70), (50, 30, 70)),
    "arms": ((-50, -25, -90), (180, 120, 80)),
    "elbows": (0, 145),
    "hips": ((-30, -15, -45), (125, 65, 35)),
    "knees": (0, 140),
    "ankles": (-25, 50),
    "hands": (-50, 60),
}
"""Lowest and highest angle of each joint, in Posture's order and units."""

ARMS: dict[str, tuple[float, ...]] = {
    "hanging": (6.0, 2, 12, 15, 16, 1.0),
    "hips": (1.0, -18, 48, 55, 95, 0.5),
    "holding": (2.0, 35, 6, 25, 75, 1.0),
    "crossed": (0.7, 42, 2, 58, 95, 0.5),
    "face": (0.8, 55, 25, 30, 128, 0.7),
    "forward": (1.2, 85, 10, 10, 20, 1.3),
    "sideways": (1.4, 5, 85, -20, 18, 1.5),
    "overhead": (2.2, 160, 18, 0, 22, 1.4),
    "waving": (1.2, 10, 80, -78, 85, 1.2),
    "behind": (0.5, -38, 16, 10, 25, 1.0),
    "free": (1.5,),
}
"""What arms do: how often; flexion, abduction, inward rotation and elbow in degrees; how much these vary."""

LEGS: dict[str, float] = {
    **{"standing": 7.0, "walking": 4.0, "running": 2.2, "sitting": 1.8, "crouching": 0.9, "kneeling": 0.7},
    **{"jumping": 1.6, "kicking": 1.2, "lunging": 1.2, "bending": 0.8, "straddling": 1.0, "lying": 0.5, "free": 0.8},
}
"""What legs do, and how often."""


def _pick(rng: Rng, weights: dict[str, float]) -> str:
    edges = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def _normal(rng: Rng, mean: list[float], spread: list[float]) -> tuple[Array, Array]:
    """Three angles (2, 3) and a fourth one (2,), for the right and the left side independently."""
    drawn = np.asarray(mean) + np.asarray(spread) * rng.standard_normal((2, len(mean)))
    return drawn[:, :3], drawn[:, 3]


def _arm(rng: Rng, flexion: float, abduction: float, inward: float, elbow: float, spread: float) -> tuple[Array, Array]:
    return _normal(rng, [flexion, abduction, inward, elbow], [14 * spread, 10 * spread, 18 * spread, 14 * spread])


def _arms(rng: Rng) -> tuple[Array, Array]:
    """(2, 3) shoulders and (2,) elbows, both arms doing the same."""
    action = _pick(rng, {name: row[0] for name, row in ARMS.items()})
    if action == "free":
        return rng.uniform(*LIMITS["arms"], (2, 3)), rng.beta(0.9, 1.6, 2) * 140
    return _arm(rng, *ARMS[action][1:])


def _legs(rng: Rng, action: str) -> tuple[Array, Array, float, float, float]:
    """(2, 3) hips, (2,) knees; bend of the spine, pitch of the pelvis, how far the right arm swings to the front."""

    def leg(flexion: float, abduction: float, knee: float, spread: float = 1.0) -> tuple[Array, Array]:
        return _normal(rng, [flexion, abduction, -8, knee], [8 * spread, 5 * spread, 9, 10 * spread])

    bend, pitch, swing = 4.0, 0.0, 0.0
    match action:
        case "standing":
            hips, knees = leg(2, 5, 4, 0.6)
            bend = rng.normal(3, 6)
        case "walking" | "running":  # one leg forward, the other one back with its knee more bent
            reach, bent, pitch = (28, 22, 2) if action == "walking" else (52, 85, 12)
            phase = rng.uniform(-1, 1)
            hips, knees = leg(0, 3, 6, 0.7)
            hips[:, 0] += reach * np.array([phase, -phase]) + bent / 3
            knees += bent * rng.uniform(0.3, 1.0, 2) * np.where(hips[:, 0] > hips[::-1, 0], 0.6, 1.2)
            bend, swing = rng.normal(8, 5), -phase * reach
        case "sitting":
            hips, knees = leg(85, 10, 85, 1.3)
            bend, pitch = rng.normal(10, 12), rng.normal(-8, 8)
        case "crouching":
            depth = rng.uniform(0.4, 1.0)
            hips, knees = leg(115 * depth, 18, 135 * depth)
            bend, pitch = rng.normal(30, 14), 20 * depth
        case "kneeling":
            hips, knees = leg(5, 8, 100)
            if rng.random() < 0.5:
                hips[rng.integers(2), 0] += 85
            bend = rng.normal(10, 12)
        case "jumping":
            hips, knees = leg(rng.uniform(0, 70), rng.uniform(5, 35), rng.uniform(5, 90), 2.2)
            bend, pitch = rng.normal(8, 15), rng.normal(0, 15)
        case "kicking":
            hips, knees = leg(0, 8, 12)
            side = rng.integers(2)
            hips[side] += (rng.uniform(30, 105), rng.uniform(0, 45), 0)
            knees[side] += rng.uniform(-10, 60)
            bend, pitch = rng.normal(2, 12), rng.normal(-5, 10)
        case "lunging":
            hips, knees = leg(0, 12, 10)
            side = rng.integers(2)
            hips[side, 0] += rng.uniform(50, 95)
            knees[side] += rng.uniform(50, 90)
            hips[1 - side, 0] -= 15
            bend, pitch = rng.normal(8, 12), rng.normal(8, 8)
        case "bending":
            hips, knees = leg(rng.uniform(30, 85), 8, 12)
            bend, pitch = rng.uniform(25, 65), rng.uniform(25, 60)
        case "straddling":
            hips, knees = leg(15, rng.uniform(22, 55), 12)
            bend = rng.normal(5, 14)
        case "lying":
            hips, knees = leg(12, 8, 18, 1.8)
            pitch = rng.choice([-90.0, 90.0]) + rng.normal(0, 8)
        case _:
            bend = rng.uniform(-15, 50)
            hips, knees = rng.uniform(*LIMITS["hips"], (2, 3)), rng.beta(1.0, 1.5, 2) * 135
            pitch = rng.normal(0, 20)
    return hips, knees, bend, pitch, swing


def random_posture(rng: Rng) -> Posture:
    """A posture within LIMITS; it may still push a hand into the trunk (see ``collides``)."""
    action = _pick(rng, LEGS)
    hips, knees, bend, pitch, swing = _legs(rng, action)
    arms, elbows = _arms(rng)
    if rng.random() < 0.5:  # otherwise both arms do the same
        others, other_elbows = _arms(rng)
        arms = np.stack([arms[0], others[1]])
        elbows = np.array([elbows[0], other_elbows[1]])
    if swing and rng.random() < 0.7:
        arms, elbows = _arm(rng, 0, 10, 15, 15 + abs(swing) * 1.2, 1.0)
        arms[:, 0] += np.array([swing, -swing])
    drawn = {
        "spine": np.array([bend, 0, 0]) + rng.standard_normal(3) * (6, 8, 10),
        "neck": np.array([0.1 * bend, 0, 0]) + rng.standard_normal(3) * (14, 8, 24),
        **{"arms": arms, "elbows": elbows, "hips": hips, "knees": knees},
        "ankles": rng.normal(4, 12, 2),
        "hands": rng.normal(5, 20, 2),
    }
    lying = action == "lying"
    roll = rng.uniform(-180, 180) if lying else rng.normal(0, 4)
    root = np.array([pitch, roll * (not lying), roll * lying]) + rng.standard_normal(3) * (4, 0, 0)
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
        **{name: getattr(base, name) * torso for name in ("lower_spine", "middle_spine", "upper_spine")},
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


def build(proportions: Proportions, posture: Posture) -> Body:
    """Forward kinematics; the pelvis is the world's origin."""
    p = proportions
    # One turn for pelvis, belly, chest, neck and head, then for right and left: arm, elbow, hand, hip, knee, ankle.
    trunk = np.array([1.0, -1, 1])  # forward, to the left, turned to the left
    rows: list[Any] = [posture.root * trunk, *[posture.spine / 2 * trunk] * 2, *[posture.neck / 2 * trunk] * 2]
    for i, sign in enumerate((-1.0, 1.0)):  # the right side is the left one mirrored: turns about y and z change sign
        limb = np.array([-1.0, sign, -sign])  # flexion, abduction, inward rotation
        rows += [posture.arms[i] * limb, (-posture.elbows[i], 0, 0), (0, -sign * posture.hands[i], 0)]
        # A foot's -y points to the toes.
        rows += [posture.hips[i] * limb, (posture.knees[i], 0, 0), (posture.ankles[i] - 90.0, 0, 0)]
    turn = rotations(np.array(rows))
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
        collar = BONE[f"{side}_collar"]  # its -y points to the shoulder, its z as far to the front as that allows
        up = (origins[3] - shoulder) / np.linalg.norm(shoulder - origins[3])
        ahead = _across(frames[2][:, 2], up)
        origins[collar], frames[collar] = origins[3], np.stack([np.cross(up, ahead), up, ahead], axis=1)
        hip = origins[0] + frames[0] @ np.array([sign * p.hips, 0, 0])
        arm = (("upper_arm", "shoulder", p.upper_arm), ("forearm", "elbow", p.forearm), ("hand", "wrist", 0.0))
        leg = (("thigh", "hip", p.thigh), ("shank", "knee", p.shank), ("foot", "ankle", 0.0))
        for start, parent, chain, turns in ((shoulder, 2, arm, local[:3]), (hip, 0, leg, local[3:])):
            frame, place = frames[parent], start
            for (bone, joint, length), turned in zip(chain, turns, strict=True):
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
