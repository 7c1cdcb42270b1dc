"""The loop: samples to steps, an epoch to a validation, and a checkpoint often enough that no kill costs much."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from posehg import checkpoints, distributed
from posehg.checkpoints import Checkpoint
from posehg.datasets.dataset import Dataset
from posehg.distributed import World
from posehg.errors import CheckFailed, UsageError
from posehg.inference import devices
from posehg.inference.engines.pytorch import Torch
from posehg.inference.estimator import Estimator
from posehg.inference.machine import batches_ahead
from posehg.training import state as states
from posehg.training.batches import Crops, Parts
from posehg.training.config import TrainConfig
from posehg.training.optimize import learning_rate
from posehg.training.pipeline import batches, on
from posehg.training.samples import ALONE, smallest_share, steps_per_epoch
from posehg.training.start import first_network, freeze, model_config, origin_of
from posehg.training.state import Progress, State
from posehg.training.step import Stepper
from posehg.training.validation import Validation, validate

LAST, BEST, STATE = "last.safetensors", "best.safetensors", "state.pt"


class Listener(Protocol):
    """Whoever wants to know how the run goes, and may end it."""

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None: ...
    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None: ...
    def stop(self) -> bool: ...
    def note(self, text: str) -> None: ...


class Run:
    """One training run in its folder, which must exist when it goes.

    ``go`` returns True when the last epoch is done, False when it was stopped. Of several processes each has its Run,
    and the first one's writes.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Dataset,
        validation: Sequence[Dataset],
        folder: Path,
        listener: Listener,
        resumed: State | None = None,
        source: Checkpoint | None = None,
        world: World = ALONE,
    ) -> None:
        self._config, self._data, self._validation = config, data, validation
        self._folder, self._listener, self._world = folder, listener, world
        check_batch(config, len(data), world)
        self.device = devices.resolve(config.device)
        if self.device.index is not None and self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self._origin = origin_of(source) if resumed is None else resumed.origin
        self.model = model_config(config, data, self._origin)
        network, kept = first_network(config, self.model, source if resumed is None else None)
        if kept:
            listener.note(kept)
        if config.freeze and resumed is None and source is None:
            listener.note("Frozen parts keep their random weights: --freeze is meant for a network that --init gives.")
        freeze(network, config)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stepper = Stepper(network, config, self.device, world)
        self._progress = Progress()
        if resumed is not None:
            if resumed.persons != len(data):
                raise UsageError(
                    f"The run learned from {resumed.persons:,} persons, and the data set has {len(data):,} now.",
                    "Give the --data that it was begun with.",
                )
            self._progress = resumed.progress
            resumed.restore(self.stepper)
        self._steps = steps_per_epoch(len(data), config.batch)
        self._losses: list[Tensor] = []
        self._saved = self._looked = time.monotonic()
        self._stopping = self._due = False

    def go(self) -> bool:
        self._looked = time.monotonic()
        loader = batches(self._data, self._config, self.device, self._progress, self._world)
        coming: Iterator[Crops | Parts] = iter(loader)
        with distributed.watched(f"What was saved is kept: go on with posehg train --resume --out {self._folder}"):
            while self._progress.epoch < self._config.epochs and (self._progress.step or not self._out_of_time()):
                if not self._train_epoch(coming):
                    self._save()
                    return False
                self._finish_epoch()
        return True

    def _train_epoch(self, coming: Iterator[Crops | Parts]) -> bool:
        """False where somebody wants to stop. Where the time is over, the epoch ends early."""
        look_every = batches_ahead(self.device)
        while self._progress.step + len(self._losses) < self._steps and not self._out_of_time():
            crops = on(self.device, next(coming), self._config.input_size)
            rate = learning_rate(self._config, self._done())
            number = self._progress.epoch * self._steps + self._progress.step + len(self._losses)
            self._losses.append(self.stepper(crops, rate, number))
            if len(self._losses) < look_every and self._progress.step + len(self._losses) < self._steps:
                continue
            self._look(rate)
            if self._stopping:
                return False
            if self._due:
                self._save()
        return True

    def _look(self, rate: float) -> None:
        """Read the losses of the last steps, and agree with the other processes on how to go on."""
        now = time.monotonic()
        first = self._world.first
        due = first and now - self._saved > 60 * self._config.save_minutes
        flags = torch.tensor([float(self._listener.stop()), float(due), (now - self._looked) * first])
        told = distributed.total(torch.cat((torch.stack(self._losses).float(), flags.to(self.device)))).tolist()
        *losses, stop, save, seconds = told
        self._losses, self._looked, self._stopping, self._due = [], now, stop > 0, save > 0
        done = self._progress
        for place, loss in enumerate(losses, start=done.step + 1):
            if not math.isfinite(loss):
                raise CheckFailed(
                    f"The loss became {loss} in epoch {done.epoch + 1}, step {place}.",
                    "What was saved is kept. Begin a new run with a smaller --lr.",
                )
        self._progress = replace(
            done,
            step=done.step + len(losses),
            loss_sum=done.loss_sum + math.fsum(losses),
            seconds=done.seconds + seconds if self._config.max_time else 0.0,
        )
        self._listener.step(done.epoch, self._progress.step, self._steps, losses[-1], rate)

    def _done(self) -> float:
        """The share of the run that is over in the middle of this step: of its steps, or of its time where more."""
        step = self._progress.epoch * self._steps + self._progress.step + len(self._losses)
        share = (step + 0.5) / (self._config.epochs * self._steps)
        limit = 60 * self._config.max_time
        return max(share, min(1.0, self._progress.seconds / limit)) if limit else share

    def _out_of_time(self) -> bool:
        return 0 < 60 * self._config.max_time <= self._progress.seconds

    def _finish_epoch(self) -> None:
        done = self._progress
        self._agree()
        validations = [self.validate(data) for data in self._validation]
        counted = [v for v in validations if math.isfinite(v.pck)]  # NaN: no labelled joint, or no torso
        # A share of the torso and one of the box have no common mean: what the first set is measured by decides.
        scores = [v.pck for v in counted if v.measure == counted[0].measure]
        score = float(np.mean(scores)) if scores else -1.0
        row = {"epoch": done.epoch + 1.0, "loss": done.loss_sum / max(1, done.step)}
        row |= {f"pck_{v.data.name}": v.pck for v in validations}
        better = not scores or score > done.best
        seconds = done.seconds + self._seconds_since_look() if self._config.max_time else 0.0
        self._progress = Progress(done.epoch + 1, 0, 0.0, max(score, done.best), (*done.history, row), seconds)
        if better and self._world.first:
            checkpoints.save_file(self._folder / BEST, self.checkpoint(), overwrite=True)
        self._save()
        self._listener.epoch(self._progress, validations)

    def _seconds_since_look(self) -> float:
        """By the clock of the first process."""
        now = time.monotonic()
        passed = distributed.total(torch.tensor([(now - self._looked) * self._world.first]))
        self._looked = now
        return float(passed)

    def _agree(self) -> None:
        """BatchNorm's statistics are those of the first process, everywhere."""
        for network in dict.fromkeys((self.stepper.network, self.stepper.result)):
            distributed.spread(network.buffers())

    def validate(self, data: Dataset) -> Validation:
        engine = Torch(self.model, self.stepper.result, self._config.device)
        return validate(Estimator(engine, flip=False), data)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.model, self.stepper.result.state_dict())

    def _save(self) -> None:
        """The state alone decides what a resumed run does; it is written last."""
        self._saved = time.monotonic()
        if not self._world.first:
            return
        checkpoints.save_file(self._folder / LAST, self.checkpoint(), overwrite=True)
        state = State.of(self._config, self._progress, self.stepper, len(self._data), self._origin)
        states.save(self._folder / STATE, state)


def check_batch(config: TrainConfig, count: int, world: World) -> None:
    """Raises UsageError for a batch with too few samples to be divided, or for BatchNorm to learn from."""
    share = smallest_share(count, config, world)
    if share < 1:
        parts = f"{config.accumulate} parts"
        divided = f"{world.size} processes and {parts}" if world.size > 1 else parts
        raise UsageError(
            f"Batches of {count // steps_per_epoch(count, config.batch)} cannot be divided into {divided}.",
            "Take a larger --batch or a smaller --accumulate.",
        )
    if share == 1 and config.input_size == 4 * 2**config.depth and "norm" not in config.frozen:
        raise UsageError(
            "BatchNorm cannot learn from one crop whose smallest map is a single cell.",
            f"Take a larger --batch, or an --input-size above {config.input_size}.",
        )
