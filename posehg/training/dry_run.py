"""A dry run: a few steps and validations that write nothing, to see that a run works and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from posehg import distributed
from posehg.checkpoints import Checkpoint
from posehg.datasets import spread
from posehg.datasets.dataset import Dataset
from posehg.distributed import ALONE, World
from posehg.inference import devices
from posehg.inference.machine import peak_memory
from posehg.network import parameters
from posehg.training.builder import load_data
from posehg.training.config import TrainConfig
from posehg.training.data import batches, crops_on, steps_per_epoch, workers_of
from posehg.training.report import Listener
from posehg.training.trainer import Trainer

_WARM_UP, _TIMED = 2, 5
"""Steps before the clock starts (buffers, compilation), and timed ones."""
_PERSONS = 16


def run(config: TrainConfig, data: Path | None, listener: Listener, source: Checkpoint | None) -> list[str]:
    """Tries the run that ``trainer.run`` would train. Returns lines on its data, memory and time."""
    with distributed.joined(str(devices.resolve(config.device))) as world, distributed.watched():
        used, training, validation = distributed.alike(lambda: load_data(config, data, listener))
        return measure(used, training, validation, listener, source, world)


def measure(
    config: TrainConfig,
    data: Dataset,
    validation: Sequence[Dataset],
    listener: Listener,
    source: Checkpoint | None,
    world: World = ALONE,
) -> list[str]:
    """Takes some steps and validates some persons. Returns lines for the user."""
    some = [spread(part, _PERSONS) for part in validation]
    trainer = Trainer(config, data, some, Path(), listener, None, source, world)
    steps = steps_per_epoch(len(data), config.batch)
    taken = min(_WARM_UP + _TIMED, steps * config.epochs)
    warm_up = min(_WARM_UP, taken - 1)
    loader = iter(batches(data, config, trainer.device, world=world))
    loss = began = 0.0
    for number in range(taken):
        if number == warm_up:
            began = time.monotonic()
        crops = crops_on(trainer.device, next(loader), config.input_size)
        # A tenth of the rate: not every schedule starts low. Reading the loss waits for the device.
        loss = float(distributed.total(trainer.stepper(crops, config.lr * 0.1, number)))
    step_seconds = (time.monotonic() - began) / (taken - warm_up)
    began = time.monotonic()
    for part in some:
        trainer.validate(part)
    person_seconds = (time.monotonic() - began) / max(1, sum(map(len, some)))
    persons = sum(map(len, validation))
    epoch = steps * step_seconds + persons * person_seconds
    batch = min(config.batch, len(data))
    over = f" over {world.size} processes" if world.size > 1 else ""
    memory = peak_memory(trainer.device)
    peak = "unknown" if memory is None else f"{memory / 1e9:.1f} GB"
    limit = f", or the {config.max_time:g} min of --max-time" if config.max_time else ""
    return [
        f"data     {len(data):,} persons to train on, {persons:,} to validate",
        f"joints   {', '.join(data.skeleton.joints)}",
        f"network  {parameters(trainer.model.network):,} parameters; loss after {taken} steps: {loss:.4f}",
        f"device   {trainer.device}, {workers_of(config, trainer.device)} worker processes; peak memory {peak}",
        f"step     {step_seconds:.3f} s for {batch} crops{over}: {batch / step_seconds:.0f} crops a second",
        f"epoch    {steps:,} steps and the validation: {duration(epoch)}",
        f"run      {config.epochs} epochs: {duration(epoch * config.epochs)}{limit}",
    ]


def duration(seconds: float) -> str:
    """Returns seconds in a suitable unit, such as 45 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
