"""Errors become a sentence, a hint and an exit code. Notes go to stderr, results to stdout."""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from posehg.errors import DeviceError, InputError, PosehgError
from posehg.files import is_full

if TYPE_CHECKING:
    from rich.console import RenderableType

    from posehg.distributed import World

INTERRUPTED = 130
DEBUG = "POSEHG_DEBUG"
"""The environment variable that asks for tracebacks, as --debug does."""

P = ParamSpec("P")
T = TypeVar("T")


def show_tracebacks() -> None:
    os.environ[DEBUG] = "1"


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """The command, with whatever goes wrong in it told to the user on stderr."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            note("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            drop_output()  # that is how pipes end
            raise typer.Exit(0) from None
        except Exception as error:
            if is_full(error):
                drop_output()
            raise typer.Exit(tell(_known(error))) from None

    return run


def drop_output() -> None:
    """For a stdout whose reader has gone, or whose disk is full: Python must not complain of it at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def while_read() -> Iterator[None]:
    """The block prints. Where the reader of our output has gone it ends early, and the command goes on."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


@contextmanager
def ended_cleanly() -> Iterator[None]:
    """The block writes. A SIGTERM in it ends the command as an error would: nothing half written is left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not stop the tidying up
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def together(world: World) -> Iterator[None]:
    """What ends the command in here ends it in every process alike: the first tells it, and none leaves before.

    torchrun ends all processes as soon as one of them has failed.
    """
    from posehg import distributed

    try:
        yield
    except distributed.ProcessLost:
        raise
    except PosehgError as error:
        code = tell(error) if world.first else error.exit_code
    except typer.Exit as leaving:
        code = leaving.exit_code
    else:
        return
    distributed.wait()
    raise typer.Exit(code)


def _known(error: Exception) -> PosehgError:
    if isinstance(error, PosehgError):
        return error
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return DeviceError("The device ran out of memory.", "Try --device cpu; in training, a smaller --batch.")
    if is_full(error):
        return InputError("The output cannot be written: there is no room left where it goes.")
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        hint = "Try --workers 0. In a container, give it more shared memory: docker run --shm-size 8g"
        return DeviceError("A process that prepares crops was ended from outside.", hint)
    if isinstance(error, ImportError) and "libGL" in str(error):
        return DeviceError("OpenCV needs the system library libGL.", "On Debian and Ubuntu: apt install libgl1")
    what = f"{type(error).__name__}: {error}".strip(": ")
    report = "Report what is printed above." if os.environ.get(DEBUG) else "Run it with --debug and report the output."
    return PosehgError(f"This is a bug in posehg ({what}).", report)


def tell(error: PosehgError) -> int:
    """Print an error and its hint on stderr; gives its exit code."""
    if os.environ.get(DEBUG):
        traceback.print_exception(sys.exception() or error)  # of a bug the first has its place in the code
    note(f"Error: {error}")
    if error.hint:
        note(f"Hint: {error.hint}")
    return error.exit_code


def note(text: str) -> None:
    """A line for the reader, on stderr: stdout carries results only."""
    sys.stderr.write(f"{text}\n")  # at once: print would let the lines of two processes run into each other


def drawn(result: RenderableType) -> str:
    """A table or the like in letters, as wide as the terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(result)
    return captured.get()


def show(result: RenderableType) -> None:
    """A table or the like on stdout."""
    # Rich itself would end the process with 1 where the reader has gone.
    print(drawn(result), end="", flush=True)


def with_bar(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    """The items as they come, with a bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, total, console=console, transient=True, disable=not console.is_terminal)
