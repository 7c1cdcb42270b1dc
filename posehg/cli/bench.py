"""posehg bench: how fast this machine predicts, and what holds it up; with --train, how fast it trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import bench_predict, options, terminal
from posehg.cli.bench_figures import check_seconds
from posehg.cli.bench_train import bench_train
from posehg.cli.help import Command
from posehg.errors import UsageError

if TYPE_CHECKING:
    Context = Any
    """typer's, whose name in the library that it is from is not typer's to give."""

_TRAIN = "--train"


class Bench(Command):
    """``posehg bench`` or, where --train is given, a command of its own, as the two have few options in common."""

    def make_context(self, info_name: str | None, args: list[str], parent: Context = None, **extra: Any) -> Context:
        if _TRAIN not in args:
            return super().make_context(info_name, args, parent, **extra)
        rest = [arg for arg in args if arg != _TRAIN]
        return _training().make_context(f"{info_name} {_TRAIN}", rest, parent, **extra)

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        _refuse(ctx, args, _names(_training()) - _names(self), f"means something with {_TRAIN} only.")
        return super().parse_args(ctx, args)


class _Training(Command):
    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        _refuse(ctx, args, _names(_prediction()) - _names(self), f"means nothing with {_TRAIN}.")
        return super().parse_args(ctx, args)


def _refuse(ctx: Context, args: list[str], names: set[str], why: str) -> None:
    for arg in args:
        name = arg.partition("=")[0]
        if name in names:
            ctx.fail(f"{name} {why}")


def _names(command: Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def _training() -> Command:
    return _command(bench_train, _Training)


def _prediction() -> Command:
    return _command(bench, Bench)


def _command(function: Any, kind: type[Command]) -> Command:
    alone = typer.Typer(add_completion=False)
    alone.command(cls=kind)(function)
    command = typer.main.get_command(alone)
    assert isinstance(command, Command)
    return command


def bench(
    photo: Annotated[
        Path | None, typer.Argument(metavar="PHOTO", help="A picture of the kind that counts; else one is rendered.")
    ] = None,
    train: Annotated[bool, typer.Option(_TRAIN, help="Measure training instead: see bench --train --help")] = False,
    seconds: Annotated[float, typer.Option(help="How long each measurement lasts.")] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Markdown that names the machine.")] = False,
    compare: Annotated[
        bool, typer.Option("--engines/--no-engines", help="Compare the engines that are installed, too.")
    ] = True,
    model: options.Model = "bundled",
    offline: options.Offline = False,
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    batch: Annotated[
        int, typer.Option(min=0, help="Crops in one call of the network (0: as predict).", rich_help_panel="Run")
    ] = 0,
    threads: options.Threads = 0,
) -> None:
    """Measure how long posehg predict takes, part by part, and what this machine would allow.

    The parts are those of one crop of one picture. The searches look at many crops of it, and say how many. The folder
    tells whether predict waits for its network alone, as it should. The limit is a network that consists of matrix
    products only, at the rate that they reach here. At last the network is measured in each program that is installed
    and can run it (torch, onnxruntime, OpenVINO), beside torch as ports of the paper's code use it. Writes nothing.
    """
    from posehg import hub
    from posehg.cli import bench_engines
    from posehg.inference import engines
    from posehg.inference.engines import Run
    from posehg.inference.speed_figures import Choice

    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two forms of the same: give one of them.")
    check_seconds(seconds)
    run = Run(device, threads, precision)
    place = hub.find(model, offline, terminal.note)
    engine = engines.at(place, run, terminal.note)
    result = bench_predict.measured(engine, Choice(model, flip, decoder, batch, precision), photo, seconds)
    others = bench_engines.compared(place, run, seconds) if compare else []
    if as_json:
        print(bench_predict.line(result, others, photo, seconds))
    elif as_markdown:
        print("\n".join(bench_predict.markdown(result, others)))
    else:
        bench_predict.show(result, others, photo)
