"""Model files from addresses on the web: checked by their hash before they are there, kept, gone on with."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posehg import web
from posehg.errors import NotAvailable
from posehg.files import sha256
from posehg.hub.addresses import Address
from posehg.hub.files import LIMIT, Damaged

_ORIGIN = ".origin.json"
_PART = ".part"


@dataclass(frozen=True)
class Download:
    """A file that was downloaded. url: where it came from, without its query. sha256: of the file, when it came."""

    path: Path
    url: str
    sha256: str

    @property
    def name(self) -> str:
        """What fetches it again; of a hash of few digits, which its file's name has, no more is known."""
        whole = self.path.parent.name == self.sha256
        return f"{self.url}#sha256={self.sha256}" if whole else self.url


def home() -> Path:
    """Where downloads are kept: in $POSEHG_HOME, else in the user's cache."""
    if given := os.environ.get("POSEHG_HOME"):
        return Path(given).expanduser()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "posehg"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "posehg"


def cached(address: Address) -> Path | None:
    """The file, where it was downloaded before. Another address of the same file and whole hash gives the same.

    Raises Damaged where it has not its hash any more; ``fetch`` puts the right one in its place.
    """
    place = there(address)
    if place is not None and not (digest := sha256(place)).startswith(address.digest):
        raise Damaged(place, digest, address.digest)
    return place


def there(address: Address) -> Path | None:
    """The same without a look at what is in it."""
    place = _place(address)
    return place if place.is_file() else None


def fetch(address: Address) -> Path:
    """The file, downloaded if need be. It is there only when all of it is, and its hash is the one that was given.

    A download that broke off is gone on with. Raises NotAvailable, naming the address.
    """
    place = _place(address)
    if place.parent.is_symlink():
        raise NotAvailable(f"{address} cannot be kept in {place.parent}: it is a link.", "Delete it.")
    with _kept(address, place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place.parent):
            # Another process may have been faster.
            if not (place.is_file() and sha256(place).startswith(address.digest)):
                _fetch(address, place)
    return place


def listed() -> list[Download]:
    """All that was downloaded, by address."""
    found = []
    for origin in home().glob(f"downloads/*/{_ORIGIN}"):
        try:
            values = json.loads(origin.read_text(encoding="utf-8"))
            one = Download(origin.parent / values["file"], values["url"], values["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a file that somebody else put there is not for us to judge
        if one.path.is_file():
            found.append(one)
    return sorted(found, key=lambda one: one.url)


def remove(address: Address) -> int:
    """Delete the file and what is left of a broken download; gives how many bytes were freed."""
    folder = _place(address).parent
    if not folder.is_dir():
        return 0
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise NotAvailable(f"{folder} cannot be deleted: {error.strerror or error}.") from None
    return size


def _place(address: Address) -> Path:
    """A hash of few digits somebody can meet on purpose: then no other address may put a file there."""
    key = address.digest
    if not address.is_whole:
        key = f"{key}-{hashlib.sha256(address.url.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    return home() / "downloads" / key / address.file


def _fetch(address: Address, place: Path) -> None:
    part = place.with_name(f".{place.name}{_PART}")  # no name of a model begins with a dot
    _receive(address, part)
    digest = sha256(part)
    if not digest.startswith(address.digest):
        part.unlink()
        meant = address.digest if address.is_whole else f"{address.digest}…"
        hint = "It was deleted. The server has another file now, or somebody changed it on its way."
        raise NotAvailable(f"{address} is not the file meant: its sha256 is {digest}, not {meant}.", hint)
    values = {"url": str(address), "file": place.name, "sha256": digest}
    origin = place.with_name(_ORIGIN)
    origin.unlink(missing_ok=True)
    with open(origin, "x", encoding="utf-8") as file:  # which, as what follows, goes through no link
        file.write(json.dumps(values, indent=2) + "\n")
    with open(part, "rb+") as written:
        os.fsync(written.fileno())
    os.replace(part, place)


def _receive(address: Address, part: Path) -> None:
    """Add to the part what is missing of the file."""
    if part.is_symlink():
        part.unlink()
    have = part.stat().st_size if part.exists() else 0
    try:
        with _answer(address, have) as response:
            begin = have if response.status == http.client.PARTIAL_CONTENT else 0
            if begin and _first(response) != begin:
                raise NotAvailable(f"{address} cannot be gone on with: the server sends another part.", "Try it again.")
            received, total = _write(address, response, part, begin)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise NotAvailable(*web.trouble(address.url, error)) from None
        error.close()  # nothing is missing; whether it is the file, its hash tells
        return
    if received > LIMIT:
        part.unlink()
        raise _too_large(address)
    if total is not None and received < total:
        raise _broken_off(web.cut_short(address.url)[0])


@contextmanager
def _answer(address: Address, have: int) -> Iterator[http.client.HTTPResponse]:
    try:
        headers = {"Range": f"bytes={have}-"} if have else {}
        response = web.opened(address.url, headers, private=not address.is_whole)
    except urllib.error.HTTPError:
        raise
    except web.Troubles as error:
        raise NotAvailable(*web.trouble(address.url, error)) from None
    with response:
        yield response


def _first(response: http.client.HTTPResponse) -> int:
    """Of an answer with a part of the file the place of its first byte; -1 where it does not say."""
    unit, _, span = response.headers.get("Content-Range", "").partition(" ")
    first = span.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1


def _write(address: Address, response: http.client.HTTPResponse, part: Path, begin: int) -> tuple[int, int | None]:
    """Write the answer to the part from ``begin`` on; gives how long it now is, and how long it should be."""
    if web.is_page(response):
        raise NotAvailable(f"{address} is a web page, not a model.", "Give the address of the file itself.")
    total = None if response.length is None else begin + response.length
    if total is not None and total > LIMIT:
        raise _too_large(address)
    with open(part, "r+b" if begin else "wb") as file, _bar(address.file, total, begin) as bar:
        received = file.seek(begin)
        while received <= LIMIT and (chunk := _read(address, response)):
            received += file.write(chunk)
            bar.update(len(chunk))
    return received, total


def _read(address: Address, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(web.CHUNK)
    except web.Troubles as error:
        raise _broken_off(web.trouble(address.url, error)[0]) from None


def _broken_off(sentence: str) -> NotAvailable:
    return NotAvailable(sentence, "Run it again: the download goes on where it broke off.")


def _too_large(address: Address) -> NotAvailable:
    return NotAvailable(f"{address} is larger than {LIMIT >> 20:,} MiB: that is no hourglass.")


def _bar(name: str, total: int | None, begin: int) -> Any:
    """A bar on stderr where that is a terminal: the same as the Hub's downloads have."""
    from huggingface_hub.utils.tqdm import tqdm

    quiet = not sys.stderr.isatty()
    return tqdm(total=total, initial=begin, unit="B", unit_scale=True, desc=name, disable=quiet)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: several of one launch want the same file at once."""
    from filelock import FileLock

    with FileLock(folder / ".lock"):
        yield


@contextmanager
def _kept(address: Address, folder: Path) -> Iterator[None]:
    """What the disk refuses in the block becomes a NotAvailable."""
    hint = "Make room there, or set POSEHG_HOME to another folder."
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            for part in folder.glob(f".*{_PART}"):
                part.unlink(missing_ok=True)  # a full disk is nobody's gain
            raise NotAvailable(f"{address} cannot be kept: there is no room left in {folder}.", hint) from None
        reason = error.strerror or str(error)
        raise NotAvailable(f"{address} cannot be kept in {folder}: {reason}.", hint) from None
