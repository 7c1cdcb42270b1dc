"""Every choice of a training run, with its default: the paper's recipe (section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from posehg.errors import UsageError

Loss = Literal["mse", "cross-entropy"]
Optimizer = Literal["rmsprop", "adamw"]
Schedule = Literal["constant", "drop", "one-cycle"]
Precision = Literal["auto", "fp32", "bf16"]

_SHARES = ("scale", "flip", "colour", "background")


RATES: dict[Loss, float] = {"mse": 2.5e-4, "cross-entropy": 1e-3}
"""The learning rate for each loss where none is given: the paper's, and one that a loss without a plateau can bear."""


@dataclass(frozen=True)
class TrainConfig:
    """The options of ``posehg train``. Lengths are in crop pixels or heatmap cells, angles in degrees."""

    dataset: str = "mpii"
    skeleton: str = ""
    stacks: int = 2
    features: int = 256
    depth: int = 4
    blocks: int = 1
    stem: tuple[int, int, int] = (64, 128, 128)
    input_size: int = 256
    sigma: float = 1.0
    padding: float = 1.25
    loss: Loss = "mse"
    optimizer: Optimizer = "rmsprop"
    schedule: Schedule = "drop"
    lr: float = RATES["mse"]
    weight_decay: float = 0.0
    epochs: int = 100
    batch: int = 6
    rotation: float = 30.0
    scale: float = 0.25
    flip: float = 0.5
    colour: float = 0.4
    translation: float = 0.0
    background: float = 0.0
    precision: Precision = "auto"
    device: str = "auto"
    workers: int = 0
    seed: int = 0
    limit: int = 0
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        for name, kind in (("loss", Loss), ("optimizer", Optimizer), ("schedule", Schedule), ("precision", Precision)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"There is no {name} {getattr(self, name)!r}.", "Known: " + ", ".join(get_args(kind)))
        for name in ("epochs", "batch", "lr", "sigma", "padding", "input_size"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be a number above 0, not {getattr(self, name)}.")
        for name in (*_SHARES, "rotation", "translation", "weight_decay", "workers", "limit", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be 0 or a number above it, not {getattr(self, name)}.")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise UsageError(f"{name} is a share between 0 and 1, not {getattr(self, name)}.")
