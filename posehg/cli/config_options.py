"""Command line options from the fields of a dataclass, so that name, default and help are written once."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import Field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from posehg.errors import NotAvailable, UsageError

_ENVIRONMENT = {"device": "POSEHG_DEVICE"}
_METAVARS = {
    **{"dataset": "NAMES", "background_from": "NAMES", "joints": "NAMES", "freeze": "PARTS", "skeleton": "NAME"},
    **{"init": "MODEL", "stem": "A-B-C", "device": "DEVICE", "loss": "NAME", "schedule": "NAME", "precision": "NAME"},
}
"""Names of values that the help shows instead of their type; long lists of choices stand in the help text."""


def takes(config: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces the command's parameter ``config`` by an option for each field with a help text.

    Bool fields become flags; a tuple of numbers is written with hyphens, as 64-128-128.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        described = [field for field in fields(config) if "help" in field.metadata]
        types = get_type_hints(config)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            values = {field.name: _value(field, given.pop(field.name)) for field in described}
            command(config=config(**values), **given)

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "config"]
        parameters = [*own, *(_parameter(field, types[field.name]) for field in described)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parameter(field: Field[Any], kind: Any) -> inspect.Parameter:
    default, name = field.default, f"--{field.name.replace('_', '-')}"
    if isinstance(default, tuple):
        kind, default = str, "-".join(map(str, default))
    option = typer.Option(
        f"{name}/--no-{name[2:]}" if kind is bool else name,
        metavar=_METAVARS.get(field.name),
        help=field.metadata["help"],
        show_default=field.metadata["shown"] or bool(default and kind is not bool),
        rich_help_panel=field.metadata["panel"],
        envvar=_ENVIRONMENT.get(field.name),
    )
    annotation = Annotated[kind, option]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _value(field: Field[Any], given: Any) -> Any:
    if not isinstance(field.default, tuple):
        return given
    parts = given.split("-")
    if len(parts) != len(field.default) or not all(part.isascii() and part.isdigit() for part in parts):
        example = "-".join(map(str, field.default))
        raise UsageError(f"--{field.name} {given} cannot be read.", f"Write it as {example}.")
    return tuple(int(part) for part in parts)


def given_names(context: typer.Context, config: type) -> set[str]:
    """Returns the fields whose options were given on the command line."""
    sources = {field.name: context.get_parameter_source(field.name) for field in fields(config)}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def read_file(path: Path, config: type) -> dict[str, Any]:
    """Reads some or all fields from a JSON file, such as the config.json of a run.

    Options in ``config.REMOVED`` are ignored if they are off. Raises UsageError for unknown names and wrong types.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a file of options: it is not JSON ({error}).") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a file of options.", 'Write it as {"dataset": "mpii", "stacks": 2}.')
    known = {field.name: field for field in fields(config)}
    removed = getattr(config, "REMOVED", {})
    values = {name: value for name, value in values.items() if name not in removed or value != removed[name]}
    for name, value in values.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            raise UsageError(f"{path}: there is no option {name!r}.", f"Did you mean {close[0]}?" if close else "")
        if not _fits(value, known[name].default):
            raise UsageError(f"{path}: {name} cannot be {value!r}.", f"Write it as {json.dumps(known[name].default)}.")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, list) and len(value) == len(default) and all(type(v) is int for v in value)
    if isinstance(default, float):
        return type(value) in (int, float)
    return type(value) is type(default)
