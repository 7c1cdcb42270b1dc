"""Short names for published models."""

from __future__ import annotations

from dataclasses import dataclass

_RELEASE = "https://github.com/anibali/pytorch-stacked-hourglass/releases/download/v0.0.0"
_GPL = "GPL-3.0, as the projects that published them (bearpaw/pytorch-pose, anibali/pytorch-stacked-hourglass)"


@dataclass(frozen=True)
class Alias:
    """place: the address with a hash, or user/repo@revision, that the name stands for. licence: of its weights."""

    place: str
    about: str
    licence: str


ALIASES: dict[str, Alias] = {
    "bearpaw-hg1": Alias(f"{_RELEASE}/bearpaw_hg1-ce125879.pth", "MPII's 16 joints, 1 stack", _GPL),
    "bearpaw-hg2": Alias(f"{_RELEASE}/bearpaw_hg2-15e342d9.pth", "MPII's 16 joints, 2 stacks", _GPL),
    "bearpaw-hg8": Alias(f"{_RELEASE}/bearpaw_hg8-90e5d470.pth", "MPII's 16 joints, 8 stacks", _GPL),
}
