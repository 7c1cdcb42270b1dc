"""posehg models list: the models that have a name, and those that were fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import terminal
from posehg.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

_LONGEST = 1000
"""Letters of a text in the table."""


@dataclass(frozen=True)
class _Model:
    """path, size: of what is on this machine, in bytes; None where it was not fetched."""

    name: str
    about: str
    licence: str
    path: str | None
    size: int | None


def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON, with paths and licences.")] = False,
) -> None:
    """Show the models that can be given as --model by a name: bundled, small, short names, and what was fetched.

    Of the Hub's cache those are shown that posehg wrote. Nothing is asked of the network.
    """
    found = list(_models())
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        terminal.show(_table(found))
        for licence, names in _licences(found).items():
            print(f"\nlicence of {', '.join(names)}: {licence}")
        print("\nUse one: posehg predict PHOTO --model NAME. All that is known of it: posehg models info NAME")


def _models() -> Iterator[_Model]:
    from posehg.hub import NAMES, bundled_folder, downloads, header, repos
    from posehg.hub.addresses import parse
    from posehg.hub.aliases import ALIASES

    for name in NAMES:
        folder = bundled_folder(name)
        yield _Model(name, *_told(header.config(folder)), *_lying(folder))
    short = {}
    for name, alias in ALIASES.items():
        place = downloads.there(parse(alias.place))
        short[place] = name
        yield _Model(name, alias.about, alias.licence, *_lying(place))
    for snapshot in repos.listed():
        broken = header.is_broken(snapshot.model)
        told = ("broken: it cannot be loaded", "") if broken else _told(header.config(snapshot.model))
        yield _Model(str(snapshot.repo), *told, str(snapshot.model), snapshot.size)
    for download in downloads.listed():
        if download.path not in short:
            yield _Model(download.name, "from its address", "", *_lying(download.path))


def _told(config: Mapping[str, Any]) -> tuple[str, str]:
    """What it is, and its licence, as its config has it."""
    from posehg.hub import header

    lines = dict(header.lines(config))
    joints = lines.get("joints", "?").partition(":")[0]
    network = ", ".join(lines.get("network", "?").split(", ")[:2])
    return f"{joints} joints, {network}", lines.get("licence", "")


def _lying(place: Path | None) -> tuple[str | None, int | None]:
    if place is None:
        return None, None
    files = place.iterdir() if place.is_dir() else [place]
    return str(place), sum(file.stat().st_size for file in files if file.is_file())


def _table(models: list[_Model]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_lines=False)
    table.add_column("name", overflow="fold")
    table.add_column("what it is")
    table.add_column("here", justify="right", no_wrap=True)
    for one in models:
        size = "-" if one.size is None else f"{one.size / 1e6:.1f} MB"
        table.add_row(*(Text(printable(text, _LONGEST)) for text in (one.name, one.about)), size)
    return table


def _licences(models: list[_Model]) -> dict[str, list[str]]:
    """The models under each licence: several are under the same, which may be long."""
    found: dict[str, list[str]] = {}
    for one in models:
        if one.licence:
            found.setdefault(printable(one.licence, _LONGEST), []).append(printable(one.name, _LONGEST))
    return found
