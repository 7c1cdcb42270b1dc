"""Optimizers, learning rate schedules and the moving average of the weights."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import nn
from torch.optim import Optimizer

from posehg.network import StackedHourglass
from posehg.training.config import TrainConfig

_WARM_UP = {"one-cycle": 0.1, "cosine": 0.02}
_LAST_RATE = {"one-cycle": 0.0, "cosine": 0.01}
_DROP_AT, _DROP_BY = 0.8, 5
_WSD_WARM_UP = 0.1


def optimizer(network: nn.Module, config: TrainConfig) -> Optimizer:
    """Returns the paper's RMSprop, or AdamW with weight decay on convolutions only; frozen weights are left out."""
    learning = [p for p in network.parameters() if p.requires_grad]
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(learning, lr=config.lr, alpha=0.99, weight_decay=config.weight_decay)
    decayed, others = ([p for p in learning if (p.ndim > 1) is wanted] for wanted in (True, False))
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, fused=learning[0].device.type != "mps")


def learning_rate(config: TrainConfig, done: float) -> float:
    """Returns the learning rate when the share ``done`` (0 .. 1) of the run is over.

    drop: constant, then a fifth of it for the last fifth (the paper divides by 5 when validation stops improving).
    cosine: rises over the first fiftieth, then falls to a hundredth along half a cosine.
    one-cycle: rises over the first tenth, then falls to zero along half a cosine (Smith and Topin, 2018).
    wsd: rises over the first tenth of an epoch, stays, and falls to zero over the last ``config.decay`` epochs as
    1 - sqrt(x), which leaves the high rate fastest (Haegele et al., 2024).
    """
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "drop":
        return config.lr / (_DROP_BY if done > _DROP_AT else 1)
    if config.schedule == "wsd":
        epoch = done * config.epochs
        falling = 1 - (config.epochs - epoch) / config.decay if config.decay else 0.0
        return config.lr * min(1.0, epoch / _WSD_WARM_UP) * (1 - math.sqrt(max(0.0, falling)))
    warm_up, last = _WARM_UP[config.schedule], _LAST_RATE[config.schedule]
    if done < warm_up:
        return config.lr * done / warm_up
    fallen = 0.5 * (1 + math.cos(math.pi * min(1, (done - warm_up) / (1 - warm_up))))
    return config.lr * (last + (1 - last) * fallen)


class Average:
    """Exponential moving average of a network's weights and BatchNorm statistics.

    Its memory starts short, so that the random initial weights are soon forgotten.
    """

    def __init__(self, network: StackedHourglass, decay: float) -> None:
        self.network = deepcopy(network).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: StackedHourglass, step: int) -> None:
        """Moves the average towards ``network``. step: number of steps before this one, over the whole run."""
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))
        floats = [(mine, new) for mine, new in pairs if new.is_floating_point()]
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([mine for mine, _ in floats], [new for _, new in floats], share)
        for mine, new in pairs:
            if not new.is_floating_point():  # counters
                mine.copy_(new)
