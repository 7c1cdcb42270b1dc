"""Skeletons: the joints of a network or an annotation, by name, and the limbs between them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from posehg.errors import UnknownName, UsageError


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of joints.

    joints: the J names.
    limbs: pairs of joint names, drawn as lines.
    torso: the two joints whose distance is the unit of PCK. A skeleton may lack them, as that of a hand does.
    flip_pairs: the joints that swap when an image is mirrored; None derives them from the names (see ``side``).
        One of a pair may be missing from the skeleton, for example in a subset.
    sigmas: (J,) the spread of each joint's annotations, as in OKS; () to look it up by name (see ``oks_sigmas``).
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    torso: tuple[str, str] = ("left_shoulder", "right_hip")
    flip_pairs: tuple[tuple[str, str], ...] | None = None
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        known, flip_pairs, problem = set(self.joints), self.flip_pairs or (), ""
        paired = [joint for pair in flip_pairs for joint in pair]
        pairs = [*self.limbs, *(pair for pair in flip_pairs if known.isdisjoint(pair))]
        if len(known) != len(self.joints) or not self.joints:
            problem = f"has no joints or names one twice: {', '.join(self.joints)}"
        elif any(len(pair) != 2 for pair in (*self.limbs, *flip_pairs, self.torso)):
            problem = "has a limb, flip pair or torso that is no pair of joints"
        elif strangers := {joint for pair in pairs for joint in pair} - known:
            problem = f"has limbs or flip pairs of unknown joints: {', '.join(sorted(strangers))}"
        elif len(set(paired)) != len(paired):
            problem = "names a joint twice in its flip pairs"
        elif self.sigmas and not (len(self.sigmas) == len(known) and all(0 < s < math.inf for s in self.sigmas)):
            problem = f"needs {len(known)} sigmas above 0, not {self.sigmas}"
        if problem:
            raise UsageError(f"The skeleton {self.name!r} {problem}.")

    def as_dict(self) -> dict[str, Any]:
        """The fields, for a file; unset ones are left out."""
        unset = {"flip_pairs": None, "sigmas": ()}
        return {name: value for name, value in asdict(self).items() if name not in unset or value != unset[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Skeleton:
        """From the result of ``as_dict``, with lists for tuples. Raises TypeError, ValueError or UsageError."""
        names = values["joints"]
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise TypeError("joints are a list of names")
        return cls(**{name: tuples(value) for name, value in values.items()})

    @property
    def is_human(self) -> bool:
        """Whether the joints are a human's, by their names: animals in data sets have neither wrists nor ankles."""
        return any(joint.endswith(("wrist", "ankle")) for joint in self.joints)

    def index(self, joint: str) -> int:
        """The channel of a joint. Raises UnknownName."""
        if joint not in self.joints:
            close = get_close_matches(joint, self.joints, n=1)
            hint = f"Did you mean {close[0]}?" if close else "It has: " + ", ".join(self.joints)
            raise UnknownName(f"The skeleton {self.name!r} has no joint {joint!r}.", hint)
        return self.joints.index(joint)

    def subset(self, joints: Sequence[str]) -> Skeleton:
        """The skeleton of some of its joints, in the given order, named by their number: mpii-5.

        Limbs between two of them are kept. A joint left out between two others leaves one limb, as from shoulder to
        wrist; one with more limbs, such as the thorax, takes them with it.
        Raises UsageError for unknown or repeated names and for an empty list.
        """
        channels, limbs = [self.index(joint) for joint in joints], self.limbs
        for joint in [joint for joint in self.joints if joint not in joints]:
            beside = [end for limb in limbs if joint in limb for end in limb if end != joint]
            limbs = tuple(limb for limb in limbs if joint not in limb)
            if len(beside) == 2 and set(beside) not in map(set, limbs):
                limbs = (*limbs, (beside[0], beside[1]))
        pairs = self.flip_pairs and tuple(pair for pair in self.flip_pairs if not set(joints).isdisjoint(pair))
        sigmas = tuple(self.sigmas[channel] for channel in channels) if self.sigmas else ()
        return Skeleton(f"{self.name}-{len(joints)}", tuple(joints), limbs, self.torso, pairs, sigmas)

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """For each channel the one that it swaps with in a mirrored image; an unpaired channel keeps its place."""
        channels = {joint: channel for channel, joint in enumerate(self.joints)}
        return tuple(channels.get(twin, channel) for channel, twin in enumerate(self._twins))

    @cached_property
    def unpaired(self) -> tuple[int, ...]:
        """Channels of left or right joints without a counterpart: a mirrored image has no label for them."""
        return tuple(channel for channel, twin in enumerate(self._twins) if twin not in self.joints)

    @cached_property
    def _twins(self) -> tuple[str, ...]:
        """For each joint its counterpart in a mirrored image, whether or not the skeleton has it."""
        if self.flip_pairs is None:
            return tuple(_SIDE.sub(lambda word: _OTHER_SIDE[word.group()], joint, count=1) for joint in self.joints)
        twins = {joint: twin for a, b in self.flip_pairs for joint, twin in ((a, b), (b, a))}
        return tuple(twins.get(joint, joint) for joint in self.joints)

    @cached_property
    def oks_sigmas(self) -> tuple[float, ...]:
        """(J,) the skeleton's own sigmas; else the published ones by name, or DEFAULT_SIGMA."""
        return self.sigmas or tuple(SIGMAS.get(joint, DEFAULT_SIGMA) for joint in self.joints)

    @cached_property
    def limb_indices(self) -> tuple[tuple[int, int], ...]:
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)


def tuples(value: Any) -> Any:
    """A value from a JSON file with tuples for its lists."""
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


_OTHER_SIDE = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}
_OTHER_SIDE |= {right: left for left, right in _OTHER_SIDE.items()}
_SIDE = re.compile(
    r"^({0})(?=[ _.-])|(?<=[ _.-])({0})$"  # left_eye, eye.R
    r"|^(left|right|Left|Right|LEFT|RIGHT)(?=.)|^[LR](?=[A-Z][a-z])|^[lr](?=[A-Z])"  # lefteye, LEye, lEye
    r"|(?<=[a-z])(Left|Right|L|R)$".format("|".join(_OTHER_SIDE))  # eyeLeft, eyeL
)


def side(joint: str) -> str:
    """``left``, ``right`` or ``middle``: the person's own side, from the joint's name.

    The side is the word left or right, or the letter l or r, at the start or end of the name, set off by ``_``, ``-``,
    ``.``, a space or a capital: left_eye, Left eye, L_Eye, eye.R, LEye. The word may also directly precede the rest:
    lefteye. The counterpart's name differs only in that word.
    """
    word = _SIDE.search(joint)
    return "middle" if word is None else "left" if word.group()[0] in "lL" else "right"


def of_joints(name: str, joints: Sequence[str]) -> Skeleton:
    """The known skeleton with exactly these joints, else a subset of a known one, else a new one called ``name``.

    A new skeleton has no limbs.
    """
    for known in SKELETONS.values():
        if known.joints == tuple(joints):
            return known
    for larger in (COCO, MPII, LSP):
        if joints and set(joints) <= set(larger.joints):
            return larger.subset(joints)
    return Skeleton(name, tuple(joints), ())


# In COCO's order, with the spread of their annotations: each left and right.
_SIGMAS = {"eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107}
_SIGMAS |= {"knee": 0.087, "ankle": 0.089}
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

# LSP calls its joint 13 "neck"; it lies where MPII annotates the upper neck, and joints are matched by name.
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
    joints=("nose", *(f"{side}_{part}" for part in _SIGMAS for side in ("left", "right"))),
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
"""The twelve joints of arms and legs, which every known skeleton but FLIC has; posehg compares models by their mean."""

SIGMAS = {f"{side}_{joint}": sigma for joint, sigma in _SIGMAS.items() for side in ("left", "right")}
SIGMAS |= {"nose": 0.026, "head_top": 0.079, "upper_neck": 0.079}
"""Published OKS sigmas: COCO's for its 17 joints, CrowdPose's for the top of the head and the neck."""
DEFAULT_SIGMA = 0.067
"""For a joint without a published sigma: the mean of COCO's."""
