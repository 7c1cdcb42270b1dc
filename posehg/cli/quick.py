"""Plain commands of posehg predict, read without typer, which takes as long as the networks do for a photo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

_VALUES = {"--out": "out", "-o": "out", "--save": "save"}
_FLAGS = {"--overwrite": "overwrite", "--json": "json", "--whole": "whole"}


def options_of(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The fields of PredictOptions that are not at their defaults; None for a command that typer has to read."""
    if arguments[:1] != ["predict"] or {"POSEHG_MODEL", "POSEHG_DEVICE"} & os.environ.keys():
        return None
    given: dict[str, Any] = {"inputs": []}
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in _VALUES:
            value = next(rest, "")
            if not value or (value.startswith("-") and value != "-"):
                return None
            given[_VALUES[argument]] = value
        elif argument in _FLAGS:
            given[_FLAGS[argument]] = True
        elif argument == "--people":
            if (people := next(rest, "")) not in ("one", "all"):
                return None
            given["people"] = people
        elif not argument or (argument.startswith("-") and argument != "-"):
            return None
        else:
            given["inputs"].append(argument)
    return given if given["inputs"] else None
