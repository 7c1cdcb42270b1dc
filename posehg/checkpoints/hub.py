"""From the name of a model to its place on this machine, downloading it if necessary."""

import difflib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from posehg.checkpoints.cache import Address, download, shown
from posehg.checkpoints.format import BEST, CARD, CONFIG, LAST, ONNX, WEIGHTS, is_ours
from posehg.errors import NotAvailable, PosehgError, UsageError, reason

Note = Callable[[str], None]
"""Takes a sentence for the user."""

NAMES = ("bundled", "small", "detector")
"""The models that come with posehg: the default, a faster one, and the network that finds people."""

_REPO = re.compile(r"([\w][\w.-]*/[\w][\w.-]*)(?:@([\w][\w./-]*))?", re.ASCII)
_FILE = re.compile(r"\.(safetensors|pth|pt|tar|bin|ckpt|onnx|t7|json|zip)$", re.IGNORECASE)
_FILES = [WEIGHTS, CONFIG, CARD, ONNX]
_LOGIN = "hf auth login, or set HF_TOKEN"

_ANIBALI = "https://github.com/anibali/pytorch-stacked-hourglass/releases/download/v0.0.0"
_GPL = "GPL-3.0, as the projects that published them (bearpaw/pytorch-pose, anibali/pytorch-stacked-hourglass)"

ALIASES = {
    f"bearpaw-hg{n}": Address(f"{_ANIBALI}/bearpaw_hg{n}-{digits}.pth", digits, f"MPII's 16 joints, {stacks}", _GPL)
    for n, digits, stacks in ((1, "ce125879", "1 stack"), (2, "15e342d9", "2 stacks"), (8, "90e5d470", "8 stacks"))
}
"""Short names of published models."""


@dataclass(frozen=True)
class Repo:
    """A repository of the Hugging Face Hub. revision: a branch, a tag or a commit; None is main."""

    id: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.id}@{self.revision}" if self.revision else self.id


def parse(name: str) -> Path | Repo | Address:
    """What a name stands for. In this order: a bundled model, a file or folder, an alias, an address, user/repo.

    Raises NotAvailable for anything else, UsageError for an address without a hash.
    """
    if name in NAMES:
        return bundled_folder(name)
    if os.path.exists(name):  # pathlib raises an error for a name that is too long
        return Path(name)
    if name in ALIASES:
        return ALIASES[name]
    if "://" in name:
        return Address.parse(name)
    in_a_folder = os.path.isdir(name.partition("/")[0])  # of this machine, where the file is missing
    if (repo := _REPO.fullmatch(name)) and not _FILE.search(name) and not in_a_folder:
        return Repo(*repo.groups())
    close = difflib.get_close_matches(name, [*NAMES, *ALIASES], n=1)
    hint = f"Did you mean {close[0]}?" if close else "Give a file, a folder, user/repo, or see posehg models list."
    raise NotAvailable(f"There is no model {name}.", hint)


def find(name: str, offline: bool = False, note: Note | None = None, update: bool = False) -> Path:
    """The file or folder of a model, downloaded if it is not on this machine.

    Without ``update`` a model that was downloaded before is used without a request; with it, a branch of the Hub is
    brought up to date. ``offline`` and HF_HUB_OFFLINE forbid every request. A file that no longer has its hash counts
    as missing. Of a training run's folder it is the best model. ``note`` takes a sentence if that is so, or something
    is downloaded. Raises NotAvailable, naming the model, and UsageError for a folder with both a run and a model.
    """
    place = parse(name)
    if isinstance(place, Path):
        return place if name in NAMES or place.is_file() else _in_run(place, note)
    # Read as huggingface_hub reads it.
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    cached = _cached(place) if isinstance(place, Repo) else (place.file if place.is_verified() else None)
    if cached is not None and (offline or not update or isinstance(place, Address)):
        return cached
    if offline:
        hint = f"Download it while online: posehg models get {shlex.quote(shown(name))}"
        raise NotAvailable(f"{shown(name)} has not been downloaded.", hint)
    if note is not None:
        terms = "".join(f" Licence: {text}." for text in provenance(name).values())
        note(f"Downloading {shown(name).partition('#')[0]}.{terms}")
    return download(place) if isinstance(place, Address) else _download(place)


def _in_run(folder: Path, note: Note | None) -> Path:
    """The best model in a training run's folder; any other folder itself."""
    best, last, weights = (folder / name for name in (BEST, LAST, WEIGHTS))
    if not best.is_file():
        if last.is_file() and not weights.is_file():
            message = f"The run in {folder} has no {BEST}: its first epoch has not ended."
            raise NotAvailable(message, f"Use its last weights, {last}, or continue it with posehg train --resume.")
        return folder
    if weights.is_file():
        raise UsageError(f"{folder} has both a training run and a model.", f"Give the file: {best} or {weights}")
    if note is not None:
        note(f"Using {best}.")
    return best


def bundled_folder(name: str = NAMES[0]) -> Path:
    """posehg/weights in an installed package, weights/ beside the package in a checkout; below it small/."""
    package = Path(__file__).resolve().parent.parent
    for weights in (package / "weights", package.parent / "weights"):
        folder = weights if name == NAMES[0] else weights / name
        if (folder / WEIGHTS).is_file():
            return folder
    raise NotAvailable("This installation of posehg has no weights.", "Reinstall posehg, or give --model.")


def provenance(name: str) -> dict[str, str]:
    """The licence of a model that is given by an alias, otherwise nothing."""
    return {"licence": ALIASES[name].licence} if name in ALIASES and not os.path.exists(name) else {}


def downloaded() -> Iterator[tuple[str, Path]]:
    """Name and place of posehg's models in the Hub's cache, which may hold much else."""
    _prepare_client()
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = sorted(scan_cache_dir().repos, key=lambda repo: repo.repo_id)
    except CacheNotFound:
        return
    pairs = ((one, revision) for one in found if one.repo_type == "model" for revision in one.revisions)
    for repo, revision in pairs:
        name = None if "main" in revision.refs else min(revision.refs, default=revision.commit_hash)
        with suppress(NotAvailable):  # it has no model, or a broken file of any program
            if is_ours(revision.snapshot_path):
                yield str(Repo(repo.repo_id, name)), revision.snapshot_path


def _cached(repo: Repo) -> Path | None:
    """Its folder in the Hub's cache, if that has its weights."""
    _prepare_client()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with hub_errors(repo), suppress(LocalEntryNotFoundError):
        folder = snapshot_download(repo.id, revision=repo.revision, allow_patterns=_FILES, local_files_only=True)
        return Path(folder) if Path(folder, WEIGHTS).is_file() else None
    return None


def _download(repo: Repo) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    with hub_errors(repo):
        info = HfApi(library_name="posehg").model_info(repo.id, revision=repo.revision)
        if WEIGHTS not in [file.rfilename for file in info.siblings or ()]:
            hint = "posehg loads no pickles from the Hub: download the file and see posehg models convert --help"
            raise NotAvailable(f"{repo} is not a posehg model: it has no {WEIGHTS}.", hint)
        return Path(snapshot_download(repo.id, revision=repo.revision, allow_patterns=_FILES))


def _prepare_client() -> None:
    """Check HF_ENDPOINT, on which the import of huggingface_hub may fail, and allow progress bars on terminals only."""
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint is not None and not re.fullmatch(r"https?://([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?(/.*)?", endpoint):
        raise UsageError(f"HF_ENDPOINT is {shown(endpoint)}, which is not an address.", "As in https://huggingface.co")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@contextmanager
def hub_errors(repo: Repo) -> Iterator[None]:
    """Errors of the Hub and its client in the block become NotAvailable, or UsageError for an impossible name."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repo.id}"
    try:
        yield
    except PosehgError:
        raise
    except errors.HFValidationError as error:
        raise UsageError(f"{repo} is not a valid name on the Hub.", str(error).splitlines()[0]) from None
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        sentence, hint = f"The Hub answers {code} for {repo}.", "Try again later."
        if isinstance(error, errors.GatedRepoError):
            sentence, hint = f"{repo.id} is gated.", f"Ask for access at {page}, then: {_LOGIN}"
        elif isinstance(error, errors.RevisionNotFoundError):
            sentence, hint = f"{repo.id} has no revision {repo.revision}.", f"See {page}/commits/main"
        elif code == 404 or isinstance(error, errors.RepositoryNotFoundError):
            sentence = f"There is no model at {repo.id}, neither on disk nor on the Hub."
            hint = f"Check {page}; if it is private: {_LOGIN}"
        elif code in (401, 403):
            hint = f"It refuses your token. Use another: {_LOGIN}"
        raise NotAvailable(sentence, hint) from None
    except Exception as error:  # of requests, httpx, json or hf_xet, as the client's version has it
        sentence = f"The Hub at {constants.ENDPOINT} cannot be used for {repo} ({reason(error).rstrip('.')})."
        raise NotAvailable(sentence, "Check your network connection, HF_ENDPOINT and HF_HOME.") from error


def check_push(name: str, overwrite: bool) -> Repo:
    """The repository that ``push`` will write to. Raises before long work what ``push`` would raise after it."""
    match = _REPO.fullmatch(name)
    if match is None or match[2]:
        raise UsageError(f"{name} is not the name of a repository.", "It has two parts: --push user/name")
    repo = Repo(match[1])
    _prepare_client()
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise NotAvailable("--push needs a Hugging Face token with write access.", f"Log in: {_LOGIN}")
    with hub_errors(repo):
        taken = HfApi(library_name="posehg").file_exists(repo.id, WEIGHTS)
    if taken and not overwrite:
        raise UsageError(f"{repo} already has a model.", "Give --overwrite to replace it; its history is kept.")
    return repo


def push(repo: Repo, folder: Path, private: bool) -> str:
    """Upload weights, config and card in one commit, creating the repository if necessary; returns repo@commit."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="posehg")
    with hub_errors(repo):
        api.create_repo(repo.id, private=private, exist_ok=True)
        files = [CommitOperationAdd(name, str(folder / name)) for name in _FILES if (folder / name).is_file()]
        commit = api.create_commit(repo.id, files, commit_message="Upload by posehg export")
    return f"{repo.id}@{commit.oid}"
