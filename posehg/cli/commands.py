"""The commands of ``posehg`` as typer reads them. Each is imported when it is asked for."""

import re
from importlib import import_module
from typing import Annotated, Any

import typer

from posehg import __version__
from posehg.cli import hints, terminal
from posehg.cli.help import Command, Group
from posehg.cli.options import takes
from posehg.errors import UsageError

_Misuse: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for an unknown or missing option, argument or command; it does not export the name."""


_ABOUT = """Human pose estimation with stacked hourglass networks.

    posehg demo
    posehg predict photo.jpg --out skeleton.png
    posehg train --dataset mpii --data data --out runs/mpii

Each command explains its options: posehg predict --help
"""


_COMMANDS = "predict train eval:evaluate export models:app data:app bench demo serve".split()
_MADE_FROM = {name: within or name for name, _, within in (one.partition(":") for one in _COMMANDS)}
"""What makes a command in its module of that name: a function, or the typer application of a group."""


class Commands(Group):
    """Ends a command that fails with one sentence, a hint and an exit code instead of a traceback.

    A command is imported and made when it is asked for: to make all takes longer than to find a pose.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": dict.fromkeys(_MADE_FROM)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            app = getattr(import_module(f"posehg.cli.{cmd_name}"), _MADE_FROM[cmd_name])
            if not isinstance(app, typer.Typer):
                function, app = app, typer.Typer(add_completion=False)
                app.command(cls=Command)(takes(function))
            self.commands[cmd_name] = typer.main.get_command(app)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        with terminal.failing_in_words():
            try:
                return super().invoke(ctx)
            except (typer.Exit, typer.Abort, _Misuse) as error:
                own = error
        own.add_note(f"posehg {ctx.invoked_subcommand}")  # an option without its value names no command
        raise own


app = typer.Typer(
    name="posehg",
    cls=Commands,
    help=_ABOUT,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"posehg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere in the command.")
    ] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Run the command that the arguments give; its exit code."""
    try:
        code: int | None = app(arguments or ["--help"], prog_name="posehg", standalone_mode=False)
    except typer.Exit as left:
        return left.exit_code
    except _Misuse as error:
        return terminal.report(_usage_error(error))
    except typer.Abort:
        return terminal.INTERRUPTED
    return code or 0


def _usage_error(misuse: Any) -> UsageError:
    """typer's error as a sentence that names the option, with a way to the help text."""
    message = re.sub(r"Invalid value for '([^']+)'[^:]*: (Value error, )?", r"\1: ", misuse.format_message())
    message = message.replace(": Input should be", " must be").removesuffix(".")
    message = re.sub("Option '(.+)' requires an argument", r"\1 needs a value", message)
    message = re.sub("Option '(.+)' requires ([0-9]+) arguments", r"\1 needs \2 values", message)
    message = re.sub("a valid (.+), unable to parse .*", r"a \1", message).replace(" a integer", " a whole number")
    low, high = (getattr(getattr(misuse, "param", None), name, None) for name in ("min", "max"))
    if re.search("(than|equal to) [-0-9.e]+$", message):  # out of range: say the whole range
        wanted = f"between {low} and {high}" if None not in (low, high) else f"at least {low}"
        value = misuse.__cause__.errors()[0]["input"]
        message = f"{message.partition(' must be ')[0]} must be {wanted}, not {value}"
    command, hint = misuse.ctx.command_path if misuse.ctx else misuse.__notes__[0], ""
    if (unknown := re.match("No such (option|command):? '?([^ ']+)'?", message)) and misuse.ctx:
        is_option, name = unknown[1] == "option", unknown[2]
        hint = hints.of_option(name, misuse.ctx.command, command) if is_option else hints.of_command(name)
        message = unknown[0] if hint else message
    if (extra := re.match(r"Got unexpected extra argument\S* \((\S+)", message)) and misuse.ctx:
        hint = hints.of_extra(extra[1].rstrip(")"), misuse.ctx.command)
    return UsageError(message if message.endswith("?") else f"{message}.", hint or f"See {command} --help")
