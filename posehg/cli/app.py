"""``posehg`` and its commands. Nothing heavy is imported before a command runs."""

import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import pairwise
from threading import Thread
from types import FrameType
from typing import Annotated, Any

import typer

from posehg import __version__
from posehg.cli import hints, quick, terminal
from posehg.cli.help import Command, Group
from posehg.errors import UsageError
from posehg.files import is_full

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
                app.command(cls=Command)(import_module("posehg.cli.options").takes(function))
            self.commands[cmd_name] = typer.main.get_command(app)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _failing_in_words():
                return super().invoke(ctx)
        except _Misuse as error:  # for an option without its value it names no command
            error.add_note(f"posehg {ctx.invoked_subcommand}")
            raise


@contextmanager
def _failing_in_words() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort, _Misuse):
        raise
    except KeyboardInterrupt:
        terminal.note("Interrupted.")
        raise typer.Exit(terminal.INTERRUPTED) from None
    except BrokenPipeError:
        terminal.discard(sys.stdout)  # the reader of a pipe has seen enough
        raise typer.Exit(0) from None
    except Exception as error:
        if is_full(error):
            terminal.discard(sys.stdout)
        raise typer.Exit(terminal.report(terminal.explained(error))) from None


def _predict(given: dict[str, Any]) -> None:
    """posehg predict with these options and the bundled networks.

    They are opened while other libraries are imported. What fails then fails again later, and is reported there.
    """

    def open_networks() -> None:
        with suppress(Exception):
            from posehg.checkpoints import bundled_folder
            from posehg.inference.engines import open_ahead

            open_ahead([bundled_folder(name) for name in ("bundled", *([] if "whole" in given else ["detector"]))])

    Thread(target=open_networks, daemon=True).start()
    from posehg.cli.predict import PredictOptions, predict

    with _failing_in_words():
        predict(PredictOptions(**given))


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


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its code."""

    def end(number: int, frame: FrameType | None) -> None:  # temporary files are removed
        signal.signal(number, signal.SIG_IGN)  # a second request must not interrupt that
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    terminal.open_streams()
    # Threads that wait for each other spin a thousand times, then they sleep. By default they spin for milliseconds,
    # and a busy machine then takes ten times as long; without any spinning a single crop takes twice as long.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    keep_freed_memory()
    warnings.filterwarnings("ignore", module="PIL")  # Pillow's remarks on odd metadata help nobody at a terminal
    warnings.showwarning = lambda message, *_, **__: terminal.note(f"Warning: {message}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # JSON is UTF-8 whatever the locale. What UTF-8 cannot hold, as in some file names, is escaped.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        os.environ[terminal.DEBUG] = "1"
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        empty = [option for option, value in pairwise(arguments) if option.startswith("-") and not value]
        empty += [option[:-1] for option in arguments if option.startswith("--") and option.endswith("=")]
        if empty:  # as a path it would be the current folder
            raise UsageError(f"{empty[0]} is empty.", "Is a variable not set?")
        if sum(argument.partition("=")[0] in ("--out", "-o") for argument in arguments) > 1:
            raise UsageError("--out is given twice.", "For several formats at once: --out FOLDER --save image,csv")
        if plain := quick.options_of(arguments):
            _predict(plain)
        code = 0 if plain else app(arguments or ["--help"], prog_name="posehg", standalone_mode=False)
    except typer.Exit as left:
        code = left.exit_code
    except UsageError as error:
        code = terminal.report(error)
    except _Misuse as error:
        code = terminal.report(_usage_error(error))
    except (typer.Abort, KeyboardInterrupt):  # before or after the command itself
        code = terminal.INTERRUPTED
    sys.exit(code)


def run() -> None:
    """``main``, and the end of the process, at once: Python would free what it loaded piece by piece, for 0.1 s.

    torch is left to end by itself, as its threads and its processes may still have work.
    """
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
        if "torch" in sys.modules or not isinstance(code, int):
            raise
        with suppress(OSError):  # nobody reads it any longer: Python ends as it always does then
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        raise


def keep_freed_memory() -> None:
    """Keep up to 2 GiB of freed memory in the process (glibc only), as the network needs it again at the next call.

    Otherwise the system clears each page again: for 2 stacks of 256 features, a sixth of a call on two cores, and a
    quarter of a training step with batches of 32.
    """
    if sys.platform.startswith("linux"):
        import ctypes

        if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
            mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
            mallopt(-4, 0)  # M_MMAP_MAX: blocks of any size, not only those below 32 MiB


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
