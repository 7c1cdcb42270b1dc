"""One step: crops through the network, the loss, its gradient, new weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from posehg import distributed
from posehg.distributed import World
from posehg.errors import DeviceError
from posehg.inference import devices
from posehg.network import StackedHourglass
from posehg.training.batches import Crops
from posehg.training.config import TrainConfig
from posehg.training.losses import LOSSES, labelled, supervised
from posehg.training.optimize import Average, optimizer
from posehg.training.start import set_training


class Stepper:
    """Network, optimizer and what else changes from step to step, on one device of this process.

    network: on its device. average: the moving average of its weights, where one is asked for.
    """

    def __init__(self, network: StackedHourglass, config: TrainConfig, device: torch.device, world: World) -> None:
        self.network = network
        self._config, self._device, self._world = config, device, world
        self.optimizer = optimizer(network, config)
        self.average = Average(network, config.ema) if config.ema else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._parallel = self._in_parallel() if world.size > 1 else None
        called: nn.Module = self._parallel or network
        self._called: Callable[[Tensor], list[Tensor]] = _compiled(called) if config.compile else called

    def _in_parallel(self) -> DistributedDataParallel:
        network: nn.Module = self.network
        gpu = self._device.type == "cuda"
        if self._config.sync_bn:
            if not gpu:
                raise DeviceError("--sync-bn needs GPUs.", "On CPUs each process has its own BatchNorm statistics.")
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(network, device_ids=[self._device] if gpu else None)

    def __call__(self, crops: Crops, rate: float, number: int) -> Tensor:
        """crops: this process's share of the batch. number: how many steps there were. -> this share of the loss.

        The gradient is that of the mean over the labelled joints of the whole batch: of all processes and parts.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        set_training(self.network, self._config)
        points, weights = crops.points, labelled(crops.points)
        total = distributed.total(weights.sum())
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(
            zip(*(t.tensor_split(self._config.accumulate) for t in (crops.images, points, weights)), strict=True)
        )
        losses = []
        for place, (images, some_points, some_weights) in enumerate(parts, start=1):
            with self._apart(place < len(parts)):
                outputs = self._forward(images)
                loss = supervised(
                    outputs, some_points, self._config.sigma, LOSSES[self._config.loss], some_weights, total
                )
                # DDP averages the gradients of the processes, and theirs are parts of one sum.
                self.scaler.scale(loss * self._world.size).backward()
            losses.append(loss.detach())
        self._move(number)
        return torch.stack(losses).sum()

    def _apart(self, unfinished: bool) -> AbstractContextManager[Any]:
        """Gradients go to the other processes with the batch's last part only."""
        return self._parallel.no_sync() if self._parallel is not None and unfinished else nullcontext()

    def _forward(self, images: Tensor) -> list[Tensor]:
        batch = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        with self._autocast():
            return self._called(batch)

    def _autocast(self) -> AbstractContextManager[Any]:
        precision = precision_of(self._config, self._device)
        kind = torch.float16 if precision == "fp16" else torch.bfloat16
        return torch.autocast(self._device.type, kind, enabled=precision != "fp32")

    def _move(self, number: int) -> None:
        if self._config.clip:
            self.scaler.unscale_(self.optimizer)
            learning = [p for p in self.network.parameters() if p.requires_grad]
            nn.utils.clip_grad_norm_(learning, self._config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.network, number)

    @property
    def result(self) -> StackedHourglass:
        """The network to validate and to save."""
        return self.network if self.average is None else self.average.network


def precision_of(config: TrainConfig, device: torch.device) -> str:
    """fp32, bf16 or fp16: that of the convolutions."""
    if config.precision != "auto":
        return config.precision
    return "bf16" if devices.multiplies_bf16(device) else "fp32"


def _compiled(network: nn.Module) -> Callable[[Tensor], list[Tensor]]:
    # The batches of an epoch have two sizes: kernels for each are faster than those for any, which DDP dislikes, too.
    return torch.compile(network, dynamic=False)
