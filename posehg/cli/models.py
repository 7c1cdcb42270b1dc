"""posehg models: list, describe, download and convert trained networks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from posehg.cli import options, terminal
from posehg.cli.export import Overwrite, write
from posehg.cli.help import Command, Group
from posehg.errors import NotAvailable, UsageError, printable
from posehg.exporters import EXPORTERS, ExportOptions

_LONGEST = 10_000
"""Characters of a text from a file that are shown."""

Model = Annotated[
    str, typer.Argument(help="A name from posehg models list, user/repo[@revision], a URL with a hash, or a path.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with paths and licences or the whole config.")]

app = typer.Typer(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List, describe, download and convert trained networks."""
    if context.invoked_subcommand is None:
        print(context.get_help())


# ---- list ----------------------------------------------------------------------------------------------------------


@app.command("list", cls=Command)
def list_models(as_json: Json = False) -> None:
    """List the models that have a name: those that come with posehg, aliases, and what was downloaded.

    Of the Hub's cache only posehg's own models are listed. Makes no request.

        posehg models list
        posehg models list --json
        posehg models list --json | jq -r '.[] | select(.path) | .name'
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = list(_rows())
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("what it is")
    table.add_column("here", justify="right", no_wrap=True)
    licences: dict[str, list[str]] = {}
    for row in rows:
        name, about, licence = (printable(row[key], _LONGEST) for key in ("name", "about", "licence"))
        table.add_row(Text(name), Text(about), "-" if row["size"] is None else f"{row['size'] / 1e6:.1f} MB")
        licences.setdefault(licence, []).append(name)
    terminal.show(table)
    for licence, names in licences.items():
        if licence:
            print(f"\nlicence of {', '.join(names)}: {licence}")
    print("\nUse a model: posehg predict photo.jpg --model NAME. Describe it: posehg models info NAME")


def _rows() -> Iterator[dict[str, Any]]:
    """path, size: of what is on this machine, in bytes; None for a model that was not downloaded."""
    from posehg.checkpoints import cache, card, format, hub

    for name, model in (*((name, hub.bundled_folder(name)) for name in hub.NAMES), *hub.downloaded()):
        about, licence = "broken: it cannot be loaded", ""
        with suppress(NotAvailable):
            config = format.read_metadata(model).config
            sizes = card.describe(config)["network"].split(", ")[:2]
            about = ", ".join([f"{len(config.skeleton.joints)} joints", *sizes])
            licence = str(config.provenance.get("licence", ""))
        size = sum(file.stat().st_size for file in model.iterdir() if file.is_file())
        yield {"name": name, "about": about, "licence": licence, "path": str(model), "size": size}
    texts = {file: (str(file), "downloaded from a URL", "") for file in cache.downloaded()}
    for name, alias in hub.ALIASES.items():
        texts[cache.Address.parse(alias.address).file] = (name, alias.about, alias.licence)
    for file, (name, about, licence) in texts.items():
        here = {"path": str(file), "size": file.stat().st_size} if file.is_file() else {"path": None, "size": None}
        yield {"name": name, "about": about, "licence": licence, **here}


# ---- info ----------------------------------------------------------------------------------------------------------


@app.command("info", cls=Command)
def info(model: Model, as_json: Json = False) -> None:
    """Describe a model: its joints, input, network, training, size and SHA-256.

    Makes no request: posehg models get downloads a model.

        posehg models info bundled
        posehg models info runs/mine/best.safetensors --json
        posehg models info user/repo@v1
    """
    from rich.table import Table
    from rich.text import Text

    from posehg.checkpoints import find, hub
    from posehg.checkpoints.cache import shown

    try:
        path = find(model, offline=True)
    except NotAvailable:
        if (alias := hub.ALIASES.get(model)) is None:
            raise
        facts: dict[str, Any] = {**asdict(alias), "path": None}
        lines = {**facts, "path": f"not downloaded; download it: posehg models get {model}"}
    else:
        facts, lines = _facts(path)
    if as_json:
        print(json.dumps({"model": shown(model), **facts}, indent=2))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in {"model": shown(model), **lines}.items():
        table.add_row(*(Text(printable(str(text), _LONGEST)) for text in row))
    terminal.show(table)


def _facts(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What is known of a file or folder: as JSON, and as headings and texts.

    Only another project's checkpoint, which has to be read and understood first, takes torch and seconds.
    """
    from posehg.checkpoints import card, format, load
    from posehg.files import sha256
    from posehg.inference import engines

    file = format.weights_file(path)
    if file.is_file() and format.is_ours(path):
        found = format.read_metadata(path)
        config, count, storage = found.config, found.parameters, list(found.storage)
    elif exported := engines.describe(path):
        file, config, storage, count = exported.weights, exported.config, [exported.form], exported.parameters
    else:
        config, storage, count = load(path).config, [], 0
    if not count:
        from posehg.network import parameters

        count = parameters(config.network)
    size, digest = file.stat().st_size, sha256(file)
    lines = {
        **card.describe(config),
        **{key.replace("_", " "): str(text) for key, text in config.provenance.items()},
        "parameters": f"{count:,}",
        **({"stored as": ", ".join(storage)} if storage else {}),
        "file": f"{file} ({size / 1e6:.1f} MB)",
        "sha256": digest,
    }
    facts = {"path": str(path), "file": str(file), "bytes": size, "sha256": digest, "parameters": count}
    return {**facts, "storage": storage, "config": json.loads(config.to_json())}, lines


# ---- get and convert -----------------------------------------------------------------------------------------------


@app.command("get", cls=Command)
def get(model: Model, offline: options.Offline = False) -> None:
    """Download a model, or a newer version of it, and print where it is.

    user/repo[@revision] goes to the Hub's own cache (HF_HOME, HF_ENDPOINT and HF_TOKEN apply), a URL to $POSEHG_HOME,
    by default posehg in the user's cache. Other commands download a model once, when they need it.

    A URL ends in #sha256= and 64 digits, or its file's name has the first digits of the hash, as those of all aliases
    have. A few digits detect corruption, not tampering: with them you trust the server and https.

        posehg models get bearpaw-hg8
        posehg models get user/repo@v1
        posehg models get https://example.org/model.safetensors#sha256=...
    """
    from posehg.checkpoints import find

    print(find(model, offline, terminal.note, update=True))


@app.command("convert", cls=Command)
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The checkpoint: .pth.tar, .pth, .pt or .safetensors.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    skeleton: Annotated[
        str, typer.Option(help="Its joints: mpii, lsp, flic, coco, or their names separated by commas.", metavar="NAME")
    ] = "",
    input_size: Annotated[int, typer.Option(metavar="PIXELS", min=0, help="Side of its training crops (0: 256).")] = 0,
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="Number format of the weights; fp16 halves the file.")
    ] = "fp32",
    overwrite: Overwrite = False,
    offline: options.Offline = False,
) -> None:
    """Convert another project's checkpoint to posehg's own format, without running any code in it.

    posehg recognises checkpoints of bearpaw/pytorch-pose, also as anibali republished them, and of
    princeton-vl/pytorch_stacked_hourglass. Such a file can also be given as --model directly. Without --skeleton, the
    number of its joints decides. The result is written only if it gives the same heatmaps and joints.

        posehg models convert model_best.pth.tar --out models/mine
        posehg models convert bearpaw-hg8 --out models/hg8 --precision fp16
        posehg models convert birds.pt --out models/birds --skeleton beak,left_wing,right_wing
    """
    from posehg.checkpoints import card, find, foreign, format, hub
    from posehg.files import sha256
    from posehg.skeletons import SKELETONS

    named = foreign.parse_skeleton(skeleton) if skeleton else None
    place = find(file, offline, terminal.note)
    if format.is_ours(place):
        format.read_metadata(place)  # raises for weights without a config
        hint = "To store it differently: posehg export MODEL --out FOLDER"
        raise UsageError(f"{place} is in posehg's own format already.", hint)
    theirs = format.weights_file(place)
    checkpoint = foreign.read(theirs, named, input_size)
    joints, origin = checkpoint.config.skeleton, checkpoint.config.provenance
    licence = {"licence": hub.licence(file)} if hub.licence(file) else {}
    config = replace(checkpoint.config, provenance={**origin, "source_sha256": sha256(theirs), **licence})
    about = f"{len(joints.joints)} joints, {card.describe(config)['network']}"
    terminal.note(f"{origin['converted_from']} is from {origin['family']}: {about}.")
    if named is None and joints.name in SKELETONS:
        terminal.note(f"From their number, its joints are {joints.name}'s; else see --skeleton.")
    elif named is None:
        terminal.note("The names of its joints are unknown: they become joint_0 and so on; see --skeleton.")
    write(replace(checkpoint, config=config), EXPORTERS["safetensors"], out, ExportOptions(precision), overwrite)
    terminal.note(f"Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")
