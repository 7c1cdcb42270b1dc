"""Every mistake a user can make. The command line turns each into a sentence, a hint and an exit code.

PosehgError              1  a bug in posehg, if it is raised itself
├── UsageError           2  an option or argument that cannot be meant
├── InputError           3  a picture, box or annotation that cannot be used
├── CheckFailed          4  a check that was asked for did not hold
├── NotAvailable         5  a model or data set that is not there or not readable
└── DeviceError          6  a compute device that is not there or too small
"""

from __future__ import annotations


class PosehgError(Exception):
    """A message of one sentence and, where there is something to do about it, a hint."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"Hint: {hint}")  # for tracebacks: who calls posehg as a library reads them


class UsageError(PosehgError):
    exit_code = 2


class InputError(PosehgError):
    exit_code = 3


class CheckFailed(PosehgError):
    exit_code = 4


class NotAvailable(PosehgError):
    exit_code = 5


class DeviceError(PosehgError):
    exit_code = 6


def printable(text: str, limit: int = 200) -> str:
    """What a file or a server says, as it may be shown: on one line, not too long, without a terminal's commands."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:limit])
    return f"{shown}..." if len(text) > limit else shown


def reason(error: Exception) -> str:
    """What a library says of a file, or the error's name; of many lines, such as a trace of calls, the first."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])
