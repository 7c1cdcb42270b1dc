"""A category of a COCO file to a skeleton.

    name, keypoints [names]
    skeleton    [[joint, joint], ..]: the limbs; joints are counted from 1, as COCO does, or named
    flip_pairs  [[joint, joint], ..]: those that change places in a mirror; without it the names tell left and right
    torso       [joint, joint]: whose distance is the unit of PCK
    sigmas      [number, ..]: of OKS, one a joint

The last three are not COCO's, and posehg does without them; so it does without ``skeleton``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from posehg.skeletons import Skeleton, of_joints

Category = Mapping[str, Any]


def joint_names(category: Category) -> tuple[str, ...]:
    """The names of its joints; none where it has none. Raises ValueError where they are no names."""
    joints = category.get("keypoints") or []
    if not isinstance(joints, list) or not all(isinstance(joint, str) and joint.strip() for joint in joints):
        raise ValueError("keypoints must be a list of names")
    return tuple(joint.strip() for joint in joints)


def skeleton_of(category: Category) -> Skeleton:
    """The known skeleton where it is one, else one of the category's name.

    Raises ValueError, or UsageError as Skeleton does, where what it says cannot be.
    """
    joints = joint_names(category)
    known = of_joints(_name(category), joints)
    changes: dict[str, Any] = {}
    if category.get("skeleton"):
        changes["limbs"] = _each_once(_pairs(category["skeleton"], joints, "skeleton"))
    if category.get("flip_pairs") is not None:
        changes["flip_pairs"] = _pairs(category["flip_pairs"], joints, "flip_pairs")
    if category.get("torso"):
        (changes["torso"],) = _pairs([category["torso"]], joints, "torso")
    if category.get("sigmas"):
        changes["sigmas"] = _numbers(category["sigmas"])
    skeleton = replace(known, **changes)
    return known if skeleton == known else replace(skeleton, name=_name(category))


def _name(category: Category) -> str:
    return str(category.get("name") or "unnamed")


def _pairs(values: Any, joints: Sequence[str], what: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(values, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in values):
        raise ValueError(f"{what} must be pairs of joints")
    pairs = tuple((_joint(a, joints, what), _joint(b, joints, what)) for a, b in values)
    if any(a == b for a, b in pairs):
        raise ValueError(f"{what} pairs a joint with itself")
    return pairs


def _joint(value: Any, joints: Sequence[str], what: str) -> str:
    if isinstance(value, str) and value.strip() in joints:
        return value.strip()
    if isinstance(value, int) and 1 <= value <= len(joints):
        return joints[value - 1]
    raise ValueError(f"{what} has the joint {value!r}, and joints are counted from 1 to {len(joints)}")


def _each_once(limbs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple({frozenset(limb): limb for limb in limbs}.values())


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise ValueError("sigmas must be numbers")
    return tuple(float(value) for value in values)
