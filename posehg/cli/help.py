"""The text of --help: the docstring, then a block of options for each panel. Every command has ``cls=Command``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from posehg.cli import terminal

_TYPES = {"int": "N", "int range": "N", "float": "X", "float range": "X", "str": "TEXT", "file": "FILE", "path": "PATH"}
"""What stands for a value whose option gives no ``metavar``. A choice lists its values; a flag has none."""

_FLAG = "bool"

_LABELS = 36
"""The most columns for names of options; longer ones are wrapped."""


class Command(TyperCommand):
    """A command with our help text."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_help(self, ctx))


class Group(TyperGroup):
    """A group of commands with our help text."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_help(self, ctx))


def _help(command: TyperCommand | TyperGroup, context: Any) -> str:
    from rich.console import Group as Lines
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    usage = ["Usage:", context.command_path, "[OPTIONS]"]
    blocks: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False):
            continue
        row = (_label(parameter, context), _description(parameter))
        if parameter.param_type_name == "argument":
            usage.append(row[0] if parameter.required else f"[{row[0]}]")
        blocks.setdefault(getattr(parameter, "rich_help_panel", None) or _title(parameter), []).append(row)
    if isinstance(command, TyperGroup):
        usage.append("COMMAND")
        names = ((name, command.get_command(context, name)) for name in command.list_commands(context))
        rows = [(name, (known.help or "").split("\n\n")[0]) for name, known in names if known and not known.hidden]
        blocks = {"Commands": rows, **blocks}
    if "Options" in blocks:
        blocks["Options"] = blocks.pop("Options")  # those without a panel, such as --help, come last

    lines: list[Any] = [Text(" ".join(usage))]
    for paragraph in (command.help or "").split("\n\n"):
        verbatim = paragraph.startswith("    ")  # examples of commands
        lines += ["", Text(paragraph if verbatim else " ".join(paragraph.split()))]
    width = max((len(label) for rows in blocks.values() for label, _ in rows), default=0)
    for title, rows in blocks.items():
        table = Table.grid(padding=(0, 2))
        table.add_column(width=min(width, _LABELS), overflow="fold", style="bold cyan")
        table.add_column()
        for label, description in rows:
            table.add_row(label, Text(" ".join(description.split())))
        lines += ["", Text(title, style="bold"), Padding(table, (0, 0, 0, 2))]
    return terminal.rendered(Lines(*lines))


def _title(parameter: Any) -> str:
    return "Arguments" if parameter.param_type_name == "argument" else "Options"


def _label(parameter: Any, context: Any) -> str:
    """As INPUT..., ``-o, --out PATH`` or ``--flip/--no-flip``."""
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar or parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}"
    names = sorted(parameter.opts, key=len)
    written = f"{names[0]}, {names[-1]}" if len(names) > 1 else f"    {names[0]}"
    if parameter.secondary_opts:
        written += f"/{parameter.secondary_opts[0]}"
    kind = parameter.display_type(context).strip("<>").removeprefix("list[").removesuffix("]")
    value = "" if kind == _FLAG else parameter.metavar or _TYPES.get(kind, kind)
    return f"{written} {value}".rstrip()


def _description(parameter: Any) -> str:
    """The help text with the default and the environment variable, where there are any."""
    text, default = parameter.help or "", parameter.default
    shown = parameter.show_default
    if isinstance(shown, str):
        text += f" [default: {shown}]"
    elif shown and parameter.secondary_opts:
        text += f" [default: {(parameter.opts if default else parameter.secondary_opts)[0].lstrip('-')}]"
    elif shown and default not in (None, False, "", ()) and not callable(default):
        text += f" [default: {default}]"
    return f"{text} [env: {parameter.envvar}]" if parameter.envvar else text
