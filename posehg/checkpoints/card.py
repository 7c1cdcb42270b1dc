"""The model card: README.md in a model's folder, which the Hub shows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from posehg.checkpoints import metadata
from posehg.checkpoints.metadata import CARD, WEIGHTS, weights_file
from posehg.config import ModelConfig
from posehg.errors import printable
from posehg.files import atomic, sha256

_LICENCES = (
    *("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""The Hub's identifiers of the licences that weights are likely to have."""

_CARD = """---
library_name: posehg
pipeline_tag: keypoint-detection
license: {licence}
{lists}tags: [human-pose-estimation, stacked-hourglass]
---

# {title}

A stacked hourglass network that finds the joints of a person in an image, for
[posehg](https://pypi.org/project/posehg/).

```sh
posehg predict photo.jpg --model {argument} --out skeleton.png
```

```python
import posehg

model = posehg.load({literal})
poses = model("photo.jpg")
```

## What it is

{facts}

## Where it comes from

{origin}

sha256 of {weights}: `{digest}`
"""


def write(folder: Path, name: str) -> None:
    """Write README.md to a model's folder, unless there is one. name: what the model is called, such as user/repo."""
    if (folder / CARD).exists():
        return
    found, file = metadata.read(folder), weights_file(folder)
    provenance = found.config.provenance
    sets = data_sets(provenance.get("trained_on", ""))
    text = " ".join(f"{key} {value}" for key, value in provenance.items()).lower()
    metrics = [one for one in ("pckh", "pck", "oks") if re.search(rf"\b{one}(\b|[_@])", text)]
    lists = {key: values for key, values in (("datasets", sets), ("metrics", metrics)) if values}
    facts = {
        **describe(found.config),
        "parameters": f"{found.parameters:,}",
        "stored as": ", ".join(found.storage),
    }
    name = _line(name)
    card = _CARD.format(
        licence=licence(provenance),
        lists="".join(f"{key}: [{', '.join(values)}]\n" for key, values in lists.items()),
        title=_cell(name),
        argument=shlex.quote(name),
        literal=json.dumps(name, ensure_ascii=False),
        facts=_table(facts),
        origin=_table({key.replace("_", " "): text for key, text in provenance.items()}) or "The file does not say.",
        weights=WEIGHTS,
        digest=sha256(file),
    )
    with atomic(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")


def describe(config: ModelConfig) -> dict[str, str]:
    """Headings and texts about a model's joints, input and network."""
    network, joints = config.network, config.skeleton.joints
    rows, columns = config.input_size
    sizes = ((network.stacks, "stack"), (network.features, "feature"), (network.blocks, "residual block"))
    counts = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in sizes]
    return {
        "joints": f"{len(joints)}: {', '.join(joint.replace('_', ' ') for joint in joints)}",
        "input": f"{columns} x {rows} pixels",
        "network": ", ".join([*counts, f"depth {network.depth}"]),
    }


def licence(provenance: Mapping[str, str]) -> str:
    """The Hub's identifier of the licence with which the text begins, otherwise ``other``."""
    text = re.sub(r"\s+", "-", (provenance.get("licence") or provenance.get("license") or "").strip().lower())
    return next((one for one in _LICENCES if re.match(rf"{re.escape(one)}(?![\w.])", text)), "other")


def data_sets(trained_on: str) -> list[str]:
    """The data sets in a text such as ``mpii:3+coco+synthetic:0.2, after lspet``, without their weights."""
    parts = re.split(r"\+|, after ", trained_on)
    names = (re.fullmatch(r"([a-z][a-z0-9_-]*)(?::[\d.]+)?", part.strip()) for part in parts)
    return list(dict.fromkeys(name[1] for name in names if name))


def _table(rows: Mapping[str, str]) -> str:
    lines = [f"| {_cell(heading)} | {_cell(str(text))} |" for heading, text in rows.items() if text]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else ""


def _cell(text: str) -> str:
    """On one line and without Markdown, so that a text from a file adds no image, link or HTML to a page."""
    return re.sub(r"([\\`|<>\[\]!])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return printable(re.sub(r"\s+", " ", text).strip(), 10_000)
