"""posehg models info: what a model is, read from its header in no time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from posehg.cli import guard


@dataclass(frozen=True)
class _Facts:
    """parameters: learned numbers. storage: such as F16, the most first. config: as its JSON has it."""

    path: Path
    file: Path
    size: int
    sha256: str
    parameters: int
    storage: tuple[str, ...]
    config: Mapping[str, Any]


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, folder or file of a model.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON, with the whole config.")] = False,
) -> None:
    """Show what a model is: its joints, its input, its size, what it was trained on, and its sha256.

    Nothing is fetched: of a model that is not here yet, posehg models get fetches it.
    """
    from posehg import hub

    facts = _read(hub.where(model))
    if as_json:
        print(json.dumps(_as_json(model, facts), indent=2))
    else:
        _show(_lines(model, facts))


def _read(path: Path) -> _Facts:
    from posehg.hub import header
    from posehg.hub.files import sha256, weights_file

    file = weights_file(path)
    if not header.is_ours(path):
        return _converted(path, file)
    found = header.read(file)
    size, digest = file.stat().st_size, sha256(file)
    return _Facts(path, file, size, digest, found.parameters, tuple(found.storage), header.config(path))


def _converted(path: Path, file: Path) -> _Facts:
    """Of another project's checkpoint, which has to be read and understood first; that takes torch, and seconds."""
    from posehg import checkpoints
    from posehg.hub.files import sha256
    from posehg.network import parameters

    config = checkpoints.load(path).config
    values = json.loads(config.to_json())
    return _Facts(path, file, file.stat().st_size, sha256(file), parameters(config.network), (), values)


def _lines(model: str, facts: _Facts) -> Iterator[tuple[str, str]]:
    from posehg.hub import header

    yield "model", model
    yield from header.lines(facts.config)
    yield "parameters", f"{facts.parameters:,}"
    if facts.storage:
        yield "stored as", ", ".join(facts.storage)
    yield "file", f"{facts.file} ({facts.size / 1e6:.1f} MB)"
    yield "sha256", facts.sha256


def _show(lines: Iterator[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in lines:
        table.add_row(Text(heading), Text(text))
    guard.show(table)


def _as_json(model: str, facts: _Facts) -> dict[str, Any]:
    return {
        "model": model,
        "path": str(facts.path),
        "file": str(facts.file),
        "bytes": facts.size,
        "sha256": facts.sha256,
        "parameters": facts.parameters,
        "storage": list(facts.storage),
        "config": facts.config,
    }
