"""Whether a config is one as posehg writes them: what can be told in no time, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posehg.errors import PosehgError
from posehg.hub import header
from posehg.hub.files import CONFIG, WEIGHTS, weights_file
from posehg.skeletons import Skeleton

_MOST = {"joints": 200, "stacks": 16, "features": 512, "depth": 6, "blocks": 4}
"""Of a network's sizes what is no reason to look closer."""
_FIELDS = {header.KEY, "network", "skeleton", "input_size", "padding", "sigma", "output", "provenance", "offset"}


def is_plain(model: Path) -> bool:
    """Whether a folder's or file's config will be loaded. Where it says no, only loading it tells.

    So that it is right, it takes less than the loader does: only fields that it knows, with values of their usual size.
    """
    try:
        values = header.config(model)
        network, skeleton = values["network"], Skeleton.from_dict(values["skeleton"])
        return (
            _agree(weights_file(model))
            and values.keys() <= _FIELDS
            and type(values[header.KEY]) is int
            and values[header.KEY] == 1
            and _is_network(network)
            and network["joints"] == len(skeleton.joints)
            and _is_size(values["input_size"], 4 * 2 ** network["depth"])
            and all(_is_number(values.get(key, 1), 0.01, 10) for key in ("padding", "sigma"))
            and _is_number(values.get("offset", 0), -0.5, 0.5)
            and values.get("output", "heatmaps") in ("heatmaps", "logits")
            and all(isinstance(text, str) for text in values.get("provenance", {}).values())
        )
    except (PosehgError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return False


def _agree(file: Path) -> bool:
    """Whether the config beside a file says what its header does, as JSON; a lone file needs none beside it."""
    text, beside = header.read(file).config, file.with_name(CONFIG)
    if file.name != WEIGHTS or text is None or not beside.is_file():
        return True
    return beside.read_text(encoding="utf-8") == text


def _is_network(values: Mapping[str, Any]) -> bool:
    triples = [values.get(key, [1, 1, 1]) for key in ("mean", "std")]
    return (
        values.keys() == {*_MOST, "stem", "mean", "std"}
        and all(type(values[key]) is int and 1 <= values[key] <= most for key, most in _MOST.items())
        and values["features"] % 2 == 0
        and len(values["stem"]) == 3
        and all(type(width) is int and 2 <= width <= 512 and width % 2 == 0 for width in values["stem"])
        and all(len(triple) == 3 and all(_is_number(one, 0, 1) for one in triple) for triple in triples)
        and min(values["std"]) >= 0.001
    )


def _is_size(size: Any, multiple: int) -> bool:
    return len(size) == 2 and all(type(side) is int and 1 <= side <= 2048 and side % multiple == 0 for side in size)


def _is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high
