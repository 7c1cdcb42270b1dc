"""Skeletons: the joints of a network or an annotation, by name, and the limbs between them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    flip_pairs: the joints that swap when an image is mirrored; None derives them from the names (see ``_alike``).
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
        if not self.joints:
            problem = "has no joints"
        elif twice := next((joint for joint in self.joints if self.joints.count(joint) > 1), ""):
            problem = f"names {twice} twice"
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
        pairs = self.flip_pairs
        lost = [joint for joint in joints if self._twins[self.index(joint)] in set(self.joints) - set(joints)]
        if pairs is None and "middle" in map(side, lost):  # their names tell a side only beside their counterparts
            pairs = tuple(pair for pair, is_safe in self._alike.items() if is_safe)
        pairs = pairs and tuple(pair for pair in pairs if not set(joints).isdisjoint(pair))
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
    def doubtful(self) -> tuple[tuple[str, str], ...]:
        """Pairs of joints that keep their places in a mirrored image although their names differ by the side only."""
        return tuple(pair for pair in self._alike if all(self._twins[self.index(joint)] == joint for joint in pair))

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """For each joint ``left``, ``right`` or ``middle``: the person's own side, from the names."""
        pairs = [pair for pair in self._alike if pair not in self.doubtful]
        named = {joint: word for pair in pairs for joint, word in zip(pair, ("left", "right"), strict=True)}
        return tuple(named.get(joint) or side(joint) for joint in self.joints)

    @cached_property
    def _alike(self) -> dict[tuple[str, str], bool]:
        """Pairs of joints whose names differ by the side only: (left, right), and whether they surely are a pair."""
        named: dict[str, list[tuple[str, str, int]]] = {}
        for joint in self.joints:
            for word, rest, certainty in _sides_in(joint):
                named.setdefault(rest, []).append((word, joint, certainty))
        both = [sorted(of_rest) for of_rest in named.values() if [word for word, *_ in sorted(of_rest)] == _BOTH]
        pairs = {(left, right): min(sure, also) for (_, left, sure), (_, right, also) in both}
        best = {joint: max(pairs[pair] for pair in pairs if joint in pair) for pair in pairs for joint in pair}
        kept = [pair for pair, certainty in pairs.items() if certainty == best[pair[0]] == best[pair[1]]]
        count = Counter(joint for pair in kept for joint in pair)  # LL, LR, RL and RR can be paired in two ways
        return {pair: pairs[pair] > _DOUBTFUL and count[pair[0]] == count[pair[1]] == 1 for pair in kept}

    @cached_property
    def _twins(self) -> tuple[str, ...]:
        """For each joint its counterpart in a mirrored image; one that the skeleton lacks has its name or "".

        A joint in the middle is its own counterpart.
        """
        pairs = self.flip_pairs
        twins: dict[str, str] = {}
        if pairs is None:
            twins = {joint: "" for joint in self.joints if side(joint) != "middle"}
            pairs = tuple(pair for pair, is_safe in self._alike.items() if is_safe)
        twins |= {joint: twin for a, b in pairs for joint, twin in ((a, b), (b, a))}
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


_BOTH = ["left", "right"]
_CERTAIN, _PAIRED, _DOUBTFUL = 3, 2, 1
_PARTS = (
    "eye|ear|brow|cheek|lip|mouth|jaw|collar|clavicle|shoulder|sho|elbow|elb|arm|wrist|wri|hand|palm|thumb|finger|index|"
    "pinky|hip|thigh|leg|knee|kne|shin|calf|ankle|ank|heel|foot|feet|toe|paw|hoof|wing|fin|flipper|horn|antenna|whisker"
)
"""What names begin or end with a letter l or r that is not set off: lwrist, WRISTL."""


def _sides_in(joint: str) -> Iterator[tuple[str, str, int]]:
    """Where a name may tell a side: ``left`` or ``right``, the rest of the name, and how certain that is.

    _CERTAIN: it tells a side by itself. _PAIRED: it does if another joint differs from it by the side only. _DOUBTFUL:
    such a pair may also be two words, as lower and rower.
    """
    for found in re.finditer("left|right|[lr]", joint, re.IGNORECASE):
        word, before, after = found[0], joint[: found.start()], joint[found.end() :]
        begins = not before[-1:].isalpha() or (word[0].isupper() and before[-1].islower())
        ends = not after[:1].isalpha() or (after[0].isupper() and (word.islower() or after[1:2].islower()))
        is_letter, numbered = len(word) == 1, before[-1:].isdigit() or after[:1].isdigit()
        is_set_off = begins and ends and not (is_letter and numbered)
        rest = re.sub(r"[\W\d_]+", "", before + after)
        if (
            (is_set_off and rest)
            or (not is_letter and not before and after)
            or ((begins or ends) and re.fullmatch(_PARTS, rest, re.IGNORECASE) and joint.lower() != "rear")
        ):
            certainty = _CERTAIN
        elif not is_letter or (begins and ends) or ((begins or ends) and re.search(_PARTS, rest, re.IGNORECASE)):
            certainty = _PAIRED
        elif begins or ends:
            certainty = _DOUBTFUL
        else:
            continue
        yield "left" if word[0] in "lL" else "right", f"{before}\0{after}".casefold(), certainty


def side(joint: str) -> str:
    """``left``, ``right`` or ``middle``: the person's own side, from the joint's name alone.

    The side is the word left or right, or the letter l or r, set off by a character that is no letter or by a capital:
    left_eye, front_left_paw, hand_L_tip, eye (R), LEye. The word may also begin the name, and both may directly precede
    or follow the name of a part of the body: lefteye, lwrist, WRISTR.
    """
    return next((word for word, _, certainty in _sides_in(joint) if certainty == _CERTAIN), "middle")


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
LIMB_JOINTS = tuple(f"{side}_{joint}" for joint in list(_SIGMAS)[2:] for side in ("right", "left"))
"""The twelve joints of arms and legs, which every known skeleton but FLIC has; posehg compares models by their mean."""

SIGMAS = {f"{side}_{joint}": sigma for joint, sigma in _SIGMAS.items() for side in ("left", "right")}
SIGMAS |= {"nose": 0.026, "head_top": 0.079, "upper_neck": 0.079}
"""Published OKS sigmas: COCO's for its 17 joints, CrowdPose's for the top of the head and the neck."""
DEFAULT_SIGMA = 0.067
"""For a joint without a published sigma: the mean of COCO's."""
