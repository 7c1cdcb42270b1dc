"""posehg models: list, info, get, path, rm; and a model by its address in the other commands."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from posehg import checkpoints, hub, images
from posehg.datasets import synthetic
from posehg.errors import NotAvailable
from posehg.hub.aliases import ALIASES, Alias
from tests import foreign_files
from tests.hub_server import HubServer, serving
from tests.journeys.conftest import ROOT, Posehg


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("POSEHG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        yield server


@pytest.fixture
def content(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


@pytest.fixture
def address(server: HubServer, content: bytes) -> str:
    return f"{server.put('/toy.safetensors', content)}#sha256={hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def alias(server: HubServer, content: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    digits = hashlib.sha256(content).hexdigest()[:8]
    place = server.put(f"/toy-{digits}.safetensors", content)
    monkeypatch.setitem(ALIASES, "toy", Alias(place, "a toy", "GPL-3.0, as the project that published it"))
    return "toy"


def listed(posehg: Posehg) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(posehg("models", "list", "--json").out)}


# ---- list --------------------------------------------------------------------------------------------------------


def test_the_list_shows_what_has_a_name(posehg: Posehg) -> None:
    run = posehg("models", "list")
    assert run.code == 0
    for name in (*hub.NAMES, *ALIASES):
        assert name in run.out
    assert run.out.count("GPL-3.0") == 1
    last = run.out.partition("GPL-3.0")[0].splitlines()[-1]
    for name in ALIASES:
        assert name in last


def test_help_says_what_few_digits_are_worth(posehg: Posehg) -> None:
    assert "on purpose" in posehg("models", "get", "--help").out


def test_what_is_here_has_a_place_and_a_size(posehg: Posehg, alias: str) -> None:
    before = listed(posehg)
    bundled = checkpoints.bundled_folder()
    assert before["bundled"]["path"] == str(bundled)
    assert before["bundled"]["size"] == sum(file.stat().st_size for file in bundled.iterdir() if file.is_file())
    assert before["small"]["path"] == str(bundled / "small")
    assert before["small"]["size"] <= 2_010_000
    assert before[alias]["path"] is None
    assert before[alias]["size"] is None
    path = posehg("models", "get", alias).out.strip()
    assert listed(posehg)[alias]["path"] == path
    assert listed(posehg)[alias]["size"] == Path(path).stat().st_size


def test_what_was_fetched_from_an_address_is_listed_by_what_fetches_it_again(posehg: Posehg, address: str) -> None:
    posehg("models", "get", address)
    assert address in listed(posehg)


# ---- info --------------------------------------------------------------------------------------------------------


def test_info_says_what_a_model_is(posehg: Posehg, model: Path) -> None:
    run = posehg("models", "info", model)
    assert (run.code, run.err) == (0, "")
    digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    for expected in ("16: right ankle,", "64 x 64 pixels", "2 stacks, 8 features", digest, "F32"):
        assert expected in run.out


def test_as_json_it_is_all_there(posehg: Posehg) -> None:
    facts = json.loads(posehg("models", "info", "bundled", "--json").out)
    assert facts["parameters"] == 1_660_128
    assert facts["storage"] == ["F16", "F32"]
    assert facts["config"]["provenance"]["licence"] == "weights for research use, as the data sets"
    assert facts["sha256"] == hashlib.sha256(Path(facts["file"]).read_bytes()).hexdigest()


def test_text_from_a_file_is_no_markup(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    loaded = checkpoints.load(model)
    config = replace(loaded.config, provenance={"note": "[red]x[/red] [/]"})
    checkpoints.save_folder(tmp_path / "odd", checkpoints.Checkpoint(config, loaded.state))
    assert "[red]x[/red] [/]" in posehg("models", "info", tmp_path / "odd").out


def test_info_takes_less_than_half_a_second_and_no_torch() -> None:
    script = (
        "import sys; sys.argv = ['posehg', 'models', 'info', 'bundled']\n"
        "from posehg.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'cv2', 'numpy', 'huggingface_hub'} & set(sys.modules)"
    )
    begun = os.times()
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    ended = os.times()
    assert run.returncode == 0, run.stderr
    # What the machine does besides does not count; there is nothing to wait for.
    assert ended.children_user + ended.children_system - begun.children_user - begun.children_system < 0.5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "x.safetensors"), (b"\x10\0\0\0\0\0\0\0{", "x.safetensors"), (b"<html>", "x.safetensors")],
)
def test_a_file_that_is_no_model_is_refused(posehg: Posehg, tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    posehg("models", "info", tmp_path / "x.safetensors").assert_failed(5, sentence)


def test_a_folder_without_a_model_is_refused(posehg: Posehg, tmp_path: Path) -> None:
    posehg("models", "info", tmp_path).assert_failed(5, f"There is no model at {tmp_path}.")


def odd(model: Path, folder: Path, **provenance: str) -> Path:
    loaded = checkpoints.load(model)
    checkpoints.save_folder(folder, checkpoints.Checkpoint(replace(loaded.config, provenance=provenance), loaded.state))
    return folder


def test_a_file_says_nothing_to_the_terminal(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    folder = odd(model, tmp_path / "odd", **{"note": "a\x1b[31m\ud800b\nsha256 0", "k\x1b[32m": "x"})
    run = posehg("models", "info", folder)
    assert run.code == 0
    assert all(line.isprintable() for line in run.out.splitlines())
    assert len([line for line in run.out.splitlines() if line.startswith("sha256")]) == 1
    facts = json.loads(posehg("models", "info", folder, "--json").out)
    assert facts["config"]["provenance"]["note"].startswith("a\x1b")


def test_a_long_text_is_shown_whole(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    run = posehg("models", "info", odd(model, tmp_path / "odd", note="x" * 997))
    assert run.out.count("x") > 997


@pytest.mark.parametrize(
    "change",
    [
        {"posehg": 7},
        {"input_size": [63, 64]},
        {"input_size": "64"},
        {"padding": 0},
        {"padding": 11},
        {"padding": True},
        {"sigma": 65},
        {"provenance": []},
        {"surprise": 1},
        {"output": "poems"},
        {"offset": 3},
        {"network": {"joints": 16, "stacks": 0}},
        {"network": {"joints": 16, "layers": 3}},
        {"network": {"joints": 7}},
        {"skeleton": {"name": "x", "joints": ["a", "a"], "limbs": []}},
        {"skeleton": None},
    ],
)
def test_of_a_model_that_cannot_be_loaded_info_says_so(
    posehg: Posehg, model: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    config = {**json.loads((model / "config.json").read_text()), **change}
    file = tmp_path / "odd.safetensors"
    save_file(load_file(model / "model.safetensors"), file, metadata={"posehg": json.dumps(config)})
    with pytest.raises(NotAvailable):
        checkpoints.load(file)
    run = posehg("models", "info", file)
    assert run.code == 0
    assert "cannot be loaded" in run.out
    assert json.loads(posehg("models", "info", file, "--json").out)["problem"]


def test_nor_where_the_two_configs_of_a_folder_differ(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "odd")
    (tmp_path / "odd" / "config.json").write_text("{}")
    assert "cannot be loaded" in posehg("models", "info", tmp_path / "odd").out


@pytest.mark.parametrize("change", [{}, {"padding": 1.5, "offset": 0.5, "output": "logits"}, {"sigma": 60.0}])
def test_of_one_that_can_it_does_not(posehg: Posehg, model: Path, tmp_path: Path, change: dict[str, object]) -> None:
    config = {**json.loads((model / "config.json").read_text()), **change}
    file = tmp_path / "odd.safetensors"
    save_file(load_file(model / "model.safetensors"), file, metadata={"posehg": json.dumps(config)})
    checkpoints.load(file)
    assert "cannot be loaded" not in posehg("models", "info", file).out
    assert json.loads(posehg("models", "info", file, "--json").out)["problem"] is None


def test_of_a_short_name_that_was_not_fetched_is_known_where_it_comes_from(
    posehg: Posehg, server: HubServer, alias: str
) -> None:
    run = posehg("models", "info", alias)
    assert (run.code, run.err) == (0, "")
    for expected in ("a toy", ALIASES[alias].place, "GPL-3.0, as the project", f"posehg models get {alias}"):
        assert expected in run.out
    facts = json.loads(posehg("models", "info", alias, "--json").out)
    assert facts["path"] is None
    assert facts["address"] == ALIASES[alias].place
    assert facts["licence"] == ALIASES[alias].licence
    assert server.requests == []


def test_of_another_projects_file_it_says_what_it_was_read_from(posehg: Posehg, tmp_path: Path) -> None:
    torch.save(foreign_files.bearpaw(foreign_files.Sizes(joints=16, depth=4)), tmp_path / "hg.pth")
    run = posehg("models", "info", tmp_path / "hg.pth")
    assert run.code == 0, run.err
    assert "read from" in run.out
    assert "converted from" not in run.out


# ---- get, path, and the other commands ---------------------------------------------------------------------------


def test_get_prints_where_the_model_lies_and_nothing_else(posehg: Posehg, address: str, content: bytes) -> None:
    run = posehg("models", "get", address)
    assert run.code == 0
    assert Path(run.out.removesuffix("\n")).read_bytes() == content
    assert run.err == f"Fetching {address.partition('#')[0]}.\n"
    again = posehg("models", "get", address)
    assert (again.out, again.err) == (run.out, "")
    assert posehg("models", "path", address).out == run.out


def test_who_fetches_by_a_short_name_is_told_the_licence(posehg: Posehg, alias: str) -> None:
    assert "GPL-3.0, as the project that published it" in posehg("models", "get", alias).err


def test_a_model_by_its_address_sees_as_the_file_does(
    posehg: Posehg, server: HubServer, address: str, model: Path, photo: Path
) -> None:
    arguments = ("predict", photo, "--whole", "--json", "--model")
    by_file = json.loads(posehg(*arguments, model).out)
    first = posehg(*arguments, address)
    assert first.code == 0, first.err
    assert json.loads(first.out)["people"] == by_file["people"]
    assert "Fetching" in first.err
    second = posehg(*arguments, address, "--offline")
    assert second.out == first.out
    assert "Fetching" not in second.err
    assert len(server.requests) == 1


@pytest.mark.parametrize("command", [("predict", "PHOTO"), ("eval", "--dataset", "synthetic"), ("demo",), ("bench",)])
def test_offline_nothing_is_fetched(
    posehg: Posehg,
    server: HubServer,
    address: str,
    photo: Path,
    tmp_path: Path,
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [photo if argument == "PHOTO" else argument for argument in command]
    run = posehg(*arguments, "--model", address, "--offline")
    run.assert_failed(5, "it was not fetched, and posehg is offline.")
    assert server.requests == []


def test_an_address_without_a_hash_is_refused(posehg: Posehg, server: HubServer, content: bytes, photo: Path) -> None:
    address = server.put("/toy.safetensors", content)
    posehg("predict", photo, "--model", address).assert_failed(2, "comes without a hash")
    assert server.requests == []


def test_a_poisoned_file_is_not_used(posehg: Posehg, server: HubServer, address: str, photo: Path) -> None:
    server.poison = True
    run = posehg("predict", photo, "--model", address)
    run.assert_failed(5, "is not the file meant")
    posehg("models", "path", address).assert_failed(5, "was not fetched yet")


def test_path_fetches_nothing(posehg: Posehg, server: HubServer, address: str) -> None:
    run = posehg("models", "path", address)
    run.assert_failed(5, "was not fetched yet.")
    assert "posehg models get" in run.err
    assert server.requests == []


@pytest.mark.parametrize("name", hub.NAMES)
def test_of_a_bundled_model_the_path_is_known(posehg: Posehg, name: str) -> None:
    assert posehg("models", "path", name).out == f"{checkpoints.bundled_folder(name)}\n"


def test_the_small_model_is_half_as_large_and_finds_somebody(posehg: Posehg, tmp_path: Path) -> None:
    small, bundled = (json.loads(posehg("models", "info", name, "--json").out) for name in ("small", "bundled"))
    assert small["parameters"] <= min(1_000_000, 0.55 * bundled["parameters"])
    assert small["config"]["skeleton"] == bundled["config"]["skeleton"]
    images.write(tmp_path / "person.png", synthetic.render(seed=1)[0])
    run = posehg("predict", tmp_path / "person.png", "--model", "small", "--json", "--fail-if-empty")
    assert run.code == 0, run.err
    assert json.loads(run.out)["model"] == "small"


def test_a_file_that_was_changed_since_is_fetched_anew_or_refused(
    posehg: Posehg, address: str, content: bytes, model: Path, tmp_path: Path
) -> None:
    path = Path(posehg("models", "get", address).out.strip())
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for arguments in (("models", "path", address), ("export", address, "--out", tmp_path / "x", "--offline")):
        run = posehg(*arguments)
        run.assert_failed(5, "is not the file meant")
        assert "posehg models get" in run.err
    assert posehg("models", "list").code == 0
    run = posehg("export", address, "--out", tmp_path / "x")
    assert run.code == 0
    assert "is not the file meant" in run.err
    assert path.read_bytes() == content


def test_what_is_listed_can_be_asked_for_by_its_name(posehg: Posehg, server: HubServer, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    posehg("models", "get", server.put(f"/short-{digest[:8]}.safetensors", content))
    posehg("models", "get", f"{server.put('/whole.safetensors', content)}#sha256={digest}")
    names = [name for name in listed(posehg) if "://" in name]
    assert len(names) == 2
    for name in names:
        assert posehg("models", "path", name).code == 0
        assert posehg("models", "rm", name, "--yes").code == 0


def test_secrets_in_an_address_are_not_shown(posehg: Posehg, server: HubServer, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    address = f"{server.put('/toy.safetensors', content)}?token=SECRET#sha256={digest}"
    commands = [(name, address) for name in ("path", "info", "get", "info")]
    for arguments in (*commands, ("list",), ("info", address, "--json"), ("rm", address, "--yes"), ("rm", address)):
        run = posehg("models", *arguments)
        assert "SECRET" not in run.out + run.err
    assert posehg("models", "get", f"https://ann:SECRET@a.org/x#sha256={digest}").err.count("SECRET") == 0


# ---- rm ----------------------------------------------------------------------------------------------------------


def test_what_was_fetched_may_be_deleted(posehg: Posehg, address: str) -> None:
    path = Path(posehg("models", "get", address).out.strip())
    run = posehg("models", "rm", address, "--yes")
    assert (run.code, run.out) == (0, "")
    assert not path.exists()
    posehg("models", "rm", address, "--yes").assert_failed(5, "was not fetched.")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "kept"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_it_asks_before(posehg: Posehg, address: str, answer: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(posehg("models", "get", address).out.strip())
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    run = posehg("models", "rm", address)
    assert run.code == 0
    assert "Delete what was fetched of" in run.err
    assert path.exists() == kept


def test_nobody_to_ask_is_no_yes(posehg: Posehg, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(posehg("models", "get", address).out.strip())
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    posehg("models", "rm", address).assert_failed(2, "Nobody is there to be asked.")
    assert path.exists()


def test_the_bundled_model_and_the_users_files_stay(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    for name in hub.NAMES:
        posehg("models", "rm", name, "--yes").assert_failed(2, f"The model {name} is a part of posehg")
    shutil.copytree(model, tmp_path / "mine")
    for path in (tmp_path / "mine", tmp_path / "mine" / "model.safetensors"):
        posehg("models", "rm", path, "--yes").assert_failed(2, "was not fetched by posehg")
        assert path.exists()


def test_not_even_by_its_path_is_a_download_deleted(posehg: Posehg, address: str) -> None:
    path = Path(posehg("models", "get", address).out.strip())
    posehg("models", "rm", path, "--yes").assert_failed(2, "was not fetched by posehg")
    assert path.exists()


# ---- export ------------------------------------------------------------------------------------------------------


def test_an_exported_folder_has_a_card(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    assert posehg("export", model, "--out", tmp_path / "my model").code == 0
    text = (tmp_path / "my model" / "README.md").read_text()
    assert "# my model\n" in text
    assert str(tmp_path) not in text  # a card is passed on


def test_a_licence_known_by_a_short_name_goes_with_the_model(posehg: Posehg, alias: str, tmp_path: Path) -> None:
    assert posehg("export", alias, "--out", tmp_path / "x").code == 0
    assert checkpoints.load(tmp_path / "x").config.provenance["licence"].startswith("GPL-3.0")
    assert "license: gpl-3.0\n" in (tmp_path / "x" / "README.md").read_text()


def test_where_it_goes_must_be_said(posehg: Posehg, model: Path) -> None:
    posehg("export", model).assert_failed(2, "nothing to write")
    posehg("export", model, "--out", "x", "--private").assert_failed(2, "--private")


def test_without_a_subcommand_the_help_is_shown(posehg: Posehg) -> None:
    run = posehg("models")
    assert run.code == 0
    for name in ("list", "info", "get", "path", "rm", "convert"):
        assert f" {name} " in run.out
