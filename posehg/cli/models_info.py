"""posehg models info: what a model is, read from its header in no time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import terminal
from posehg.errors import NotAvailable, printable

if TYPE_CHECKING:
    from posehg.config import ModelConfig
    from posehg.hub.aliases import Alias

_LONGEST = 10_000
"""Letters of a text that are shown."""


@dataclass(frozen=True)
class _Facts:
    """parameters: learned numbers. storage: such as F16, the most first. config: as its JSON has it.

    problem: why it cannot be loaded; empty where it can. converted: whether it is another project's.
    """

    path: Path
    file: Path
    size: int
    sha256: str
    parameters: int
    storage: tuple[str, ...]
    config: Mapping[str, Any]
    problem: str = ""
    converted: bool = False


def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, folder or file of a model.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON, with the whole config.")] = False,
) -> None:
    """Show what a model is: its joints, its input, its size, what it was trained on, and its sha256.

    Nothing is fetched: of a model that is not here yet, posehg models get fetches it.
    """
    from posehg import hub

    alias = _elsewhere(model)
    if alias is not None:
        values, lines = _of_alias(model, alias)
    else:
        facts, name = _read(hub.where(model)), hub.shown(model)
        values, lines = _as_json(name, facts), _lines(name, facts)
    if as_json:
        print(json.dumps(values, indent=2))
    else:
        _show(lines)


def _elsewhere(model: str) -> Alias | None:
    """What is known of a short name whose model was not fetched."""
    from posehg.hub import downloads
    from posehg.hub.addresses import Address
    from posehg.hub.aliases import ALIASES
    from posehg.hub.names import parse

    place = parse(model).place
    absent = isinstance(place, Address) and downloads.there(place) is None
    return ALIASES.get(model) if absent else None


def _of_alias(model: str, alias: Alias) -> tuple[dict[str, Any], Iterator[tuple[str, str]]]:
    facts = {"about": alias.about, "address": alias.place, "licence": alias.licence}
    lines = {"model": model, **facts, "here": f"not yet; it can be had: posehg models get {model}"}
    return {"model": model, "path": None, **facts}, iter(lines.items())


def _read(path: Path) -> _Facts:
    from posehg.files import sha256
    from posehg.hub import header
    from posehg.hub.files import weights_file

    if not header.is_ours(path):
        return _exported_or_converted(path)
    file = weights_file(path)
    found = header.read(file)
    size, digest = file.stat().st_size, sha256(file)
    config, storage = header.config(path), tuple(found.storage)
    problem = _problem(path)
    return _Facts(path, file, size, digest, found.parameters, storage, config, problem)


def _exported_or_converted(path: Path) -> _Facts:
    """Another project's checkpoint has to be read and understood first; that takes torch, and seconds."""
    from posehg import checkpoints
    from posehg.files import sha256
    from posehg.hub.files import weights_file
    from posehg.inference import engines

    exported = engines.described(path)
    file, config = (
        (exported.numbers, exported.config) if exported else (weights_file(path), checkpoints.load(path).config)
    )
    size, values = file.stat().st_size, json.loads(config.to_json())
    count = exported.parameters if exported and exported.parameters else _parameters(config)
    storage = (exported.form,) if exported else ()
    return _Facts(path, file, size, sha256(file), count, storage, values, converted=exported is None)


def _parameters(config: ModelConfig) -> int:
    from posehg.network import parameters

    return parameters(config.network)


def _problem(path: Path) -> str:
    """Why a model's config keeps it from being loaded."""
    from posehg.hub import configs

    try:
        configs.read(path)
    except NotAvailable as error:
        return str(error)
    return ""


def _lines(model: str, facts: _Facts) -> Iterator[tuple[str, str]]:
    from posehg.hub import header

    yield "model", model
    if facts.problem:
        yield "cannot be loaded", facts.problem
    for heading, text in header.lines(facts.config):
        yield "read from" if facts.converted and heading == "converted from" else heading, text
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
        table.add_row(*(Text(printable(one, _LONGEST)) for one in (heading, text)))
    terminal.show(table)


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
        "problem": facts.problem or None,
    }
