"""An articulated body: proportions and a posture give the position of every joint and the frame of every bone.

A bone's frame (3, 3) has its x, y, z axes as columns, in the world: x to the body's left, y back along the bone
(so that a limb runs along -y from its origin; trunk, neck and head run along +y), z to the body's front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import MPII
from posehg.synthetic.postures import Posture, Rng

Array = NDArray[np.float64]

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
