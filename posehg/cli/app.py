"""``posehg`` and its commands. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from posehg import __version__
from posehg.cli import guard
from posehg.cli.eval import evaluate
from posehg.cli.export import export
from posehg.cli.predict import predict
from posehg.cli.train import train

app = typer.Typer(
    name="posehg",
    help="Human pose estimation with stacked hourglass networks: predict, train, evaluate, export.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in (("predict", predict), ("train", train), ("eval", evaluate), ("export", export)):
    app.command(name)(guard.guarded(command))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"posehg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere in the command.")
    ] = False,
) -> None:
    pass


def main() -> None:
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        guard.show_tracebacks()
        arguments = [argument for argument in arguments if argument != "--debug"]
    app(arguments)


if __name__ == "__main__":
    main()
