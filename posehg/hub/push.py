"""A model's folder to the Hub."""

from __future__ import annotations

from pathlib import Path

from posehg.errors import NotAvailable, UsageError
from posehg.hub.files import CARD, CONFIG, WEIGHTS
from posehg.hub.names import REPO, Repo
from posehg.hub.repos import bars_on_terminals, check_endpoint, explained, offline_by_environment

_TOKEN = "hf auth login, or set HF_TOKEN to one of https://huggingface.co/settings/tokens that may write"


def check(name: str, overwrite: bool) -> Repo:
    """The repository that ``push`` would write to. Raises, before long work, what ``push`` would raise after it."""
    check_endpoint()
    from huggingface_hub import HfApi, get_token

    match = REPO.fullmatch(name)
    if match is None or match[2]:
        raise UsageError(f"{name} is not the name of a repository.", "It has two parts: --push user/name")
    repo = Repo(match[1])
    if offline_by_environment():
        raise NotAvailable(f"{repo} cannot be pushed: HF_HUB_OFFLINE is set.", "Unset it.")
    if not get_token():
        raise NotAvailable("There is no token of the Hub, so nothing can be pushed.", f"Take one: {_TOKEN}")
    with explained(repo):
        taken = HfApi(library_name="posehg").file_exists(repo.id, WEIGHTS)
    if taken and not overwrite:
        hint = "Give --overwrite to put the new one above it: the Hub keeps the old one in its history."
        raise UsageError(f"{repo} holds a model already.", hint)
    return repo


def push(repo: Repo, folder: Path, private: bool) -> str:
    """Weights, config and card in one commit, to a repository that is made where there is none; gives its address."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="posehg")
    with explained(repo), bars_on_terminals():
        api.create_repo(repo.id, private=private, exist_ok=True)
        files = [CommitOperationAdd(name, str(folder / name)) for name in (WEIGHTS, CONFIG, CARD)]
        made = api.create_commit(repo.id, files, commit_message="Upload by posehg export")
    return f"{repo.id}@{made.oid}"
