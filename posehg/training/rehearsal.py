"""A few steps of a run that writes nothing: whether everything works, and what the whole will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from posehg import distributed
from posehg.checkpoints import Checkpoint
from posehg.datasets import spread
from posehg.datasets.dataset import Dataset
from posehg.distributed import World
from posehg.inference.machine import peak_memory
from posehg.network import parameters
from posehg.training.config import TrainConfig
from posehg.training.loop import Listener, Run
from posehg.training.pipeline import batches, on, workers_of
from posehg.training.samples import ALONE, steps_per_epoch
from posehg.training.state import Progress

_FIRST, _TIMED = 2, 5
"""Steps before the clock starts (buffers, compilation), and on it."""
_PERSONS = 16


def rehearse(
    config: TrainConfig,
    data: Dataset,
    validation: Sequence[Dataset],
    listener: Listener,
    source: Checkpoint | None,
    world: World = ALONE,
) -> list[str]:
    """Take some steps and validate on some persons; the result in lines for the reader."""
    some = [spread(part, _PERSONS) for part in validation]
    run = Run(config, data, some, Path(), listener, None, source, world)
    taken = min(_FIRST + _TIMED, steps_per_epoch(len(data), config.batch) * config.epochs)
    step_seconds, loss = _steps(run, config, data, world, taken)
    began = time.monotonic()
    for part in some:
        run.validate(part)
    per_person = (time.monotonic() - began) / max(1, sum(map(len, some)))
    steps = steps_per_epoch(len(data), config.batch)
    persons = sum(map(len, validation))
    epoch = steps * step_seconds + persons * per_person
    batch = min(config.batch, len(data))
    each = batch if world.size == 1 else f"{batch} over {world.size} processes"
    learned, workers, memory = parameters(run.model.network), workers_of(config, run.device), _memory(run.device)
    return [
        f"data     {len(data):,} persons to train on, {persons:,} to validate on",
        f"joints   {', '.join(data.skeleton.joints)}",
        f"network  {learned:,} parameters; the loss after {taken} steps is {loss:.4f}",
        f"device   {run.device}, {workers} worker processes; memory at its highest {memory}",
        f"step     {step_seconds:.3f} s for {each} crops: {batch / step_seconds:.0f} crops a second",
        f"epoch    {steps:,} steps and the validation: {_duration(epoch)}",
        f"run      {config.epochs} epochs: {_duration(epoch * config.epochs)}{_limit(config)}",
    ]


def _steps(run: Run, config: TrainConfig, data: Dataset, world: World, total: int) -> tuple[float, float]:
    """Seconds a step, samples and all, and the last loss, of the run's first ``total`` steps."""
    coming = iter(batches(data, config, run.device, Progress(), world))
    loss = began = 0.0
    first = min(_FIRST, total - 1)
    for number in range(total):
        if number == first:
            began = time.monotonic()
        crops = on(run.device, next(coming), config.input_size)
        loss = float(distributed.total(run.stepper(crops, config.lr * 0.1, number)))  # reading it waits for the device
    return (time.monotonic() - began) / (total - first), loss


def _memory(device: torch.device) -> str:
    taken = peak_memory(device)
    return "unknown" if taken is None else f"{taken / 1e9:.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _limit(config: TrainConfig) -> str:
    return f", or the {config.max_time:g} min of --max-time" if config.max_time else ""
