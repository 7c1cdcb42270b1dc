"""Networks that torch runs, folded for inference: less work, and fewer passes over the features."""

from copy import deepcopy
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from posehg.checkpoints import Checkpoint
from posehg.config import ModelConfig
from posehg.inference import devices
from posehg.inference.engines import Engine, EngineOptions
from posehg.network import Residual, Stack, StackedHourglass


class TorchEngine(Engine):
    """A network in this process. It is moved to the device and put into evaluation mode, and not changed otherwise."""

    def __init__(self, config: ModelConfig, network: nn.Module, device: str = "auto", threads: int = 0) -> None:
        """threads: of torch, during calls; 0: torch's own setting. Raises DeviceError without such a device."""
        self.config, self._threads, self._device = config, threads, devices.resolve(device)
        self.device, self.name = str(self._device), f"torch {torch.__version__.partition('+')[0]}"
        self.network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, crops: NDArray[np.uint8]) -> Tensor:
        # (B, H, W, 3) in memory is torch's channels_last format, in which convolutions are fastest.
        batch = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads or before)
        try:
            output: Tensor = self.network.eval()(batch)[-1]
        finally:
            torch.set_num_threads(before)
        return output.float()


def from_checkpoint(checkpoint: Checkpoint, options: EngineOptions) -> TorchEngine:
    """The engine of a trained network, folded for speed. Raises DeviceError for a device that is not available."""
    network = Folded(checkpoint.network(), devices.DTYPES[options.precision])
    if options.precision == "fp32":  # clamping needs all digits of single precision
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, Residual):
                    setattr(module, name, _Clamped(child))
    return TorchEngine(checkpoint.config, network, options.device, options.threads_of_a_call)


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
        for module in network.modules():
            if isinstance(module, Residual):
                module.conv1, module.bn2 = _fused(module.conv1, module.bn2)
                module.conv2, module.bn3 = _fused(module.conv2, module.bn3)
            elif isinstance(module, Stack):
                module.linear[0], module.linear[1] = _fused(module.linear[0], module.linear[1])
        network.stem[0], network.stem[1] = _fused(network.stem[0], network.stem[1])
        self.normalise, self.stem, self.stacks = network.normalise, network.stem, network.stacks
        self.heatmaps: Any = network.stacks[-1].heatmaps
        pairs = zip(network.stacks, network.reinjections, strict=False)  # nothing follows the last stack
        self.reinjections = nn.ModuleList(_merged(stack, back) for stack, back in pairs)
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


def _fused(convolution: nn.Module, norm: nn.Module) -> tuple[Any, Any]:
    return fuse_conv_bn_eval(convolution, norm), nn.Identity()  # type: ignore[type-var,arg-type]


def _merged(stack: Any, back: Any) -> nn.Conv2d:
    """The convolutions that bring a stack's features and heatmaps back, merged into one of the features."""
    weight, bias = _doubles(back.features)
    outer, outer_bias = _doubles(back.heatmaps)
    inner, inner_bias = _doubles(stack.heatmaps)
    return _set(deepcopy(back.features), weight + outer @ inner, bias + outer_bias + outer @ inner_bias)


def _doubles(convolution: Any) -> tuple[Tensor, Tensor]:
    """The weight (outputs, inputs) and bias (outputs,) of a 1x1 convolution in double precision."""
    return convolution.weight.detach().double().flatten(1), convolution.bias.detach().double()


def _set(convolution: Any, weight: Tensor, bias: Tensor) -> Any:
    with torch.no_grad():
        convolution.weight.copy_(weight[..., None, None])
        convolution.bias.copy_(bias)
    return convolution


_LARGEST = 1e20
"""Features are smaller. A BatchNorm whose factor is so small that even these vanish beside its shift is constant."""


class _Clamped(nn.Module):
    """A residual whose first BatchNorm and ReLU are one clamp. Needs float32.

    relu(a x + b) is a max(x, -b / a) + b for a > 0, and a min(x, -b / a) + b for a < 0. What is left is linear, and is
    folded into the 1x1 convolution that follows.
    """

    def __init__(self, residual: Residual) -> None:
        super().__init__()
        norm: Any = residual.bn1
        factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.detach().double() - factor * norm.running_mean.double()
        constant = factor.abs() * _LARGEST <= shift.abs()
        level = torch.where(constant, 0.0, -shift / factor)
        self.least, self.most = (
            nn.Parameter(torch.where(constant | keeps, level, open_end).float().view(1, -1, 1, 1), requires_grad=False)
            for keeps, open_end in ((factor > 0, -torch.inf), (factor < 0, torch.inf))
        )
        weight, bias = _doubles(residual.conv1)
        added = weight @ torch.where(constant, shift.relu(), shift)
        self.conv1 = _set(residual.conv1, weight * factor, bias + added)
        self.conv2, self.conv3, self.skip = residual.conv2, residual.conv3, residual.skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.clamp(x, self.least, self.most)).relu_()
        return self.conv3(self.conv2(y).relu_()).add_(self.skip(x))
