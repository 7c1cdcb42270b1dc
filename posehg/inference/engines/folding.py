"""Makes a trained network faster for inference: less work, and fewer passes over the features."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from posehg.network import Residual, Stack, StackedHourglass


class Folded(nn.Module):
    """The same network up to rounding, returning a list of the last stack's heatmaps only.

    A BatchNorm that follows a convolution is folded into it; a residual's first one follows a sum, and stays. The
    heatmaps of the other stacks only feed the convolution that brings them back (section 3.2): that one, the one that
    makes them and the one beside it are linear in the stack's features, and are merged into one.
    dtype: of all products; the normalisation of the images stays in float32.
    """

    def __init__(self, network: StackedHourglass, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        network = deepcopy(network).eval()
        _fold_norms(network)
        self.normalise, self.stem, self.stacks = network.normalise, network.stem, network.stacks
        self.heatmaps: Any = network.stacks[-1].heatmaps
        pairs = zip(network.stacks, network.reinjections, strict=False)  # nothing follows the last stack
        self.reinjections = nn.ModuleList(_joined(stack, back) for stack, back in pairs)
        for stack in network.stacks:
            del stack.heatmaps
        for part in (self.stem, self.stacks, self.reinjections, self.heatmaps):
            part.to(dtype)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(self.normalise(images).to(next(self.stem.parameters()).dtype))
        *before, last = cast(Any, self.stacks)
        for stack, back in zip(before, self.reinjections, strict=True):
            x = back(stack.features(x)).add_(x)
        return [self.heatmaps(last.features(x))]


def _fold_norms(network: StackedHourglass) -> None:
    for module in network.modules():
        if isinstance(module, Residual):
            module.conv1, module.bn2 = _folded(module.conv1, module.bn2)
            module.conv2, module.bn3 = _folded(module.conv2, module.bn3)
        elif isinstance(module, Stack):
            module.linear[0], module.linear[1] = _folded(module.linear[0], module.linear[1])
    network.stem[0], network.stem[1] = _folded(network.stem[0], network.stem[1])


def _folded(convolution: nn.Module, norm: nn.Module) -> tuple[Any, Any]:
    return fuse_conv_bn_eval(convolution, norm), nn.Identity()  # type: ignore[type-var,arg-type]


Weights = tuple[Tensor, Tensor]
"""Factor and summand in double precision; of a 1x1 convolution of shapes (outputs, inputs) and (outputs,)."""


def _joined(stack: Any, back: Any) -> nn.Conv2d:
    """The convolutions that bring a stack's features and heatmaps back, merged into one of the features."""
    (weight, bias), (outer, outer_bias), (inner, inner_bias) = (
        _weights(one) for one in (back.features, back.heatmaps, stack.heatmaps)
    )
    both: nn.Conv2d = deepcopy(back.features)
    with torch.no_grad():
        both.weight.copy_((weight + outer @ inner)[..., None, None])
        both.bias.copy_(bias + outer_bias + outer @ inner_bias)  # type: ignore[union-attr]
    return both


def _weights(convolution: nn.Conv2d) -> Weights:
    assert convolution.bias is not None
    return convolution.weight.detach().double().flatten(1), convolution.bias.detach().double()


def clamped(network: Folded) -> Folded:
    """The network itself, its residuals changed to pass over their features once less. Needs float32."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Residual):
                setattr(module, name, _Clamped(child))
    return network


class _Clamped(nn.Module):
    """A residual whose first BatchNorm and ReLU are one clamp.

    relu(a x + b) is a max(x, -b / a) + b for a > 0, and a min(x, -b / a) + b for a < 0. What is left is linear, and is
    folded into the 1x1 convolution that follows.
    """

    def __init__(self, residual: Residual) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.skip = residual.conv1, residual.conv2, residual.conv3, residual.skip
        factor, shift = _affine(residual.bn1)
        constant = factor.abs() * _LARGEST <= shift.abs()
        level = torch.where(constant, 0.0, -shift / factor)
        self.least, self.most = (
            nn.Parameter(torch.where(constant | keeps, level, open_end).float().view(1, -1, 1, 1), requires_grad=False)
            for keeps, open_end in ((factor > 0, -torch.inf), (factor < 0, torch.inf))
        )
        weight, bias = _weights(self.conv1)
        with torch.no_grad():
            self.conv1.weight.copy_((weight * factor)[..., None, None])
            self.conv1.bias.copy_(bias + weight @ torch.where(constant, shift.relu(), shift))  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.clamp(x, self.least, self.most)).relu_()
        return self.conv3(self.conv2(y).relu_()).add_(self.skip(x))


_LARGEST = 1e20
"""Features are smaller. A BatchNorm whose factor is so small that even these vanish beside its shift is constant."""


def _affine(norm: Any) -> Weights:
    """A BatchNorm's factor and shift."""
    factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return factor, norm.bias.detach().double() - factor * norm.running_mean.double()
