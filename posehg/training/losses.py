"""The distance between a stack's output and the joints. A joint that is not labelled never changes it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from posehg import heatmaps

LossFunction = Callable[[Tensor, Tensor, float], Tensor]


def mse(output: Tensor, points: Tensor, sigma: float) -> Tensor:
    """The paper's loss: mean squared difference to Gaussian maps over the labelled joints' cells.

    output: (B, J, h, w); points: (B, J, 2) heatmap cells, NaN = not labelled (masked), off the map = an all-zero map.
    """
    target = heatmaps.encode(points, (output.shape[-2], output.shape[-1]), sigma)
    per_joint = (output.float() - target).square().mean(dim=(-2, -1))  # (B, J)
    return _mean_of_labelled(per_joint, points)


def cross_entropy(output: Tensor, points: Tensor, sigma: float) -> Tensor:
    """Spatial cross-entropy: ``output`` as logits over the cells and over *nowhere*, against the Gaussian made to sum to 1.

    A labelled joint off the map belongs nowhere. Shapes as for ``mse``.
    """
    target = heatmaps.encode(points, (output.shape[-2], output.shape[-1]), sigma).flatten(-2)  # (B, J, h*w)
    total = target.sum(dim=-1, keepdim=True)
    target = target / torch.where(total > 0, total, torch.ones_like(total))
    target = torch.cat((target, (total == 0).to(target.dtype)), dim=-1)  # (B, J, h*w + 1)
    per_joint = -(target * heatmaps.log_probabilities(output.float())).sum(dim=-1)  # (B, J)
    return _mean_of_labelled(per_joint, points)


def _mean_of_labelled(per_joint: Tensor, points: Tensor) -> Tensor:
    labelled = torch.isfinite(points).all(dim=-1)
    # `where` and not a product: a masked joint contributes neither a value nor, were it infinite, a NaN.
    kept = torch.where(labelled, per_joint, torch.zeros_like(per_joint))
    return kept.sum() / labelled.sum().clamp_min(1)


LOSSES: dict[str, LossFunction] = {"mse": mse, "cross-entropy": cross_entropy}


def supervised(outputs: list[Tensor], points: Tensor, sigma: float, loss: LossFunction) -> Tensor:
    """Intermediate supervision (section 3.3): the sum of every stack's loss."""
    return torch.stack([loss(output, points, sigma) for output in outputs]).sum()


