"""posehg data list: the data sets that posehg knows, where they are to be had, and whether they are there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import terminal
from posehg.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from posehg.datasets import DatasetInfo


@dataclass(frozen=True)
class _Known:
    """A data set. folder: where it lies, None where it does not."""

    name: str
    about: DatasetInfo
    rendered: bool
    folder: Path | None


def list_sets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of one data set all that is known.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds data sets.", envvar="POSEHG_DATA")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of all, or of NAME, as JSON.")] = False,
) -> None:
    """Show the data sets that posehg knows.

    Where each is to be had, under which terms, and how it has to be laid out; whether it is in --data DIR, else
    $POSEHG_DATA, else ./data. A .json or .csv file of your own is a data set too.
    """
    from posehg import datasets
    from posehg.datasets import reading

    if name is not None and datasets.is_file(name):
        raise UsageError(f"{name} is a data set of your own.", f"What is in it: posehg data check {shlex.quote(name)}")
    if name is not None:
        datasets.check_name(name)
    home = reading.home(data)
    known = [_known(one, home) for one in datasets.LOADERS if name in (None, one)]
    if as_json:
        print(json.dumps([_as_json(one) for one in known], indent=2))
    elif name is not None:
        terminal.show(_details(known[0], home))
    else:
        terminal.show(_table(known))
        print(f"\nFound in {home}. All that is known of one: posehg data list NAME")


def _known(name: str, home: Path) -> _Known:
    from posehg import datasets

    about = datasets.info(name)
    folder = home / (about.folder or name)
    rendered = name in datasets.RENDERED
    return _Known(name, about, rendered, folder if folder.is_dir() and not rendered else None)


def _table(known: list[_Known]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_lines=False)
    for heading in ("name", "joints", "persons", "terms", "found"):
        table.add_column(heading, no_wrap=heading != "terms")
    for one in known:
        joints = str(len(one.about.skeleton.joints))
        persons = "\n".join(f"{split} {who.partition(' ')[0]}" for split, who in one.about.splits.items())
        table.add_row(one.name, joints, persons, one.about.terms, _found_briefly(one))
    return table


def _found_briefly(one: _Known) -> str:
    if one.rendered:
        return "always"
    return "-" if one.folder is None else "folder"


def _details(one: _Known, home: Path) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for heading, text in _lines(one, home):
        table.add_row(heading, Text(text))  # as it stands: {train,val} or [..] in it is no markup
    return table


def _lines(one: _Known, home: Path) -> Iterator[tuple[str, str]]:
    about = one.about
    yield one.name, about.title
    yield "paper", about.paper
    joints = about.skeleton.joints
    yield "joints", f"{len(joints)}: {', '.join(joint.replace('_', ' ') for joint in joints)}"
    for number, (split, who) in enumerate(about.splits.items()):
        yield "" if number else "splits", f"{split}: {who}"
    yield "terms", about.terms
    if one.rendered:
        yield "found", "always: it is made when it is asked for"
        return
    yield "from", about.url
    yield "layout", f"a folder {about.folder or one.name} with"
    for part in about.layout:
        yield "", f"- {part}"
    found = [str(one.folder)] if one.folder is not None else []
    for number, path in enumerate(found or [f"not in {home}"]):
        yield "" if number else "found", path


def _as_json(one: _Known) -> dict[str, Any]:
    about = one.about
    return {
        "name": one.name,
        "title": about.title,
        "paper": about.paper,
        "url": about.url or None,
        "terms": about.terms,
        "joints": list(about.skeleton.joints),
        "splits": about.splits,
        "layout": list(about.layout),
        "folder": None if one.folder is None else str(one.folder),
    }
