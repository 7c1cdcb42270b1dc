"""A training step: the losses, the learning rate, the optimizer, the moving average of the weights, the gradient.

Losses compare the stacks' outputs (B, J, h, w) with target heatmaps. Points are (B, J, 2) in heatmap cells; those of an
unlabelled joint are NaN and never contribute. The target of a labelled joint off the map is all zero.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from posehg import distributed, heatmaps
from posehg.distributed import World
from posehg.errors import DeviceError
from posehg.inference import devices
from posehg.network import StackedHourglass
from posehg.training import detect
from posehg.training.config import TrainConfig
from posehg.training.data import Crops

PerJoint = Callable[[Tensor, Tensor], Tensor]

_CURVES = {"one-cycle": (0.1, 0.0), "cosine": (0.02, 0.01)}
"""The share of a run in which the rate rises, and the last rate as a share of the highest one."""


def squared_difference(output: Tensor, target: Tensor) -> Tensor:
    """The paper's loss, (B, J, h, w) twice -> (B, J): the mean squared difference of each map to its Gaussian."""
    return (output - target).square().mean(dim=(-2, -1))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Spatial cross-entropy, (B, J, h, w) twice -> (B, J).

    The output is read as logits of the cells and of *nowhere* (see heatmaps.from_logits). The target Gaussian is
    normalised to sum 1; an all-zero target is all *nowhere*, whose logit is 0 and therefore missing from the sum.
    """
    output, target = output.flatten(-2), target.flatten(-2)
    total = target.sum(dim=-1, keepdim=True)
    target = target / torch.where(total > 0, total, torch.ones_like(total))
    return torch.logsumexp(F.pad(output, (0, 1)), dim=-1) - (target * output).sum(dim=-1)


def distilled(output: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy to a teacher's probabilities, (B, J, h, w) twice -> (B, J): both are logits, with *nowhere*.

    Teaching hourglasses by a larger one's heatmaps is from Zhang, Zhu and Ye, "Fast Human Pose Estimation" (CVPR 2019).
    """
    output, teacher = F.pad(output.flatten(-2), (0, 1)), F.pad(teacher.flatten(-2), (0, 1))
    return -(teacher.softmax(dim=-1) * output.log_softmax(dim=-1)).sum(dim=-1)


LOSSES: dict[str, PerJoint] = {"mse": squared_difference, "cross-entropy": cross_entropy}


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


def learning_rate(config: TrainConfig, done: float) -> float:
    """Returns the learning rate when the share ``done`` (0 .. 1) of the run is over.

    drop: constant, then a fifth of it for the last fifth (the paper divides by 5 when validation stops improving).
    cosine: rises over the first fiftieth, then falls to a hundredth along half a cosine.
    one-cycle: rises over the first tenth, then falls to zero along half a cosine (Smith and Topin, 2018).
    wsd: rises over the first tenth of an epoch, stays, and falls to zero over the last ``config.decay`` epochs as
    1 - sqrt(x), which leaves the high rate fastest (Haegele et al., 2024).
    """
    if config.schedule == "drop":
        return config.lr / (5 if done > 0.8 else 1)
    if config.schedule == "wsd":
        epoch = done * config.epochs
        falling = 1 - (config.epochs - epoch) / config.decay if config.decay else 0.0
        return config.lr * min(1.0, epoch / 0.1) * (1 - math.sqrt(max(0.0, falling)))
    warm_up, last = _CURVES[config.schedule]
    if done < warm_up:
        return config.lr * done / warm_up
    fallen = 0.5 * (1 + math.cos(math.pi * min(1, (done - warm_up) / (1 - warm_up))))
    return config.lr * (last + (1 - last) * fallen)


def optimizer(network: nn.Module, config: TrainConfig) -> Optimizer:
    """Returns the paper's RMSprop, or AdamW with weight decay on convolutions only; frozen weights are left out."""
    learning = [p for p in network.parameters() if p.requires_grad]
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(learning, lr=config.lr, alpha=0.99, weight_decay=config.weight_decay)
    decayed, others = ([p for p in learning if (p.ndim > 1) is wanted] for wanted in (True, False))
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, fused=learning[0].device.type != "mps")


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Moves an exponential moving average of the weights and BatchNorm statistics towards ``network``.

    step: number of steps before this one. The memory starts short, so that the random initial weights are soon
    forgotten.
    """
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    share = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_([mine for mine, _ in floats], [new for _, new in floats], share)
    for mine, new in pairs:
        if not mine.is_floating_point():  # counters
            mine.copy_(new)


class Stepper:
    """Network, optimizer and what else changes from step to step, on one device of this process.

    network: on its device; its frozen parts are excluded from training. teacher: returns the logits (B, J, h, w) of
    an image's joints that are learned beside the labels. average: the moving average of its weights, None without
    --ema. result: the network to validate and to save. precision: that of the convolutions.
    """

    def __init__(
        self,
        network: StackedHourglass,
        config: TrainConfig,
        device: torch.device,
        world: World,
        teacher: nn.Module | None = None,
    ) -> None:
        gpu = device.type == "cuda"
        if config.sync_bn and not gpu:
            raise DeviceError("--sync-bn needs GPUs.", "On CPUs each process has its own BatchNorm statistics.")
        self._config, self._device, self._world = config, device, world
        self.network, self._teacher = network, teacher
        body = "body" in config.frozen  # all but the heatmap layers
        self._fixed: list[Any] = [network.stem] if body or "stem" in config.frozen else []
        for stack in network.stacks if body else ():
            self._fixed += [stack.hourglass, stack.residuals, stack.linear]
        self._fixed += [reinjection.features for reinjection in network.reinjections] if body else []
        for module in self._fixed:
            module.requires_grad_(False)
        self.average = deepcopy(network).requires_grad_(False) if config.ema else None
        self.result = network if self.average is None else self.average
        automatic = "bf16" if devices.multiplies_bf16(device) else "fp32"
        self.precision = automatic if config.precision == "auto" else config.precision
        self.optimizer = optimizer(network, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._parallel: DistributedDataParallel | None = None
        if world.size > 1:
            synced = nn.SyncBatchNorm.convert_sync_batchnorm(network) if config.sync_bn else network
            self._parallel = DistributedDataParallel(synced, device_ids=[device] if gpu else None)
        if "norm" in config.frozen:
            self._fixed += [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        called: nn.Module = self._parallel or network
        # Batches of an epoch have two sizes: kernels for each are faster than those for any, which DDP dislikes, too.
        self._called: Callable[..., list[Tensor]] = torch.compile(called, dynamic=False) if config.compile else called

    def __call__(self, crops: Crops, rate: float, number: int) -> Tensor:
        """Takes a step on this process's share of a batch; returns its share of the loss.

        The gradient is that of the mean over all labelled joints of the whole batch, over all processes and parts.
        rate: learning rate. number: number of steps before this one.
        """
        config = self._config
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        for module in self._fixed:
            module.eval()
        labels = labelled(crops.points)
        total, joints = distributed.total(labels.sum()), distributed.total(torch.ones_like(labels).sum())
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(zip(*(tensor.tensor_split(config.accumulate) for tensor in crops), strict=True))
        half = torch.float16 if self.precision == "fp16" else torch.bfloat16
        losses = []
        for place, (images, points) in enumerate(parts, start=1):
            # The gradient is sent to the other processes once, with the last part.
            last = place == len(parts)
            with nullcontext() if self._parallel is None or last else self._parallel.no_sync():
                batch = (images.float() / 255).contiguous(memory_format=torch.channels_last)
                with torch.autocast(self._device.type, half, enabled=self.precision != "fp32"):
                    outputs = self._called(batch)
                if config.task == "detect":
                    loss = detect.loss(outputs, points, total)
                else:
                    loss = supervised(outputs, points, config.sigma, LOSSES[config.loss], total)
                if self._teacher is not None:
                    with torch.no_grad(), torch.autocast(self._device.type, half, enabled=self.precision != "fp32"):
                        taught = self._teacher(batch).float()
                    loss = (loss + sum(distilled(output.float(), taught).sum() for output in outputs) / joints) / 2
                # DDP averages the gradients of the processes, but they are parts of one sum.
                self.scaler.scale(loss * self._world.size).backward()
            losses.append(loss.detach())
        if config.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            update_average(self.average, self.network, config.ema, number)
        return torch.stack(losses).sum()
