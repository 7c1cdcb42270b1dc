"""posehg models: list, info, get; and a model by its URL in the other commands."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from posehg import checkpoints, images
from posehg.checkpoints import hub
from posehg.checkpoints.cache import Address
from posehg.checkpoints.hub import ALIASES
from posehg.datasets import synthetic
from tests import foreign_files
from tests.hub_server import HubServer, serving
from tests.journeys.conftest import Posehg
from tests.test_architecture import modules_after


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    for name, value in {"HF_HUB_OFFLINE": "", "POSEHG_HOME": str(tmp_path / "home"), "no_proxy": "*"}.items():
        monkeypatch.setenv(name, value)
    with serving() as server:
        yield server


@pytest.fixture
def content(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


@pytest.fixture
def address(server: HubServer, content: bytes) -> str:
    return f"{server.put('/toy.safetensors', content)}?token=SECRET#sha256={hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def alias(server: HubServer, content: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    digits = hashlib.sha256(content).hexdigest()[:8]
    place = Address(server.put("/alias.safetensors", content), digits, "a toy", "GPL-3.0, as its project")
    monkeypatch.setitem(ALIASES, "toy", place)
    return "toy"


def listed(posehg: Posehg) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(posehg("models", "list", "--json").out)}


def described(posehg: Posehg, model: object) -> dict[str, object]:
    run = posehg("models", "info", model, "--json")
    assert run.code == 0, run.err
    return dict(json.loads(run.out))


def test_the_list_has_every_name_and_each_licence_once(posehg: Posehg) -> None:
    run = posehg("models", "list")
    assert run.code == 0
    for name in (*hub.NAMES, *ALIASES):
        assert name in run.out
    assert run.out.count("GPL-3.0") == 1


def test_the_list_says_what_is_on_this_machine(posehg: Posehg, address: str, alias: str) -> None:
    before = listed(posehg)
    folder = checkpoints.bundled_folder()
    assert before["bundled"]["path"] == str(folder)
    assert before["bundled"]["size"] == sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    assert before["small"]["path"] == str(folder / "small")
    assert (before[alias]["path"], before[alias]["size"]) == (None, None)
    for name in (alias, address):
        path = posehg("models", "get", name).out.strip()
        [row] = [row for row in listed(posehg).values() if row["path"] == path]
        assert row["size"] == Path(path).stat().st_size
        assert posehg("models", "info", row["name"]).code == 0


def test_info_describes_a_model(posehg: Posehg, model: Path) -> None:
    run = posehg("models", "info", model)
    assert (run.code, run.err) == (0, "")
    digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    for expected in ("right_ankle", "64 x 64", "2 stacks, 8 features", digest, "F32"):
        assert expected in run.out
    facts = described(posehg, "bundled")
    assert (facts["parameters"], facts["storage"]) == (4_211_936, ["F16", "F32"])
    assert facts["config"]["provenance"]["licence"]  # type: ignore[index]
    weights = Path(str(facts["file"]))
    assert facts["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.with_name("model.onnx").stat().st_size < 1.1 * weights.stat().st_size  # float16, too


@pytest.mark.parametrize("arguments", [("info", "bundled"), ("list",)])
def test_info_and_list_load_no_torch(arguments: tuple[str, ...]) -> None:
    loaded = modules_after("from posehg.cli.app import main; main()", "models", *arguments)
    assert not loaded & {"torch", "cv2", "scipy", "pooch"}


def test_text_from_a_file_is_shown_whole_and_as_text(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    note = "a\x1b[31m\ud800b\nsha256 0 [red]x[/red] [/]" + "y" * 997
    loaded, folder = checkpoints.load(model), tmp_path / "odd"
    config = replace(loaded.config, provenance={"note": note, "k\x1b[32m": "x"})
    checkpoints.save_folder(folder, replace(loaded, config=config))
    run = posehg("models", "info", folder)
    assert run.code == 0
    assert all(line.isprintable() for line in run.out.splitlines())
    assert len([line for line in run.out.splitlines() if line.startswith("sha256")]) == 1
    assert "[red]x[/red]" in run.out
    assert run.out.count("y") >= 997
    assert described(posehg, folder)["config"]["provenance"]["note"] == note  # type: ignore[index]


def test_a_model_that_cannot_be_loaded_is_refused_by_info(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    config = {**json.loads((model / "config.json").read_text()), "padding": 0}
    file = tmp_path / "odd.safetensors"
    save_file(load_file(model / "model.safetensors"), file, metadata={"posehg": json.dumps(config)})
    posehg("models", "info", file).assert_failed(5, "odd.safetensors")


def test_another_projects_checkpoint_is_described_as_read(posehg: Posehg, tmp_path: Path) -> None:
    torch.save(foreign_files.bearpaw(foreign_files.Sizes(joints=16, depth=4)), tmp_path / "hg.pth")
    run = posehg("models", "info", tmp_path / "hg.pth")
    assert run.code == 0, run.err
    assert "bearpaw/pytorch-pose" in run.out


def test_get_prints_the_path_alone_and_downloads_once(
    posehg: Posehg, server: HubServer, address: str, alias: str, content: bytes
) -> None:
    posehg("models", "get", address, "--offline").assert_failed(5, "/toy.safetensors")
    run = posehg("models", "get", address)
    assert Path(run.out.removesuffix("\n")).read_bytes() == content
    assert "/toy.safetensors" in run.err
    for options in ((), ("--offline",)):
        again = posehg("models", "get", address, *options)
        assert (again.out, again.err) == (run.out, "")
    assert "GPL-3.0" in posehg("models", "get", alias).err
    assert len(server.requests) == 2
    for command in ("get", "info"):
        run = posehg("models", command, address)
        assert "SECRET" not in run.out + run.err


def test_a_model_by_its_url_gives_the_poses_of_its_file(
    posehg: Posehg, server: HubServer, address: str, model: Path, photo: Path
) -> None:
    arguments = ("predict", photo, "--whole", "--json", "--model")
    first = posehg(*arguments, address)
    assert first.code == 0, first.err
    assert json.loads(first.out)["people"] == json.loads(posehg(*arguments, model).out)["people"]
    second = posehg(*arguments, address, "--offline")
    assert (second.out, len(server.requests)) == (first.out, 1)


@pytest.mark.parametrize("command", [("predict", "PHOTO"), ("eval", "--dataset", "synthetic"), ("demo",), ("bench",)])
def test_offline_no_command_makes_a_request(
    posehg: Posehg, server: HubServer, address: str, photo: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    arguments = [photo if argument == "PHOTO" else argument for argument in command]
    extra = ("--out", tmp_path / "demo.png") if command == ("demo",) else ()
    posehg(*arguments, *extra, "--model", address, "--offline").assert_failed(5, "/toy.safetensors")
    assert server.requests == []


def test_the_small_model_is_half_as_large_and_finds_a_person(posehg: Posehg, tmp_path: Path) -> None:
    small, bundled = (described(posehg, name) for name in ("small", "bundled"))
    assert small["parameters"] <= min(1_000_000, 0.55 * bundled["parameters"])  # type: ignore[call-overload, operator]
    assert small["config"]["skeleton"] == bundled["config"]["skeleton"]  # type: ignore[index]
    images.write(tmp_path / "person.png", synthetic.render(seed=3)[0])
    options = ("--people", "scan", "--json", "--fail-if-empty")  # so that no detector has a part in it
    run = posehg("predict", tmp_path / "person.png", "--model", "small", *options)
    assert run.code == 0, run.err
    assert json.loads(run.out)["model"] == "small"


def test_an_exported_folder_has_a_card_with_the_aliass_licence(posehg: Posehg, alias: str, tmp_path: Path) -> None:
    assert posehg("export", alias, "--out", tmp_path / "my model").code == 0
    assert "GPL-3.0" in checkpoints.load(tmp_path / "my model").config.provenance["licence"]
    text = (tmp_path / "my model" / "README.md").read_text()
    assert "license: gpl-3.0\n" in text
    assert "# my model\n" in text
    assert str(tmp_path) not in text  # a card is passed on


@pytest.mark.parametrize("command", ["list", "info", "get", "convert"])
def test_help_shows_examples(posehg: Posehg, command: str) -> None:
    assert command in posehg("models").out
    assert posehg("models", command, "--help").out.count(f"    posehg models {command}") == 3
