"""posehg models: list, describe, download and convert trained networks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from posehg.cli import options, terminal
from posehg.cli.help import Command, Group
from posehg.errors import NotAvailable, printable

if TYPE_CHECKING:
    from posehg.config import ModelConfig

_LONGEST = 10_000
"""Characters of a text from a file that are shown."""

Model = Annotated[
    str, typer.Argument(help="A name from posehg models list, user/repo[@revision], a URL with a hash, or a path.")
]

app = typer.Typer(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List, describe, download and convert trained networks."""
    if context.invoked_subcommand is None:
        print(context.get_help())


# ---- list --------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """path, size: of what is on this machine, in bytes; None for a model that was not downloaded."""

    name: str
    about: str
    licence: str
    path: str | None
    size: int | None


@app.command("list", cls=Command)
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with paths and licences.")] = False,
) -> None:
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
        print(json.dumps([row._asdict() for row in rows], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("what it is")
    table.add_column("here", justify="right", no_wrap=True)
    licences: dict[str, list[str]] = {}
    for row in rows:
        name, about, licence = (printable(text, _LONGEST) for text in row[:3])
        table.add_row(Text(name), Text(about), "-" if row.size is None else f"{row.size / 1e6:.1f} MB")
        if licence:
            licences.setdefault(licence, []).append(name)
    terminal.show(table)
    for licence, names in licences.items():
        print(f"\nlicence of {', '.join(names)}: {licence}")
    print("\nUse a model: posehg predict photo.jpg --model NAME. Describe it: posehg models info NAME")


def _rows() -> Iterator[_Row]:
    from posehg.checkpoints import cache, hub

    for name in hub.NAMES:
        yield _row_of_ours(name, hub.bundled_folder(name))
    aliased = {}
    for name, alias in hub.ALIASES.items():
        file = cache.Address.parse(alias.address).file
        aliased[file] = name
        is_here = file.is_file()
        size = file.stat().st_size if is_here else None
        yield _Row(name, alias.about, alias.licence, str(file) if is_here else None, size)
    for name, model in hub.downloaded():
        yield _row_of_ours(name, model)
    for file in cache.downloaded():
        if file not in aliased:
            yield _Row(str(file), "downloaded from a URL", "", str(file), file.stat().st_size)


def _row_of_ours(name: str, model: Path) -> _Row:
    from posehg.checkpoints import metadata

    files = model.iterdir() if model.is_dir() else [model]
    size = sum(file.stat().st_size for file in files if file.is_file())
    try:
        config = metadata.read(model).config
    except NotAvailable:
        return _Row(name, "broken: it cannot be loaded", "", str(model), size)
    stacks, features = config.network.stacks, config.network.features
    about = f"{len(config.skeleton.joints)} joints, {_count(stacks, 'stack')}, {_count(features, 'feature')}"
    return _Row(name, about, str(config.provenance.get("licence", "")), str(model), size)


# ---- info --------------------------------------------------------------------------------------------------------


@app.command("info", cls=Command)
def info(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the whole config.")] = False,
) -> None:
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
        alias = hub.ALIASES.get(model)
        if alias is None:
            raise
        facts: dict[str, Any] = {"about": alias.about, "address": alias.address, "licence": alias.licence}
        lines = {**facts, "path": f"not downloaded yet; posehg models get {model}"}
        facts["path"] = None
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
    from posehg import checkpoints
    from posehg.checkpoints import metadata
    from posehg.checkpoints.card import describe
    from posehg.files import sha256

    file = metadata.weights_file(path)
    origin = "converted from"
    if file.is_file() and metadata.is_ours(path):
        found = metadata.read(path)
        config, count, storage = found.config, found.parameters, list(found.storage)
    elif exported := _exported(path):
        file, config, storage = exported.weights, exported.config, [exported.form]
        count = exported.parameters or _parameters(config)
    else:
        config, origin, storage = checkpoints.load(path).config, "read from", []
        count = _parameters(config)
    size, digest = file.stat().st_size, sha256(file)
    facts = {"path": str(path), "file": str(file), "bytes": size, "sha256": digest, "parameters": count}
    provenance = {key.replace("_", " "): str(text) for key, text in config.provenance.items()}
    if "converted from" in provenance:
        provenance[origin] = provenance.pop("converted from")
    lines = {
        **describe(config),
        **provenance,
        "parameters": f"{count:,}",
        **({"stored as": ", ".join(storage)} if storage else {}),
        "file": f"{file} ({size / 1e6:.1f} MB)",
        "sha256": digest,
    }
    return {**facts, "storage": storage, "config": json.loads(config.to_json())}, lines


def _exported(path: Path) -> Any:
    from posehg.inference import engines

    return engines.describe(path)


def _parameters(config: ModelConfig) -> int:
    from posehg.network import parameters

    return parameters(config.network)


# ---- get and convert ---------------------------------------------------------------------------------------------


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
        str | None,
        typer.Option(
            metavar="NAME",
            help="Its joints: mpii, lsp, flic, coco, or their names separated by commas.",
            show_default="by their number",
        ),
    ] = None,
    input_size: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=1, help="Side of its training crops.", show_default="256")
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="Number format of the weights; fp16 halves the file.")
    ] = "fp32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    offline: options.Offline = False,
) -> None:
    """Convert another project's checkpoint to posehg's own format, without running any code in it.

    posehg recognises checkpoints of bearpaw/pytorch-pose, also as anibali republished them, and of
    princeton-vl/pytorch_stacked_hourglass. Such a file can also be given as --model directly.

        posehg models convert model_best.pth.tar --out models/mine
        posehg models convert bearpaw-hg8 --out models/hg8 --precision fp16
        posehg models convert birds.pt --out models/birds --skeleton beak,left_wing,right_wing
    """
    from posehg.checkpoints import convert as converting
    from posehg.checkpoints import find, foreign, hub
    from posehg.skeletons import SKELETONS

    named = foreign.parse_skeleton(skeleton) if skeleton is not None else None
    checkpoint = converting.read(find(file, offline, terminal.note), named, input_size or 0, hub.licence(file))
    config = checkpoint.config
    network, joints = config.network, config.skeleton.joints
    counts = [_count(network.stacks, "stack"), _count(network.features, "feature"), f"depth {network.depth}"]
    counts += [_count(network.blocks, "block"), f"stem {'-'.join(map(str, network.stem))}"]
    counts += [_count(len(joints), "joint"), _count(_parameters(config), "parameter")]
    origin = config.provenance
    terminal.note(f"{origin['converted_from']} is from {origin['family']}: {', '.join(counts)}.")
    if named is None and config.skeleton.name in SKELETONS:
        terminal.note(f"From their number, its {len(joints)} joints are {config.skeleton.name}'s; else see --skeleton.")
    elif named is None:
        terminal.note("The names of its joints are unknown: they become joint_0 and so on; see --skeleton.")
    with terminal.exit_on_sigterm():
        difference = converting.write(checkpoint, out, precision == "fp16", overwrite)
    size = sum(path.stat().st_size for path in (out / "model.safetensors", out / "config.json")) / 1e6
    rounded = f", heatmaps within {difference:.2%} of the original" if precision == "fp16" else ""
    command = f"posehg predict photo.jpg --model {shlex.quote(str(out))}"
    terminal.note(f"Wrote {out} ({size:.1f} MB{rounded}). Use it: {command}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
