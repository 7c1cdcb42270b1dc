"""posehg models: know, fetch, delete and convert trained networks."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from posehg.cli import terminal
from posehg.cli.help import Command, Group
from posehg.cli.models_convert import convert
from posehg.cli.models_info import info
from posehg.cli.models_list import list_models
from posehg.errors import UsageError

Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A name that posehg models list shows, user/repo[@revision], or an address with a hash."
    ),
]

app = typer.Typer(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """Know, fetch, delete and convert trained networks."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def get(model: Name) -> None:
    """Fetch a model, or a newer version of it, and print where it lies.

    user/repo[@revision] is fetched from the Hub, into its own cache (HF_HOME, HF_ENDPOINT and HF_TOKEN are heeded); an
    address https://.../FILE#sha256=HEX into $POSEHG_HOME, else the user's cache. predict and the others fetch what they
    need themselves, once; what is there they use as it is, until it is fetched anew, or is found damaged.

    An address without #sha256=HEX has the first digits of its hash in the file's name, as all short names' have. They
    tell damage and mistakes, but somebody could make another file with the same digits on purpose: then the server, and
    https, are what you trust. With all 64 digits you trust nobody.
    """
    from posehg import hub

    print(hub.fetch(model, terminal.note))


def path(model: Name) -> None:
    """Print where a model lies on this machine. Nothing is fetched."""
    from posehg import hub

    print(hub.where(model))


def remove(
    model: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model that was fetched. The bundled one, and files of your own, are never deleted.

    Of a repository of the Hub without @revision, all that was fetched of it is deleted.
    """
    from posehg import hub

    hub.check_removable(model)
    name = hub.shown(model)
    if not yes and not _agrees(f"Delete what was fetched of {name}?"):
        terminal.note("Nothing was deleted.")
        return
    freed = hub.remove(model)
    terminal.note(f"Deleted {name}: {freed / 1e6:.1f} MB. Fetch it again: posehg models get {shlex.quote(name)}")


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to be asked.", "Give --yes to delete it without being asked.")
    return typer.confirm(question, err=True)


for name, command in (
    ("list", list_models),
    ("info", info),
    ("get", get),
    ("path", path),
    ("rm", remove),
    ("convert", convert),
):
    app.command(name, cls=Command)(command)
