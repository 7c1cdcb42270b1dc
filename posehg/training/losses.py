"""The distance between the stacks' outputs and the joints. A joint that is not labelled never changes it.

Shapes: outputs (B, J, h, w); points (B, J, 2) in heatmap cells, NaN = not labelled (masked). A labelled joint that lies
off the map belongs nowhere: its target map is all zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from posehg import heatmaps

PerJoint = Callable[[Tensor, Tensor], Tensor]


def squared_difference(output: Tensor, target: Tensor) -> Tensor:
    """The paper's loss: (B, J, h, w) twice -> (B, J), each map's mean squared difference to its Gaussian."""
    return (output - target).square().mean(dim=(-2, -1))


def weighted_squared_difference(output: Tensor, target: Tensor) -> Tensor:
    """The same with the cells of the Gaussian weighing as much as all others together: (B, J, h, w) twice -> (B, J).

    A Gaussian covers few of a map's cells, so an all-zero map is nearly right by the plain mean; not by this one.
    """
    mass = target.sum(dim=(-2, -1), keepdim=True)
    weight = 1 + target * (target[0, 0].numel() / mass.clamp_min(1e-6)) * (mass > 0)
    return (weight * (output - target).square()).mean(dim=(-2, -1))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Spatial cross-entropy: (B, J, h, w) twice -> (B, J).

    The output is taken as logits over the cells and *nowhere* (heatmaps.probabilities); the target Gaussian is made
    to sum to 1, and an all-zero map is all *nowhere*. That cell's logit is 0, so only the others appear in the sum.
    """
    output, target = output.flatten(-2), target.flatten(-2)
    total = target.sum(dim=-1, keepdim=True)
    target = target / torch.where(total > 0, total, torch.ones_like(total))
    return torch.logsumexp(F.pad(output, (0, 1)), dim=-1) - (target * output).sum(dim=-1)


LOSSES: dict[str, PerJoint] = {
    "mse": squared_difference,
    "weighted-mse": weighted_squared_difference,
    "cross-entropy": cross_entropy,
}


def labelled(points: Tensor) -> Tensor:
    """(B, J, 2) points -> (B, J) float: 1 where there is a label."""
    return torch.isfinite(points).all(dim=-1).to(points.dtype)


def supervised(
    outputs: Sequence[Tensor],
    points: Tensor,
    sigma: float,
    loss: PerJoint,
    weights: Tensor | None = None,
    total: Tensor | None = None,
) -> Tensor:
    """Intermediate supervision (section 3.3): the sum over the stacks of the mean over the labelled joints.

    weights: (B, J), how much each label counts; joints without one count nothing whatever it says.
    total: what the mean divides by where these are some samples of a larger batch: the sum of all its weights.
    """
    rows, columns = outputs[0].shape[-2:]
    target = heatmaps.encode(points, (rows, columns), sigma)
    weights = labelled(points) if weights is None else weights * labelled(points)
    total = weights.sum() if total is None else total
    # A masked map is replaced before the loss: were it infinite, 0 times its loss, or its gradient, would be NaN.
    counted = weights[..., None, None] > 0
    seen = (torch.where(counted, output.float(), 0.0) for output in outputs)
    per_stack = [(loss(output, target) * weights).sum() for output in seen]
    return torch.stack(per_stack).sum() / torch.where(total > 0, total, torch.ones_like(total))
