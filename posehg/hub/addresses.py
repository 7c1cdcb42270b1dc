"""Addresses of model files on the web, each with the hash that the file must have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from posehg.errors import UsageError

_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z0-9.]+$")
_IN_FRAGMENT = re.compile(r"sha256=([0-9a-fA-F]{64})")
_HOME = ("localhost", "127.0.0.1", "::1")
_WHOLE = 64


@dataclass(frozen=True)
class Address:
    """url: without a fragment. digest: the sha256 in hexadecimal, or its first digits (8 or more). file: its name."""

    url: str
    digest: str
    file: str

    def __str__(self) -> str:
        return self.url


def parse(text: str) -> Address:
    """``https://../file#sha256=HEX``, or ``https://../file-HEX.pth``, as torch.hub names its files.

    Raises UsageError where there is no hash: what a server gives one day it need not give the next. A hash of few
    digits can be met on purpose, so over http, where anybody on the way may do that, it has to be whole.
    """
    parts = urlsplit(text)
    url, _, fragment = text.partition("#")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{text} is no address that a model can be had from.", "It begins with https://")
    name = unquote(parts.path).replace("\\", "/").rpartition("/")[2]
    digest = _digest(text, name, fragment)
    if parts.scheme.lower() == "http" and len(digest) < _WHOLE and parts.hostname not in _HOME:
        raise UsageError(f"{url} can be had by https only.", "Or give its whole hash: ADDRESS#sha256=64 DIGITS")
    # No name may lead out of the folder that it is kept in, or hide there.
    return Address(url, digest, re.sub(r"[^\w.+-]", "_", name).lstrip(".")[-100:] or "model")


def _digest(text: str, name: str, fragment: str) -> str:
    if fragment:
        whole = _IN_FRAGMENT.fullmatch(fragment)
        if whole is None:
            raise UsageError(f"{text} ends in no hash.", "It ends in #sha256= and 64 hexadecimal digits.")
        return whole[1].lower()
    prefix = _IN_NAME.search(name)
    if prefix is None:
        hint = "Say which file it must be: ADDRESS#sha256=64 DIGITS (sha256sum FILE prints them)."
        raise UsageError(f"{text} comes without a hash, so nobody could tell whether it is the file meant.", hint)
    return prefix[1]
