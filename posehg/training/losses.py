"""Losses between the stacks' outputs and the target heatmaps. Unlabelled joints never contribute.

Shapes: outputs (B, J, h, w); points (B, J, 2) in heatmap cells, NaN = not labelled. The target of a labelled joint off
the map is all zero.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from posehg import heatmaps

PerJoint = Callable[[Tensor, Tensor], Tensor]


def squared_difference(output: Tensor, target: Tensor) -> Tensor:
    """The paper's loss, (B, J, h, w) twice -> (B, J): the mean squared difference of each map to its Gaussian."""
    return (output - target).square().mean(dim=(-2, -1))


def weighted_squared_difference(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference plus its mean under the Gaussian, (B, J, h, w) twice -> (B, J).

    A Gaussian covers few cells, so by the plain mean an all-zero map is nearly right; by this one it is not.
    """
    mass = target.sum(dim=(-2, -1), keepdim=True)
    weight = 1 + target * (target[0, 0].numel() / mass.clamp_min(1e-6)) * (mass > 0)
    return (weight * (output - target).square()).mean(dim=(-2, -1))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Spatial cross-entropy, (B, J, h, w) twice -> (B, J).

    The output is read as logits of the cells and of *nowhere* (see heatmaps.from_logits). The target Gaussian is
    normalised to sum 1; an all-zero target is all *nowhere*, whose logit is 0 and therefore missing from the sum.
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
    """(B, J, 2) points -> (B, J) float: 1 for a labelled joint, else 0."""
    return torch.isfinite(points).all(dim=-1).to(points.dtype)


def supervised(
    outputs: Sequence[Tensor], points: Tensor, sigma: float, loss: PerJoint, total: Tensor | None = None
) -> Tensor:
    """Intermediate supervision (section 3.3): the sum over the stacks of the mean loss of the labelled joints.

    total: number of labels to divide by. Give that of the whole batch if ``points`` is only a part of it: the results
    of the parts then add up to that of the batch.
    """
    rows, columns = outputs[0].shape[-2:]
    target = heatmaps.encode(points, (rows, columns), sigma)
    weights = labelled(points)
    total = weights.sum() if total is None else total
    # An unlabelled map is replaced before the loss: if it were infinite, 0 times its loss or gradient would be NaN.
    counted = weights[..., None, None] > 0
    shown = (torch.where(counted, output.float(), 0.0) for output in outputs)
    per_stack = [(loss(output, target) * weights).sum() for output in shown]
    return torch.stack(per_stack).sum() / torch.where(total > 0, total, torch.ones_like(total))
