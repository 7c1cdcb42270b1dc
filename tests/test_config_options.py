"""A dataclass as the options of a command, on the command line and in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from posehg.cli.config_options import given_names, read_file, takes
from posehg.errors import NotAvailable, PosehgError, UsageError
from posehg.training.config import TrainConfig


def option(default: Any, help: str, shown: str = "") -> Any:
    return field(default=default, metadata={"panel": "Cake", "help": help, "shown": shown})


@dataclass(frozen=True)
class Cake:
    layers: int = option(3, "How many.")
    oven_heat: float = option(180.5, "In degrees.")
    glaze: Literal["sugar", "cocoa"] = option("sugar", "What it shines with.")
    name: str = option("", "Whose birthday.", "nobody's")
    candles: bool = option(False, "With lights.")
    tin: tuple[int, int] = option((20, 30), "Its sides.")
    secret: int = 7


Bake = Callable[..., tuple[Cake, set[str], bool]]


@pytest.fixture
def bake() -> Bake:
    """Calls a command with Cake's options, and gives what it got. An error that it raised is raised here."""
    got: list[tuple[Cake, set[str], bool]] = []

    @takes(Cake)
    def command(context: typer.Context, config: Cake, hot: bool = False) -> None:
        """Bake it."""
        got.append((config, given_names(context, Cake), hot))

    app = typer.Typer()
    app.command()(command)

    def call(*arguments: str, **environment: str) -> tuple[Cake, set[str], bool]:
        result = CliRunner().invoke(app, arguments, env=environment, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return got.pop()

    call.app = app  # type: ignore[attr-defined]
    return call


# ---- on the command line -----------------------------------------------------------------------------------------


def test_without_options_the_defaults_are_taken(bake: Bake) -> None:
    assert bake() == (Cake(), set(), False)


def test_each_field_is_an_option_by_its_name(bake: Bake) -> None:
    config, given, hot = bake(
        *("--layers", "5", "--oven-heat", "7", "--glaze", "cocoa", "--name", "Ada", "--candles", "--tin", "2-11"),
        "--hot",
    )
    assert config == Cake(5, 7.0, "cocoa", "Ada", True, (2, 11))
    assert given == {"layers", "oven_heat", "glaze", "name", "candles", "tin"}
    assert hot


def test_an_option_that_is_given_its_default_counts_as_given(bake: Bake) -> None:
    config, given, _ = bake("--layers", "3", "--no-candles")
    assert (config, given) == (Cake(), {"layers", "candles"})


def test_a_field_without_a_help_is_no_option(bake: Bake) -> None:
    with pytest.raises(Exception, match="No such option: --secret"):
        bake("--secret", "8")


@pytest.mark.parametrize("text", ["20", "20-30-40", "20x30", "20-", "-1-30", "2.5-3", "20-³", ""])
def test_a_list_of_numbers_that_cannot_be_read_is_answered_with_an_example(bake: Bake, text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--tin {text} cannot be read.")) as caught:
        bake(f"--tin={text}")
    assert caught.value.hint == "Write it as 20-30."


def test_the_help_has_each_option_with_its_default(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(bake.app, ["--help"]).output.replace("│", " ")  # type: ignore[attr-defined]
    text = " ".join(text.split())
    assert re.search(r"--layers \S+ How many\. \[default: 3\]", text)
    assert re.search(r"--oven-heat \S+ In degrees\. \[default: 180\.5\]", text)
    assert re.search(r"--glaze \S+ What it shines with\. \[default: sugar\]", text)
    assert re.search(r"--name \S+ Whose birthday\. \[default: \(nobody's\)\]", text)
    assert re.search(r"--tin \S+ Its sides\. \[default: 20-30\]", text)
    assert re.search(r"--candles --no-candles( <bool>)? With lights\. (?!\[)", text)
    assert "─ Cake ─" in text
    assert "secret" not in text


# ---- in a file ---------------------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cake.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_options_come_back_as_they_were_written(tmp_path: Path) -> None:
    cake = Cake(5, 7.0, "cocoa", "Ada", True, (2, 11), 8)
    path = written(tmp_path, json.dumps(asdict(cake)))
    assert Cake(**read_file(path, Cake)) == cake


def test_the_options_of_a_training_come_back_as_they_were_written(tmp_path: Path) -> None:
    config = TrainConfig(loss="cross-entropy", stem=(8, 16, 32), compile=True, ema=0.5, joints="head_top")
    path = written(tmp_path, json.dumps(asdict(config)))
    assert TrainConfig(**read_file(path, TrainConfig)) == config


def test_a_file_may_have_some_options_only(tmp_path: Path) -> None:
    assert read_file(written(tmp_path, '{"layers": 9}'), Cake) == {"layers": 9}
    assert read_file(written(tmp_path, "{}"), Cake) == {}


def test_a_whole_number_will_do_where_a_fraction_is_allowed(tmp_path: Path) -> None:
    assert read_file(written(tmp_path, '{"oven_heat": 200}'), Cake) == {"oven_heat": 200}


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        ('{"layer": 3}', UsageError, "has an option 'layer' that does not exist", "Did you mean layers?"),
        ('{"qqq": 3}', UsageError, "has an option 'qqq' that does not exist", ""),
        ('{"layers": "3"}', UsageError, "layers cannot be '3'", "Write it as 3."),
        ('{"layers": 3.0}', UsageError, "layers cannot be 3.0", "Write it as 3."),
        ('{"layers": true}', UsageError, "layers cannot be True", "Write it as 3."),
        ('{"layers": null}', UsageError, "layers cannot be None", "Write it as 3."),
        ('{"oven_heat": true}', UsageError, "oven_heat cannot be True", "Write it as 180.5."),
        ('{"oven_heat": "hot"}', UsageError, "oven_heat cannot be 'hot'", "Write it as 180.5."),
        ('{"candles": 1}', UsageError, "candles cannot be 1", "Write it as false."),
        ('{"name": 1}', UsageError, "name cannot be 1", 'Write it as "".'),
        ('{"tin": "20-30"}', UsageError, "tin cannot be '20-30'", "Write it as [20, 30]."),
        ('{"tin": [20]}', UsageError, "tin cannot be [20]", "Write it as [20, 30]."),
        ('{"tin": [20, 1.5]}', UsageError, "tin cannot be [20, 1.5]", "Write it as [20, 30]."),
        ('{"layers": [1, 2]}', UsageError, "layers cannot be [1, 2]", "Write it as 3."),
        ("[1, 2]", UsageError, "is not a file of options", "Write it as {"),
        ("7", UsageError, "is not a file of options", "Write it as {"),
        ("", UsageError, "it is no JSON", ""),
        ("layers: 3", UsageError, "it is no JSON", ""),
        ('{"layers": 3', UsageError, "it is no JSON", ""),
        ("[" * 100_000, UsageError, "it is no JSON", ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, kind: type[PosehgError], message: str, hint: str
) -> None:
    with pytest.raises(kind, match=re.escape(message)) as caught:
        read_file(written(tmp_path, text), Cake)
    assert str(tmp_path / "cake.json") in str(caught.value)
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cake.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="it is no JSON"):
        read_file(tmp_path / "cake.json", Cake)


@pytest.mark.parametrize("name", ["none.json", "."])
def test_a_file_that_cannot_be_read_is_not_available(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotAvailable, match=r"cannot be read: .+\."):
        read_file(tmp_path / name, Cake)


# ---- the options of posehg train ---------------------------------------------------------------------------------


def test_every_option_of_a_training_has_a_help_that_ends_as_a_sentence() -> None:
    for described in fields(TrainConfig):
        assert re.fullmatch(r".+[.)]", described.metadata["help"], re.DOTALL), described.name
        assert described.metadata["panel"] in {"Data", "Network", "Recipe", "Augmentation", "Run"}


def test_the_defaults_of_a_training_can_be_used() -> None:
    config = TrainConfig()
    assert replace(config) == config
