"""A dataclass as the options of a command, on the command line and in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import typer
from typer.testing import CliRunner

from posehg.cli.help import Command
from posehg.cli.options import given_names, read_file, takes
from posehg.errors import NotAvailable, UsageError
from posehg.training.config import TrainConfig


def option(default: Any, help: str, shown: str = "") -> Any:
    return field(default=default, metadata={"panel": "Cake", "help": help, "shown": shown})


@dataclass(frozen=True)
class Cake:
    REMOVED: ClassVar[dict[str, object]] = {"icing": False}

    layers: int = option(3, "Number of layers.")
    oven_heat: float = option(180.5, "In degrees.")
    glaze: Literal["sugar", "cocoa"] = option("sugar", "Coating.")
    name: str = option("", "Birthday child.", "nobody")
    candles: bool = option(False, "Add lights.")
    tin: tuple[int, int] = option((20, 30), "Sides.")
    secret: int = 7


Bake = Callable[..., tuple[Cake, set[str], bool]]


@pytest.fixture
def bake() -> Bake:
    """Calls a command with Cake's options and returns what it got; raises its error."""
    got: list[tuple[Cake, set[str], bool]] = []

    @takes(Cake)
    def command(context: typer.Context, config: Cake, hot: bool = False) -> None:
        """Bake it."""
        got.append((config, given_names(context, Cake), hot))

    app = typer.Typer()
    app.command(cls=Command)(command)

    def call(*arguments: str) -> tuple[Cake, set[str], bool]:
        result = CliRunner().invoke(app, arguments, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return got.pop()

    return call


def test_each_field_is_an_option_by_its_name(bake: Bake) -> None:
    assert bake() == (Cake(), set(), False)
    all_options = "--layers 5 --oven-heat 7 --glaze cocoa --name Ada --candles --tin 2-11 --hot".split()
    given = {"layers", "oven_heat", "glaze", "name", "candles", "tin"}
    assert bake(*all_options) == (Cake(5, 7.0, "cocoa", "Ada", True, (2, 11)), given, True)
    assert bake("--layers", "3", "--no-candles") == (Cake(), {"layers", "candles"}, False)  # a default counts as given


@pytest.mark.parametrize("text", ["20", "20-30-40", "20x30", "-1-30", "20-³", ""])
def test_a_list_of_numbers_that_cannot_be_read_is_answered_with_an_example(bake: Bake, text: str) -> None:
    with pytest.raises(Exception, match="--secret"):  # a field without help is not an option
        bake("--secret", "8")
    with pytest.raises(UsageError) as caught:
        bake(f"--tin={text}")
    assert f"--tin {text}" in str(caught.value)
    assert "20-30" in caught.value.hint


@pytest.mark.parametrize(
    "config",
    [
        Cake(5, 7.0, "cocoa", "Ada", True, (2, 11), 8),
        TrainConfig(loss="cross-entropy", stem=(8, 16, 32), compile=True, ema=0.5, joints="head_top"),
    ],
)
def test_options_come_back_as_they_were_written(tmp_path: Path, config: Any) -> None:
    path = tmp_path / "options.json"
    path.write_text(json.dumps(asdict(config)))
    assert type(config)(**read_file(path, type(config))) == config


def test_a_file_may_have_some_options_only_and_old_ones_that_are_off(tmp_path: Path) -> None:
    (tmp_path / "cake.json").write_text('{"icing": false, "oven_heat": 200}')
    assert read_file(tmp_path / "cake.json", Cake) == {"oven_heat": 200}


@pytest.mark.parametrize(
    ("content", "named", "hint"),
    [
        ('{"layer": 3}', "'layer'", "layers"),
        ('{"qqq": 3}', "'qqq'", ""),
        ('{"icing": true}', "'icing'", ""),
        *((f'{{"layers": {value}}}', "layers", "3") for value in ('"3"', "3.0", "true", "null", "[1, 2]")),
        *((f'{{"oven_heat": {value}}}', "oven_heat", "180.5") for value in ("true", '"hot"')),
        ('{"candles": 1}', "candles", "false"),
        ('{"name": 1}', "name", '""'),
        *((f'{{"tin": {value}}}', "tin", "[20, 30]") for value in ('"20-30"', "[20]", "[20, 1.5]")),
        *((content, "cake.json", "{") for content in ("[1, 2]", "7")),
        *((content, "JSON", "") for content in ("", "layers: 3", '{"layers": 3', "[" * 100_000, b"\xff\xfe\x00")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, content: str | bytes, named: str, hint: str) -> None:
    (tmp_path / "cake.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_file(tmp_path / "cake.json", Cake)
    assert str(tmp_path / "cake.json") in str(caught.value)
    assert named in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    with pytest.raises(NotAvailable, match="missing"):
        read_file(tmp_path / "missing.json", Cake)
