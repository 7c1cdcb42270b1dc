"""The training loop: epochs, validation, and saving often enough that a kill costs little; and a dry run."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posehg import checkpoints, datasets, distributed
from posehg.checkpoints import Checkpoint
from posehg.checkpoints.format import BEST, LAST
from posehg.checkpoints.transfer import transfer
from posehg.datasets.dataset import Dataset
from posehg.datasets.scenes import Scenes
from posehg.distributed import ALONE, World
from posehg.errors import CheckFailed, InputError, UsageError
from posehg.files import make_folder
from posehg.inference import devices
from posehg.inference.devices import batches_ahead, peak_memory
from posehg.inference.engines.torch import TorchEngine
from posehg.inference.estimator import Estimator
from posehg.network import StackedHourglass, parameters
from posehg.training import detect, report
from posehg.training import state as states
from posehg.training.builder import Teacher, load_data, model_config
from posehg.training.config import TrainConfig
from posehg.training.data import LeftOut, batches, crops_on, steps_per_epoch, workers_of
from posehg.training.report import Listener, Report, Validation, validate
from posehg.training.state import STATE, Progress, State
from posehg.training.step import Stepper, learning_rate

_WARM_UP, _TIMED, _TRIED_PERSONS = 2, 5, 16
"""Of a dry run: steps before the clock starts (buffers, compilation), timed steps, persons of each validation set."""


class Trainer:
    """A training run in an existing folder. Of several processes each has its Trainer; the first one's writes.

    resumed: the state to continue from. source: the initial weights. data_folder: that of the data sets, which the
    state keeps for a resumed run.
    Raises UsageError if the batch is too small, or if a resumed run's data set has changed its size.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Dataset | Scenes,
        validation: Sequence[Dataset | Scenes],
        folder: Path,
        listener: Listener,
        resumed: State | None = None,
        source: Checkpoint | None = None,
        world: World = ALONE,
        data_folder: str = "",
    ) -> None:
        self._config, self._data, self._validation = config, data, list(validation)
        self._folder, self._listener, self._world, self._data_folder = folder, listener, world, data_folder
        check_batch(config, len(data), world)
        if resumed is not None and resumed.persons != len(data):
            trained = f"{resumed.persons:,} {config.counted}"
            message = f"The run was trained on {trained}, but the data set now has {len(data):,}."
            raise UsageError(message, "Give the same --data as before.")
        self.device = devices.resolve(config.device)
        if self.device.index is not None and self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        teacher = Teacher(config, data.skeleton.joints) if config.teacher else None
        if resumed is None:
            before = {} if source is None else {"trained_on": "unknown data", **source.config.provenance}
            licences = dict.fromkeys((before.get("licence", ""), teacher.licence if teacher else ""))
            self._origin, self._licence = before.get("trained_on", ""), "; ".join(filter(None, licences))
        else:
            self._origin, self._licence = resumed.origin, resumed.licence
        self.model = model_config(config, data, self._origin, self._licence)
        torch.manual_seed(config.seed)
        network = StackedHourglass(self.model.network)
        if source is not None:
            initial, kept = transfer(source, Checkpoint(self.model, network.state_dict()))
            network.load_state_dict(dict(initial.state))
            listener.note(kept)
        elif config.freeze and resumed is None:
            listener.note("Frozen parts keep their random weights: --freeze is meant to be used with --init.")
        if self.model.output == "boxes" and resumed is None and (source is None or source.config.output != "boxes"):
            detect.expect_nobody(network)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if teacher is not None:
            teacher.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stepper = Stepper(network, config, self.device, world, teacher)
        self.progress = Progress()
        if resumed is not None:
            self.progress = resumed.progress
            network.load_state_dict(resumed.network)
            self.stepper.optimizer.load_state_dict(resumed.optimizer)
            self.stepper.scaler.load_state_dict(resumed.scaler)
            if self.stepper.average is not None and resumed.average is not None:
                self.stepper.average.load_state_dict(resumed.average)
        self._steps, self._left_out = steps_per_epoch(len(data), config.batch), LeftOut(data, listener.note)
        self._saved = self._looked = time.monotonic()
        # With other joints or outputs, the initial weights are no model yet.
        theirs, joints = None if source is None else source.config, {*self.model.skeleton.joints}
        self._tuned = theirs is not None and theirs.output == self.model.output and joints <= {*theirs.skeleton.joints}

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or the time is up and what was trained until then has been validated."""
        done = self.progress
        validated = not done.step or (bool(done.history) and done.history[-1]["epoch"] == self.epochs_done)
        return done.epoch >= self._config.epochs or (done.time_used(self._config) == 1 and validated)

    @property
    def epochs_done(self) -> float:
        """With its fraction: 2.3 is three tenths into the third epoch."""
        return self.progress.epoch + self.progress.step / self._steps

    def go(self) -> bool:
        """Trains. Returns True at the end, False if the listener stopped the run, which is then saved."""
        self._looked = time.monotonic()
        if self._tuned and self.progress == Progress():
            self._measure_initial()
        done = self.progress
        loader = batches(self._data, self._config, self.device, done.epoch, done.step, self._world, self._left_out)
        with distributed.watched(f"Continue from the last save: posehg train --resume --out {self._folder}"):
            while not self.is_finished:
                if not self._train_epoch(loader):
                    self._save()
                    return False
                self._finish_epoch()
        return True

    def _train_epoch(self, loader: Iterator[Any]) -> bool:
        """Returns False if the run is to stop. If time runs out, the epoch ends early."""
        config, first, look_every = self._config, self._world.first, batches_ahead(self.device)
        before, step = self.progress.epoch * self._steps, self.progress.step
        unread: list[Tensor] = []  # losses on the device: reading them waits for it
        while step < self._steps and self.progress.time_used(config) < 1:
            crops = crops_on(self.device, next(loader), config.input_size)
            # The middle of the step, as a share of the run: by steps or by time, whichever is more.
            done = (before + step + 0.5) / (config.epochs * self._steps)
            done = max(done, self.progress.time_used(config))
            rate = learning_rate(config, done)
            unread.append(self.stepper(crops, rate, before + step))
            step += 1
            if len(unread) < look_every and step < self._steps:
                continue
            now = time.monotonic()
            due = first and now - self._saved > 60 * config.save_minutes
            flags = torch.tensor([float(self._listener.stop()), float(due), (now - self._looked) * first])
            # One exchange for everything: the losses of all processes add up to those of the whole batches.
            sums = distributed.total(torch.cat((torch.stack(unread).float(), flags.to(self.device)))).tolist()
            *losses, stop, save, seconds = sums
            unread, self._looked = [], now
            for place, loss in enumerate(losses, start=step - len(losses) + 1):
                if not math.isfinite(loss):
                    message = f"The loss became {loss} in epoch {self.progress.epoch + 1}, step {place}."
                    raise CheckFailed(message, "Start a new run with a smaller --lr. What was saved before is kept.")
            self.progress = replace(
                self.progress,
                step=step,
                loss_sum=self.progress.loss_sum + math.fsum(losses),
                seconds=self.progress.seconds + seconds,
            )
            self._listener.step(self.progress.epoch, step, self._steps, losses[-1], rate)
            if stop:
                return False
            if save:
                self._save()
        return True

    def _finish_epoch(self) -> None:
        """Validates, saves the model if it is the best so far, and the state in any case."""
        done, epochs = self.progress, self.epochs_done
        for network in dict.fromkeys((self.stepper.network, self.stepper.result)):
            buffers = list(network.buffers())  # each process has its own BatchNorm statistics until now
            for mine, first in zip(buffers, distributed.gather([b.cpu() for b in buffers])[0], strict=True):
                mine.copy_(first)
        for errors in distributed.gather([*self._left_out.errors.values()]):  # only the first process reports them
            for error in errors:
                self._left_out.add(error)
        validations = self.validate()
        score = _score(validations)
        row = {"epoch": epochs, "loss": done.loss_sum / max(1, done.step)}
        row |= {f"{'ap50' if self._config.task == 'detect' else 'pck'}_{v.data.name}": v.score for v in validations}
        now = time.monotonic()
        passed = torch.tensor([(now - self._looked) * self._world.first])  # by the clock of the first process
        validation, self._looked = float(distributed.total(passed)), now
        seconds = done.seconds + validation
        row |= {"lr": self.stepper.optimizer.param_groups[0]["lr"], "seconds": seconds}
        is_best = score >= max(done.best, 0)  # of equals, the later one has seen more
        self.progress = replace(
            Progress(done.epoch + 1) if done.step == self._steps else done,
            best=max(score, done.best),
            history=(*done.history, row),
            seconds=seconds,
            best_epoch=epochs if is_best else done.best_epoch,
            validation=validation,
        )
        if self._world.first and (is_best or score < 0):
            self._save_model(BEST)
        self._save()
        self._listener.epoch(self.progress, validations)

    def _measure_initial(self) -> None:
        """Validates the weights of --init: if all epochs are worse, they stay the best."""
        if validations := self.validate():
            self.progress = replace(self.progress, best=_score(validations))
            if self._world.first:
                self._save_model(BEST)
            self._save()
            self._listener.note(f"before training{report.scores_text(validations)}")

    def validate(self) -> list[Validation]:
        """Validates on each set, without images that cannot be read."""
        validations = []
        for place, data in enumerate(self._validation):
            try:
                validations.append(self._validated(data))
            except InputError:  # in all processes
                self._validation[place] = detect.readable(data, self._listener.note)
                validations.append(self._validated(self._validation[place]))
        return validations

    def _validated(self, data: Dataset | Scenes) -> Validation:
        engine = TorchEngine(self.model, self.stepper.result, self._config.device)
        if isinstance(data, Scenes):
            return detect.validate(engine, data)
        return validate(Estimator(engine, flip=False), data)

    def _save(self) -> None:
        self._saved = time.monotonic()
        if not self._world.first:
            return
        self._save_model(LAST)
        stepper = self.stepper
        average = None if stepper.average is None else stepper.average.state_dict()
        learned = (stepper.network.state_dict(), stepper.optimizer.state_dict(), stepper.scaler.state_dict(), average)
        before = (self._origin, self._data_folder, self._licence)
        state = State(self._config, self.progress, *learned, len(self._data), *before)
        states.save(self._folder / STATE, state)  # last: it alone decides how a resumed run continues

    def _save_model(self, name: str) -> None:
        checkpoint = Checkpoint(self.model, self.stepper.result.state_dict())
        checkpoints.save_file(self._folder / name, checkpoint, overwrite=True)


def _score(validations: Sequence[Validation]) -> float:
    """Their mean; -1 if nothing can be measured."""
    counted = [v for v in validations if math.isfinite(v.score)]
    # Shares of the torso and of the box have no common mean: the first set decides which of them count.
    scores = [v.score for v in counted if v.measure == counted[0].measure]
    return float(np.mean(scores)) if scores else -1.0


def check_batch(config: TrainConfig, count: int, world: World) -> None:
    """Raises UsageError if a batch of ``count`` persons has too few samples to be divided, or for BatchNorm."""
    batch = count // steps_per_epoch(count, config.batch)
    share = batch // world.size // config.accumulate  # the fewest samples that a process sends through the network
    if share < 1:
        parts = f"{config.accumulate} parts"
        divided = f"{world.size} processes and {parts}" if world.size > 1 else parts
        message = f"Batches of {batch} cannot be divided into {divided}."
        raise UsageError(message, "Use a larger --batch or a smaller --accumulate.")
    if share == 1 and config.input_size == 4 * 2**config.depth and "norm" not in config.frozen:
        message = "BatchNorm cannot learn from a single crop whose smallest map is a single cell."
        raise UsageError(message, f"Use a larger --batch, or an --input-size above {config.input_size}.")


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
    """Trains in ``folder`` and reports there. Returns True at the end of the run, False if it was stopped.

    data: the folder of the data sets; by default that of the resumed run. resumed: the state to continue from.
    source: the initial weights.
    Nothing in the folder changes before options, data and device have been checked. Raises UsageError if the folder
    holds files of a run and neither ``resumed`` nor ``overwrite`` is given, and if the resumed run is finished.
    """
    existing = _files_of_run(folder)
    if existing and resumed is None and not overwrite:
        hint = "Give --resume to continue the run, --overwrite to start a new one, or another folder."
        raise UsageError(f"{existing[0]} already exists.", hint)
    if data is None and resumed is not None and resumed.data:
        data = Path(resumed.data)
    data_folder = "" if data is None else str(data.absolute())  # a run may be resumed from another folder
    with distributed.joined(str(devices.resolve(config.device))) as world, distributed.watched():
        used, training, validation = distributed.alike(lambda: load_data(config, data, listener))
        reporting = Report(folder, listener, training, validation, used, tensorboard)
        reporter = reporting if world.first else listener
        trainer = Trainer(used, training, validation, folder, reporter, resumed, source, world, data_folder)

        def prepare() -> None:
            if resumed is None:
                make_folder(folder)
                for old in (*(folder / name for name in (STATE, LAST, BEST)), *folder.glob(report.EVENTS)):
                    old.unlink(missing_ok=True)
            reporting.start(trainer.progress)

        # Also of a finished run, if a kill prevented its last report; but its options stay those that it had.
        if not trainer.is_finished or resumed is None or config == resumed.config:
            distributed.alike(lambda: prepare() if world.first else None)
        if trainer.is_finished:
            option = "--epochs" if trainer.progress.epoch >= config.epochs else "--max-time"
            ended = f"it ended after epoch {report.epochs_text(trainer.epochs_done)}"
            raise UsageError(f"The run in {folder} is already finished: {ended}.", f"To train longer, raise {option}.")
        listener.begin(_facts(trainer, used, training, validation) | {"folder": str(folder)}, trainer.progress)
        return trainer.go()


def _facts(
    trainer: Trainer, config: TrainConfig, training: Dataset | Scenes, validation: Sequence[Dataset | Scenes]
) -> dict[str, str]:
    """What a run trains, on what and for how long, in words."""
    batch = min(config.batch, len(training))
    network, size, processes = trainer.model.network, config.input_size, distributed.world().size
    validated = " and ".join(f"{len(data):,} of {data.name}" for data in validation) or "none"
    done = f"; {report.epochs_text(trainer.epochs_done)} done already" if trainer.epochs_done else ""
    over = f", {processes} processes" if processes > 1 else ""
    steps = _counted(steps_per_epoch(len(training), config.batch), "step")
    limit = f", within {config.max_time:g} min" if config.max_time else ""
    return {
        "data": f"{datasets.set_names(config.dataset)}: {len(training):,} {config.counted} to train on, "
        f"{validated} to validate",
        "network": f"{_counted(network.stacks, 'stack')} of {network.in_words}, "
        f"{parameters(network):,} parameters, input {size} x {size} pixels",
        "device": f"{trainer.device} ({devices.name_of(trainer.device)}), {trainer.stepper.precision}{over}",
        "length": f"{_counted(config.epochs, 'epoch')} of {steps} of {batch} {config.samples}{limit}{done}",
    }


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _files_of_run(folder: Path) -> list[Path]:
    """The files in the folder that a new run would replace, except those of a run that ended before its first save."""
    existing = [path for name in (STATE, LAST, BEST, *report.FILES) if (path := folder / name).exists()]
    if {path.name for path in existing} <= set(report.FIRST):
        with suppress(OSError, ValueError, AttributeError):
            options = json.loads((folder / report.FIRST[0]).read_text(encoding="utf-8"))
            if options.keys() >= {"dataset", "stacks", "input_size"}:
                return []
    return existing


def dry_run(config: TrainConfig, data: Path | None, listener: Listener, source: Checkpoint | None) -> list[str]:
    """Tries the run that ``run`` would train, and writes nothing. Returns lines on its data, memory and time."""
    with distributed.joined(str(devices.resolve(config.device))) as world, distributed.watched():
        used, training, validation = distributed.alike(lambda: load_data(config, data, listener))
        some = [detect.fewer(part, _TRIED_PERSONS) for part in validation]
        trainer = Trainer(used, training, some, Path(), listener, None, source, world)
        device, steps = trainer.device, steps_per_epoch(len(training), config.batch)
        taken = min(_WARM_UP + _TIMED, steps * config.epochs)
        warm_up = min(_WARM_UP, taken - 1)
        loader = batches(training, used, device, world=world, left_out=LeftOut(training, listener.note))
        loss = began = waited = 0.0
        for number in range(taken):
            if number == warm_up:
                began, waited = time.monotonic(), 0.0
            asked = time.monotonic()
            crops = crops_on(device, next(loader), config.input_size)
            waited += time.monotonic() - asked
            # A tenth of the rate: not every schedule starts low. Reading the loss waits for the device.
            loss = float(distributed.total(trainer.stepper(crops, config.lr * 0.1, number)))
        step_seconds = (time.monotonic() - began) / (taken - warm_up)
        began = time.monotonic()
        trainer.validate()
        person_seconds = (time.monotonic() - began) / max(1, sum(map(len, some)))
    persons, batch, samples = sum(map(len, validation)), min(config.batch, len(training)), config.samples
    epoch = steps * step_seconds + persons * person_seconds
    over = f" over {world.size} processes" if world.size > 1 else ""
    memory, whole, limit = peak_memory(device), epoch * config.epochs, 60 * config.max_time
    peak = "unknown" if memory is None else f"{memory / 1e9:.1f} GB"
    length = f"{config.epochs} epochs: {timedelta(seconds=round(whole))}"
    if limit:
        ends = f"ends it after {report.epochs_text(limit / epoch)}" if limit < whole else "is longer"
        length += f"; --max-time {config.max_time:g} {ends}"
    lines = {
        **_facts(trainer, config, training, validation),
        **({} if config.task == "detect" else {"joints": ", ".join(training.skeleton.joints)}),
        "loss": f"{loss:.4f} after {taken} steps",
        "memory": f"{peak} at most; {workers_of(config, device)} worker processes",
        "step": f"{step_seconds:.3f} s for {batch} {samples}{over}: {batch / step_seconds:.0f} {samples} a second",
        "waiting": f"{waited / (taken - warm_up):.3f} s of it for the {samples}",
        "epoch": f"{steps:,} steps and the validation: {timedelta(seconds=round(epoch))}",
        "run": length,
    }
    return [f"{label:<9}{text}" for label, text in lines.items()]
