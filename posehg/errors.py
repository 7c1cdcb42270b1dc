"""Every mistake a user can make. The command line turns each into a sentence, a hint and an exit code.

PosehgError              1  a bug in posehg, if it is raised itself
├── UsageError           2  an option or argument that makes no sense; also a ValueError
│   └── UnknownName      2  a name that is not known; also a KeyError
├── InputError           3  an image, box or annotation that cannot be used
├── CheckFailed          4  a requested check failed
├── NotAvailable         5  a model or data set that is missing or unreadable
└── DeviceError          6  a compute device that is missing or too small
"""


class PosehgError(Exception):
    """A message of one sentence and, if there is something to do about it, a hint."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"Hint: {hint}")  # for tracebacks, which library users read


class UsageError(PosehgError, ValueError):
    exit_code = 2


class UnknownName(UsageError, KeyError):
    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put it in quotes


class InputError(PosehgError):
    exit_code = 3


class CheckFailed(PosehgError):
    exit_code = 4


class NotAvailable(PosehgError):
    exit_code = 5


class DeviceError(PosehgError):
    exit_code = 6


def printable(text: str, limit: int = 200) -> str:
    """Text from a file or a server made safe to show: one line, at most ``limit`` characters, no control characters."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:limit])
    return f"{shown}..." if len(text) > limit else shown


def reason(error: Exception) -> str:
    """The first line of a library's error message, or the error's name if it has none."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])
