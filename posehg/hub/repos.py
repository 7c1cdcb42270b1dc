"""Repositories of the Hugging Face Hub: a model is its model.safetensors, or its only safetensors file.

Its own client does the work, so that its cache, its tokens and its environment variables (HF_HOME, HF_ENDPOINT,
HF_TOKEN) hold here too. Of a repository nothing is fetched but the weights, the config and the model card.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from posehg import web
from posehg.errors import NotAvailable, PosehgError, UsageError, printable
from posehg.files import sha256
from posehg.hub.files import CARD, CONFIG, LIMIT, WEIGHTS, Damaged, weights_file
from posehg.hub.names import Repo

if TYPE_CHECKING:
    from huggingface_hub import CachedRevisionInfo
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_PLAIN = re.compile(r"[\w][\w.-]*\.safetensors", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOGIN = "hf auth login, or set HF_TOKEN"


def offline_by_environment() -> bool:
    """Whether HF_HUB_OFFLINE is set, as the Hub's client reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


@dataclass(frozen=True)
class Snapshot:
    """One revision of a repository in the cache. model: its folder or its lone file. size: bytes of all its files."""

    repo: Repo
    commit: str
    model: Path
    size: int


def cached(repo: Repo) -> Path | None:
    """The model, where it is in the cache: no request is made. A branch is what it was when it was fetched last.

    Raises Damaged where its weights have not the hash any more by which the cache calls them.
    """
    found = _cached(repo)
    damage = found and _damage(weights_file(found))
    if damage:
        raise damage
    return found


def _cached(repo: Repo) -> Path | None:
    check_endpoint()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    wanted = [WEIGHTS, CONFIG, CARD]
    try:
        folder = snapshot_download(repo.id, revision=repo.revision, allow_patterns=wanted, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise _invalid(repo, error) from None
    return _model_in(Path(folder))


def fetch(repo: Repo) -> Path:
    """The model as the Hub has it now, downloaded where the cache has not got it. Raises NotAvailable, naming it."""
    check_endpoint()
    from huggingface_hub import HfApi, snapshot_download

    with explained(repo):
        info = HfApi(library_name="posehg").model_info(repo.id, revision=repo.revision, files_metadata=True)
    weights = _weights(repo, info)
    there = _cached(Repo(repo.id, info.sha))
    if there is not None and _damage(weights_file(there)) is not None:
        _delete(weights_file(there))  # the client would take it as it is
    wanted = [weights.rfilename, CONFIG, CARD]
    with explained(repo), bars_on_terminals():
        folder = Path(snapshot_download(repo.id, revision=repo.revision, allow_patterns=wanted, library_name="posehg"))
    if folder.name != info.sha:
        raise NotAvailable(f"{repo} was changed while it was downloaded.", "Run it again.")
    _verify(repo, folder / weights.rfilename, weights)
    found = _model_in(folder)
    if found is None:
        raise NotAvailable(f"{repo} did not arrive whole.", "Run it again.")
    return found


def listed() -> list[Snapshot]:
    """The models in the cache that posehg wrote, or that are broken, by name; the cache may hold much else."""
    from posehg.hub import header

    found = []
    for repo, revision in _revisions():
        model = _model_in(revision.snapshot_path)
        if model is not None and (header.is_ours(model) or header.is_broken(model)):
            found.append(Snapshot(repo, revision.commit_hash, model, revision.size_on_disk))
    return sorted(found, key=lambda one: str(one.repo))


def remove(repo: Repo) -> int:
    """Delete the revision, or all of the repository, from the cache; gives how many bytes were freed."""
    there = [revision for one, revision in _revisions() if _is_meant(repo, one, revision)]
    if not there:
        return 0
    from huggingface_hub import scan_cache_dir

    plan = scan_cache_dir().delete_revisions(*(revision.commit_hash for revision in there))
    with explained(repo):
        plan.execute()
    return plan.expected_freed_size


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """The client shows some of its progress even where nobody sees it, unless its environment variable decides."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    decided = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None
    if sys.stderr.isatty() or decided or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def explained(repo: Repo) -> Iterator[None]:
    """What the Hub and its client refuse in the block becomes a PosehgError."""
    from huggingface_hub import errors

    # Its base is httpx's or requests', as the version of the client has it.
    http_error: type[Exception] = getattr(errors, "HTTPError")  # noqa: B009
    # hf_xet, which carries large files, is no Python and has one kind of error for all.
    xet_error: type[Exception] = getattr(errors, "XetDownloadError", RuntimeError)
    try:
        yield
    except PosehgError:
        raise
    except errors.HFValidationError as error:
        raise _invalid(repo, error) from None
    except errors.HfHubHTTPError as error:
        raise _refused(repo, error) from None
    # What a page of HTML is to a reader of JSON.
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise NotAvailable(f"{_endpoint()} does not answer as the Hub does.", "Check HF_ENDPOINT.") from None
    except (http_error, OSError, xet_error, RuntimeError) as error:
        raise _unreachable(repo, error) from None


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def check_endpoint() -> None:
    """Some addresses the client breaks on, if not when it is imported. Raises UsageError."""
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        sane = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sane = False
    if not sane:
        place = printable(web.shown(endpoint))
        raise UsageError(f"HF_ENDPOINT is {place}, which is no address.", "It is as https://huggingface.co")


def _invalid(repo: Repo, error: Exception) -> UsageError:
    return UsageError(f"{repo} cannot be a repository of the Hub.", f"{str(error).splitlines()[0]}")


def _refused(repo: Repo, error: Exception) -> NotAvailable:
    """The Hub's answer of 400 and above, as a sentence and what to do."""
    from huggingface_hub import errors, get_token

    code: int = error.response.status_code  # type: ignore[attr-defined]
    page = f"{_endpoint()}/{repo.id}"
    if isinstance(error, errors.GatedRepoError):
        return NotAvailable(f"{repo.id} is gated: its owner asks who uses it.", f"Ask at {page}, then: {_LOGIN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return NotAvailable(f"{repo.id} has no revision {repo.revision}.", f"See {page}/commits/main")
    if code in (401, 404) and isinstance(error, errors.RepositoryNotFoundError):
        sentence = f"There is no model at {repo.id}: neither on disk nor, for all to see, on the Hub."
        return NotAvailable(sentence, f"Check the name at {page}; if it is private: {_LOGIN}")
    if code == 401:
        hint = f"Take a new one: {_LOGIN}" if get_token() else _LOGIN
        return NotAvailable("The Hub does not accept your token.", hint)
    if code == 403:
        return NotAvailable(f"The Hub does not let you do that with {repo.id}.", f"Take a token that may: {_LOGIN}")
    if code == 404:
        return NotAvailable(f"The Hub does not find {repo}.", f"Check the name at {page}")
    return NotAvailable(f"The Hub answers {code} when it is asked for {repo}.", "Try it again later.")


def _unreachable(repo: Repo, error: Exception) -> NotAvailable:
    told = str(error.__cause__ or error)
    system = re.search(r"\[Errno -?\d+\] [\w ,.-]+", told)  # which the client wraps in much else
    text = system[0] if system else (told.splitlines() or [type(error).__name__])[0][:100].strip().rstrip(".:")
    if getattr(error, "errno", None) == errno.ENOSPC:
        return NotAvailable(f"{repo} cannot be kept: there is no room left.", "Make room, or set HF_HOME elsewhere.")
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return NotAvailable(f"{repo} cannot be kept in {error.filename}: {error.strerror}.", "Set HF_HOME elsewhere.")
    return NotAvailable(f"{repo} cannot be had from {_endpoint()} ({text}).", "Check your network, and try it again.")


def _weights(repo: Repo, info: ModelInfo) -> RepoSibling:
    files = {file.rfilename: file for file in info.siblings or ()}
    lone = [name for name in files if _PLAIN.fullmatch(name)]
    if WEIGHTS not in files and len(lone) != 1:
        has = f"{len(lone)} safetensors files" if lone else "no safetensors file"
        hint = "posehg takes no pickles from the Hub: download the file, and see posehg models convert --help"
        raise NotAvailable(f"{repo} is no model of one file: it has no {WEIGHTS}, but {has}.", "" if lone else hint)
    weights = files[WEIGHTS] if WEIGHTS in files else files[lone[0]]
    if weights.size is not None and weights.size > LIMIT:
        raise NotAvailable(f"{repo} has weights of {weights.size / 1e9:.1f} GB: that is no hourglass.")
    return weights


def _verify(repo: Repo, file: Path, known: RepoSibling) -> None:
    """Against the hash that the Hub has of large files; of small ones, which lie in git, it has none."""
    expected = known.lfs.sha256 if known.lfs is not None else None
    digest = sha256(file)
    if expected is None or digest == expected:
        return
    _delete(file)
    sentence = f"{repo} is not what the Hub says: the sha256 of {file.name} is {digest}, not {expected}."
    raise NotAvailable(sentence, "It was deleted. Try it again.")


def _damage(file: Path) -> Damaged | None:
    """Of large files the cache's name for what they link to is their hash; small ones, and copies, cannot be told."""
    meant = file.resolve().name
    if not _SHA256.fullmatch(meant) or (digest := sha256(file)) == meant:
        return None
    return Damaged(file, digest, meant)


def _delete(file: Path) -> None:
    """The blob and the link to it."""
    for path in {file.resolve(), file}:
        path.unlink(missing_ok=True)


def _model_in(folder: Path) -> Path | None:
    """The folder, or its only safetensors file."""
    if (folder / WEIGHTS).is_file():
        return folder
    lone = [file for file in folder.glob("*.safetensors") if _PLAIN.fullmatch(file.name)]
    return lone[0] if len(lone) == 1 else None


def _revisions() -> Iterator[tuple[Repo, CachedRevisionInfo]]:
    """What is cached, with the name by which each can be asked for."""
    check_endpoint()
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return
    for one in repos:
        if one.repo_type == "model":
            for revision in one.revisions:
                yield Repo(one.repo_id, _name(sorted(revision.refs), revision.commit_hash)), revision


def _name(refs: Sequence[str], commit: str) -> str | None:
    if "main" in refs:
        return None
    named = [ref for ref in refs if not _COMMIT.fullmatch(ref)]
    return named[0] if named else commit


def _is_meant(asked: Repo, repo: Repo, revision: CachedRevisionInfo) -> bool:
    if asked.id != repo.id:
        return False
    return asked.revision in (None, revision.commit_hash) or asked.revision in revision.refs
