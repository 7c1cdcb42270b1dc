"""The model card: what the Hub shows of a model, and what a folder says of itself."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posehg.errors import printable
from posehg.files import atomic, sha256
from posehg.hub import header
from posehg.hub.files import CARD, WEIGHTS, weights_file
from posehg.hub.header import Header

_LICENCES = (
    *("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""Those of the Hub's identifiers that weights are likely to be under."""

_MEASURES = ("pckh", "pck", "oks")
_LONGEST = 10_000
"""Letters of a text."""
_SET = re.compile(r"([a-z][a-z0-9_-]*)(?::[\d.]+)?")


def card(name: str, config: Mapping[str, Any], weights: Header, digest: str) -> str:
    """Markdown with the Hub's metadata before it. name: what the model is called, such as user/repo.

    config: as JSON has it. weights: the header of the weights' file. digest: its sha256.
    """
    return "\n".join([*_metadata(config), "", *_text(name, config, weights, digest)]) + "\n"


def write(folder: Path, name: str) -> None:
    """README.md in a model's folder, where there is none: what somebody wrote by hand stays."""
    if (folder / CARD).exists():
        return
    weights = weights_file(folder)
    text = card(name, header.config(folder), header.read(weights), sha256(weights))
    with atomic(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _metadata(config: Mapping[str, Any]) -> Iterator[str]:
    provenance = _provenance(config)
    yield "---"
    yield "library_name: posehg"
    yield "pipeline_tag: keypoint-detection"
    yield f"license: {licence(provenance)}"
    yield from _listed("datasets", data_sets(provenance.get("trained_on", "")))
    text = " ".join(f"{key} {value}" for key, value in provenance.items()).lower()
    yield from _listed("metrics", [one for one in _MEASURES if re.search(rf"\b{one}\b|\b{one}[_@]", text)])
    yield "tags: [human-pose-estimation, stacked-hourglass]"
    yield "---"


def licence(provenance: Mapping[str, str]) -> str:
    """The Hub's identifier of the licence that the text begins with; ``other`` where there is none."""
    text = re.sub(r"\s+", "-", (provenance.get("licence") or provenance.get("license") or "").strip().lower())
    return next((one for one in _LICENCES if re.match(rf"{re.escape(one)}(?![\w.])", text)), "other")


def data_sets(trained_on: str) -> list[str]:
    """The data sets in a text such as ``mpii:3+coco+synthetic:0.2, after lspet``, without their weights."""
    names = (_SET.fullmatch(part.strip()) for part in re.split(r"\+|, after ", trained_on))
    return list(dict.fromkeys(name[1] for name in names if name))


def _listed(key: str, values: list[str]) -> Iterator[str]:
    if values:
        yield f"{key}: [{', '.join(values)}]"


def _text(name: str, config: Mapping[str, Any], weights: Header, digest: str) -> Iterator[str]:
    facts = dict(header.lines({**config, "provenance": {}}))
    name = _line(name)
    yield f"# {_cell(name)}"
    yield ""
    yield "A stacked hourglass network that finds the joints of a person on a picture, for"
    yield "[posehg](https://pypi.org/project/posehg/)."
    yield ""
    yield "```sh"
    yield f"posehg predict photo.jpg --model {shlex.quote(name)} --out skeleton.png"
    yield "```"
    yield ""
    yield "```python"
    yield "import posehg"
    yield ""
    yield f"model = posehg.load({json.dumps(name, ensure_ascii=False)})"
    yield 'poses = model("photo.jpg")'
    yield "```"
    yield ""
    yield "## What it is"
    yield ""
    yield from _table({**facts, "parameters": f"{weights.parameters:,}", "stored as": ", ".join(weights.storage)})
    yield ""
    yield "## Where it comes from"
    yield ""
    provenance = {key.replace("_", " "): value for key, value in _provenance(config).items()}
    if provenance:
        yield from _table(provenance)
    else:
        yield "Its file does not say."
    yield ""
    yield f"sha256 of {WEIGHTS}: `{digest}`"


def _provenance(config: Mapping[str, Any]) -> dict[str, str]:
    values = config.get("provenance")
    return {str(key): str(value) for key, value in values.items() if value} if isinstance(values, dict) else {}


def _table(rows: Mapping[str, str]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for heading, text in rows.items():
        yield f"| {_cell(heading)} | {_cell(text)} |"


def _cell(text: str) -> str:
    """On one line, and no Markdown: what a file says of itself puts no picture, link or HTML on a page."""
    return re.sub(r"([\\`|<>\[\]!])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return printable(re.sub(r"\s+", " ", text).strip(), _LONGEST)
