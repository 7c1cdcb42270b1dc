"""The Hub, by its own client: from a server on this machine that answers as the Hub does, in processes of their own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.hf_api import ModelInfo
from posehg.hub import repos
from posehg.hub.names import Repo
from safetensors.numpy import save

from posehg import checkpoints
from posehg.errors import NotAvailable, UsageError
from tests import forks, stubs
from tests.hub_server import TOKEN, Files, HubServer, environment, serving


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What somebody pushed: a model, its card, and other things that are nobody's business here."""
    folder = tmp_path_factory.mktemp("model")
    checkpoints.save_folder(folder, stubs.mpii_checkpoint())
    written = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {**written, "README.md": b"# A model\n", "state.bin": bytes(10_007), "runs/log.csv": b"epoch\n"}


class Machine:
    """Where posehg models runs, with nothing in its caches; ``env`` may be changed."""

    def __init__(self, server: HubServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.env = environment(server, folder)
        self.said = ""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        run = forks.run(*arguments, environment=self.env)
        assert "Traceback" not in run.stderr, run.stderr
        self.said = run.stderr
        return run

    def get(self, name: str) -> Path:
        """``posehg models get``; where it put the model."""
        run = self.run("models", "get", name)
        assert run.returncode == 0, run.stderr
        return Path(run.stdout.rstrip("\n"))

    def refused(self, name: str) -> str:
        """What the one error line says; nothing is left that could be taken for a model."""
        run = self.run("models", "get", name)
        assert run.returncode == 5, (run.stdout, run.stderr)
        assert run.stdout == ""
        [error] = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
        assert self.run("models", "path", name).returncode == 5
        return error.removeprefix("Error: ")

    def asked(self) -> list[str]:
        """What the server was asked since the last time."""
        paths = [request.path for request in self.server.requests]
        self.server.requests.clear()
        return paths


@pytest.fixture
def machine(server: HubServer, tmp_path: Path) -> Machine:
    return Machine(server, tmp_path)


def test_of_a_repository_the_model_and_its_card_are_fetched(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    folder = machine.get("ann/toy")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: files[name] for name in ("model.safetensors", "config.json", "README.md")
    }
    assert checkpoints.load(folder).config == stubs.mpii_checkpoint().config
    assert not [path for path in machine.asked() if path.endswith(("state.bin", "log.csv"))]


def test_it_lies_in_the_clients_own_cache(machine: Machine, files: Files) -> None:
    commit = machine.server.publish("ann/toy", files)
    assert machine.get("ann/toy") == machine.folder / "huggingface/hub/models--ann--toy/snapshots" / commit


def test_what_is_cached_is_used_without_a_request(machine: Machine, files: Files) -> None:
    commit = machine.server.publish("ann/toy", files)
    folder = machine.get("ann/toy")
    machine.asked()
    for name in ("ann/toy", "ann/toy@main", f"ann/toy@{commit}"):
        run = machine.run("models", "path", name)
        assert run.stdout == f"{folder}\n"
    assert machine.run("models", "info", "ann/toy").returncode == 0
    assert machine.asked() == []


def test_predict_fetches_once_and_then_asks_nobody(machine: Machine, files: Files, tmp_path: Path) -> None:
    commit = machine.server.publish("ann/toy", files)
    photo = tmp_path / "photo.png"
    from posehg import images

    images.write(photo, stubs.square_photo(40, 30, 50))
    arguments = ("predict", str(photo), "--whole", "--json", "--model", f"ann/toy@{commit}")
    first = machine.run(*arguments)
    assert first.returncode == 0, first.stderr
    assert "Fetching ann/toy" in first.stderr
    assert machine.asked()
    second = machine.run(*arguments, "--offline")
    assert second.stdout == first.stdout
    assert "Fetching" not in second.stderr
    assert machine.asked() == []


def test_a_commit_stays_what_it_is(machine: Machine, files: Files) -> None:
    first = machine.server.publish("ann/toy", files)
    changed = {**files, "README.md": b"# Another model\n"}
    second = machine.server.publish("ann/toy", changed)
    assert (machine.get(f"ann/toy@{first}") / "README.md").read_bytes() == files["README.md"]
    assert (machine.get("ann/toy") / "README.md").read_bytes() == changed["README.md"]
    assert machine.get(f"ann/toy@{second}") == machine.get("ann/toy")


def test_a_branch_stays_what_it_was_until_it_is_fetched_anew(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    first = machine.get("ann/toy")
    machine.server.publish("ann/toy", {**files, "README.md": b"# Another model\n"})
    assert machine.run("models", "path", "ann/toy").stdout == f"{first}\n"
    assert machine.get("ann/toy") != first


def test_a_lone_safetensors_file_is_a_model(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/lone", {"best.safetensors": files["model.safetensors"], "notes.txt": b"x"})
    path = machine.get("ann/lone")
    assert path.name == "best.safetensors"
    assert checkpoints.load(path).config == stubs.mpii_checkpoint().config
    machine.asked()
    assert machine.run("models", "path", "ann/lone").stdout == f"{path}\n"
    assert machine.asked() == []


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("checkpoint.pth",), "no safetensors file"),
        (("a.safetensors", "b.safetensors"), "2 safetensors files"),
        (("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"), "2 safetensors files"),
    ],
)
def test_of_a_repository_without_one_model_nothing_is_fetched(
    machine: Machine, files: Files, names: tuple[str, ...], sentence: str
) -> None:
    machine.server.publish("ann/other", dict.fromkeys(names, files["model.safetensors"]))
    assert sentence in machine.refused("ann/other")
    assert not [path for path in machine.asked() if "/resolve/" in path]


def test_a_download_that_broke_off_at_half_is_gone_on_with(machine: Machine) -> None:
    # The client writes 10 MiB at a time, so that a smaller file begins anew.
    content = save({"x": np.random.default_rng(7).standard_normal(7_500_013, dtype=np.float32)})
    machine.server.publish("ann/large", {"model.safetensors": content})
    machine.server.drop = len(content) // 2
    folder = machine.get("ann/large")
    assert (folder / "model.safetensors").read_bytes() == content
    parts = [request.range for request in machine.server.requests if request.range]
    assert parts == [f"bytes={10 << 20}-"]


def test_a_repository_that_is_not_there_is_named(machine: Machine) -> None:
    assert machine.refused("ann/none").startswith("There is no model at ann/none")
    machine.env["HF_TOKEN"] = TOKEN  # who is somebody is answered 404 instead of 401
    assert machine.refused("ann/none").startswith("There is no model at ann/none")


def test_a_private_repository_takes_a_token(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/secret", files)
    machine.server.repos["ann/secret"].private = True
    assert machine.refused("ann/secret").startswith("There is no model at ann/secret")
    assert "HF_TOKEN" in machine.run("models", "get", "ann/secret").stderr
    machine.env["HF_TOKEN"] = TOKEN
    assert (machine.get("ann/secret") / "config.json").is_file()


def test_a_gated_repository_says_where_to_ask(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/gated", files)
    machine.server.repos["ann/gated"].gated = True
    assert machine.refused("ann/gated") == "ann/gated is gated: its owner asks who uses it."
    assert f"{machine.server.address}/ann/gated" in machine.run("models", "get", "ann/gated").stderr
    machine.env["HF_TOKEN"] = TOKEN
    assert (machine.get("ann/gated") / "config.json").is_file()


def test_a_gated_repository_may_refuse_who_has_a_token(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/gated", files)
    machine.server.repos["ann/gated"].gated = machine.server.repos["ann/gated"].refused = True
    machine.env["HF_TOKEN"] = TOKEN
    assert machine.refused("ann/gated") == "ann/gated is gated: its owner asks who uses it."
    assert TOKEN not in machine.said


def test_a_revision_that_is_not_there_is_named(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    assert machine.refused("ann/toy@v7") == "ann/toy has no revision v7."
    assert machine.refused(f"ann/toy@{'7' * 40}") == f"ann/toy has no revision {'7' * 40}."


def test_a_wrong_token_is_told_and_not_shown(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    machine.env["HF_TOKEN"] = "hf_somethingelse"
    assert machine.refused("ann/toy") == "The Hub does not accept your token."
    assert "hf_somethingelse" not in machine.said


def test_a_file_that_is_not_what_the_hub_says_is_not_kept(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    machine.server.poison = True
    digest = hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert f"not {digest}" in machine.refused("ann/toy")
    blobs = machine.folder / "huggingface/hub/models--ann--toy/blobs"
    assert not [file for file in blobs.iterdir() if file.stat().st_size == len(files["model.safetensors"])]
    machine.server.poison = False
    assert (machine.get("ann/toy") / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_server_that_is_no_hub_is_named(machine: Machine) -> None:
    machine.server.html = True
    assert machine.refused("ann/toy") == f"{machine.server.address} does not answer as the Hub does."


def test_a_hub_that_is_ill_is_told(machine: Machine) -> None:
    machine.server.broken = True
    assert machine.refused("ann/toy") == "The Hub answers 500 when it is asked for ann/toy."


def test_without_a_network_it_says_so(machine: Machine) -> None:
    machine.env = environment(None, machine.folder)
    assert "Connection refused" in machine.refused("ann/toy")


def test_offline_the_cache_serves_and_nothing_is_asked(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    folder = machine.get("ann/toy")
    machine.asked()
    machine.env["HF_HUB_OFFLINE"] = "1"
    assert machine.get("ann/toy") == folder
    assert "posehg is offline" in machine.refused("ann/other")
    assert machine.asked() == []


def test_bundled_asks_nobody(machine: Machine) -> None:
    machine.env = environment(None, machine.folder)
    assert machine.get("bundled") == checkpoints.bundled_folder()


def test_what_was_fetched_is_listed_and_deleted(machine: Machine, files: Files) -> None:
    commit = machine.server.publish("ann/toy", files)
    machine.server.publish("ann/other", {"model.safetensors": save({"x": np.zeros(7)}), "config.json": b"{}"})
    folder = machine.get("ann/toy")
    machine.get(f"ann/toy@{commit}")
    machine.get("ann/other")
    listed = json.loads(machine.run("models", "list", "--json").stdout)
    [row] = [row for row in listed if "/" in row["name"]]  # another library's model is not for posehg to show
    assert row["name"] == "ann/toy"
    assert row["path"] == str(folder)
    assert row["size"] > len(files["model.safetensors"])
    assert machine.run("models", "rm", "ann/toy").returncode == 2  # nobody is there to be asked
    assert folder.is_dir()
    assert machine.run("models", "rm", "ann/toy", "--yes").returncode == 0
    assert not folder.exists()
    assert machine.run("models", "path", "ann/other").returncode == 0
    run = machine.run("models", "rm", "ann/toy", "--yes")
    assert run.returncode == 5
    assert "ann/toy was not fetched." in run.stderr


def test_one_revision_may_be_deleted(machine: Machine, files: Files) -> None:
    first = machine.server.publish("ann/toy", files)
    machine.server.publish("ann/toy", {**files, "README.md": b"# Another model\n"})
    kept = machine.get("ann/toy")
    old = machine.get(f"ann/toy@{first}")
    assert machine.run("models", "rm", f"ann/toy@{first}", "--yes").returncode == 0
    assert not old.exists()
    assert (kept / "model.safetensors").read_bytes() == files["model.safetensors"]


# ---- what the client may raise -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "a/b@v1 cannot be kept: there is no room left."),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "a/b@v1 cannot be kept in /x: Permission denied."),
        (OSError("Consistency check failed: file should be of size 7"), "Consistency check failed"),
        (RuntimeError("Data processing error: CAS service error"), "CAS service error"),
        (KeyError("sha"), "does not answer as the Hub does."),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "does not answer as the Hub does."),
    ],
)
def test_what_goes_wrong_beneath_becomes_a_sentence(error: Exception, sentence: str) -> None:
    with pytest.raises(NotAvailable) as caught, repos.explained(Repo("a/b", "v1")):
        raise error
    assert sentence in str(caught.value)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_mistake_of_ours_stays_one() -> None:
    with pytest.raises(ZeroDivisionError), repos.explained(Repo("a/b")):
        raise ZeroDivisionError
    with pytest.raises(UsageError, match=r"^No\.$"), repos.explained(Repo("a/b")):
        raise UsageError("No.")


def test_what_is_too_large_is_not_fetched() -> None:
    file = {"rfilename": "model.safetensors", "size": 3_000_000_000}
    with pytest.raises(NotAvailable, match=r"ann/large has weights of 3\.0 GB: that is no hourglass"):
        repos._weights(Repo("ann/large"), ModelInfo(id="ann/large", siblings=[file]))


def test_a_name_that_the_hub_cannot_have_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be a repository"):
        repos.cached(Repo("a/b--c"))


# ---- push --------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(files: Files, tmp_path: Path) -> Callable[..., Path]:
    def written(*names: str) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(files[name])
        return folder

    return written


def test_what_is_pushed_can_be_fetched_anywhere(machine: Machine, files: Files, model: Callable[..., Path]) -> None:
    folder = model("model.safetensors", "config.json")
    machine.env["HF_TOKEN"] = TOKEN
    run = machine.run("export", str(folder), "--push", "ann/mine")
    assert run.returncode == 0, run.stderr
    assert "posehg predict PHOTO --model ann/mine" in run.stderr
    del machine.env["HF_TOKEN"]
    fetched = machine.get("ann/mine")
    assert checkpoints.load(fetched).config == checkpoints.load(folder).config
    card = (fetched / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: posehg\npipeline_tag: keypoint-detection\n")
    assert "--model ann/mine" in card
    assert hashlib.sha256((fetched / "model.safetensors").read_bytes()).hexdigest() in card
    assert not machine.server.repos["ann/mine"].private


def test_it_is_one_commit(machine: Machine, model: Callable[..., Path]) -> None:
    machine.env["HF_TOKEN"] = TOKEN
    machine.run("export", str(model("model.safetensors", "config.json")), "--push", "ann/mine", "--private")
    repository = machine.server.repos["ann/mine"]
    assert repository.private
    _, made = repository.commits.values()  # the first is the empty one that a new repository has
    assert sorted(made) == ["README.md", "config.json", "model.safetensors"]


def test_a_card_of_ones_own_is_pushed_as_it_is(machine: Machine, files: Files, model: Callable[..., Path]) -> None:
    machine.env["HF_TOKEN"] = TOKEN
    machine.run("export", str(model("model.safetensors", "config.json", "README.md")), "--push", "ann/mine")
    made = list(machine.server.repos["ann/mine"].commits.values())[-1]
    assert made["README.md"] == files["README.md"]


def test_a_model_that_is_there_is_not_replaced_unasked(
    machine: Machine, files: Files, model: Callable[..., Path]
) -> None:
    machine.server.publish("ann/mine", {"model.safetensors": b"another"})
    machine.env["HF_TOKEN"] = TOKEN
    folder = model("model.safetensors", "config.json")
    run = machine.run("export", str(folder), "--push", "ann/mine")
    assert run.returncode == 2
    assert "ann/mine holds a model already." in run.stderr
    assert len(machine.server.repos["ann/mine"].commits) == 1
    assert machine.run("export", str(folder), "--push", "ann/mine", "--overwrite").returncode == 0
    made = list(machine.server.repos["ann/mine"].commits.values())[-1]
    assert made["model.safetensors"] != b"another"


@pytest.mark.parametrize(
    ("token", "refuse", "sentence"),
    [
        (None, False, "There is no token of the Hub"),
        ("hf_somethingelse", False, "The Hub does not accept your token."),
        (TOKEN, True, "The Hub does not let you do that with ann/mine."),
    ],
)
def test_who_may_not_push_is_told(
    machine: Machine, model: Callable[..., Path], token: str | None, refuse: bool, sentence: str
) -> None:
    machine.server.refuse = refuse
    if token:
        machine.env["HF_TOKEN"] = token
    run = machine.run("export", str(model("model.safetensors", "config.json")), "--push", "ann/mine")
    assert run.returncode == 5
    assert sentence in run.stderr
    assert machine.server.repos == {}


@pytest.mark.parametrize("name", ["mine", "ann/mine@main", "ann/a/b", "./mine"])
def test_a_repository_has_a_name_of_two_parts(machine: Machine, model: Callable[..., Path], name: str) -> None:
    run = machine.run("export", str(model("model.safetensors", "config.json")), "--push", name)
    assert run.returncode == 2
    assert "is not the name of a repository" in run.stderr


def test_offline_nothing_is_pushed(machine: Machine, model: Callable[..., Path]) -> None:
    machine.env |= {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}
    run = machine.run("export", str(model("model.safetensors", "config.json")), "--push", "ann/mine")
    assert run.returncode == 5
    assert "HF_HUB_OFFLINE" in run.stderr
    assert machine.asked() == []


def test_the_environment_of_the_tests_reaches_no_other_hub(server: HubServer, tmp_path: Path) -> None:
    for env in (environment(server, tmp_path), environment(None, tmp_path)):
        assert env["HF_ENDPOINT"].startswith("http://127.0.0.1:")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


# ---- what lies in the cache, and what the environment says, is not believed ------------------------------------------


def spoil(file: Path) -> None:
    blob = file.resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)


def test_a_file_that_was_changed_in_the_cache_is_not_used(machine: Machine, files: Files, tmp_path: Path) -> None:
    machine.server.publish("ann/toy", files)
    weights = machine.get("ann/toy") / "model.safetensors"
    digest = hashlib.sha256(files["model.safetensors"]).hexdigest()
    spoil(weights)
    for command in ("path", "info"):
        run = machine.run("models", command, "ann/toy")
        assert run.returncode == 5
        assert f"not {digest}" in run.stderr
        assert "posehg models get ann/toy" in run.stderr
    out = tmp_path / "out"
    assert machine.run("export", "ann/toy", "--out", str(out), "--offline").returncode == 5
    run = machine.run("export", "ann/toy", "--out", str(out))
    assert run.returncode == 0, run.stderr
    assert f"not {digest}" in run.stderr
    assert weights.read_bytes() == files["model.safetensors"]
    spoil(weights)
    assert (machine.get("ann/toy") / "model.safetensors").read_bytes() == files["model.safetensors"]


@pytest.mark.parametrize(
    "text",
    [
        '{"__metadata__": {"posehg": 7}}',
        '{"__metadata__": {"posehg": "7"}}',
        '{"a": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 0]}}',
        '{"a": {"dtype": 3, "shape": [0], "data_offsets": [0, 0]}}',
    ],
)
def test_a_broken_file_in_the_cache_is_listed_as_broken(machine: Machine, files: Files, text: str) -> None:
    machine.server.publish("ann/toy", files)
    machine.server.publish("eve/bad", {"model.safetensors": struct.pack("<Q", len(text)) + text.encode()})
    machine.get("ann/toy")
    machine.get("eve/bad")
    run = machine.run("models", "list", "--json")
    assert run.returncode == 0, run.stderr
    rows = {row["name"]: row["about"] for row in json.loads(run.stdout) if "/" in row["name"]}
    assert rows["ann/toy"].startswith("16 joints")
    assert rows["eve/bad"] == "broken: it cannot be loaded"
    assert machine.run("models", "rm", "eve/bad", "--yes").returncode == 0


@pytest.mark.parametrize("endpoint", ["https://[::1", "nonsense", "ftp://a.org", "https://a.org:x"])
def test_an_endpoint_that_is_no_address_is_told(machine: Machine, endpoint: str) -> None:
    machine.env["HF_ENDPOINT"] = endpoint
    run = machine.run("models", "get", "ann/toy")
    assert run.returncode == 2
    assert f"HF_ENDPOINT is {endpoint}" in run.stderr


def test_who_is_offline_by_an_option_does_not_push(machine: Machine, model: Callable[..., Path]) -> None:
    machine.env["HF_TOKEN"] = TOKEN
    folder = model("model.safetensors", "config.json")
    run = machine.run("export", str(folder), "--push", "ann/mine", "--offline")
    assert run.returncode == 2
    assert "--push" in run.stderr
    assert machine.asked() == []
