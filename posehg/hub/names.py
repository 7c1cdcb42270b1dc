"""What a user may call a model, and which of the things that it may be it is."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from posehg.errors import NotAvailable, UsageError
from posehg.hub import addresses
from posehg.hub.addresses import Address
from posehg.hub.aliases import ALIASES
from posehg.hub.bundled import NAMES

HUB = "hf://"
"""Put before user/repo it means the Hub's, whatever lies on disk."""

REPO = re.compile(r"([\w][\w.-]*/[\w][\w.-]*)(?:@([\w][\w./-]*))?", re.ASCII)
"""user/repo, and a revision."""
_FILE = re.compile(r"\.(safetensors|pth|pt|tar|bin|ckpt|onnx|t7|json|zip)$", re.IGNORECASE)
_KINDS = "A model is a folder or file, user/repo of the Hub, or a name that posehg models list shows."


@dataclass(frozen=True)
class Bundled:
    """Of the models that come with posehg the one of this name."""

    name: str


@dataclass(frozen=True)
class Local:
    """A folder or file that exists."""

    path: Path


@dataclass(frozen=True)
class Repo:
    """A repository of the Hub. revision: a branch, a tag or a commit; None: main."""

    id: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.id}@{self.revision}" if self.revision else self.id


@dataclass(frozen=True)
class Named:
    """A model as the user named it. licence: of one that is known by a short name, else empty."""

    name: str
    place: Bundled | Local | Repo | Address
    licence: str = ""


def parse(name: str) -> Named:
    """``bundled`` or ``small``; what exists on disk; a short name; an address with a hash; user/repo[@revision].

    Raises NotAvailable where it is none of these, UsageError for an address that cannot be taken.
    """
    if name in NAMES:
        return Named(name, Bundled(name))
    if os.path.exists(name):  # pathlib's raises for a name that is too long to be one
        return Named(name, Local(Path(name)))
    if name in ALIASES:
        alias = ALIASES[name]
        return Named(name, _elsewhere(alias.place), alias.licence)
    return Named(name, _elsewhere(name))


def _elsewhere(name: str) -> Repo | Address:
    if name.startswith(HUB):
        repo = REPO.fullmatch(name.removeprefix(HUB))
        if repo is None:
            raise UsageError(f"{name} does not name a repository of the Hub.", f"As in {HUB}user/repo@revision.")
        return Repo(*repo.groups())
    if "://" in name:
        return addresses.parse(name)
    repo = REPO.fullmatch(name)
    if repo is None or _FILE.search(name):
        raise NotAvailable(f"There is no model at {name}.", _meant(name))
    if Path(name).parent.is_dir():  # rather a slip in a path than somebody of that name on the Hub
        raise NotAvailable(f"There is no model at {name}.", f"If you mean the Hub's, write {HUB}{name}")
    return Repo(*repo.groups())


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name, [*NAMES, *ALIASES], n=1)
    return f"Do you mean {close[0]}?" if close else _KINDS
