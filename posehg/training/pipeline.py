"""From a data set to crops on the device: by worker processes, and by the device itself where it is a GPU."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from posehg.datasets.dataset import Dataset
from posehg.distributed import World
from posehg.errors import PosehgError
from posehg.training.batches import Collate, Crops, Parts, Sample, moved, warped
from posehg.training.config import TrainConfig
from posehg.training.samples import Order, Samples
from posehg.training.state import Progress

_MOST_WORKERS = 16
_KEPT = 0.25
"""The share of the machine's memory for decoded parts, of all processes; workers would each keep all of them."""


def workers_of(config: TrainConfig, device: torch.device) -> int:
    """How many processes prepare samples: as asked, else none on a CPU, which has its hands full, and a GPU's share."""
    if config.workers >= 0:
        return config.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if device.type == "cpu" else min(_MOST_WORKERS, max(1, cores // max(1, torch.cuda.device_count())))


def on_device(config: TrainConfig, device: torch.device) -> bool:
    """Whether the device makes the crops."""
    return config.warp == "device" or (config.warp == "auto" and device.type != "cpu")


def batches(
    data: Dataset, config: TrainConfig, device: torch.device, progress: Progress, world: World
) -> DataLoader[Any]:
    """This process's share of the run's remaining batches: one loader for all epochs, so that none begins cold."""
    workers = workers_of(config, device)
    if workers:
        # Workers begin as copies of this process without its threads, and wait for ever for OpenCV's if there were any.
        cv2.setNumThreads(1)
    return _Loader(
        _Answers(Samples(data, config, keep=0 if workers else _KEPT / world.size)),
        batch_sampler=Order(len(data), config, progress.epoch, progress.step, world),
        collate_fn=_Collate(Collate(config.input_size, on_device(config, device))),
        num_workers=workers,
        worker_init_fn=_begin_worker,
        pin_memory=device.type == "cuda",
    )


def on(device: torch.device, batch: Crops | Parts, size: int) -> Crops:
    """The batch's crops on the device, made there where that is due."""
    there = moved(batch, device)
    return warped(there, size) if isinstance(there, Parts) else there


def _begin_worker(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal, and torchrun's end every one of a group; the training process alone
    # answers them, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    cv2.setNumThreads(1)  # where they do not begin as copies


# An error that is raised in a worker process would come without its hint, and with a traceback for its message.


class _Answers(TorchDataset[Sample | PosehgError]):
    """Each sample, or the error that it met."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, key: tuple[int, int]) -> Sample | PosehgError:
        try:
            return self._samples[key]
        except PosehgError as error:
            return error


@dataclass(frozen=True)
class _Collate:
    collate: Collate

    def __call__(self, answers: Sequence[Sample | PosehgError]) -> Crops | Parts | PosehgError:
        samples = [answer for answer in answers if not isinstance(answer, PosehgError)]
        errors = (answer for answer in answers if isinstance(answer, PosehgError))
        return next(errors, None) or self.collate(samples)


class _Loader(DataLoader[Any]):
    def __iter__(self) -> Any:
        return _raising(super().__iter__())


def _raising(batches: Iterator[Crops | Parts | PosehgError]) -> Iterator[Crops | Parts]:
    for batch in batches:
        if isinstance(batch, PosehgError):
            raise batch
        yield batch
