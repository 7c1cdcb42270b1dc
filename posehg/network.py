"""The stacked hourglass network (Newell, Yang and Deng, ECCV 2016, section 3), to be read beside the paper."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from posehg.config import HourglassConfig
from posehg.errors import UsageError


class Residual(nn.Module):
    """Figure 4, left: a pre-activation bottleneck, half as wide inside; a 1x1 skip where the width changes."""

    def __init__(self, inputs: int, outputs: int, skip: nn.Module | None = None) -> None:
        super().__init__()
        half = outputs // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, half, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), nn.Conv2d(half, half, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(half), nn.Conv2d(half, outputs, 1)
        self.skip = skip or (nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        return y.add_(self.skip(x))  # in place: allocating memory costs more than adding


class Channels(nn.Module):
    """The first channels of the input, with channels of 0 where it has fewer (He et al., CVPR 2016, option A).

    The sum that grows from residual to residual passes it unchanged, and a trained network can be widened.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:  # (B, C, h, w)
        return functional.pad(x[:, : self.outputs], (0, 0, 0, 0, 0, max(0, self.outputs - x.shape[1])))


def residuals(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    first = Residual(inputs, outputs, None if inputs == outputs else Channels(outputs))
    return nn.Sequential(first, *(Residual(outputs, outputs) for _ in range(blocks - 1)))


class Hourglass(nn.Module):
    """Figure 3: down by max-pooling, up by nearest neighbour, with a skip branch (``up``) at every resolution.

    widths: the channels at each resolution, the highest first.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        here, below = widths[:2]
        self.up = residuals(here, here, blocks)
        self.pool = nn.MaxPool2d(2)
        self.low1 = residuals(here, below, blocks)
        self.low2 = Hourglass(widths[1:], blocks) if len(widths) > 2 else residuals(below, below, blocks)
        self.low3 = residuals(below, here, blocks)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:  # (B, F, h, w)
        low = self.low3(self.low2(self.low1(self.pool(x))))  # (B, F, h/2, w/2)
        return self.up(x).add_(self.upsample(low))  # (B, F, h, w)


class Stack(nn.Module):
    """One hourglass and the two 1x1 convolutions that produce its heatmaps (section 3.2)."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        width = config.features
        self.hourglass = Hourglass(config.widths, config.blocks)
        self.residuals = residuals(width, width, config.blocks)
        self.linear = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.heatmaps = nn.Conv2d(width, config.joints, 1)

    def features(self, x: Tensor) -> Tensor:
        return self.linear(self.residuals(self.hourglass(x)))  # (B, F, h, w)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.heatmaps(features)  # (B, J, h, w)


class Reinjection(nn.Module):
    """Figure 4, right: features and heatmaps are added to the features that the next hourglass sees."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.features = nn.Conv2d(config.features, config.features, 1)
        self.heatmaps = nn.Conv2d(config.joints, config.features, 1)

    def forward(self, x: Tensor, features: Tensor, heatmaps: Tensor) -> Tensor:
        return self.features(features).add_(x).add_(self.heatmaps(heatmaps))


class Normalise(nn.Module):
    """Normalises images by the mean and standard deviation that the network was trained with."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.multiple = config.multiple
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Raises UsageError if a side is not a multiple of what the network halves."""
        rows, columns = images.shape[-2:]
        if rows % self.multiple or columns % self.multiple:
            raise UsageError(
                f"The network does not accept an input of {columns} x {rows} pixels.",
                f"Both sides must be multiples of {self.multiple}.",
            )
        return (images - self.mean) / self.std


class StackedHourglass(nn.Module):
    """Maps images (B, 3, H, W), float RGB in 0 .. 1, to a list with each stack's heatmaps (B, J, H/4, W/4).

    H and W are multiples of ``config.multiple`` and may differ. With intermediate supervision (section 3.3) training
    compares every stack's heatmaps with the target; the last stack's are the prediction.
    """

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise(config)
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
        x = self.stem(self.normalise(images))  # (B, F, H/4, W/4)
        outputs = []
        for index, stack in enumerate(self.stacks):
            features, heatmaps = stack(x)
            outputs.append(heatmaps)
            if index < len(self.reinjections):
                x = self.reinjections[index](x, features, heatmaps)
        return outputs


def _initialise(module: nn.Module) -> None:
    # He initialisation keeps the signal's variance through the pre-activation residuals; torch's default shrinks it at
    # each convolution, and training then spends its first epochs on the all-zero map.
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, Residual):
        nn.init.zeros_(module.conv3.weight)  # each residual starts as the identity


def parameters(config: HourglassConfig) -> int:
    """The number of learned parameters."""
    with torch.device("meta"):
        return sum(p.numel() for p in StackedHourglass(config).parameters())
