"""``posehg`` and its commands. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from posehg import __version__
from posehg.cli import data, guard, memory, models
from posehg.cli.bench import Bench, bench
from posehg.cli.demo import demo
from posehg.cli.eval import evaluate
from posehg.cli.export import export
from posehg.cli.predict import predict
from posehg.cli.train import train
from posehg.errors import UsageError

app = typer.Typer(
    name="posehg",
    help="Human pose estimation with stacked hourglass networks: predict, train, evaluate, export, bench.",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # lets paragraphs flow
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in (
    ("predict", predict),
    ("train", train),
    ("eval", evaluate),
    ("export", export),
    ("demo", demo),
):
    app.command(name)(guard.guarded(command))
app.command("bench", cls=Bench)(guard.guarded(bench))
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")

_Misuse: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for an unknown or missing option, argument or command; it does not export the name."""


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
    memory.keep_freed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # JSON is UTF-8 whatever the locale, and a file name that is no text at all is escaped.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        guard.show_tracebacks()
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = app(arguments or ["--help"], standalone_mode=False)
    except _Misuse as error:
        code = guard.tell(_told(error))
    except (typer.Abort, KeyboardInterrupt):  # before or after the command itself
        code = guard.INTERRUPTED
    sys.exit(code)


def _told(misuse: Exception) -> UsageError:
    """typer's error in posehg's form."""
    message = misuse.format_message().removesuffix(".").replace(": Value error, ", ": ")  # type: ignore[attr-defined]
    context = misuse.ctx  # type: ignore[attr-defined]
    return UsageError(
        message if message.endswith("?") else f"{message}.",
        f"See {context.command_path} --help" if context else "See posehg --help",
    )


if __name__ == "__main__":
    main()
