"""The stacked hourglass network (Newell, Yang and Deng, ECCV 2016, section 3), to be read beside the paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from posehg.errors import UsageError, printable

STRIDE = 4
"""Input pixels per heatmap cell: the stem halves the picture twice."""

LIMITS = {"joints": 4096, "stacks": 64, "depth": 9, "blocks": 64}
"""Far beyond any published network: a model's file may ask for what no machine can build. At a depth of 9 the smallest
crop has a side of 2048 pixels."""
WIDEST = 8192
"""Channels."""


@dataclass(frozen=True)
class HourglassConfig:
    """What it takes to build the network.

    stacks: hourglasses one after the other.
    features: channels inside the hourglasses (the paper's 256).
    depth: how often an hourglass halves its map (the paper's 4: 64 -> 4).
    blocks: residual modules at each position (the paper's first version used 3).
    joints: heatmaps, one a joint.
    stem: channels after the first convolution and after the first and second residual module; the third gives
        ``features``. Published ports use 64-128-128 (as the official code) and 64-128-256.
    mean, std: of RGB in 0 .. 1; the network itself brings its input to (image - mean) / std.

    Raises UsageError for values of another type, and for those that no network has.
    """

    joints: int = 16
    stacks: int = 2
    features: int = 256
    depth: int = 4
    blocks: int = 1
    stem: tuple[int, int, int] = (64, 128, 128)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= limit:  # True is no number, though Python counts it as one
                raise UsageError(f"A network needs {name} from 1 to {limit}, not {_shown(value)}.")
        if not _is_width(self.features):
            what = f"Features must be an even number up to {WIDEST}, not {_shown(self.features)}"
            raise UsageError(f"{what}: a residual halves them.")
        if not _are_three(self.stem, _is_width):
            what = f"A stem has three even widths up to {WIDEST}, as 64-128-128"
            raise UsageError(f"{what}, not {_shown(self.stem)}.")
        if not _are_three(self.mean, lambda value: _is_number(value) and -1000 <= value <= 1000):
            raise UsageError(f"A mean is three numbers, of RGB in 0 .. 1, not {_shown(self.mean)}.")
        if not _are_three(self.std, lambda value: _is_number(value) and 1e-6 <= value <= 1e6):
            raise UsageError(f"A std is three numbers above 0, of RGB in 0 .. 1, not {_shown(self.std)}.")

    @property
    def multiple(self) -> int:
        """Rows and columns of an input picture must be multiples of this (64 for a depth of 4)."""
        return STRIDE * 2**self.depth

    @property
    def residuals(self) -> int:
        """How many residual modules it has: three in the stem, and ``blocks`` at each position of every stack."""
        return 3 + self.stacks * self.blocks * (3 * self.depth + 2)

    def could_be_in(self, tensors: int) -> bool:
        """Whether a file of so many tensors can hold such a network, or at least half of one.

        To be asked before a network is built as a file says: a few bytes can ask for one that fills all memory.
        """
        return 9 * self.residuals <= tensors  # each has 18: weight and bias of six layers, and statistics of three


def _shown(value: object) -> str:
    text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return printable(text, 40)


def _is_width(value: Any) -> bool:
    return type(value) is int and 2 <= value <= WIDEST and value % 2 == 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _are_three(values: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(values, tuple) and len(values) == 3 and all(fits(value) for value in values)


class Residual(nn.Module):
    """Figure 4, left: a pre-activation bottleneck, half as wide inside; 1x1 on the skip where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, half, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), nn.Conv2d(half, half, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(half), nn.Conv2d(half, outputs, 1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        return self.skip(x) + y


def residuals(features: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(features, features) for _ in range(blocks)))


class Hourglass(nn.Module):
    """Figure 3: down by max-pooling, up by nearest neighbour, with a skip branch (``up``) at every resolution."""

    def __init__(self, depth: int, features: int, blocks: int) -> None:
        super().__init__()
        self.up = residuals(features, blocks)
        self.pool = nn.MaxPool2d(2)
        self.low1 = residuals(features, blocks)
        self.low2 = Hourglass(depth - 1, features, blocks) if depth > 1 else residuals(features, blocks)
        self.low3 = residuals(features, blocks)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:  # (B, F, h, w)
        low = self.low3(self.low2(self.low1(self.pool(x))))  # (B, F, h/2, w/2)
        return self.up(x) + self.upsample(low)  # (B, F, h, w)


class Stack(nn.Module):
    """One hourglass and the two 1x1 convolutions that lead to its heatmaps (section 3.2)."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        width = config.features
        self.hourglass = Hourglass(config.depth, width, config.blocks)
        self.residuals = residuals(width, config.blocks)
        self.linear = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.heatmaps = nn.Conv2d(width, config.joints, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.linear(self.residuals(self.hourglass(x)))  # (B, F, h, w)
        return features, self.heatmaps(features)  # (B, J, h, w)


class Reinjection(nn.Module):
    """Figure 4, right: features and heatmaps go back into the features that the next hourglass sees."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.features = nn.Conv2d(config.features, config.features, 1)
        self.heatmaps = nn.Conv2d(config.joints, config.features, 1)

    def forward(self, x: Tensor, features: Tensor, heatmaps: Tensor) -> Tensor:
        return x + self.features(features) + self.heatmaps(heatmaps)


class StackedHourglass(nn.Module):
    """Pictures (B, 3, H, W) float, RGB in 0 .. 1, to a list of each stack's heatmaps (B, J, H/4, W/4).

    H and W are multiples of ``config.multiple``; they need not be equal. Intermediate supervision (section 3.3) means
    that training compares every stack's heatmaps with the target; the last stack is the prediction.
    """

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.config = config
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        first, second, third = config.stem
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 7, stride=2, padding=3),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            Residual(first, second),
            nn.MaxPool2d(2),
            Residual(second, third),
            Residual(third, config.features),
        )
        self.stacks = nn.ModuleList(Stack(config) for _ in range(config.stacks))
        self.reinjections = nn.ModuleList(Reinjection(config) for _ in range(config.stacks - 1))
        self.apply(_initialise)

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, columns = images.shape[-2:]
        if rows % self.config.multiple or columns % self.config.multiple:
            raise UsageError(
                f"The network cannot take an input of {columns} x {rows} pixels.",
                f"Both sides must be multiples of {self.config.multiple}.",
            )
        x = self.stem((images - self.mean) / self.std)  # (B, F, H/4, W/4)
        outputs = []
        for index, stack in enumerate(self.stacks):
            features, heatmaps = stack(x)
            outputs.append(heatmaps)
            if index < len(self.reinjections):
                x = self.reinjections[index](x, features, heatmaps)
        return outputs


def _initialise(module: nn.Module) -> None:
    # He initialisation keeps the signal's size through the pre-activation residuals; torch's default shrinks it at each
    # convolution, and the first epochs are then spent on the all-zero map.
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, Residual):
        nn.init.zeros_(module.conv3.weight)  # each residual begins as the identity


def parameters(config: HourglassConfig) -> int:
    """How many numbers the network learns."""
    with torch.device("meta"):
        return sum(p.numel() for p in StackedHourglass(config).parameters())
