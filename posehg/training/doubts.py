"""Which labels the network steadily contradicts. They weigh less, and people whose left and right are exchanged get
them back.

Crowd-sourced labels are wrong in two ways: a joint lies somewhere else, or somebody's left and right are exchanged. A
network that was trained on many people disagrees with both, and goes on to do so whatever the view. What it is sure of
in one epoch decides how that person's labels are taken in the next ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from posehg import distributed, heatmaps

_SURE = 0.5
"""The score from which on what the network says counts at all."""
_FAR = 0.15
"""How far from its label, as a share of the crop's side, a joint must be found to contradict it."""
_APART = 0.08
"""How far apart left and right must be for the network to tell which is which, by half of that at least."""
_ENOUGH = 4
"""From how many joints, told apart in one view, it is seen whether a person's sides are exchanged."""
_MEMORY = 0.5
"""How much of what was found earlier is left an epoch later."""
_EXCHANGE, _BACK = 0.7, 0.3
"""Sides are exchanged above the one, as after two epochs that agree, and back below the other."""
_LEAST = 0.1


class Doubts:
    """What is known against the labels of a set of N persons with J joints.

    wrong: (N, J) how steadily a label is contradicted, 0 .. 1. turned: (N,) likewise for a person's sides.
    exchanged: (N,) bool, whose sides change places.
    """

    def __init__(self, count: int, flip: tuple[int, ...], device: torch.device) -> None:
        self._flip = torch.tensor(flip, device=device)
        joints, persons = (count, len(flip)), (count,)
        self._wrong, self._wrong_now, self._asked = (torch.zeros(joints, device=device) for _ in range(3))
        self._turned, self._turned_now, self._told = (torch.zeros(persons, device=device) for _ in range(3))
        self._exchanged = torch.zeros(persons, device=device, dtype=torch.bool)

    def state_dict(self) -> dict[str, Tensor]:
        """What all processes know together; each of them must call it."""
        kept = {name: getattr(self, f"_{name}").clone() for name in _KEPT}
        return kept | {name: distributed.total(getattr(self, f"_{name}")).clone() for name in _NOW}

    def load_state_dict(self, state: dict[str, Tensor], first: bool = True) -> None:
        """first: whether this is the process that keeps what the others had seen of the epoch, too."""
        for name in (*_KEPT, *_NOW):
            known = first or name in _KEPT
            getattr(self, f"_{name}").copy_(state[name] if known else torch.zeros_like(state[name]))

    def corrected(self, points: Tensor, indices: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """points (B, J, 2) of the persons ``indices`` (B,) -> points to learn from, and their weights (B, J)."""
        weights = (1 - self._wrong[indices].square()).clamp(min=_LEAST)  # one contradiction alone changes little
        weights = torch.where(mirrored[:, None], weights[:, self._flip], weights)
        return torch.where(self._exchanged[indices, None, None], points[:, self._flip], points), weights

    @torch.no_grad()
    def observe(self, maps: Tensor, points: Tensor, indices: Tensor, mirrored: Tensor) -> None:
        """maps (B, J, h, w): the network's heatmaps, in 0 .. 1. points: the labels as they are given."""
        found, scores = heatmaps.decode(maps)
        size = (maps.shape[-2], maps.shape[-1])
        used, _ = self.corrected(points, indices, mirrored)
        twins = points[:, self._flip]
        from_used, from_label, from_twin, between = (
            (one - other).norm(dim=-1) / max(size)
            for one, other in ((found, used), (found, points), (found, twins), (points, twins))
        )  # NaN where there is no label, which compares as False
        sure = scores > _SURE
        asked = sure & heatmaps.inside(used, size)
        told = sure & heatmaps.inside(points, size) & (between > _APART)
        told &= told.sum(dim=-1, keepdim=True) >= _ENOUGH
        turned = told & (from_label - from_twin > _APART / 2)
        for table, values in ((self._wrong_now, asked & (from_used > _FAR)), (self._asked, asked)):
            table[indices] = torch.where(mirrored[:, None], values[:, self._flip], values).float()
        for table, values in ((self._turned_now, turned), (self._told, told)):
            table[indices] = values.sum(dim=-1).float()

    def end_epoch(self) -> None:
        """Take what this epoch said into account, in all processes; who was not asked stays as before."""
        asked, told = distributed.total(self._asked), distributed.total(self._told)
        wrong = distributed.total(self._wrong_now) / asked.clamp_min(1)
        turned = distributed.total(self._turned_now) / told.clamp_min(1)
        self._wrong.copy_(torch.where(asked > 0, _MEMORY * self._wrong + (1 - _MEMORY) * wrong, self._wrong))
        self._turned.copy_(torch.where(told > 0, _MEMORY * self._turned + (1 - _MEMORY) * turned, self._turned))
        self._exchanged.logical_or_(self._turned > _EXCHANGE).logical_and_(self._turned >= _BACK)
        for table in (self._wrong_now, self._asked, self._turned_now, self._told):
            table.zero_()

    def summary(self) -> tuple[int, int]:
        """How many labels weigh half or less, and how many persons' sides are exchanged."""
        return int((1 - self._wrong.square() <= 0.5).sum()), int(self._exchanged.sum())


_KEPT = ("wrong", "turned", "exchanged")
_NOW = ("wrong_now", "asked", "turned_now", "told")
"""The tables of the epoch that is under way, in which each process has its own persons."""
