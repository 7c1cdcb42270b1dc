"""``posehg``: what is set before a command runs, and how it ends. Nothing heavy is imported before it."""

import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from threading import Thread
from types import FrameType
from typing import Any

from posehg.cli import terminal
from posehg.errors import UsageError

_VALUES = {"--out": "out", "-o": "out", "--save": "save"}
_FLAGS = {"--overwrite": "overwrite", "--json": "json", "--whole": "whole"}


def plain_options(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Of a plain posehg predict, the fields of PredictOptions that are not at their defaults.

    None for a command that typer has to read: to import typer takes as long as the networks do for a photo.
    """
    if arguments[:1] != ["predict"] or {"POSEHG_MODEL", "POSEHG_DEVICE"} & os.environ.keys():
        return None
    given: dict[str, Any] = {"inputs": []}
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in _VALUES:
            value = next(rest, "")
            if not value or (value.startswith("-") and value != "-"):
                return None
            given[_VALUES[argument]] = value
        elif argument in _FLAGS:
            given[_FLAGS[argument]] = True
        elif argument == "--people":
            if (people := next(rest, "")) not in ("one", "all"):
                return None
            given["people"] = people
        elif not argument or (argument.startswith("-") and argument != "-"):
            return None
        else:
            given["inputs"].append(argument)
    return given if given["inputs"] else None


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

    with terminal.failing_in_words():
        predict(PredictOptions(**given))


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
        if plain := plain_options(arguments):
            _predict(plain)
            code = 0
        else:
            from posehg.cli import commands

            code = commands.run(arguments)
    except UsageError as error:
        code = terminal.report(error)
    except KeyboardInterrupt:  # before or after the command itself
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
