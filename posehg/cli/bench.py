"""posehg bench: where the time goes in prediction, and what this machine would allow."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import terminal
from posehg.cli.options import ModelOptions, takes
from posehg.errors import NotAvailable

if TYPE_CHECKING:
    from posehg.inference.engines import EngineOptions
    from posehg.inference.estimator import Estimator

BATCH, IMAGES = 8, 60
"""Crops in a batch, and images in a folder."""
ROUNDS = 5
"""Alternatives are measured in turn, this many times, so that whatever disturbs the machine affects all of them."""
_WARM_UP = 3
"""Repeats that do not count: they allocate buffers and compile the network."""

Record = dict[str, dict[str, Any]]


@takes
def bench(
    options: ModelOptions,
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="Default: a rendered image.")] = None,
    seconds: Annotated[float, typer.Option(min=0.01, max=3600, help="Duration of each measurement.")] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    compare: Annotated[bool, typer.Option("--engines/--no-engines", help="Compare the installed engines.")] = True,
    commands: Annotated[bool, typer.Option("--commands/--no-commands", help="Time whole commands.")] = True,
) -> None:
    """Measure how long each step of a prediction takes, how fast each engine is, and the fastest this machine could be.

        posehg bench
        posehg bench photo.jpg --threads 2
        posehg bench --no-engines --json

    Commands are whole processes of posehg predict with the default options, on one image and on a folder of copies.
    The steps are those of one crop that shows a whole image. The limit is the time of one matrix
    product with as many multiplications as the network. The engines run the same network side by side, without flip
    test; plain torch is the unoptimised network. Nothing is written.
    """
    import torch

    from posehg import checkpoints, images
    from posehg.datasets import synthetic
    from posehg.inference import devices, engines
    from posehg.inference.estimator import Estimator

    if image is not None:
        images.read(image)  # raises before the model is loaded
    torch.set_num_threads(options.threads or torch.get_num_threads())
    place = checkpoints.find(options.model, options.offline, terminal.note)
    estimator = Estimator(engines.open_engine(place, options.run), options.flip, options.decoder)
    used, config = torch.device(estimator.device), estimator.config
    flop = (1 + options.flip) * devices.forward_flop(config.network, config.input_size)
    with TemporaryDirectory(prefix="posehg-") as folder:
        photo = image or Path(folder, "rendered.jpg")
        if image is None:
            images.write(photo, synthetic.render(3, 480)[0].repeat(2, axis=0).repeat(2, axis=1))
        terminal.note("Measuring the steps and matrix products")
        steps = _time_steps(estimator, photo, Path(folder, "drawn.jpg"), seconds)
        products = devices.product_rate(used, options.precision, seconds)
        record: Record = {
            "setting": {
                "image": str(image or "rendered"),
                **{name: getattr(options, name) for name in ("model", "flip", "decoder", "precision")},
                "engine": estimator.engine.name,
                "device": estimator.device,
                "hardware": devices.name_of(used),
                "threads": torch.get_num_threads(),
            },
            "steps": steps,
            "limit": {
                "network_gflop": flop / 1e9,
                "matrix_products_gflop_per_second": products / 1e9,
                "network_milliseconds_at_least": 1000 * flop / products,
                "network_to_limit": steps["network"]["median_ms"] * products / (1000 * flop),
            },
        }
        if commands:
            options_of_model = ["--model", options.model, *(["--offline"] if options.offline else [])]
            record["commands"] = _time_commands(photo, Path(folder), options_of_model)
        if compare and not engines.library_of(place):
            record["engines_per_crop"] = _compare(place, options.run, seconds)
    _print(record, as_json)


def _time_steps(estimator: Estimator, photo: Path, drawn: Path, seconds: float) -> Record:
    """The milliseconds of each step from an image file to a file with the skeleton."""
    import numpy as np
    import torch

    from posehg import drawing, images
    from posehg.geometry import Box
    from posehg.inference.devices import wait
    from posehg.inference.estimator import Region

    times: list[float] = []

    def done(result: Any = None) -> Any:
        wait(torch.device(estimator.device))
        times.append(time.perf_counter())
        return result

    names = ("read", "warp", "network", "decode", "draw", "write", "together")
    while len(times) < 2 * _WARM_UP * len(names) or times[-1] < times[0] + seconds:
        done()
        image = images.read(photo)
        region = done(Region(image, Box(0, 0, image.shape[1], image.shape[0]).square()))
        crops = done(estimator.crops([region]))
        output = done(estimator.network_output(crops))
        poses = done(list(estimator.poses([region], estimator.maps(output))))
        skeleton = done(drawing.draw(image, poses, drawing.DrawOptions().threshold))
        images.write(drawn, skeleton, True)
        done()
    marks = 1000 * np.reshape(times, (-1, len(names)))[_WARM_UP:]
    spans = np.column_stack((np.diff(marks), marks[:, -1] - marks[:, 0]))
    medians, highest = np.percentile(spans, (50, 95), axis=0).tolist()
    return {
        name: {"median_ms": median, "p95_ms": high, "share_percent": 100 * median / medians[-1]}
        for name, median, high in zip(names, medians, highest, strict=True)
    }


def _compare(place: Path, run: EngineOptions, seconds: float) -> Record:
    """Milliseconds per crop of every engine that can run the model, alone and in batches, in turn.

    Those other than torch need a model.onnx beside the weights. All give the same joints.
    """
    import numpy as np
    import torch

    from posehg import checkpoints
    from posehg.inference import devices, engines
    from posehg.inference.engines.torch import from_checkpoint

    checkpoint = checkpoints.load(place)
    ours = from_checkpoint(checkpoint, run)
    device, network = torch.device(ours.device), checkpoint.network().requires_grad_(False).to(ours.device)

    def plain(crops: Any) -> Any:
        return network(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).to(device).float() / 255)[-1]

    compared: dict[str, Callable[[Any], Any]] = {f"{ours.name}, plain": plain, ours.name: ours}
    libraries: tuple[engines.Library, ...] = ("onnxruntime", "openvino") if ours.device == "cpu" else ()
    for library in libraries:
        try:
            opened = engines.open_engine(place, replace(run, library=library))
        except NotAvailable as error:
            terminal.note(f"{library} is not measured. {error}")
        else:
            compared[opened.name] = opened
    terminal.note(f"Measuring {len(compared)} engines in {ROUNDS} rounds")
    crops = np.random.default_rng(0).integers(0, 256, (BATCH, *ours.config.input_size, 3), np.uint8)
    taken: dict[str, list[list[float]]] = {name: [[], []] for name in compared}
    for _, (name, engine), size in itertools.product(range(ROUNDS), compared.items(), (1, BATCH)):
        engine(crops[:size])  # another engine has used the caches
        count, passed = devices.clocked(device, lambda: engine(crops[:size]), seconds / ROUNDS / 2)  # noqa: B023
        taken[name][size > 1].append(1000 * passed / (count * size))
    first = next(iter(taken.values()))
    return {
        name: {
            "alone_ms": statistics.median(alone),
            f"batch_of_{BATCH}_ms": statistics.median(together),
            "speedup": statistics.median(a / b for a, b in zip(first[0], alone, strict=True)),
        }
        for name, (alone, together) in taken.items()
    }


def _time_commands(photo: Path, folder: Path, model: list[str]) -> dict[str, Any]:
    """Whole commands in processes of their own: the seconds for one image, and images a second of a folder."""

    def seconds_of(*arguments: object) -> float:
        began = time.perf_counter()
        command = [sys.executable, "-m", "posehg", "predict", *map(str, arguments), *model, "--overwrite"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NotAvailable(f"posehg predict failed: {done.stderr.strip().splitlines()[-1]}")
        return time.perf_counter() - began

    terminal.note("Measuring whole commands")
    many = folder / "many"
    many.mkdir()
    for number in range(IMAGES):
        shutil.copyfile(photo, many / f"{number}{photo.suffix}")
    alone = statistics.median(seconds_of(photo, "--out", folder / "one.png") for _ in range(ROUNDS))
    rates = {
        name: IMAGES / max(1e-9, seconds_of(many, "--out", folder / "out", *options) - alone)
        for name, options in {"images_per_second": (), "images_per_second_with_--whole": ("--whole",)}.items()
    }
    return {"one_image_seconds": alone, **rates}


def _print(record: Record, as_json: bool) -> None:
    """The sections as tables on stdout or as one line of JSON: for each name a value, or a value per column."""
    if as_json:
        print(json.dumps(record, allow_nan=False, ensure_ascii=False))
        return
    from rich import box
    from rich.table import Table

    for title, section in record.items():
        rows = {name: values if isinstance(values, dict) else {"": values} for name, values in section.items()}
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column(title.replace("_", " "), no_wrap=True)
        for heading in next(iter(rows.values())):
            table.add_column(heading.replace("_", " "), justify="right")
        for name, values in rows.items():
            shown = (f"{v:,.{0 if v >= 100 else 2}f}" if isinstance(v, float) else str(v) for v in values.values())
            table.add_row(name.replace("_", " "), *shown)
        terminal.show(table)
