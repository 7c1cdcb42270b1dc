"""Which labels the network steadily contradicts. They weigh less; left and right that it finds exchanged are put right.

Crowd-sourced labels are wrong in two ways: a joint lies somewhere else, or a person's left and right are exchanged. A
network that was trained on many people disagrees with both, and goes on to do so whatever the view. What it says of a
person in one epoch decides how that person's labels are taken in the next ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from posehg import heatmaps, processes

_FAR, _NEAR = 0.15, 0.06
"""Distances, as shares of the crop's side: beyond the one a label is contradicted, within the other one is met."""
_SURE = 0.5
"""The score from which on a contradiction counts."""
_MEMORY = 0.5
"""How much of an earlier epoch's evidence is left an epoch later."""
_EXCHANGE = 0.7
"""The evidence from which on left and right are exchanged: that of two epochs, one after the other."""
_LEAST = 0.1


class Doubts:
    """(N, J) tables over a set of N persons: the evidence against each label, 0 .. 1, and that it is its twin's."""

    def __init__(self, count: int, flip: tuple[int, ...], device: torch.device) -> None:
        self._flip = torch.tensor(flip, device=device)
        size = (count, len(flip))
        self._wrong, self._swapped, self._wrong_now, self._swapped_now = (
            torch.zeros(size, device=device) for _ in range(4)
        )
        self._asked = torch.zeros(size, device=device)

    def state_dict(self) -> dict[str, Tensor]:
        return {name: getattr(self, f"_{name}").clone() for name in _TABLES}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name in _TABLES:
            getattr(self, f"_{name}").copy_(state[name])

    def corrected(self, points: Tensor, indices: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """points (B, J, 2) of the persons ``indices`` (B,) -> points to learn from, and their weights (B, J)."""
        exchange = self._exchanged()[indices]  # the same for both of a pair, so mirrored or not is all one
        weights = 1 - self._wrong[indices].clamp(max=1 - _LEAST)
        weights = torch.where(mirrored[:, None], weights[:, self._flip], weights)
        # What was exchanged agrees with the network now.
        weights = torch.where(exchange, torch.ones_like(weights), weights)
        return torch.where(exchange[..., None], points[:, self._flip], points), weights

    @torch.no_grad()
    def observe(self, maps: Tensor, points: Tensor, indices: Tensor, mirrored: Tensor) -> None:
        """maps (B, J, h, w): the network's heatmaps, in 0 .. 1. points: the labels as they are given."""
        found, scores = heatmaps.decode(maps)
        side = max(maps.shape[-2:])
        own, twin = ((found - labels).norm(dim=-1) / side for labels in (points, points[:, self._flip]))
        asked = heatmaps.inside(points, (maps.shape[-2], maps.shape[-1])).float()
        wrong = asked * (own > _FAR) * (scores > _SURE)  # NaN compares as False
        swapped = wrong * (twin < _NEAR)  # never one in the middle, whose twin is itself
        for table, values in ((self._wrong_now, wrong), (self._swapped_now, swapped), (self._asked, asked)):
            table[indices] = torch.where(mirrored[:, None], values[:, self._flip], values)

    def end_epoch(self) -> None:
        """Take this epoch's evidence, that of all processes, into account."""
        for running, now in ((self._wrong, self._wrong_now), (self._swapped, self._swapped_now)):
            asked, new = processes.total(self._asked), processes.total(now)
            new = new / asked.clamp_min(1)  # a run that went on within an epoch began it in all processes alike
            running.copy_(torch.where(asked > 0, _MEMORY * running + (1 - _MEMORY) * new, running))
        for table in (self._wrong_now, self._swapped_now, self._asked):
            table.zero_()

    def summary(self) -> tuple[int, int]:
        """How many labels weigh half or less, and how many are exchanged."""
        exchanged = self._exchanged()
        return int(((self._wrong >= 0.5) & ~exchanged).sum()), int(exchanged.sum())

    def _exchanged(self) -> Tensor:
        return (self._swapped + self._swapped[:, self._flip]) / 2 > _EXCHANGE


_TABLES = ("wrong", "swapped", "wrong_now", "swapped_now", "asked")
