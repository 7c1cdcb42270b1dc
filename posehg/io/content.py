"""The content of inputs: files, pipes, standard input and URLs, each up to a limit. Errors name the input."""

import sys
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

from posehg import __version__
from posehg.errors import InputError, printable
from posehg.images import unreadable

STANDARD_INPUT = "-"

TIMEOUT = 30.0
"""Seconds to wait for a server's next bytes."""

_CHUNK = 1 << 18  # bytes read at a time


def is_url(name: str) -> bool:
    return name.lower().startswith(("http://", "https://"))


def read_bytes(name: str, limit: int) -> bytes:
    """The content of a file, a pipe, a URL or, for ``-``, of standard input: at most ``limit`` bytes."""
    content = BytesIO()
    if is_url(name):
        download(name, content, limit)
        return content.getvalue()
    is_stdin = name == STANDARD_INPUT
    if is_stdin and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError("Nothing is piped into standard input.", "For example: curl ADDRESS | posehg predict -")
    try:
        # Without Python's buffer: a thread that still waits for input would hold its lock when the program ends.
        with open(sys.stdin.fileno() if is_stdin else name, "rb", buffering=0, closefd=not is_stdin) as file:
            _copy(iter(partial(file.read, _CHUNK), b""), content, "Standard input" if is_stdin else name, limit)
    except OSError as error:
        raise unreadable(Path(name), error) from None
    return content.getvalue()


def read_text(name: str, limit: int) -> str:
    """The content as text in UTF-8. Other bytes, which file names may have, are kept as Python keeps them in paths."""
    text = read_bytes(name, limit).decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise InputError(f"{name} is not a text file in UTF-8.")
    return text


def download(url: str, file: IO[bytes], limit: int) -> None:
    """Write what is at a URL to a file. Raises InputError where it is not available or exceeds the limit."""
    import requests

    agent = {"User-Agent": f"posehg/{__version__}"}  # some servers refuse unknown clients
    try:
        with requests.get(url, headers=agent, stream=True, timeout=TIMEOUT) as response:
            if not response.ok:
                answer = f"{response.status_code} {printable(response.reason)}"
                raise InputError(f"{url} cannot be downloaded: the server answers {answer}.", "Check the address.")
            if "text/html" in response.headers.get("Content-Type", ""):
                raise InputError(f"{url} is a web page, not an image.", "Give the address of the image itself.")
            _copy(response.iter_content(_CHUNK), file, url, limit)
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise InputError(f"{url} was cut short during the download.", "Try again.") from None
    except (requests.RequestException, OSError, ValueError) as error:
        cause: BaseException = error  # requests wraps what the system says several times
        while cause.__context__ is not None:
            cause = cause.__context__
        text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
        why = f"no answer for {TIMEOUT:g} seconds" if isinstance(cause, TimeoutError) else printable(text)
        raise InputError(f"{url} cannot be downloaded: {why}.", "Check the address and your network.") from None


def _copy(chunks: Iterable[bytes], file: IO[bytes], name: str, limit: int) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise InputError(f"{name} is larger than {limit >> 20:,} MiB.", "Save it as a file and check it first.")
        file.write(chunk)
