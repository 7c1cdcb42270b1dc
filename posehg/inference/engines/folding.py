"""A network as it is quickest where nothing is learned any more: less work, and fewer passes over the features."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from posehg.network import Residual, Stack, StackedHourglass


class Folded(nn.Module):
    """Says of pictures what the network says but for rounding, as a list of the last stack's heatmaps alone.

    BatchNorms that follow a convolution are folded into it; a residual's first one follows a sum, and stays. The other
    stacks' heatmaps are asked for by nobody but the convolution that brings them back (section 3.2): that one, the one
    that makes them and the one beside it are linear in the stack's features, and here they are one. kind: of all
    products; what brings pictures to the network's mean stays exact.
    """

    def __init__(self, network: StackedHourglass, kind: torch.dtype = torch.float32) -> None:
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
            part.to(kind)

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
"""What a value is multiplied by, and what is added, in double precision. Of a 1x1 convolution (outputs, inputs) and
(outputs,)."""


def _joined(stack: Any, back: Any) -> nn.Conv2d:
    """What brings a stack's features and heatmaps back, made of the features alone."""
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
    """Itself, with residuals that go over their features once less. It takes all digits of single precision."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Residual):
                setattr(module, name, _Clamped(child))
    return network


class _Clamped(nn.Module):
    """A residual whose first BatchNorm and ReLU are one operation.

    relu(a x + b) is a max(x, -b / a) + b where a > 0, and a min(x, -b / a) + b where a < 0. What is done to the maximum
    or minimum is linear, and a 1x1 convolution follows, which does it too.
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
"""Larger features are not expected: what a norm with a smaller factor gives is its shift."""


def _affine(norm: Any) -> Weights:
    """A BatchNorm's factor and shift."""
    factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return factor, norm.bias.detach().double() - factor * norm.running_mean.double()
