"""From what the user calls a model to where it lies on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from posehg.errors import NotAvailable, UsageError
from posehg.hub import downloads, repos
from posehg.hub.addresses import Address, shown
from posehg.hub.bundled import bundled_folder
from posehg.hub.files import Damaged
from posehg.hub.names import Bundled, Local, Named, Repo, parse
from posehg.hub.repos import offline_by_environment

Tell = Callable[[str], None]
"""Takes a sentence for the user."""


def find(name: str, offline: bool = False, tell: Tell | None = None) -> Path:
    """Where the model lies that a user named; what was not fetched before is fetched.

    What is on this machine is used as it is, without a request: ``fetch`` asks for newer. offline: nothing is fetched.
    What was fetched and is not any more what it was is fetched anew.
    Raises NotAvailable where it cannot be had, UsageError for a name that can be none.
    """
    named, offline = parse(name), offline or offline_by_environment()
    try:
        found = _present(named)
    except Damaged as damaged:
        if offline:
            raise NotAvailable(str(damaged), _get(name)) from None
        if tell is not None:
            tell(str(damaged))
        return _fetched(named, tell)
    if found is not None:
        return found
    if offline:
        missing = f"There is no model at {shown(name)}: it was not fetched, and posehg is offline."
        raise NotAvailable(missing, _get(name))
    return _fetched(named, tell)


def where(name: str) -> Path:
    """The same without ever asking the network."""
    try:
        found = _present(parse(name))
    except Damaged as damaged:
        raise NotAvailable(str(damaged), _get(name)) from None
    if found is None:
        raise NotAvailable(f"{shown(name)} was not fetched yet.", _get(name))
    return found


def fetch(name: str, tell: Tell | None = None) -> Path:
    """The same, but a branch of the Hub is brought up to date."""
    named = parse(name)
    if isinstance(named.place, Repo) and not offline_by_environment():
        return _fetched(named, tell)
    return find(name, tell=tell)


def licence(name: str) -> str:
    """The terms of a model that is known by a short name; else nothing, and what its config says holds."""
    return parse(name).licence


def check_removable(name: str) -> Repo | Address:
    """What of that name was fetched, and may be deleted. Raises UsageError for what is not posehg's to delete."""
    match parse(name).place:
        case Bundled(bundled):
            raise UsageError(f"The model {bundled} is a part of posehg, and stays.")
        case Local(path):
            raise UsageError(f"{path} was not fetched by posehg, so posehg does not delete it.")
        case place:
            return place


def remove(name: str) -> int:
    """Delete what was fetched by that name, and nothing else ever; gives how many bytes were freed."""
    place = check_removable(name)
    freed = repos.remove(place) if isinstance(place, Repo) else downloads.remove(place)
    if not freed:
        raise NotAvailable(f"{shown(name)} was not fetched.", "What was: posehg models list")
    return freed


def _present(named: Named) -> Path | None:
    match named.place:
        case Bundled(bundled):
            return bundled_folder(bundled)
        case Local(path):
            return path
        case Repo() as repo:
            return repos.cached(repo)
        case Address() as address:
            return downloads.cached(address)


def _fetched(named: Named, tell: Tell | None) -> Path:
    if tell is not None:
        terms = f" Its terms: {named.licence}." if named.licence else ""
        tell(f"Fetching {_what(named)}.{terms}")
    match named.place:
        case Repo() as repo:
            return repos.fetch(repo)
        case Address() as address:
            return downloads.fetch(address)
    raise AssertionError(named)  # everything else is here


def _what(named: Named) -> str:
    place = str(named.place)
    if isinstance(named.place, Repo):
        return f"{place} from the Hub"
    return place if named.name.startswith(place) else f"{named.name} from {place}"


def _get(name: str) -> str:
    return f"With a network: posehg models get {shlex.quote(shown(name))}"
