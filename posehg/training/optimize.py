"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Optimizer

from posehg.training.config import TrainConfig

_WARM_UP = 0.1
_DROP_AT, _DROP_BY = 0.8, 5


def optimizer(network: nn.Module, config: TrainConfig) -> Optimizer:
    """The paper's RMSprop, or AdamW with weight decay on the convolutions alone."""
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=config.lr, alpha=0.99, weight_decay=config.weight_decay)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr)


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate of step ``step`` of ``steps``, a function of nothing else, so that a resumed run continues on the curve.

    drop: constant, and divided by 5 for the last fifth (the paper divides by 5 when the validation no longer improves).
    one-cycle: up over the first tenth, down to zero by half a cosine (Smith and Topin, 2018).
    """
    if config.schedule == "constant":
        return config.lr
    done = (step + 1) / steps
    if config.schedule == "drop":
        return config.lr / (_DROP_BY if done > _DROP_AT else 1)
    if done < _WARM_UP:
        return config.lr * done / _WARM_UP
    return config.lr * 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
