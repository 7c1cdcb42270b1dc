"""Which joints the heatmaps of a checkpoint are that does not say."""

from __future__ import annotations

from difflib import get_close_matches

from posehg.errors import UsageError
from posehg.skeletons import SKELETONS, Skeleton, of_joints


def guessed(count: int) -> Skeleton:
    """The known skeleton of so many joints (no two have the same number), else one of joint_0, joint_1 and so on.

    Which of these are left and right is not known; so none is averaged with what the mirrored crop shows of it.
    """
    known = next((skeleton for skeleton in SKELETONS.values() if len(skeleton.joints) == count), None)
    if known is not None:
        return known
    names = tuple(f"joint_{number}" for number in range(count))
    return Skeleton(f"unnamed-{count}", names, (), flip_pairs=tuple((name, f"{name} in a mirror") for name in names))


def are_named(skeleton: Skeleton) -> bool:
    """Whether ``guessed`` knew the joints, or somebody said what they are."""
    return not skeleton.name.startswith("unnamed-")


def named(text: str) -> Skeleton:
    """The skeleton that a user names: mpii, lsp, flic or coco, or the joints' names with commas between them."""
    if "," in text:
        return of_joints("named", [name.strip() for name in text.split(",")])
    if text not in SKELETONS:
        close = get_close_matches(text, SKELETONS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(SKELETONS)}; or JOINT,JOINT,..."
        raise UsageError(f"There is no skeleton {text!r}.", hint)
    return SKELETONS[text]
