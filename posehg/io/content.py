"""Bytes and text of inputs from files, pipes, standard input and the web, each up to a limit.

Errors are InputErrors that name the input.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO

from posehg import __version__
from posehg.errors import InputError, printable
from posehg.images import unreadable

TIMEOUT = 30.0
"""Seconds to wait for a server's next bytes."""

CHUNK = 1 << 18
"""Bytes to read at a time."""


def read_standard_input(limit: int) -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("Nothing is piped into standard input.", "For example: curl ADDRESS | posehg predict -")
    # Without Python's buffer: a thread that still waits for input would hold its lock when the program ends.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
        return read_all(file, "Standard input", limit)


def read_text(path: str | Path, name: str, limit: int) -> str:
    """The content of a text file of at most ``limit`` bytes; ``name`` is what errors call it. Raises InputError."""
    try:
        with open(path, "rb") as file:
            return decode_text(read_all(file, name, limit), name)
    except OSError as error:
        raise unreadable(Path(path), error) from None


def decode_text(content: bytes, name: str) -> str:
    """UTF-8 or, with a byte order mark, UTF-16 as PowerShell writes it. Raises InputError for anything else."""
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")
        if b"\0" not in content:
            # File names may contain any bytes: those that are not UTF-8 are kept as Python keeps them in paths.
            return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    except UnicodeDecodeError:
        pass
    raise InputError(f"{name} is not a text file.")


def read_all(file: IO[bytes], name: str, limit: int) -> bytes:
    content = bytearray()
    while chunk := file.read(CHUNK):
        content += chunk
        _check_size(name, len(content), limit)
    return bytes(content)


def _check_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise InputError(
            f"{name} is larger than {limit / (1 << 20):,.0f} MiB.", "Save it as a file and check it first."
        )


def download_to(path: str, url: str, limit: int) -> None:
    """Write the content of a URL to a new file. Raises InputError as ``download`` does, and where the disk is full."""
    with closing(download(url, limit)) as chunks:
        try:
            with open(path, "wb") as file:
                file.writelines(chunks)
        except OSError as error:
            raise InputError(f"{url} cannot be saved in {Path(path).parent}: {error.strerror or error}.") from None


def download(url: str, limit: int) -> Generator[bytes]:
    """The content of a URL in chunks. Raises InputError, naming it, where it is not available or exceeds the limit."""
    import requests

    agent = {"User-Agent": f"posehg/{__version__}"}
    try:
        with requests.get(url, headers=agent, stream=True, timeout=TIMEOUT) as response:
            if not response.ok:
                what = f"the server answers {response.status_code} {printable(response.reason)}"
                raise InputError(f"{url} cannot be downloaded: {what}.", "Check the address in a browser.")
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise InputError(f"{url} is a web page, not an image.", "Give the address of the image itself.")
            announced = response.headers.get("Content-Length", "")
            _check_size(url, int(announced) if announced.isdecimal() else 0, limit)
            received = 0
            for chunk in response.iter_content(CHUNK):
                received += len(chunk)
                _check_size(url, received, limit)
                yield chunk
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise InputError(f"{url} was cut short during the download.", "Try again.") from None
    except (requests.RequestException, OSError, ValueError) as error:
        cause: BaseException = error  # requests wraps what the system says several times
        while cause.__context__ is not None:
            cause = cause.__context__
        if isinstance(cause, TimeoutError):
            raise InputError(f"{url}: the server did not respond for {TIMEOUT:g} seconds.", "Try again.") from None
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        hint = "Check the address and your network."
        raise InputError(f"{url} cannot be downloaded: {printable(reason) or type(cause).__name__}.", hint) from None
