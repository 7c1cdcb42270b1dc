"""What a command says: notes and errors on stderr, results on stdout."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

from posehg.errors import DeviceError, InputError, PosehgError
from posehg.files import is_full

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

    from posehg.distributed import World

INTERRUPTED = 130  # the exit code after Ctrl-C
DEBUG = "POSEHG_DEBUG"  # the environment variable that asks for tracebacks, as --debug does

T = TypeVar("T")


class Ended(SystemExit):
    """The end of a command that has said what failed: its exit code is left to give."""


def note(text: str) -> None:
    """Write a line to stderr, which is for people; stdout carries results only. Work goes on if nobody can read it."""
    try:
        sys.stderr.write(f"{text}\n")  # in one call: print would mix the lines of several processes
    except OSError:
        discard(sys.stderr)


def report(error: PosehgError) -> int:
    """Write an error and its hint to stderr and return its exit code."""
    if os.environ.get(DEBUG):
        traceback.print_exception(sys.exception() or error)  # of a bug, the original error has the traceback
    note(f"Error: {error}")
    if error.hint:
        note(f"Hint: {error.hint}")
    return error.exit_code


def explained(error: Exception) -> PosehgError:
    """The error as one of posehg's own, with what can be done about it."""
    if isinstance(error, PosehgError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return DeviceError("The device ran out of memory.", "Try --device cpu; in training, a smaller --batch.")
    if is_full(error):
        return InputError("The output cannot be written: the disk is full.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return InputError(f"{error.filename or 'A file name'} cannot be used: the file name is too long.")
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        hint = "Try --workers 0. In a container, give it more shared memory: docker run --shm-size 8g"
        return DeviceError("A data loading process was killed.", hint)
    if isinstance(error, ImportError) and "libGL" in str(error):
        return DeviceError("OpenCV needs the system library libGL.", "On Debian and Ubuntu: apt install libgl1")
    what = f"{type(error).__name__}: {error}".strip(": ")
    return PosehgError(f"This is a bug in posehg ({what}).", "Report the output of the command with --debug.")


@contextmanager
def failing_in_words() -> Iterator[None]:
    """A command that fails in the block ends with one sentence, a hint and an exit code instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        note("Interrupted.")
        raise Ended(INTERRUPTED) from None
    except BrokenPipeError:
        discard(sys.stdout)  # the reader of a pipe has seen enough
        raise Ended(0) from None
    except Exception as error:
        if is_full(error):
            discard(sys.stdout)
        raise Ended(report(explained(error))) from None


def rendered(result: RenderableType) -> str:
    """A table or the like as text, as wide as the terminal. In a pipe no line is broken."""
    from rich.console import Console

    sys.stdout.flush()  # which raises if the reader of a pipe has gone; rich would end the process with 1
    console = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 1000)
    with console.capture() as captured:
        console.print(result)
    return re.sub(" +\n", "\n", captured.get())


def show(result: RenderableType) -> None:
    """Print a table or the like on stdout."""
    # Not by rich itself, which ends the process with 1 when the reader of a pipe has gone.
    print(rendered(result), end="", flush=True)


def bar(shown: bool = True, left: str = "") -> Progress:
    """Progress bars on stderr, if that is a terminal and they are to be shown.

    left: the format of the last column, "{task.fields[NAME]}"; by default it is the time left for the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(left) if left else TimeRemainingColumn(),
        console=(console := Console(stderr=True, soft_wrap=True)),  # a path in a note must be copied in one piece
        transient=True,
        disable=not (shown and console.is_terminal),
        redirect_stdout=sys.stdout.isatty(),  # else results would go to stderr
    )


@contextmanager
def counter(what: str, total: int | None, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A function that moves a progress bar on by a number of items. Without a terminal there is no bar."""
    if not (shown and sys.stderr.isatty()):
        yield lambda count: None  # without rich, whose import takes a tenth of the time of a photo
        return
    with bar() as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def progress(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items, with a progress bar while they are consumed."""
    with counter(what, total) as advance:
        for item in items:
            yield item
            advance(1)


def open_streams() -> None:
    """Standard streams that the caller has closed lead nowhere.

    Otherwise the next file that is opened would get the number of a closed one, and what libraries print on it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def discard(stream: TextIO) -> None:
    """Send stdout or stderr to nowhere. Otherwise Python complains at exit about a closed pipe or a full disk."""
    with suppress(io.UnsupportedOperation):  # not a file, as in a notebook
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def ignore_closed_stdout() -> Iterator[None]:
    """The block prints. If the reader of a pipe has gone, the block ends early and the command continues."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)


@contextmanager
def fail_together(world: World) -> Iterator[None]:
    """An error that all processes raise is reported by the first, and none exits before the others have it too.

    Without this torchrun stops the first process, which reports, as soon as any other has failed.
    """
    from posehg import distributed

    try:
        yield
    except distributed.ProcessLost:
        raise
    except PosehgError as error:
        end = Ended(report(error) if world.first else error.exit_code)
    except Ended as leaving:
        end = leaving
    else:
        return
    distributed.wait()
    raise end
