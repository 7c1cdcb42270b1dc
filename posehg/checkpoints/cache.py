"""Files that posehg keeps on this machine: models downloaded from the web."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from posehg.errors import NotAvailable, UsageError, printable
from posehg.files import sha256

_ADDRESS = re.compile(r"(https?://[^\s@?#/]+(?:/[^\s@?#]*)?(?:\?[^\s#]*)?)#sha256=([\da-fA-F]{64})")


@dataclass(frozen=True)
class Address:
    """A model file on the web. digest: its SHA-256 in hexadecimal, or the first 8 or more digits of it.

    about, licence: what is known of a published model. As text it is without its query, which may hold a secret.
    """

    url: str
    digest: str
    about: str = ""
    licence: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """From ``https://HOST/FILE#sha256=HEX``. Raises UsageError."""
        if (match := _ADDRESS.fullmatch(text)) is None:
            hint = "Write https://HOST/FILE#sha256= and the 64 digits that sha256sum FILE prints, without a password."
            raise UsageError(f"{shown(text)} does not end in #sha256= and the hash of a model file.", hint)
        return cls(match[1], match[2].lower())

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def file(self) -> Path:
        """Where the file is kept. Only with its whole hash two addresses share one file."""
        folder = self.digest
        if len(folder) < 64:
            folder += "-" + hashlib.sha256(self.url.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        name = unquote(self.url.partition("?")[0]).replace("\\", "/").rpartition("/")[2]
        safe = re.sub(r"[^\w.+-]", "_", name)[-100:].lstrip(".")  # it must not lead out of the folder
        return home() / "downloads" / folder / (safe or "model")

    def is_verified(self) -> bool:
        """Whether the file was downloaded and still has its hash."""
        return self.file.is_file() and sha256(self.file).startswith(self.digest)


def shown(name: str) -> str:
    """A model's name or address as it may be shown: without user name, password, query and control characters."""
    return printable(re.sub(r"^([a-zA-Z][\w+.-]*:/*)(?:[^/?#]*@)?([^?#]*)(?:\?[^#]*)?", r"\1\2", name), 1000)


def home() -> Path:
    """The folder of posehg's files: $POSEHG_HOME, or posehg in the user's cache."""
    if given := os.environ.get("POSEHG_HOME"):
        return Path(given).expanduser()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "posehg"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "posehg"


def downloaded() -> list[Path]:
    """All downloaded model files."""
    return sorted(file for file in home().glob("downloads/*/*") if not file.name.startswith("."))


def download(address: Address) -> Path:
    """The file at an address, which appears only when it is whole and its hash is right. Raises NotAvailable."""
    import pooch
    import requests

    file = address.file
    pooch.get_logger().setLevel("ERROR")  # its notes show the query of an address
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)
    try:
        file.unlink(missing_ok=True)
        pooch.retrieve(address.url, None, file.name, file.parent, downloader=downloader)
    except requests.RequestException as error:  # its text shows the query of an address
        answer = error.response
        what = type(error).__name__ if answer is None else f"the server answers {answer.status_code}"
        hint = "Check your network connection, and open the address in a browser."
        raise NotAvailable(f"{address} cannot be downloaded ({what}).", hint) from None
    except OSError as error:
        sentence = f"{address} cannot be stored in {file.parent}: {error.strerror or printable(str(error))}."
        raise NotAvailable(sentence, "Free some space, or set POSEHG_HOME to another folder.") from None
    if not address.is_verified():
        file.unlink(missing_ok=True)
        hint = "The file on the server has changed, or it was damaged on the way."
        raise NotAvailable(f"{address} was not kept: its SHA-256 is not {address.digest}.", hint)
    return file
