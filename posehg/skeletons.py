"""Skeletons: which joints a network or an annotation has, by name, and which of them are joined by limbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from posehg.errors import UsageError


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of joints.

    joints: the J names; a name that begins with ``left_`` or ``right_`` has its mirror image under the other prefix.
    limbs: pairs of joint names, drawn as lines.
    torso: the two joints whose distance is the unit of PCK. A subset may be without them: then its poses are measured
        on the whole skeleton.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    torso: tuple[str, str] = ("left_shoulder", "right_hip")

    def __post_init__(self) -> None:
        known = set(self.joints)
        if len(known) != len(self.joints) or not self.joints:
            raise UsageError(f"The skeleton {self.name!r} has no joints or names one twice: {', '.join(self.joints)}.")
        strangers = {joint for limb in self.limbs for joint in limb} - known
        if strangers:
            raise UsageError(f"Limbs of the skeleton {self.name!r} use unknown joints: {', '.join(sorted(strangers))}.")

    def index(self, joint: str) -> int:
        """The channel of a joint; raises UsageError for a name that the skeleton does not have."""
        if joint not in self.joints:
            close = get_close_matches(joint, self.joints, n=1)
            hint = f"Did you mean {close[0]}?" if close else "It has: " + ", ".join(self.joints)
            raise UsageError(f"The skeleton {self.name!r} has no joint {joint!r}.", hint)
        return self.joints.index(joint)

    def subset(self, joints: Sequence[str]) -> Skeleton:
        """The skeleton of some of its joints, in the order given; its name says how many: mpii-5.

        Limbs whose ends are both kept remain. A joint left out between two others leaves one limb between these, as
        from shoulder to wrist; one with more limbs, as the thorax, takes them with it.
        Raises UsageError for names that the skeleton does not have, for one given twice and for none.
        """
        for joint in joints:
            self.index(joint)
        limbs = self.limbs
        for joint in self.joints:
            if joint not in joints:
                limbs = _bridged(limbs, joint)
        kept = {frozenset(limb): limb for limb in limbs if set(limb) <= set(joints)}  # a bridge may lie beside a limb
        return Skeleton(f"{self.name}-{len(joints)}", tuple(joints), tuple(kept.values()), self.torso)

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """For each channel the channel that it becomes when the picture is mirrored."""
        return tuple(self.joints.index(_mirrored(joint, self.joints)) for joint in self.joints)

    @cached_property
    def limb_indices(self) -> tuple[tuple[int, int], ...]:
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)


def _bridged(limbs: tuple[tuple[str, str], ...], joint: str) -> tuple[tuple[str, str], ...]:
    """The limbs with those of a joint that has two neighbours replaced by one between these."""
    own = [limb for limb in limbs if joint in limb]
    neighbours = dict.fromkeys(end for limb in own for end in limb if end != joint)
    if len(neighbours) != 2:
        return limbs
    a, b = neighbours
    return (*(limb for limb in limbs if limb not in own), (a, b))


def _mirrored(joint: str, joints: tuple[str, ...]) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(side):
            twin = other + joint.removeprefix(side)
            return twin if twin in joints else joint
    return joint


def side(joint: str) -> str:
    """``left``, ``right`` or ``middle``, from the joint's name (the person's own side)."""
    prefix = joint.split("_", 1)[0]
    return prefix if prefix in ("left", "right") else "middle"


_ARMS_AND_LEGS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("right", "left")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
)

MPII = Skeleton(
    "mpii",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    limbs=(
        *(("pelvis", "right_hip"), ("pelvis", "left_hip"), ("pelvis", "thorax"), ("thorax", "upper_neck")),
        *(("upper_neck", "head_top"), ("thorax", "right_shoulder"), ("thorax", "left_shoulder")),
        *_ARMS_AND_LEGS,
    ),
)

# LSP itself calls its joint 13 "neck"; it lies where MPII annotates the upper neck, and joints are matched by name.
LSP = Skeleton(
    "lsp",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
        *("upper_neck", "head_top"),
    ),
    limbs=(
        *(("right_hip", "left_hip"), ("right_shoulder", "left_shoulder"), ("upper_neck", "head_top")),
        *(("right_shoulder", "right_hip"), ("left_shoulder", "left_hip")),
        *_ARMS_AND_LEGS,
    ),
)

FLIC = Skeleton(
    "flic",
    joints=(
        *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_hip", "right_hip", "left_eye", "right_eye", "nose"),
    ),
    limbs=(
        *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
        *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
        *(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
        *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
        *(("nose", "left_eye"), ("nose", "right_eye")),
    ),
    torso=("right_shoulder", "left_hip"),
)

COCO = Skeleton(
    "coco",
    joints=(
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    limbs=(
        *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
        *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
        *(("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear")),
        *_ARMS_AND_LEGS,
    ),
)

SKELETONS = {skeleton.name: skeleton for skeleton in (MPII, LSP, FLIC, COCO)}
LIMB_JOINTS = tuple(
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("right", "left")
)
"""The twelve joints of arms and legs, which every known skeleton but FLIC has: the mean that posehg compares by."""
