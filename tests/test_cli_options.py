"""The options of a run in a file; tests/journeys/test_train.py has them on the command line."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from posehg.cli.options import read_file
from posehg.errors import NotAvailable, UsageError
from posehg.training.config import TrainConfig


@pytest.mark.parametrize(
    "config",
    [TrainConfig(), TrainConfig(loss="cross-entropy", stem=(8, 16, 32), low_features=512, compile=True, ema=0.5)],
)
def test_options_come_back_as_they_were_written(tmp_path: Path, config: TrainConfig) -> None:
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)))
    assert TrainConfig(**read_file(tmp_path / "config.json", TrainConfig)) == config


def test_a_file_may_have_some_options_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"rotation": 20}')
    assert read_file(tmp_path / "config.json", TrainConfig) == {"rotation": 20}
    with pytest.raises(NotAvailable, match="missing"):
        read_file(tmp_path / "missing.json", TrainConfig)


@pytest.mark.parametrize(
    ("content", "named", "hint"),
    [
        ('{"stack": 3}', "'stack'", "stacks"),
        ('{"qqq": 3}', "'qqq'", ""),
        *((f'{{"stacks": {value}}}', "stacks", "2") for value in ('"3"', "3.0", "true", "null", "[1, 2]")),
        *((f'{{"rotation": {value}}}', "rotation", "30.0") for value in ("true", '"much"')),
        ('{"compile": 1}', "compile", "false"),
        ('{"joints": 1}', "joints", '""'),
        *((f'{{"stem": {value}}}', "stem", "[64, 128, 128]") for value in ('"2-4-4"', "[2, 4]", "[2, 4, 1.5]")),
        *((content, "config.json", "{") for content in ("[1, 2]", "7")),
        *((content, "JSON", "") for content in ("", "stacks: 3", '{"stacks": 3', "[" * 100_000, b"\xff\xfe\x00")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, content: str | bytes, named: str, hint: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_file(path, TrainConfig)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
