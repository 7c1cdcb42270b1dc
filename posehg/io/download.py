"""Pictures and videos from the web: http and https, with a limit on size and patience."""

from __future__ import annotations

import http.client
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from posehg import web
from posehg.errors import InputError
from posehg.io import stream

PATIENCE = web.PATIENCE
"""Seconds to wait for a server's next sign of life."""


def read(address: str, limit: int) -> bytes:
    """What lies at an address. Raises InputError, naming it, where that cannot be had whole or exceeds the limit."""
    return b"".join(_chunks(address, limit))


@contextmanager
def as_file(address: str, limit: int) -> Iterator[str]:
    """The path of a temporary file with what lies at an address. Raises InputError as ``read`` does."""
    with tempfile.TemporaryDirectory(prefix="posehg-") as folder:
        path = os.path.join(folder, "download")
        chunks = _chunks(address, limit)
        try:
            with open(path, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:
            raise InputError(f"{address} cannot be kept in {folder}: {error.strerror or error}.") from None
        finally:
            chunks.close()
        yield path


def _chunks(address: str, limit: int) -> Generator[bytes]:
    try:
        with web.opened(address, patience=PATIENCE) as response:
            yield from _body(response, address, limit)
    except web.Troubles as error:
        raise InputError(*web.trouble(address, error, PATIENCE)) from None


def _body(response: http.client.HTTPResponse, address: str, limit: int) -> Iterator[bytes]:
    if web.is_page(response):
        raise InputError(f"{address} is a web page, not a picture.", "Give the address of the picture itself.")
    announced = response.length
    if announced is not None and announced > limit:
        raise stream.too_long(address, limit)
    received = 0
    while chunk := response.read(web.CHUNK):
        received += len(chunk)
        if received > limit:
            raise stream.too_long(address, limit)
        yield chunk
    if announced is not None and received < announced:
        raise InputError(*web.cut_short(address))
