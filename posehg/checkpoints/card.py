"""The model card: README.md in a model's folder, which the Hub shows."""

import json
import re
import shlex
from pathlib import Path

from posehg.checkpoints.format import CARD, WEIGHTS, Metadata, read_metadata
from posehg.config import ModelConfig
from posehg.errors import printable
from posehg.files import atomic, sha256

_LICENCE = re.compile(r"(mit|apache-2\.0|bsd-[23]-clause|[al]?gpl-3\.0|cc0-1\.0|cc-by(-nc)?(-sa)?-4\.0)(?![\w.])")
"""The Hub's identifiers of the licences that weights are likely to have."""

_CARD = """---
library_name: posehg
pipeline_tag: keypoint-detection
license: {licence}
tags: [human-pose-estimation, stacked-hourglass]
---

# {title}

A stacked hourglass network that finds {finds} in an image, for
[posehg](https://pypi.org/project/posehg/).

    posehg predict photo.jpg {option} {argument} --out skeleton.png

In Python:

    import posehg
    model = posehg.load({literal})
    result = model("photo.jpg")

| | |
|---|---|
{rows}

sha256 of {weights}: `{digest}`
"""


def write(folder: Path, name: str) -> None:
    """Write README.md to a model's folder, unless there is one. name: what the model is called, such as user/repo."""
    if (folder / CARD).exists():
        return
    found, name = read_metadata(folder), _line(name)
    words = str(found.config.provenance.get("licence", "")).lower().split()
    licence, finds_boxes = _LICENCE.match("-".join(words)), found.config.output == "boxes"
    card = _CARD.format(
        licence=licence[0] if licence else "other",
        title=_cell(name),
        finds="the people" if finds_boxes else "the joints of a person",
        option=option_of(found.config),
        argument=shlex.quote(name),
        literal=f"{'detector=' if finds_boxes else ''}{json.dumps(name, ensure_ascii=False)}",
        rows="\n".join(f"| {_cell(heading)} | {_cell(text)} |" for heading, text in describe(found).items()),
        weights=WEIGHTS,
        digest=sha256(folder / WEIGHTS),
    )
    with atomic(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")


def option_of(config: ModelConfig) -> str:
    """The option of posehg predict that takes such a model."""
    return "--detector" if config.output == "boxes" else "--model"


def describe(model: Metadata) -> dict[str, str]:
    """Headings and texts about a model's joints, input, network, weights and training."""
    network, joints = model.config.network, model.config.skeleton.joints
    finds_boxes = model.config.output == "boxes"
    rows, columns = model.config.input_size
    names = ", ".join(joints)
    counts = ((network.stacks, "stack"), (network.blocks, "residual block"))
    stem = "-".join(map(str, network.stem))
    stacks, blocks = (f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts)
    return {
        **({"finds": "people's boxes"} if finds_boxes else {"joints": f"{len(joints)}: {names}"}),
        "input": f"{columns} x {rows} pixels",
        "network": f"{stacks}, {network.in_words}, {blocks}, depth {network.depth}, stem {stem}",
        "parameters": f"{model.parameters:,}",
        "stored as": ", ".join(model.storage) or "another project's format",
        **{key.replace("_", " "): str(text) for key, text in model.config.provenance.items()},
    }


def _cell(text: str) -> str:
    """On one line and without Markdown, so that a text from a file adds no image, link or HTML to a page."""
    return re.sub(r"([\\`|<>\[\]!])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return printable(re.sub(r"\s+", " ", text).strip(), 10_000)
