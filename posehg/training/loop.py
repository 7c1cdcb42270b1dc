"""The loop: samples to steps, an epoch to a validation, and a checkpoint often enough that no kill costs much."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from posehg import __version__, checkpoints, metrics
from posehg.checkpoints import Checkpoint, ModelConfig
from posehg.datasets.dataset import Dataset
from posehg.errors import CheckFailed, UsageError
from posehg.inference import devices, persons
from posehg.inference.estimator import Estimator
from posehg.network import HourglassConfig, StackedHourglass
from posehg.poses import Pose
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.losses import LOSSES, supervised
from posehg.training.optimize import learning_rate, optimizer
from posehg.training.samples import Order, Samples, steps_per_epoch
from posehg.training.state import Progress, State

LAST, BEST, STATE = "last.safetensors", "best.safetensors", "state.pt"


@dataclass(frozen=True, eq=False)
class Validation:
    """A validation set with what the network said of it."""

    data: Dataset
    poses: Sequence[Pose]
    pck: float


class Listener(Protocol):
    """Whoever wants to know how the run goes, and may end it."""

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None: ...
    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None: ...
    def stop(self) -> bool: ...
    def note(self, text: str) -> None: ...


def model_config(config: TrainConfig, data: Dataset) -> ModelConfig:
    network = HourglassConfig(
        len(data.skeleton.joints), config.stacks, config.features, config.depth, config.blocks, config.stem
    )
    size = (config.input_size, config.input_size)
    output = {"mse": "heatmaps", "cross-entropy": "logits"}[config.loss]
    return ModelConfig(network, data.skeleton, size, config.padding, config.sigma, output, _provenance(config))  # type: ignore[arg-type]


def _provenance(config: TrainConfig) -> dict[str, str]:
    """What the model's file says of where it comes from: the data, and every option of it that is not the default."""
    beside = {"dataset", "device", "workers", "save_minutes"}  # these change nothing in the weights, but for the first
    options = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in beside}
    chosen = [f"{name} {value}" for name, value in options.items() if value != getattr(TrainConfig, name)]
    return {"made_by": f"posehg {__version__}", "trained_on": config.dataset, "options": ", ".join(chosen)}


class Run:
    """One training run in its folder, which must exist when it goes.

    ``go`` returns True when the last epoch is done, False when it was stopped.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Dataset,
        validation: Sequence[Dataset],
        folder: Path,
        listener: Listener,
        resumed: State | None = None,
    ) -> None:
        self._config, self._data, self._validation = config, data, validation
        self._folder, self._listener = folder, listener
        if min(config.batch, len(data)) == 1 and config.input_size == 4 * 2**config.depth:
            raise UsageError(
                "BatchNorm cannot learn from one crop whose smallest map is a single cell.",
                f"Take a --batch of at least 2, or an --input-size above {config.input_size}.",
            )
        self._device = devices.resolve(config.device)
        torch.manual_seed(config.seed)
        self.model = model_config(config, data)
        self._network: StackedHourglass = StackedHourglass(self.model.network).to(
            self._device, memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        self._optimizer = optimizer(self._network, config)
        self._progress = Progress()
        if resumed is not None:
            self._network.load_state_dict(resumed.network)
            self._optimizer.load_state_dict(resumed.optimizer)
            torch.set_rng_state(resumed.rng)
            self._progress = resumed.progress
        self._samples = Samples(data, config)
        self._steps = steps_per_epoch(len(data), config.batch)
        self._saved = time.monotonic()

    def go(self) -> bool:
        while self._progress.epoch < self._config.epochs:
            if not self._train_epoch():
                self._save()
                return False
            self._finish_epoch()
        return True

    def _train_epoch(self) -> bool:
        progress = self._progress
        order = Order(len(self._data), self._config, progress.epoch, progress.step)
        workers = self._config.workers
        loader: DataLoader[Any] = DataLoader(
            self._samples, batch_sampler=order, num_workers=workers, worker_init_fn=_ignore_interrupts
        )
        for images, points in loader:
            loss, rate = self._step(images, points)
            done = self._progress
            self._progress = replace(done, step=done.step + 1, loss_sum=done.loss_sum + loss)
            self._listener.step(done.epoch, done.step + 1, self._steps, loss, rate)
            if self._listener.stop():
                return False
            if time.monotonic() - self._saved > 60 * self._config.save_minutes:
                self._save()
        return True

    def _step(self, images: Tensor, points: Tensor) -> tuple[float, float]:
        """images (B, 3, S, S) uint8, points (B, J, 2) heatmap cells -> the loss and the learning rate used."""
        config, progress = self._config, self._progress
        rate = learning_rate(config, progress.epoch * self._steps + progress.step, config.epochs * self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._network.train()
        batch = images.to(self._device, non_blocking=True).float() / 255
        with self._autocast():
            outputs = self._network(batch.contiguous(memory_format=torch.channels_last))
        loss = supervised(outputs, points.to(self._device), config.sigma, LOSSES[config.loss])
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise CheckFailed(
                f"The loss became {value} in epoch {progress.epoch + 1}, step {progress.step + 1}.",
                "What was saved is kept. Begin a new run with a smaller --lr.",
            )
        self._optimizer.step()
        return value, rate

    def _autocast(self) -> AbstractContextManager[Any]:
        wanted = self._config.precision
        half = wanted == "bf16" or (wanted == "auto" and devices.multiplies_bf16(self._device))
        return torch.autocast(self._device.type, torch.bfloat16, enabled=half)

    def _finish_epoch(self) -> None:
        done = self._progress
        validations = [self._validate(data) for data in self._validation]
        scores = [
            v.pck for v in validations if math.isfinite(v.pck)
        ]  # NaN: no labelled joint, or no torso to measure by
        score = float(np.mean(scores)) if scores else -1.0
        row = {"epoch": done.epoch + 1.0, "loss": done.loss_sum / self._steps}
        row |= {f"pck_{v.data.name}": v.pck for v in validations}
        better = not scores or score > done.best
        self._progress = Progress(epoch=done.epoch + 1, best=max(score, done.best), history=(*done.history, row))
        if better:
            checkpoints.save_file(self._folder / BEST, self.checkpoint(), overwrite=True)
        self._save()
        self._listener.epoch(self._progress, validations)

    def _validate(self, data: Dataset) -> Validation:
        estimator = Estimator(self.checkpoint(), self._config.device, flip=False, network=self._network)
        poses = list(persons.estimate(estimator, data))
        predicted = np.stack([pose.keypoints for pose in poses])
        truth = np.stack([person.keypoints for person in data.persons])
        scores = metrics.pck(predicted, truth, data.skeleton)
        return Validation(data, poses, scores.mean(metrics.limb_indices(data.skeleton)))

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.model, self._network.state_dict())

    def _save(self) -> None:
        """The state alone decides what a resumed run does; it is written last."""
        checkpoints.save_file(self._folder / LAST, self.checkpoint(), overwrite=True)
        state = State(
            config=self._config,
            progress=self._progress,
            network=self._network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            rng=torch.get_rng_state(),
        )
        states.save(self._folder / STATE, state)
        self._saved = time.monotonic()


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the training process alone answers it, and ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
