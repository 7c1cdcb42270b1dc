"""Models by name, and the Hub by its own client: from a server on this machine, in processes of their own."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from posehg import checkpoints
from posehg.checkpoints import hub
from posehg.checkpoints.cache import Address
from posehg.checkpoints.hub import ALIASES, Repo
from posehg.errors import NotAvailable, UsageError
from tests import forks, stubs
from tests.hub_server import TOKEN, Files, HubServer, environment, serving

DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("ann/toy", Repo("ann/toy")),
        (f"Ann-2/toy_v1.5@{DIGITS[:40]}", Repo("Ann-2/toy_v1.5", DIGITS[:40])),
        ("ann/toy@refs/pr/7", Repo("ann/toy", "refs/pr/7")),
        ("bob/there", Path("bob/there")),
        ("bearpaw-hg2", Path("bearpaw-hg2")),
        ("bundled", checkpoints.bundled_folder()),
        ("small", checkpoints.bundled_folder("small")),
        ("bearpaw-hg1", ALIASES["bearpaw-hg1"]),
        (f"https://a.org/hg.pth#sha256={DIGITS}", Address("https://a.org/hg.pth", DIGITS)),
    ],
)
def test_a_name_stands_for_one_place(here: Path, name: str, place: Path | Repo | Address) -> None:
    for folder in ("bob/there", "bearpaw-hg2", "bundled"):
        Path(folder).mkdir(parents=True)
    assert hub.parse(name) == place


@pytest.mark.parametrize(
    "name", ["nothing", "", "a/b/c", "/no/such", "./ann/toy", "~/toy", "ann/best.safetensors", "a b/c", "runs/bst"]
)
def test_an_unknown_name_is_refused_without_a_request(here: Path, name: str) -> None:
    (here / "runs").mkdir()  # what is missing in a folder is not looked up on the Hub
    with pytest.raises(NotAvailable) as caught:
        hub.parse(name)
    assert f"{name}." in str(caught.value)


def test_a_typing_error_gets_a_hint() -> None:
    with pytest.raises(NotAvailable) as caught:
        hub.parse("bearpaw-hg9")
    assert "bearpaw-hg" in caught.value.hint


@pytest.mark.parametrize("name", ["ann/toy", f"https://a.org/hg.pth?token=SECRET#sha256={DIGITS}", "bearpaw-hg8"])
def test_offline_nothing_is_requested(here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def requested(place: object) -> Path:
        raise AssertionError("a request was made")

    monkeypatch.setattr(hub, "_download", requested)
    monkeypatch.setattr(hub, "download", requested)
    for variable, offline in (("1", False), ("0", True)):
        monkeypatch.setenv("HF_HUB_OFFLINE", variable)
        with pytest.raises(NotAvailable) as caught:
            checkpoints.find(name, offline)
        assert "posehg models get" in caught.value.hint
        assert "SECRET" not in str(caught.value) + caught.value.hint
    with pytest.raises(AssertionError):
        checkpoints.find(name)


def test_the_folder_of_a_run_is_its_best_model(tmp_path: Path) -> None:
    best, last, notes = tmp_path / "best.safetensors", tmp_path / "last.safetensors", list[str]()
    last.touch()
    with pytest.raises(NotAvailable) as caught:  # stopped in its first epoch
        checkpoints.find(str(tmp_path))
    assert str(last) in caught.value.hint
    best.touch()
    assert checkpoints.find(f"{tmp_path}/", note=notes.append) == best
    assert [str(best) in note for note in notes] == [True]
    assert checkpoints.find(str(last), note=notes.append) == last
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UsageError) as both:
        checkpoints.find(str(tmp_path))
    assert "best.safetensors" in both.value.hint
    last.unlink()
    best.unlink()
    assert checkpoints.find(str(tmp_path), note=notes.append) == tmp_path
    assert len(notes) == 1


def test_weights_are_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "posehg" / "checkpoints" / "hub.py"))
    with pytest.raises(NotAvailable):
        checkpoints.bundled_folder()
    inside = tmp_path / "posehg" / "weights"
    inside.mkdir(parents=True)
    (inside / "model.safetensors").touch()
    assert checkpoints.find("bundled") == inside


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A model, its card, and files that are of no interest here."""
    folder = tmp_path_factory.mktemp("model")
    checkpoints.save_folder(folder, stubs.mpii_checkpoint())
    written = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {**written, "README.md": b"# A model\n", "state.bin": bytes(10_007), "runs/log.csv": b"epoch\n"}


class Machine:
    """Runs posehg with nothing in its caches; ``env`` may be changed."""

    def __init__(self, server: HubServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.env = environment(server, folder)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        run = forks.run(*arguments, environment=self.env)
        assert "Traceback" not in run.stderr, run.stderr
        return run

    def get(self, name: str, *options: str) -> Path:
        """Where ``posehg models get`` put the model."""
        run = self.run("models", "get", name, *options)
        assert run.returncode == 0, run.stderr
        return Path(run.stdout.rstrip("\n"))

    def refused(self, name: str, code: int = 5) -> str:
        """The error and the hint; nothing is left that could be taken for a model."""
        run = self.run("models", "get", name)
        assert (run.returncode, run.stdout) == (code, ""), run.stderr
        assert len([line for line in run.stderr.splitlines() if line.startswith("Error: ")]) == 1
        assert self.run("models", "get", name, "--offline").returncode == code
        return run.stderr

    def asked(self) -> list[str]:
        """The paths that were requested since the last call."""
        paths, self.server.requests = self.server.requests, []
        return paths


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with serving() as server:
        yield Machine(server, tmp_path)


def test_the_model_and_its_card_are_downloaded_once_to_the_clients_cache(machine: Machine, files: Files) -> None:
    commit = machine.server.publish("ann/toy", files)
    folder = machine.get("ann/toy")
    assert folder == machine.folder / "huggingface/hub/models--ann--toy/snapshots" / commit
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: files[name] for name in ("model.safetensors", "config.json", "README.md")
    }
    assert not [path for path in machine.asked() if path.endswith(("state.bin", "log.csv"))]
    for name in ("ann/toy", "ann/toy@main", f"ann/toy@{commit}"):
        assert machine.get(name, "--offline") == folder
    assert machine.run("models", "info", "ann/toy").returncode == 0
    [row] = [row for row in json.loads(machine.run("models", "list", "--json").stdout) if "/" in row["name"]]
    assert (row["name"], row["path"]) == ("ann/toy", str(folder))
    assert row["size"] > len(files["model.safetensors"])
    machine.env["HF_HUB_OFFLINE"] = "1"
    assert machine.get("ann/toy") == folder
    machine.refused("ann/other")
    assert machine.asked() == []


def test_a_branch_moves_only_when_asked_and_a_commit_never(machine: Machine, files: Files) -> None:
    first = machine.server.publish("ann/toy", files)
    old = machine.get("ann/toy")
    second = machine.server.publish("ann/toy", {**files, "README.md": b"# Another model\n"})
    assert machine.get("ann/toy", "--offline") == old == machine.get(f"ann/toy@{first}")
    new = machine.get("ann/toy")
    assert new == machine.get(f"ann/toy@{second}") != old
    assert (new / "README.md").read_bytes() != (old / "README.md").read_bytes()


def test_nothing_is_downloaded_of_other_models(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/other", {"checkpoint.pth": files["model.safetensors"]})
    assert "ann/other" in machine.refused("ann/other")
    assert not [path for path in machine.asked() if "/resolve/" in path]


def test_models_of_other_programs_and_broken_ones_are_not_listed(machine: Machine) -> None:
    machine.server.publish("ann/other", {"model.safetensors": save({"x": np.zeros(7)}), "config.json": b"{}"})
    machine.server.publish("eve/broken", {"model.safetensors": b"\x10\0\0\0\0\0\0\0{"})
    machine.get("ann/other")
    machine.get("eve/broken")
    listed = json.loads(machine.run("models", "list", "--json").stdout)
    assert not [row for row in listed if "/" in row["name"]]


def test_a_repository_that_is_missing_private_or_gated_says_what_to_do(machine: Machine, files: Files) -> None:
    assert "ann/none" in machine.refused("ann/none")
    for name in ("ann/secret", "ann/gated"):
        machine.server.publish(name, files)
    machine.server.repos["ann/secret"].private = True
    gated = machine.server.repos["ann/gated"]
    gated.gated = True
    assert "HF_TOKEN" in machine.refused("ann/secret")
    assert f"{machine.server.address}/ann/gated" in machine.refused("ann/gated")
    machine.env["HF_TOKEN"], gated.refused = TOKEN, True
    said = machine.refused("ann/gated")
    assert "gated" in said
    assert TOKEN not in said
    gated.refused = False
    for name in ("ann/secret", "ann/gated"):
        assert (machine.get(name) / "config.json").is_file()
    assert "ann/none" in machine.refused("ann/none")  # with a token the Hub answers 404 instead of 401


def test_other_failures_are_named(machine: Machine, files: Files) -> None:
    machine.server.publish("ann/toy", files)
    assert "v7" in machine.refused("ann/toy@v7")
    assert "a/b--c" in machine.refused("a/b--c", code=2)
    machine.env["HF_TOKEN"] = "hf_somethingelse"
    said = machine.refused("ann/toy")
    assert "401" in said
    assert "hf_somethingelse" not in said
    machine.server.broken = True
    assert "500" in machine.refused("ann/toy")
    machine.server.broken, machine.server.html = False, True
    assert machine.server.address in machine.refused("ann/toy")
    machine.env = environment(None, machine.folder)
    assert "ann/toy" in machine.refused("ann/toy")
    assert machine.get("bundled") == checkpoints.bundled_folder()
    for endpoint in ("https://[::1", "ftp://a.org", "https://a.org:x"):
        machine.env["HF_ENDPOINT"] = endpoint
        assert endpoint in machine.refused("ann/toy", code=2)


def test_errors_of_the_client_become_a_sentence() -> None:
    for error in (OSError(28, "No space left"), RuntimeError("CAS service error\nmore"), KeyError("sha")):
        with pytest.raises(NotAvailable, match="a/b@v1") as caught, hub.hub_errors(Repo("a/b", "v1")):
            raise error
        assert str(caught.value).isprintable()
        assert caught.value.hint


@pytest.fixture
def model(files: Files, tmp_path: Path) -> Callable[..., str]:
    def written(*more: str) -> str:
        folder = tmp_path / "model"
        folder.mkdir()
        for name in ("model.safetensors", "config.json", *more):
            (folder / name).write_bytes(files[name])
        return str(folder)

    return written


def test_what_is_pushed_in_one_commit_can_be_downloaded_anywhere(machine: Machine, model: Callable[..., str]) -> None:
    machine.env["HF_TOKEN"] = TOKEN
    run = machine.run("export", model(), "--push", "ann/mine")
    assert run.returncode == 0, run.stderr
    assert "--model ann/mine" in run.stderr
    del machine.env["HF_TOKEN"]
    fetched = machine.get("ann/mine")
    assert checkpoints.load(fetched).config == stubs.mpii_checkpoint().config
    card = (fetched / "README.md").read_text()
    assert "--model ann/mine" in card
    assert hashlib.sha256((fetched / "model.safetensors").read_bytes()).hexdigest() in card
    _, made = machine.server.repos["ann/mine"].commits.values()  # a new repository has an empty commit
    assert set(made) - {"model.onnx"} == {"README.md", "config.json", "model.safetensors"}


def test_a_card_of_ones_own_and_another_model_are_replaced_only_with_overwrite(
    machine: Machine, files: Files, model: Callable[..., str]
) -> None:
    machine.env["HF_TOKEN"] = TOKEN
    arguments = ("export", model("README.md"), "--push", "ann/mine", "--private")
    assert machine.run(*arguments).returncode == 0
    repository = machine.server.repos["ann/mine"]
    assert repository.private
    machine.server.publish("ann/mine", {"model.safetensors": b"another"})
    assert machine.run(*arguments).returncode == 2
    assert list(repository.commits.values())[-1]["model.safetensors"] == b"another"
    assert machine.run(*arguments, "--overwrite").returncode == 0
    written = list(repository.commits.values())[-1]
    assert written["model.safetensors"] != b"another"
    assert written["README.md"] == files["README.md"]


@pytest.mark.parametrize(
    ("name", "env", "code", "named"),
    [
        ("ann/mine", {}, 5, "HF_TOKEN"),
        ("ann/mine", {"HF_TOKEN": "hf_somethingelse"}, 5, "401"),
        ("ann/mine", {"HF_TOKEN": TOKEN}, 5, "403"),
        ("ann/mine", {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}, 5, "HF_HUB_OFFLINE"),
        *[(name, {"HF_TOKEN": TOKEN}, 2, name) for name in ("mine", "ann/mine@main")],
    ],
)
def test_a_push_that_is_not_possible_says_why(
    machine: Machine, model: Callable[..., str], name: str, env: dict[str, str], code: int, named: str
) -> None:
    machine.server.refuse = True
    machine.env |= env
    run = machine.run("export", model(), "--push", name)
    assert run.returncode == code
    assert named in run.stderr
    assert machine.server.repos == {}
