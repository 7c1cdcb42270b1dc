"""Addresses of model files on the web, each with the hash that the file must have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from posehg import web
from posehg.errors import UsageError, printable

_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z0-9.]+$")
_IN_FRAGMENT = re.compile(r"sha256=([0-9a-fA-F]{64})")
_WHOLE = 64


@dataclass(frozen=True)
class Address:
    """url: without a fragment. digest: the sha256 in hexadecimal, or its first digits (8 or more). file: its name.

    As text it is without its query, which may be a secret.
    """

    url: str
    digest: str
    file: str

    @property
    def is_whole(self) -> bool:
        """Whether all of the hash is known: of a few digits somebody may make another file that has the same."""
        return len(self.digest) == _WHOLE

    def __str__(self) -> str:
        return shown(self.url)


def parse(text: str) -> Address:
    """``https://../file#sha256=HEX``, or ``https://../file-HEX.pth``, as torch.hub names its files.

    Raises UsageError where there is no hash: what a server gives one day it need not give the next. A hash of few
    digits keeps out damage and mistakes, but can be met on purpose (of 8, in an hour or so), so over http, where
    anybody on the way may do that, it has to be whole; by https the server is trusted then. No message shows a query.
    """
    url, _, fragment = text.partition("#")
    parts = _parts(text)
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{shown(url)} comes with a user's name or password.", "Nobody is told them: leave them out.")
    name = unquote(parts.path).replace("\\", "/").rpartition("/")[2]
    digest = _digest(text, name, fragment)
    if len(digest) < _WHOLE and not web.is_private(url):
        raise UsageError(f"{shown(url)} can be had by https only.", "Or give its whole hash: ADDRESS#sha256=64 DIGITS")
    # No name may lead out of the folder that it is kept in, or hide there.
    return Address(url, digest, re.sub(r"[^\w.+-]", "_", name).lstrip(".")[-100:] or "model")


def shown(text: str) -> str:
    """What a user calls a model, as it may be shown: of an address what may be secret is left out."""
    return printable(web.shown(text), 1000)


def _parts(text: str) -> SplitResult:
    """Raises UsageError for what is no address; a part of it that urllib refuses only when it is asked for counts."""
    try:
        parts = urlsplit(text)
        sane = parts.scheme.lower() in ("http", "https") and parts.hostname and parts.port != 0
        parts.netloc.encode("idna")
    except ValueError:
        sane = False
    if not sane:
        raise UsageError(f"{shown(text)} is no address that a model can be had from.", "It begins with https://")
    return parts


def _digest(text: str, name: str, fragment: str) -> str:
    if fragment:
        whole = _IN_FRAGMENT.fullmatch(fragment)
        if whole is None:
            raise UsageError(f"{shown(text)} ends in no hash.", "It ends in #sha256= and 64 hexadecimal digits.")
        return whole[1].lower()
    prefix = _IN_NAME.search(name)
    if prefix is None:
        hint = "Say which file it must be: ADDRESS#sha256=64 DIGITS (sha256sum FILE prints them)."
        raise UsageError(
            f"{shown(text)} comes without a hash, so nobody could tell whether it is the file meant.", hint
        )
    return prefix[1]
