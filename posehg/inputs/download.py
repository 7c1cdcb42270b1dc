"""Pictures and videos from the web: http and https, with a limit on size and patience."""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

from posehg import __version__
from posehg.errors import InputError
from posehg.inputs import stream

PATIENCE = 30.0
"""Seconds to wait for a server's next sign of life."""

_CHUNK = 1 << 16

_CHECK = "Check the address in a browser."


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
        request = urllib.request.Request(_encoded(address), headers={"User-Agent": f"posehg/{__version__}"})
        with _opener().open(request, timeout=PATIENCE) as response:
            yield from _body(response, address, limit)
    except urllib.error.HTTPError as error:
        with error:
            raise InputError(
                f"{address} cannot be had: the server answers {error.code} {error.reason}.", _CHECK
            ) from None
    except http.client.IncompleteRead:
        raise _cut_short(address) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(address, error) from None


def _body(response: http.client.HTTPResponse, address: str, limit: int) -> Iterator[bytes]:
    kind = response.headers.get_content_type()
    if kind == "text/html":
        raise InputError(f"{address} is a web page, not a picture.", "Give the address of the picture itself.")
    announced = response.length
    if announced is not None and announced > limit:
        raise stream.too_long(address, limit)
    received = 0
    while chunk := response.read(_CHUNK):
        received += len(chunk)
        if received > limit:
            raise stream.too_long(address, limit)
        yield chunk
    if announced is not None and received < announced:
        raise _cut_short(address)


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """urllib's own would follow a redirection to ftp, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _encoded(address: str) -> str:
    """The address as it is sent: what it has of other letters than ASCII, and spaces, in percent signs."""
    parts = urlsplit(address)
    host = parts.netloc.encode("idna").decode("ascii") if not parts.netloc.isascii() else parts.netloc
    path, query = (
        quote(part, safe="%/:;=@!$&'()*+,?~-._[]", errors="surrogateescape") for part in (parts.path, parts.query)
    )
    return urlunsplit((parts.scheme, host, path, query, ""))


def _cut_short(address: str) -> InputError:
    return InputError(f"{address} was cut short on its way.", "Try it again.")


def _unreachable(address: str, error: Exception) -> InputError:
    reason = getattr(error, "reason", error)  # urllib packs the system's error into one of its own
    if isinstance(reason, TimeoutError):
        return InputError(f"{address} cannot be had: the server was silent for {PATIENCE:g} seconds.", "Try it again.")
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "Download it in another way, if you trust the server."
        return InputError(f"{address} cannot be had: the server's certificate is not valid.", hint)
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return InputError(f"{address} cannot be had ({text or type(reason).__name__}).", "Check it, and your network.")
