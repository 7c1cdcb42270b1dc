"""The training loop: a step, an epoch with its validation, and saving often enough that a kill costs little."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from posehg import checkpoints, distributed
from posehg.checkpoints import Checkpoint
from posehg.datasets.dataset import Dataset
from posehg.distributed import ALONE, World
from posehg.errors import CheckFailed, DeviceError, UsageError
from posehg.files import make_folder
from posehg.inference import devices
from posehg.inference.engines.torch import TorchEngine
from posehg.inference.estimator import Estimator
from posehg.inference.machine import batches_ahead
from posehg.network import StackedHourglass
from posehg.training import report
from posehg.training import state as states
from posehg.training.builder import freeze, initial_network, load_data, model_config, origin_of, set_training
from posehg.training.config import TrainConfig
from posehg.training.data import Crops, batches, crops_on, smallest_share, steps_per_epoch
from posehg.training.losses import LOSSES, labelled, supervised
from posehg.training.optim import Average, learning_rate, optimizer
from posehg.training.report import Listener, Report, Validation, validate
from posehg.training.state import STATE, Progress, State

LAST, BEST = "last.safetensors", "best.safetensors"


class Stepper:
    """Network, optimizer and what else changes from step to step, on one device of this process.

    network: on its device. average: the moving average of its weights, None without --ema.
    """

    def __init__(self, network: StackedHourglass, config: TrainConfig, device: torch.device, world: World) -> None:
        self.network = network
        self._config, self._device, self._world = config, device, world
        self.optimizer = optimizer(network, config)
        self.average = Average(network, config.ema) if config.ema else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        gpu = device.type == "cuda"
        if config.sync_bn and world.size > 1 and not gpu:
            raise DeviceError("--sync-bn needs GPUs.", "On CPUs each process has its own BatchNorm statistics.")
        self._parallel: DistributedDataParallel | None = None
        if world.size > 1:
            synced = nn.SyncBatchNorm.convert_sync_batchnorm(network) if config.sync_bn else network
            self._parallel = DistributedDataParallel(synced, device_ids=[device] if gpu else None)
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
        set_training(self.network, config)
        total = distributed.total(labelled(crops.points).sum())
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(zip(*(tensor.tensor_split(config.accumulate) for tensor in crops), strict=True))
        losses = []
        for place, (images, points) in enumerate(parts, start=1):
            # The gradient is sent to the other processes once, with the last part.
            last = place == len(parts)
            with nullcontext() if self._parallel is None or last else self._parallel.no_sync():
                loss = supervised(self._forward(images), points, config.sigma, LOSSES[config.loss], total)
                # DDP averages the gradients of the processes, but they are parts of one sum.
                self.scaler.scale(loss * self._world.size).backward()
            losses.append(loss.detach())
        if config.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.network, number)
        return torch.stack(losses).sum()

    def _forward(self, images: Tensor) -> list[Tensor]:
        batch = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        precision = precision_of(self._config, self._device)
        kind = torch.float16 if precision == "fp16" else torch.bfloat16
        with torch.autocast(self._device.type, kind, enabled=precision != "fp32"):
            return self._called(batch)

    @property
    def result(self) -> StackedHourglass:
        """The network to validate and to save."""
        return self.network if self.average is None else self.average.network


def precision_of(config: TrainConfig, device: torch.device) -> str:
    """Returns the precision of the convolutions: fp32, bf16 or fp16."""
    if config.precision != "auto":
        return config.precision
    return "bf16" if devices.multiplies_bf16(device) else "fp32"


class Trainer:
    """A training run in an existing folder. Of several processes each has its Trainer; the first one's writes.

    Raises UsageError if the batch is too small, or if a resumed run's data set has changed its size.
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
        if resumed is not None and resumed.persons != len(data):
            message = f"The run was trained on {resumed.persons:,} persons, but the data set now has {len(data):,}."
            raise UsageError(message, "Give the same --data as before.")
        self.device = devices.resolve(config.device)
        if self.device.index is not None and self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self._origin = origin_of(source) if resumed is None else resumed.origin
        self.model = model_config(config, data, self._origin)
        network, kept = initial_network(config, self.model, source if resumed is None else None)
        if kept:
            listener.note(kept)
        if config.freeze and resumed is None and source is None:
            listener.note("Frozen parts keep their random weights: --freeze is meant to be used with --init.")
        freeze(network, config)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stepper = Stepper(network, config, self.device, world)
        self._progress = Progress() if resumed is None else resumed.progress
        if resumed is not None:
            network.load_state_dict(resumed.network)
            self.stepper.optimizer.load_state_dict(resumed.optimizer)
            self.stepper.scaler.load_state_dict(resumed.scaler)
            if self.stepper.average is not None and resumed.average is not None:
                self.stepper.average.network.load_state_dict(resumed.average)
        self._steps = steps_per_epoch(len(data), config.batch)
        self._losses: list[Tensor] = []  # of the steps since the last look, not read from the device yet
        self._saved = self._looked = time.monotonic()
        self._stopping = self._save_due = False

    def go(self) -> bool:
        """Trains. Returns True after the last epoch, False if the listener stopped the run, which is then saved."""
        self._looked = time.monotonic()
        done = self._progress
        loader = iter(batches(self._data, self._config, self.device, done.epoch, done.step, self._world))
        with distributed.watched(f"Continue from the last save: posehg train --resume --out {self._folder}"):
            while self._progress.epoch < self._config.epochs and (self._progress.step or not self._out_of_time()):
                if not self._train_epoch(loader):
                    self._save()
                    return False
                self._finish_epoch()
        return True

    def _train_epoch(self, loader: Iterator[Any]) -> bool:
        """Returns False if the run is to stop. If time runs out, the epoch ends early."""
        look_every = batches_ahead(self.device)  # reading a loss waits for the device
        while self._step < self._steps and not self._out_of_time():
            crops = crops_on(self.device, next(loader), self._config.input_size)
            rate = learning_rate(self._config, self._share_done())
            self._losses.append(self.stepper(crops, rate, self._progress.epoch * self._steps + self._step))
            if len(self._losses) < look_every and self._step < self._steps:
                continue
            self._look(rate)
            if self._stopping:
                return False
            if self._save_due:
                self._save()
        return True

    @property
    def _step(self) -> int:
        """The step within the epoch that comes next."""
        return self._progress.step + len(self._losses)

    def _share_done(self) -> float:
        """The share of the run that is over in the middle of the next step, by steps or by time, whichever is more."""
        share = (self._progress.epoch * self._steps + self._step + 0.5) / (self._config.epochs * self._steps)
        limit = 60 * self._config.max_time
        return max(share, min(1.0, self._progress.seconds / limit)) if limit else share

    def _out_of_time(self) -> bool:
        return 0 < 60 * self._config.max_time <= self._progress.seconds

    def _look(self, rate: float) -> None:
        """Reads the losses of the last steps and agrees with the other processes on stopping, saving and the time."""
        now = time.monotonic()
        first = self._world.first
        due = first and now - self._saved > 60 * self._config.save_minutes
        flags = torch.tensor([float(self._listener.stop()), float(due), (now - self._looked) * first])
        # One exchange for everything: the losses of all processes add up to those of the whole batches.
        sums = distributed.total(torch.cat((torch.stack(self._losses).float(), flags.to(self.device)))).tolist()
        *losses, stop, save, seconds = sums
        self._losses, self._looked, self._stopping, self._save_due = [], now, stop > 0, save > 0
        done = self._progress
        for place, loss in enumerate(losses, start=done.step + 1):
            if not math.isfinite(loss):
                message = f"The loss became {loss} in epoch {done.epoch + 1}, step {place}."
                raise CheckFailed(message, "The last save is kept. Start a new run with a smaller --lr.")
        self._progress = replace(
            done,
            step=done.step + len(losses),
            loss_sum=done.loss_sum + math.fsum(losses),
            seconds=done.seconds + seconds if self._config.max_time else 0.0,
        )
        self._listener.step(done.epoch, self._progress.step, self._steps, losses[-1], rate)

    def _finish_epoch(self) -> None:
        """Validates, saves the model if it is the best so far, and the state in any case."""
        done = self._progress
        for network in dict.fromkeys((self.stepper.network, self.stepper.result)):
            distributed.spread(network.buffers())  # each process has its own BatchNorm statistics until now
        validations = [self.validate(data) for data in self._validation]
        counted = [v for v in validations if math.isfinite(v.pck)]
        # Shares of the torso and of the box have no common mean: the first set decides which of them count.
        scores = [v.pck for v in counted if v.measure == counted[0].measure]
        score = float(np.mean(scores)) if scores else -1.0
        row = {"epoch": done.epoch + 1.0, "loss": done.loss_sum / max(1, done.step)}
        row |= {f"pck_{v.data.name}": v.pck for v in validations}
        seconds = 0.0
        if self._config.max_time:
            now = time.monotonic()
            passed = torch.tensor([(now - self._looked) * self._world.first])  # by the clock of the first process
            seconds, self._looked = done.seconds + float(distributed.total(passed)), now
        self._progress = Progress(done.epoch + 1, 0, 0.0, max(score, done.best), (*done.history, row), seconds)
        if self._world.first and (not scores or score > done.best):
            checkpoints.save_file(self._folder / BEST, self.checkpoint(), overwrite=True)
        self._save()
        self._listener.epoch(self._progress, validations)

    def validate(self, data: Dataset) -> Validation:
        engine = TorchEngine(self.model, self.stepper.result, self._config.device)
        return validate(Estimator(engine, flip=False), data)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.model, self.stepper.result.state_dict())

    def _save(self) -> None:
        self._saved = time.monotonic()
        if not self._world.first:
            return
        checkpoints.save_file(self._folder / LAST, self.checkpoint(), overwrite=True)
        stepper = self.stepper
        average = None if stepper.average is None else stepper.average.network.state_dict()
        learned = (stepper.network.state_dict(), stepper.optimizer.state_dict(), stepper.scaler.state_dict(), average)
        state = State(self._config, self._progress, *learned, persons=len(self._data), origin=self._origin)
        states.save(self._folder / STATE, state)  # last: it alone decides how a resumed run continues


def check_batch(config: TrainConfig, count: int, world: World) -> None:
    """Raises UsageError if a batch of ``count`` persons has too few samples to be divided, or for BatchNorm."""
    share = smallest_share(count, config, world)
    if share < 1:
        parts = f"{config.accumulate} parts"
        divided = f"{world.size} processes and {parts}" if world.size > 1 else parts
        raise UsageError(
            f"Batches of {count // steps_per_epoch(count, config.batch)} cannot be divided into {divided}.",
            "Use a larger --batch or a smaller --accumulate.",
        )
    if share == 1 and config.input_size == 4 * 2**config.depth and "norm" not in config.frozen:
        raise UsageError(
            "BatchNorm cannot learn from a single crop whose smallest map is a single cell.",
            f"Use a larger --batch, or an --input-size above {config.input_size}.",
        )


def run(
    config: TrainConfig,
    folder: Path,
    data: Path | None,
    listener: Listener,
    resumed: State | None = None,
    overwrite: bool = False,
    source: Checkpoint | None = None,
    tensorboard: bool = False,
) -> bool:
    """Trains in ``folder`` and reports there. Returns True after the last epoch, False if the run was stopped.

    data: the folder of the data sets. resumed: the state to continue from. source: the initial weights.
    Nothing in the folder changes before options, data and device have been checked. Raises UsageError if the folder
    holds a run already and neither ``resumed`` nor ``overwrite`` is given.
    """
    if resumed is None and not overwrite:
        if any((folder / name).exists() for name in (STATE, LAST, BEST)):
            hint = "Give --resume to continue it, or --overwrite to start a new one."
            raise UsageError(f"{folder} already holds a run.", hint)
        existing = [name for name in report.FILES if (folder / name).exists()]
        if existing:
            raise UsageError(f"{folder / existing[0]} already exists.", "Give another folder, or --overwrite.")
    with distributed.joined(str(devices.resolve(config.device))) as world, distributed.watched():
        used, training, validation = distributed.alike(lambda: load_data(config, data, listener))
        reporting = distributed.alike(
            lambda: Report(folder, listener, training, used, tensorboard) if world.first else None
        )
        trainer = Trainer(used, training, validation, folder, reporting or listener, resumed, source, world)

        def prepare() -> None:
            if reporting is None:
                return
            if resumed is None:
                make_folder(folder)
                for old in (*(folder / name for name in (STATE, LAST, BEST)), *folder.glob(report.EVENTS)):
                    old.unlink(missing_ok=True)
            reporting.write_start(Progress() if resumed is None else resumed.progress)

        distributed.alike(prepare)
        return trainer.go()
