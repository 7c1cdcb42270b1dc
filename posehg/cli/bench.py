"""posehg bench: where the time goes in prediction or, with --train, in training, and what this machine would allow."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import options, terminal
from posehg.cli.help import Command
from posehg.errors import UsageError
from posehg.training.config import TrainConfig

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint
    from posehg.datasets import Dataset
    from posehg.inference.engines import EngineOptions
    from posehg.inference.estimator import Estimator, Region

ROUNDS = 5
"""Alternatives are measured in turn, this many times, so that whatever disturbs the machine affects all of them."""

Seconds = Annotated[float, typer.Option(help="Duration of each measurement.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of tables.")]


class Bench(Command):
    """``posehg bench``. With --train it is another command, because the options are those of ``posehg train``."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if "--train" not in args:
            return super().make_context(info_name, args, parent, **extra)
        app = typer.Typer(add_completion=False)
        app.command(cls=Command)(bench_train)
        rest = [arg for arg in args if arg != "--train"]
        return typer.main.get_command(app).make_context(f"{info_name} --train", rest, parent, **extra)


# ---- prediction ----------------------------------------------------------------------------------------------------


def bench(
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="Default: a rendered image.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Measure training: see posehg bench --train --help.")] = False,
    seconds: Seconds = 3.0,
    as_json: Json = False,
    as_markdown: Markdown = False,
    compare: Annotated[bool, typer.Option("--engines/--no-engines", help="Compare the installed engines.")] = True,
    model: options.Model = "bundled",
    offline: options.Offline = False,
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    batch: Annotated[int, typer.Option(min=0, help="Crops per call when engines are compared (0: automatic).")] = 0,
    threads: options.Threads = 0,
) -> None:
    """Measure how long each step of a prediction takes, how fast each engine is, and what this machine would allow.

        posehg bench
        posehg bench photo.jpg --threads 2 --markdown
        posehg bench --train --dataset synthetic --stacks 2

    The steps are those of one crop that shows a whole image. The limit is a network that consists of matrix products
    only, at the rate that they reach here. The engines run the same network side by side, without flip test; plain
    torch is the network as it was trained. Nothing is written.
    """
    _check(seconds, as_json, as_markdown)
    import torch

    from posehg import checkpoints, images
    from posehg.datasets import synthetic
    from posehg.inference import devices, engines
    from posehg.inference.estimator import Estimator
    from posehg.network import parameters

    if threads:
        devices.use_threads(threads)
    run = engines.EngineOptions(device, threads, precision)
    place = checkpoints.find(model, offline, terminal.note)
    estimator = Estimator(engines.open_engine(place, run), flip, decoder)
    config, used = estimator.config, torch.device(estimator.device)
    with TemporaryDirectory(prefix="posehg-") as name:
        folder = Path(name)
        photo = image or folder / "rendered.jpg"
        if image is None:
            images.write(photo, synthetic.render(3, 480)[0].repeat(2, axis=0).repeat(2, axis=1))
        steps = _time_steps(estimator, photo, folder, seconds)
        compared = {}
        if compare and not engines.is_exported(place):
            compared = _compare(checkpoints.load(place), photo, run, batch, folder, seconds)
    terminal.note("Measuring matrix products")
    products = devices.product_rate(used, precision, seconds)
    flop = devices.forward_flop(config.network, config.input_size)
    for row in compared.values():
        row["to_limit"] = row["median_ms"] * products / (1000 * flop)
    medians = {name: statistics.median(times) for name, times in steps.items()}
    limit = (1 + flip) * 1000 * flop / products
    record: dict[str, dict[str, Any]] = {
        "setting": {
            "image": "rendered" if image is None else str(image),
            "model": model,
            "parameters": parameters(config.network),
            "input_size": config.input_size,
            "flip": flip,
            "decoder": decoder,
            "precision": precision,
            "engine": estimator.engine.name,
            "device": estimator.device,
            "hardware": devices.name_of(used),
            "threads": threads or torch.get_num_threads(),
            "seconds": seconds,
            "repeats": len(steps["together"]),
            "rounds": ROUNDS,
        },
        "steps": {
            name: {
                "median_ms": medians[name],
                "p95": sorted(times)[math.ceil(0.95 * len(times)) - 1],
                "share_percent": 100 * medians[name] / medians["together"],
            }
            for name, times in steps.items()
        },
        "limit": {
            "network_gflop": (1 + flip) * flop / 1e9,
            "matrix_products_gflop_per_second": products / 1e9,
            "network_milliseconds_at_least": limit,
            "network_to_limit": medians["network"] / limit,
        },
    }
    _print(record | ({"engines_per_crop": compared} if compared else {}), as_json, as_markdown)


def _whole(photo: Path) -> Region:
    from posehg import images
    from posehg.geometry import Box
    from posehg.inference.estimator import Region

    image = images.read(photo)
    return Region(image, Box(0, 0, image.shape[1], image.shape[0]).square())


def _time_steps(estimator: Estimator, photo: Path, folder: Path, seconds: float) -> dict[str, tuple[float, ...]]:
    """The milliseconds of each step in each repeat, from an image file to a file with the skeleton."""
    import torch

    from posehg import drawing, images
    from posehg.inference.devices import wait

    drawn = folder / f"drawn{photo.suffix if photo.suffix.lower() in images.SUFFIXES else '.png'}"
    repeats: list[list[float]] = []
    times: list[float] = []

    def timed(step: Callable[..., Any], *values: Any) -> Any:
        result = step(*values)
        wait(torch.device(estimator.device))
        times.append(time.perf_counter())
        return result

    terminal.note("Measuring the steps")
    for duration in (0.0, seconds):  # the first repeats allocate buffers
        repeats.clear()
        end = time.perf_counter() + duration
        while len(repeats) < 3 or time.perf_counter() < end:
            times[:] = [time.perf_counter()]
            region = timed(_whole, photo)
            crops = timed(estimator.crops, [region])
            output = timed(estimator.ask, crops)
            poses = timed(lambda view, answer: list(estimator.poses([view], estimator.maps(answer))), region, output)
            skeleton = timed(drawing.draw, region.image, poses, drawing.DrawOptions().threshold)
            timed(images.write, drawn, skeleton, True)
            repeats.append([1000 * (b - a) for a, b in (*itertools.pairwise(times), (times[0], times[-1]))])
    names = ("read", "warp", "network", "decode", "draw", "write", "together")
    return dict(zip(names, zip(*repeats, strict=True), strict=True))


def _compare(
    checkpoint: Checkpoint, photo: Path, run: EngineOptions, batch: int, folder: Path, seconds: float
) -> dict[str, dict[str, Any]]:
    """Milliseconds per crop of every installed engine, and its speedup over the first, plain torch.

    Exported files pass the parity check first, so all engines give the same joints.
    """
    import numpy as np
    import torch

    from posehg.exporters import EXPORTERS, ExportOptions, common
    from posehg.inference import engines
    from posehg.inference.devices import clocked
    from posehg.inference.engines.torch import from_checkpoint
    from posehg.inference.estimator import Estimator

    ours = from_checkpoint(checkpoint, run)
    device, network = torch.device(ours.device), checkpoint.network().eval().to(ours.device)

    @torch.inference_mode()
    def plain(crops: Any) -> Any:
        return network(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).to(device).float() / 255)[-1].float()

    compared: dict[str, Callable[[Any], Any]] = {f"{ours.name}, plain": plain, ours.name: ours}
    for format, package in (("onnx", "onnxruntime"), ("openvino", "openvino")) if ours.on_cpu else ():
        if find_spec(package) is None:
            terminal.note(f"{package} is not installed, so it is not measured.")
            continue
        out = folder / f"{format}{EXPORTERS[format].suffix}"
        common.write(checkpoint, EXPORTERS[format], out, ExportOptions())
        opened = engines.open_engine(out, run)
        compared[opened.name] = opened
    terminal.note(f"Measuring {len(compared)} engines in {ROUNDS} rounds")
    crops = np.repeat(Estimator(ours, flip=False).crops([_whole(photo)]), batch or ours.batch, axis=0)
    taken: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(ROUNDS):
        for name, engine in compared.items():
            engine(crops)  # another engine has used the caches
            _, count, passed = clocked(device, lambda: len(engine(crops)), seconds / ROUNDS)  # noqa: B023
            taken[name].append(1000 * passed / count)
    first = next(iter(taken.values()))
    return {
        name: {
            **_spread(values, "_ms"),
            "batch": len(crops),
            "speedup": statistics.median(a / b for a, b in zip(first, values, strict=True)),
        }
        for name, values in taken.items()
    }


# ---- training ------------------------------------------------------------------------------------------------------


@options.takes
def bench_train(
    context: typer.Context,
    config: TrainConfig,
    seconds: Seconds = 10.0,
    as_json: Json = False,
    as_markdown: Markdown = False,
    data: options.Data = None,
    threads: options.Threads = 0,
) -> None:
    """Measure how many images per second training processes, with the options of posehg train.

    The pipeline prepares crops, the step learns from one batch, and both together are what a run does: the slower of
    the two holds it up. The limit is a step that consists of matrix products only, at the rate that they reach here.
    Nothing is written.
    """
    _check(seconds, as_json, as_markdown)
    import torch

    from posehg.inference import devices
    from posehg.network import parameters
    from posehg.training import builder
    from posehg.training.data import warps_on, workers_of
    from posehg.training.trainer import Trainer

    if threads:
        devices.use_threads(threads)
    source = None
    if config.init:
        config, source = builder.options_of_model(config, options.given_names(context, TrainConfig))
    device = devices.resolve(config.device)  # raises before the data are read
    listener: Any = SimpleNamespace(note=terminal.note)
    used, persons, _ = builder.load_data(config, data, listener)
    endless = replace(used, epochs=1_000_000_000)
    run = Trainer(endless, persons, (), Path(), listener, None, source)
    rates = _training_rates(run, endless, persons, seconds)
    memory = devices.peak_memory(device)  # before the matrices, which are not part of training
    terminal.note("Measuring matrix products")
    products = devices.product_rate(device, run.stepper.precision, seconds)
    forward = devices.forward_flop(run.model.network, (config.input_size, config.input_size))
    whole = 3 * forward  # backwards once more for the gradients of the inputs, and for those of the weights
    chosen = ("dataset", "batch", "stacks", "features", "input_size", "compile")
    record: dict[str, dict[str, Any]] = {
        "setting": {
            **{name: value for name, value in asdict(config).items() if name in chosen},
            "persons": len(persons),
            "parameters": parameters(run.model.network),
            "precision": run.stepper.precision,
            "torch": torch.__version__,
            "device": str(device),
            "hardware": devices.name_of(device),
            "threads": torch.get_num_threads(),
            "warp": "device" if warps_on(config, device) else "cpu",
            "workers": workers_of(config, device),
            "seconds": seconds,
            "rounds": ROUNDS,
        },
        "images_per_second": {name: _spread(values) for name, values in rates.items()},
        "ratio_to_step": {
            name: _spread([one / other for one, other in zip(rates[name], rates["step"], strict=True)])
            for name in ("pipeline", "both")
        },
        "limit": {
            "gflop_per_image_forward": forward / 1e9,
            "gflop_per_image": whole / 1e9,
            "matrix_products_gflop_per_second": products / 1e9,
            "images_per_second": products / whole,
            "step_to_limit": statistics.median(rates["step"]) / (products / whole),
            "peak_memory_gb": None if memory is None else memory / 1e9,
        },
    }
    _print(record, as_json, as_markdown)


def _training_rates(run: Any, config: TrainConfig, persons: Dataset, seconds: float) -> dict[str, list[float]]:
    """Images per second of the pipeline, of the step, and of both together, in each round."""
    from torch.utils.data import DataLoader

    from posehg.inference.devices import clocked
    from posehg.training.data import batches, crops_on, steps_per_epoch

    device, numbers, steps = run.device, itertools.count(), steps_per_epoch(len(persons), config.batch)
    loader: Any = batches(persons, config, device)
    coming = iter(loader)

    def prepare() -> Any:
        return crops_on(device, next(coming), config.input_size)

    def learn(crops: Any) -> int:
        run.stepper(crops, 0.0, next(numbers))  # with a learning rate of 0 the weights stay ordinary
        return len(crops.images)

    terminal.note("Warming up")
    fixed = crops_on(device, next(iter(batches(persons, replace(config, workers=0), device))), config.input_size)
    smaller = type(fixed)(*(tensor[:-1] for tensor in fixed))
    for crops in [fixed, smaller] * 3 if len(persons) % steps else [fixed] * 3:
        learn(crops)  # allocates buffers, and compiles the network for each size of batch
    parts: dict[str, Callable[[], int]] = {
        "pipeline": lambda: len(prepare().images),
        "both": lambda: learn(prepare()),
        "step": lambda: learn(fixed),
    }
    rates: dict[str, list[float]] = {name: [] for name in parts}
    ready = 0  # batches that are made while the clock does not run
    if loader.num_workers:
        ready = loader.num_workers * (loader.prefetch_factor or 0) + 1
    else:  # later passes find the decoded images in memory
        count, images, passed = clocked(device, parts["pipeline"], seconds, most=steps)
        rates["pipeline_first_pass"] = [images / passed]
        seen = list(itertools.islice(loader.batch_sampler, count))
        later = ([(epoch, index) for _, index in batch] for epoch in itertools.count(1) for batch in seen)
        coming = iter(DataLoader(loader.dataset, batch_sampler=later, collate_fn=loader.collate_fn))
    terminal.note(f"Measuring pipeline, both and step in {ROUNDS} rounds")
    for _ in range(ROUNDS):
        clocked(device, parts["pipeline"], math.inf, most=ready)
        for name, part in parts.items():
            if name == "step":  # wait until the workers have nothing to do
                clocked(device, part, ready * config.batch / rates["pipeline"][-1])
            _, images, passed = clocked(device, part, seconds / ROUNDS)
            rates[name].append(images / passed)
    return rates


# ---- output --------------------------------------------------------------------------------------------------------


def _check(seconds: float, as_json: bool, as_markdown: bool) -> None:
    from posehg import distributed

    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other.")
    if not 0 < seconds < math.inf:
        raise UsageError(f"--seconds must be above 0, not {seconds}.")
    if distributed.world().size > 1:  # each would stop by its own clock while the others wait for it
        raise UsageError("posehg bench measures one process.", "Start it without torchrun.")


def _spread(values: Sequence[float], unit: str = "") -> dict[str, float]:
    return {f"median{unit}": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _print(record: dict[str, dict[str, Any]], as_json: bool, as_markdown: bool) -> None:
    """The sections as tables on stdout, or as one line of JSON.

    A section has a value for each name, or for each name a value per column.
    """
    if as_json:
        print(json.dumps(record, allow_nan=False, ensure_ascii=False))
        return
    from rich import box
    from rich.table import Table

    for title, section in record.items():
        rows = {name: values if isinstance(values, dict) else {"": values} for name, values in section.items()}
        headings = [text.replace("_", " ") for text in (title, *next(iter(rows.values())))]
        lines = [[name.replace("_", " "), *map(_text, values.values())] for name, values in rows.items()]
        if as_markdown:
            lines = [headings, ["---", *["--:"] * (len(headings) - 1)], *lines]
            print("\n".join(f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in lines), end="\n\n")
            continue
        table = Table(box=box.SIMPLE_HEAD)
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="right" if number else "left")
        for line in lines:
            table.add_row(*line)
        terminal.show(table)


def _text(value: Any) -> str:
    """A number with at least three digits; anything else as it is."""
    if not isinstance(value, float):
        return f"{value:,}" if type(value) is int else str(value)
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}" if 0 < value < 100 else f"{value:,.0f}"
