"""What typer's commands share: options, and the text of --help, with a block of options for each panel."""

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from posehg.cli.options import DATA, ModelOptions, for_typer

_of = {field.name: for_typer(field.metadata) for field in fields(ModelOptions)}
Model = Annotated[str, _of["model"]]
Offline = Annotated[bool, _of["offline"]]
Device = Annotated[str, _of["device"]]
Data = Annotated[Path | None, typer.Option(help=DATA, rich_help_panel="Data", envvar="POSEHG_DATA")]

_TYPES = {"int": "N", "float": "X", "str": "TEXT", "path": "PATH", "file": "FILE"}
"""What stands for a value whose option gives no ``metavar``. A choice lists its values."""

_LABELS = 34
"""The most columns for names of options; the help text of a longer one starts on the next line."""


class _Help:
    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        blocks: dict[str, list[tuple[str, str]]] = {}
        if isinstance(self, TyperGroup):
            names = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
            blocks["Commands"] = [(name, (known.help or "").split("\n\n")[0]) for name, known in names if known]
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                if parameter.param_type_name == "argument":
                    block, label = "Arguments", record[0].partition(" ")[0]
                else:  # as -o, --out PATH, with long names below each other
                    name = re.sub(r"<(.+?)( range)?>", lambda kind: _TYPES.get(kind[1], kind[1]), record[0])
                    label = f"    {name}" if name.startswith("--") else name
                    block, label = parameter.rich_help_panel or "Options", label.replace(" / ", "/")
                blocks.setdefault(block, []).append((label, _description(parameter)))
        blocks["Options"] = blocks.pop("Options")  # those without a panel, such as --help, come last
        formatter.write_usage(ctx.command_path, re.sub("[{}]", "", " ".join(self.collect_usage_pieces(ctx))))
        formatter.write_paragraph()
        formatter.write_text((self.help or "").replace("\n\n    ", "\n\n\b\n    "))  # examples are not wrapped
        for title, rows in blocks.items():
            with formatter.section(typer.style(title, bold=True) if sys.stdout.isatty() else title):
                formatter.write_dl(rows, col_max=_LABELS)


class Command(_Help, TyperCommand):
    """A command with our help text."""


class Group(_Help, TyperGroup):
    """A group of commands with our help text."""


def _description(parameter: Any) -> str:
    """The help text with the default and the environment variable, where there are any."""
    shown = parameter.show_default
    value = shown if isinstance(shown, str) else shown and parameter.default
    default = f" [default: {parameter.opts[0].lstrip('-') if value is True else value}]" if value else ""
    variable = f" [env: {parameter.envvar}]" if parameter.envvar else ""
    return " ".join((parameter.help or "").split()) + default + variable
