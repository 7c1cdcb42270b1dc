"""posehg bench --train: how fast this machine trains, and what holds it up."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import options as shared
from posehg.cli import terminal
from posehg.cli.bench_figures import check_seconds, number
from posehg.cli.config_options import given_names, takes
from posehg.training.config import TrainConfig

if TYPE_CHECKING:
    from rich.table import Table

    from posehg.inference.machine import Spread
    from posehg.training.speed import Setting, Speed


class _Notes:
    """The Listener of a run that only notes concern."""

    def note(self, text: str) -> None:
        terminal.note(text)

    def step(self, *_: Any, **__: Any) -> None: ...
    def epoch(self, *_: Any, **__: Any) -> None: ...
    def stop(self) -> bool:
        return False


@takes(TrainConfig)
def bench_train(
    context: typer.Context,
    config: TrainConfig,
    seconds: Annotated[float, typer.Option(help="How long each part is measured.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
    data: shared.Data = None,
    threads: shared.Threads = 0,
) -> None:
    """Measure how many pictures a second training takes in, with the options of posehg train.

    The pipeline alone prepares crops, the step alone learns from one batch, and both together are what a run does: the
    slower of the two holds it up. The limit is a step that consists of matrix products only, at the rate that they
    reach here. Writes nothing.
    """
    from posehg.inference import devices
    from posehg.training import session, speed

    check_seconds(seconds)
    if threads:
        devices.use_threads(threads)
    source = None
    if config.init:
        config, source = session.from_model(config, given_names(context, TrainConfig))
    result = speed.measure(config, session.Place(Path(), data), _Notes(), source, seconds)
    if as_json:
        print(json.dumps(_record(config, seconds, result), allow_nan=False, ensure_ascii=False))
        return
    for line in _described(config, result.setting):
        print(line)
    terminal.show(_rates(result))
    terminal.show(_summary(result))


def _record(config: TrainConfig, seconds: float, result: Speed) -> dict[str, Any]:
    from posehg.training.speed import BACKWARD, ROUNDS

    rates = {name: asdict(getattr(result, name)) for name in ("pipeline", "step", "both")}
    return {
        "setting": asdict(result.setting),
        "options": asdict(config),
        "rounds": ROUNDS,
        "seconds": seconds,
        "pictures_per_second": {"pipeline_first_time": result.first_time, **rates, "limit": result.limit},
        "both_to_step": asdict(result.both_to_step),
        "pipeline_to_step": asdict(result.pipeline_to_step),
        "step_to_limit": result.step_to_limit,
        "flop_per_picture": {"forward": result.forward, "backward": BACKWARD * result.forward, "all": result.trained},
        "flop_per_second": result.products,
        "memory_bytes": result.memory,
    }


def _described(config: TrainConfig, setting: Setting) -> list[str]:
    workers = f"{setting.workers} worker processes" if setting.workers else "no worker processes"
    warp = "device" if setting.warp == "device" else "CPU"
    compiled = "compiled" if setting.compile else "not compiled"
    return [
        f"data     {config.dataset}, {setting.persons:,} persons; crops of {config.input_size} pixels",
        f"network  {setting.parameters:,} parameters: {config.stacks} stacks, {config.features} features; {compiled}",
        f"device   {setting.device} ({setting.hardware}), {setting.precision}; torch {setting.torch}",
        f"run      batches of {config.batch}, {workers}, warp on the {warp}, {setting.threads} CPU threads",
    ]


def _rates(result: Speed) -> Table:
    from rich import box
    from rich.table import Table

    first = "decoding and keeping" if result.setting.kept else "starting workers"
    later = "from memory" if result.setting.kept else "decoding"
    table = Table("pictures a second", box=box.SIMPLE_HEAD)
    for heading in ("median", "lowest", "highest"):
        table.add_column(heading, justify="right")
    table.add_row(f"pipeline, first time ({first})", number(result.first_time))
    table.add_row(f"pipeline, later ({later})", *_numbers(result.pipeline))
    table.add_row("step", *_numbers(result.step))
    table.add_row("both, as training goes", *_numbers(result.both))
    table.add_section()
    table.add_row("both / step, %", *_numbers(result.both_to_step, 100))
    table.add_row("pipeline / step", *_numbers(result.pipeline_to_step))
    return table


def _summary(result: Speed) -> Table:
    from rich import box
    from rich.table import Table

    from posehg.training.speed import BACKWARD

    table = Table("limit", box=box.SIMPLE_HEAD)
    table.add_column("", justify="right")
    table.add_column("")
    table.add_row("forward", number(result.forward / 1e9), "GFLOP a picture in the convolutions")
    both = f"GFLOP a picture, backward as {BACKWARD} x forward"
    table.add_row("and backward", number(result.trained / 1e9), both)
    table.add_row("matrix products", number(result.products / 1e9), f"GFLOP a second in {result.setting.precision}")
    table.add_row("would allow", number(result.limit), "pictures a second")
    table.add_row("step / limit", number(100 * result.step_to_limit), "%")
    memory = "unknown" if result.memory is None else f"{result.memory / 1e9:.1f}"
    whose = "GB of the GPU's" if result.setting.device.startswith("cuda") else "GB of this process"
    table.add_section()
    table.add_row("memory at its highest", memory, whose)
    return table


def _numbers(spread: Spread, factor: float = 1.0) -> tuple[str, str, str]:
    return number(factor * spread.median), number(factor * spread.lowest), number(factor * spread.highest)
