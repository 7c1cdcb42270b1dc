"""Checkpoints as other projects write them, and what their networks make of an image: by their names, layer by layer.

Written from the description of those networks alone, so that it can be held against posehg's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from posehg.errors import NotAvailable

State = dict[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    joints: int = 5
    stacks: int = 2
    features: int = 6
    depth: int = 2
    blocks: int = 1
    stem: tuple[int, int, int] = (4, 10, 14)


class Maker:
    """Random tensors such that the image's signal neither dies nor explodes on its way. suffix: of convolutions."""

    def __init__(self, seed: int, suffix: str = "") -> None:
        self.state: State = {}
        self.suffix = suffix
        self._generator = torch.Generator().manual_seed(seed)

    def conv(self, name: str, inputs: int, outputs: int, side: int = 1) -> None:
        shape, spread = (outputs, inputs, side, side), 0.6 / math.sqrt(inputs * side * side)
        self.state[f"{name}.weight"] = torch.randn(shape, generator=self._generator) * spread
        self.state[f"{name}.bias"] = torch.randn(outputs, generator=self._generator) * 0.1

    def norm(self, name: str, width: int) -> None:
        draw = torch.rand(4, width, generator=self._generator)
        for part, value in zip(("weight", "bias", "running_mean", "running_var"), draw, strict=True):
            self.state[f"{name}.{part}"] = value.clone() + 0.5
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(1234)

    def residual(self, name: str, inputs: int, outputs: int) -> None:
        half = outputs // 2
        for number, (before, after, side) in enumerate(((inputs, half, 1), (half, half, 3), (half, outputs, 1)), 1):
            self.norm(f"{name}.bn{number}", before)
            self.conv(f"{name}.conv{number}{self.suffix}", before, after, side)
        if self.suffix:  # princeton's, whether it is used or not
            self.conv(f"{name}.skip_layer.conv", inputs, outputs)
        elif inputs != outputs:
            self.conv(f"{name}.downsample.0", inputs, outputs)


def _conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    parts = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *parts, eps=1e-5)


def _residual(state: State, name: str, x: Tensor, suffix: str, skip: str) -> Tensor:
    y = x
    for number, padding in ((1, 0), (2, 1), (3, 0)):
        y = F.relu(_norm(state, f"{name}.bn{number}", y))
        y = _conv(state, f"{name}.conv{number}{suffix}", y, padding=padding)
    return y + (x if x.shape == y.shape else _conv(state, f"{name}.{skip}", x))


def bearpaw(sizes: Sizes, seed: int = 0) -> State:
    make, width = Maker(seed), sizes.features
    first, second, third = sizes.stem
    make.conv("conv1", 3, first, 7)
    make.norm("bn1", first)
    make.residual("layer1.0", first, second)
    make.residual("layer2.0", second, third)
    make.residual("layer3.0", third, width)
    for s in range(sizes.stacks):
        for block in range(sizes.blocks):
            for level in range(sizes.depth):
                for branch in range(4 if level == 0 else 3):
                    make.residual(f"hg.{s}.hg.{level}.{branch}.{block}", width, width)
            make.residual(f"res.{s}.{block}", width, width)
        make.conv(f"fc.{s}.0", width, width)
        make.norm(f"fc.{s}.1", width)
        make.conv(f"score.{s}", width, sizes.joints)
        if s < sizes.stacks - 1:
            make.conv(f"fc_.{s}", width, width)
            make.conv(f"score_.{s}", sizes.joints, width)
    return make.state


def bearpaw_heatmaps(state: State, sizes: Sizes, images: Tensor) -> list[Tensor]:
    def residual(name: str, x: Tensor) -> Tensor:
        return _residual(state, name, x, "", "downsample.0")

    def blocks(name: str, x: Tensor) -> Tensor:
        for block in range(sizes.blocks):
            x = residual(f"{name}.{block}", x)
        return x

    def hourglass(name: str, level: int, x: Tensor) -> Tensor:
        low = blocks(f"{name}.{level}.1", F.max_pool2d(x, 2))
        low = hourglass(name, level - 1, low) if level else blocks(f"{name}.0.3", low)
        low = blocks(f"{name}.{level}.2", low)
        return blocks(f"{name}.{level}.0", x) + F.interpolate(low, scale_factor=2)

    x = F.relu(_norm(state, "bn1", _conv(state, "conv1", images, stride=2, padding=3)))
    x = residual("layer3.0", residual("layer2.0", F.max_pool2d(residual("layer1.0", x), 2)))
    outputs = []
    for s in range(sizes.stacks):
        y = blocks(f"res.{s}", hourglass(f"hg.{s}.hg", sizes.depth - 1, x))
        y = F.relu(_norm(state, f"fc.{s}.1", _conv(state, f"fc.{s}.0", y)))
        outputs.append(_conv(state, f"score.{s}", y))
        if s < sizes.stacks - 1:
            x = x + _conv(state, f"fc_.{s}", y) + _conv(state, f"score_.{s}", outputs[-1])
    return outputs


def princeton(sizes: Sizes, seed: int = 0) -> State:
    assert sizes.blocks == 1
    make, width = Maker(seed, suffix=".conv"), sizes.features
    first, second, third = sizes.stem
    make.conv("pre.0.conv", 3, first, 7)
    make.norm("pre.0.bn", first)
    make.residual("pre.1", first, second)
    make.residual("pre.3", second, third)
    make.residual("pre.4", third, width)
    for s in range(sizes.stacks):
        name = f"hgs.{s}.0"
        for _ in range(sizes.depth):
            for branch in ("up1", "low1", "low3"):
                make.residual(f"{name}.{branch}", width, width)
            name += ".low2"
        make.residual(name, width, width)
        make.residual(f"features.{s}.0", width, width)
        make.conv(f"features.{s}.1.conv", width, width)
        make.norm(f"features.{s}.1.bn", width)
        make.conv(f"outs.{s}.conv", width, sizes.joints)
        if s < sizes.stacks - 1:
            make.conv(f"merge_features.{s}.conv.conv", width, width)
            make.conv(f"merge_preds.{s}.conv.conv", sizes.joints, width)
    return make.state


def princeton_heatmaps(state: State, sizes: Sizes, images: Tensor) -> list[Tensor]:
    def residual(name: str, x: Tensor) -> Tensor:
        return _residual(state, name, x, ".conv", "skip_layer.conv")

    def hourglass(name: str, depth: int, x: Tensor) -> Tensor:
        low = residual(f"{name}.low1", F.max_pool2d(x, 2))
        low = hourglass(f"{name}.low2", depth - 1, low) if depth > 1 else residual(f"{name}.low2", low)
        return residual(f"{name}.up1", x) + F.interpolate(residual(f"{name}.low3", low), scale_factor=2)

    x = F.relu(_norm(state, "pre.0.bn", _conv(state, "pre.0.conv", images, stride=2, padding=3)))
    x = residual("pre.4", residual("pre.3", F.max_pool2d(residual("pre.1", x), 2)))
    outputs = []
    for s in range(sizes.stacks):
        y = residual(f"features.{s}.0", hourglass(f"hgs.{s}.0", sizes.depth, x))
        y = F.relu(_norm(state, f"features.{s}.1.bn", _conv(state, f"features.{s}.1.conv", y)))
        outputs.append(_conv(state, f"outs.{s}.conv", y))
        if s < sizes.stacks - 1:
            x = x + _conv(state, f"merge_features.{s}.conv.conv", y)
            x = x + _conv(state, f"merge_preds.{s}.conv.conv", outputs[-1])
    return outputs


MAKERS: dict[str, Callable[[Sizes, int], State]] = {"bearpaw": bearpaw, "princeton": princeton}
ANSWERS: dict[str, Callable[[State, Sizes, Tensor], list[Tensor]]] = {
    "bearpaw": bearpaw_heatmaps,
    "princeton": princeton_heatmaps,
}


def wrapped(state: State, wrapper: str) -> State:
    return {f"{wrapper}{name}": value for name, value in state.items()}


def refused(read: Callable[[Path], object], path: Path, *words: str) -> NotAvailable:
    """The error, one sentence that names the file."""
    with pytest.raises(NotAvailable) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert message.isprintable()
    for word in words:
        assert word in message
    return caught.value
