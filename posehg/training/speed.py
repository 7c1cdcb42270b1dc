"""How many pictures a second training takes in, and which of its parts holds it up: crops, steps or the machine."""

from __future__ import annotations

import itertools
import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from posehg.checkpoints import Checkpoint
from posehg.datasets.dataset import Dataset
from posehg.inference import devices
from posehg.inference.machine import Spread, check_alone, clocked, forward_flop, peak_memory, product_rate
from posehg.network import parameters
from posehg.training import session
from posehg.training.batches import Crops
from posehg.training.config import TrainConfig
from posehg.training.loop import Listener, Run
from posehg.training.pipeline import batches, on, on_device, workers_of
from posehg.training.samples import ALONE, steps_per_epoch, unchanged
from posehg.training.state import Progress
from posehg.training.step import precision_of

ROUNDS = 5
"""Each part's time is cut into so many, in turn with the others', so that whatever disturbs the machine hits all."""
BACKWARD = 2
"""What a backward pass computes, in forward passes: a gradient for each layer's input, and one for its weights."""

_WARM = 3
"""Steps before the clock starts, for each size of batch (buffers, compilation)."""
_ENDLESS = 1_000_000_000


@dataclass(frozen=True)
class Setting:
    """What was measured, and where. kept: whether decoded parts stay in memory. warp: cpu or device."""

    device: str
    hardware: str
    precision: str
    compile: bool
    warp: str
    workers: int
    threads: int
    torch: str
    persons: int
    kept: bool
    parameters: int


@dataclass(frozen=True)
class Speed:
    """Rates are in pictures a second.

    first_time: the pipeline's with nothing decoded yet and the start of its workers. pipeline: later on. step: on one
    batch that lies on the device. both: as training goes. both_to_step, pipeline_to_step: ratios within a round.
    forward: FLOP a picture, a multiplication and an addition being two. products: FLOP a second in matrix products.
    memory: bytes at the highest, of the GPU where there is one; None where the system does not tell.
    """

    setting: Setting
    first_time: float
    pipeline: Spread
    step: Spread
    both: Spread
    both_to_step: Spread
    pipeline_to_step: Spread
    forward: int
    products: float
    memory: int | None

    @property
    def trained(self) -> int:
        """FLOP a picture, forward and backward; frozen parts, which need less, are counted like the others."""
        return self.forward * (1 + BACKWARD)

    @property
    def limit(self) -> float:
        """The pictures a second of a step that consisted of nothing but matrix products."""
        return self.products / self.trained

    @property
    def step_to_limit(self) -> float:
        return self.step.median / self.limit


def measure(
    config: TrainConfig, place: session.Place, listener: Listener, source: Checkpoint | None, seconds: float
) -> Speed:
    """The speed of a run with these options. seconds: how long each part is measured. The run's folder is not used."""
    check_alone()
    devices.resolve(config.device)  # one that is not there is told before the data are read
    data = session.load_sets(config, place.data, listener).training
    return on_data(config, data, listener, source, seconds)


def on_data(config: TrainConfig, data: Dataset, listener: Listener, source: Checkpoint | None, seconds: float) -> Speed:
    """The speed with this data set."""
    going = replace(unchanged(config) if config.overfit else config, epochs=_ENDLESS)
    run = Run(going, data, (), Path(), listener, None, source)
    device, steps = run.device, steps_per_epoch(len(data), going.batch)
    step = _stepping(run)
    loader = batches(data, going, device, Progress(), ALONE)

    def take(coming: Iterator[Any]) -> Crops:
        return on(device, next(coming), going.input_size)

    listener.note("Warming up")
    fixed = take(iter(batches(data, replace(going, workers=0), device, Progress(), ALONE)))
    _warm_up(step, fixed, uneven=len(data) % steps > 0)
    listener.note("Measuring the pipeline's first time through the data")
    coming: Iterator[Any] = itertools.chain(loader)  # begins the workers at the first batch, on the clock
    first = clocked(device, lambda: len(take(coming).images), seconds, most=steps)
    kept = loader.num_workers == 0
    if kept:
        coming = iter(_again(loader, first.batches))
    listener.note(f"Measuring pipeline, both and step in {ROUNDS} rounds")
    pipeline, both, alone = _rounds(
        device,
        (lambda: len(take(coming).images), lambda: step(take(coming)), lambda: step(fixed)),
        ready=loader.num_workers * (loader.prefetch_factor or 0) + 1 if loader.num_workers else 0,
        seconds=seconds / ROUNDS,
    )
    memory = peak_memory(device)  # before the matrices, which are not the training's
    listener.note("Measuring matrix products")
    precision = precision_of(config, device)
    return Speed(
        _setting(config, run, data, precision, kept),
        first.rate,
        Spread.of(pipeline),
        Spread.of(alone),
        Spread.of(both),
        # Within a round, whose parts have seen the same machine.
        Spread.of([b / s for b, s in zip(both, alone, strict=True)]),
        Spread.of([p / s for p, s in zip(pipeline, alone, strict=True)]),
        forward_flop(run.model.network, going.input_size),
        product_rate(device, precision, seconds),
        memory,
    )


def _setting(config: TrainConfig, run: Run, data: Dataset, precision: str, kept: bool) -> Setting:
    device = run.device
    return Setting(
        device=str(device),
        hardware=torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        precision=precision,
        compile=config.compile,
        warp="device" if on_device(config, device) else "cpu",
        workers=workers_of(config, device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        persons=len(data),
        kept=kept,
        parameters=parameters(run.model.network),
    )


# ---- the parts ---------------------------------------------------------------------------------------------------


def _stepping(run: Run) -> Callable[[Crops], int]:
    """A step on a batch -> how many pictures it has."""
    numbers = itertools.count()

    def step(crops: Crops) -> int:
        # A rate of 0 costs as much, and a thousand steps on one batch do not lead into numbers that no run sees.
        run.stepper(crops, 0.0, next(numbers))
        return len(crops.images)

    return step


def _warm_up(step: Callable[[Crops], int], fixed: Crops, uneven: bool) -> None:
    """uneven: whether there are batches with one sample less, for which a network is compiled once more."""
    smaller = Crops(*(tensor[:-1] for tensor in fixed))
    for crops in (fixed, smaller) if uneven else (fixed,):
        for _ in range(_WARM):
            step(crops)


class _Again(Sampler[list[tuple[int, int]]]):
    """The persons of the first ``count`` batches again and again, in other views each time."""

    def __init__(self, order: Any, count: int) -> None:
        self._order, self._count = order, count

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = list(itertools.islice(self._order, self._count))
        for epoch in itertools.count(1):
            for batch in first:
                yield [(epoch, index) for _, index in batch]


def _again(loader: DataLoader[Any], count: int) -> DataLoader[Any]:
    """A later epoch, with what the first batches have left in the loader's memory.

    It stands for a run whose parts all have room there, without the time to decode all of them.
    """
    return DataLoader(
        loader.dataset,
        batch_sampler=_Again(loader.batch_sampler, count),
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
    )


def _rounds(
    device: torch.device, parts: tuple[Callable[[], int], ...], ready: int, seconds: float
) -> tuple[list[float], list[float], list[float]]:
    """The rates of pipeline, both and step in each round. ready: batches that the workers may have made in advance."""
    pipeline, both, step = parts
    rates: tuple[list[float], list[float], list[float]] = ([], [], [])
    for _ in range(ROUNDS):
        clocked(device, pipeline, math.inf, most=ready)  # made while something else was on the clock
        made = clocked(device, pipeline, seconds)
        rates[0].append(made.rate)
        rates[1].append(clocked(device, both, seconds).rate)
        # The workers go on until as many lie ready, and a step on a CPU would feel it.
        clocked(device, step, ready * made.seconds / made.batches)
        rates[2].append(clocked(device, step, seconds).rate)
    return rates
