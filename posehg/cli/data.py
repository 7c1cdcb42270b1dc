"""posehg data: know, check, look at and prepare data sets."""

from __future__ import annotations

import typer

from posehg.cli.data_check import check
from posehg.cli.data_list import list_sets
from posehg.cli.data_sheet import sheet
from posehg.cli.help import Command, Group

app = typer.Typer(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def prepare(context: typer.Context) -> None:
    """Know, check, look at and prepare data sets."""
    if context.invoked_subcommand is None:
        print(context.get_help())


for name, command in (("list", list_sets), ("check", check), ("sheet", sheet)):
    app.command(name, cls=Command)(command)
