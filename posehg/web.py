"""The web: answers over http and https, and what to say where there is none."""

from __future__ import annotations

import functools
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from posehg import __version__

PATIENCE = 30.0
"""Seconds to wait for a server's next sign of life."""

CHUNK = 1 << 16
"""Bytes to read at a time."""

Troubles = (OSError, http.client.HTTPException, ValueError)
"""What ``opened``, and reading what it gives, may raise; ``trouble`` puts it into words."""


def opened(
    address: str, headers: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> http.client.HTTPResponse:
    """The server's answer, to be read and closed. Raises one of ``Troubles``, urllib's HTTPError for 400 and above."""
    named = {"User-Agent": f"posehg/{__version__}", **(headers or {})}
    request = urllib.request.Request(_encoded(address), headers=named)
    return _opener().open(request, timeout=patience)


def is_page(response: http.client.HTTPResponse) -> bool:
    """Whether the answer is for a reader with a browser."""
    return response.headers.get_content_type() == "text/html"


def trouble(address: str, error: Exception, patience: float = PATIENCE) -> tuple[str, str]:
    """One of ``Troubles`` as a sentence and a hint."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        sentence = f"{address} cannot be had: the server answers {error.code} {error.reason}."
        return sentence, "Check the address in a browser."
    if isinstance(error, http.client.IncompleteRead):
        return cut_short(address)
    reason = getattr(error, "reason", error)  # urllib packs the system's error into one of its own
    if isinstance(reason, TimeoutError):
        return f"{address} cannot be had: the server was silent for {patience:g} seconds.", "Try it again."
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "Download it in another way, if you trust the server."
        return f"{address} cannot be had: the server's certificate is not valid.", hint
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return f"{address} cannot be had ({text or type(reason).__name__}).", "Check it, and your network."


def cut_short(address: str) -> tuple[str, str]:
    return f"{address} was cut short on its way.", "Try it again."


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
