"""The web: answers over http and https, and what to say where there is none."""

from __future__ import annotations

import functools
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from posehg import __version__
from posehg.errors import printable

PATIENCE = 30.0
"""Seconds to wait for a server's next sign of life."""

CHUNK = 1 << 16
"""Bytes to read at a time."""

Troubles = (OSError, http.client.HTTPException, ValueError)
"""What ``opened``, and reading what it gives, may raise; ``trouble`` puts it into words."""


_SECRETS = re.compile(r"^([a-z][a-z0-9+.-]*:/*)(?:[^/?#]*@)?([^?#]*)(?:\?[^#]*)?", re.IGNORECASE)
_HOME = ("localhost", "127.0.0.1", "::1")


class Overheard(OSError):
    """A redirection to where anybody on the way may change what is sent."""


def opened(
    address: str, headers: Mapping[str, str] | None = None, patience: float = PATIENCE, private: bool = False
) -> http.client.HTTPResponse:
    """The server's answer, to be read and closed. Raises one of ``Troubles``, urllib's HTTPError for 400 and above.

    private: no redirection is followed to where ``is_private`` says that others could take part.
    """
    named = {"User-Agent": f"posehg/{__version__}", **(headers or {})}
    request = urllib.request.Request(_encoded(address), headers=named)
    return _opener(private).open(request, timeout=patience)


def is_private(address: str) -> bool:
    """Whether nobody on the way can change what an address gives: by https, or from this machine."""
    parts = urlsplit(address)
    return parts.scheme.lower() == "https" or parts.hostname in _HOME


def shown(address: str) -> str:
    """An address as it may be shown and kept: a user's name, a password and a query may be secrets."""
    return _SECRETS.sub(r"\1\2", address)


def is_page(response: http.client.HTTPResponse) -> bool:
    """Whether the answer is for a reader with a browser."""
    return response.headers.get_content_type() == "text/html"


def trouble(address: str, error: Exception, patience: float = PATIENCE) -> tuple[str, str]:
    """One of ``Troubles`` as a sentence and a hint."""
    address = shown(address)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        sentence = f"{address} cannot be had: the server answers {error.code} {printable(str(error.reason))}."
        return sentence, "Check the address in a browser."
    if isinstance(error, http.client.IncompleteRead):
        return cut_short(address)
    reason = getattr(error, "reason", error)  # urllib packs the system's error into one of its own
    if isinstance(reason, TimeoutError):
        return f"{address} cannot be had: the server was silent for {patience:g} seconds.", "Try it again."
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "Download it in another way, if you trust the server."
        return f"{address} cannot be had: the server's certificate is not valid.", hint
    if isinstance(reason, Overheard):
        return f"{address} {reason}.", "Give its whole hash: ADDRESS#sha256=64 DIGITS"
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return f"{address} cannot be had ({printable(text) or type(reason).__name__}).", "Check it, and your network."


def cut_short(address: str) -> tuple[str, str]:
    return f"{shown(address)} was cut short on its way.", "Try it again."


class _Private(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_private(newurl):
            fp.close()
            place = printable(shown(newurl))
            raise Overheard(f"leads on to {place}, and what comes by http anybody on the way may change")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@functools.cache
def _opener(private: bool) -> urllib.request.OpenerDirector:
    """urllib's own would follow a redirection to ftp, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Private() if private else urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _encoded(address: str) -> str:
    """The address as it is sent: what it has of other letters than ASCII, and spaces, in percent signs."""
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ValueError("no user's name and password are sent")  # urllib would take them for a part of the host
    host = parts.netloc.encode("idna").decode("ascii") if not parts.netloc.isascii() else parts.netloc
    path, query = (
        quote(part, safe="%/:;=@!$&'()*+,?~-._[]", errors="surrogateescape") for part in (parts.path, parts.query)
    )
    return urlunsplit((parts.scheme, host, path, query, ""))
