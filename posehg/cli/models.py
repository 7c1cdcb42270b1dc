"""posehg models: list, describe, download and convert trained networks."""

import json
import shlex
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from posehg.cli import completion, terminal
from posehg.cli.export import Overwrite, write
from posehg.cli.help import Command, Group, Offline
from posehg.errors import NotAvailable, UsageError, printable
from posehg.exporters import EXPORTERS, ExportOptions

_LONGEST = 10_000
"""Characters of a text from a file that are shown."""

_INPUT_SIZE = "Side of the training crops in pixels (default: 256)."
_SKELETON = "Joints of the checkpoint: mpii, lsp, flic, coco, or their names separated by commas."

_MODEL = "A name from posehg models list, user/repo[@revision], URL#sha256=DIGITS, or a path."
_NAMES = completion.words(*completion.MODELS, *completion.DETECTORS)
Model = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL, autocompletion=_NAMES)]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON, with paths.")]

app = typer.Typer(cls=Group, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List, describe, download and convert trained networks.

        posehg models list
        posehg models info bundled

    Each command explains its options: posehg models list --help
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", cls=Command)
def list_models(as_json: Json = False) -> None:
    """List the models that have a name: those that come with posehg, aliases, and what was downloaded.

        posehg models list
        posehg models list --json
        posehg models list --json | jq -r '.[] | select(.path) | .name'

    Of the Hub's cache, only posehg models are listed. Works offline.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from posehg.checkpoints import cache, card, format, hub

    rows: list[dict[str, Any]] = []
    for name, folder in (*((name, hub.bundled_folder(name)) for name in hub.NAMES), *hub.downloaded()):
        about, licence = "broken: it cannot be loaded", ""
        with suppress(NotAvailable):
            found = format.read_metadata(folder)
            texts = card.describe(found)
            about, licence = ", ".join(texts["network"].split(", ")[:2]), texts.get("licence", "")
            finds = (
                "a detector of people"
                if found.config.output == "boxes"
                else f"{len(found.config.skeleton.joints)} joints"
            )
            about = f"{finds}, {about}"
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        rows.append({"name": name, "about": about, "licence": licence, "path": str(folder), "size": size})
    others = {file: (str(file), "downloaded from a URL", "") for file in cache.downloaded()}
    others |= {one.file: (name, one.about, one.licence) for name, one in hub.ALIASES.items()}
    for file, (name, about, licence) in others.items():
        here = {"path": str(file), "size": file.stat().st_size} if file.is_file() else {"path": None, "size": None}
        rows.append({"name": name, "about": about, "licence": licence, **here})
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("what it is")
    table.add_column("on disk", justify="right", no_wrap=True)
    licences: dict[str, list[str]] = {}
    for row in rows:
        name, about, licence = (printable(row[key], _LONGEST) for key in ("name", "about", "licence"))
        table.add_row(Text(name), Text(about), f"{row['size'] / 1e6:.1f} MB" if row["path"] else "-")
        licences.setdefault(licence, []).append(name)
    terminal.show(table)
    for licence in filter(None, licences):
        print(f"\nlicence of {', '.join(licences[licence])}: {licence}")
    print("\nUse a model: posehg predict photo.jpg --model NAME. Describe it: posehg models info NAME")


@app.command("info", cls=Command)
def info(model: Model, as_json: Json = False) -> None:
    """Describe a model: its joints, input, network, training, size and SHA-256.

        posehg models info bundled
        posehg models info runs/mine/best.safetensors --json
        posehg models info user/repo@v1

    Works offline; to download a model: posehg models get
    """
    from rich.table import Table
    from rich.text import Text

    from posehg.checkpoints import card, find, format, load
    from posehg.checkpoints.cache import shown
    from posehg.files import sha256
    from posehg.inference import engines

    path = find(model, offline=True)
    file = format.weights_file(path)
    if file.is_file() and format.is_ours(path):
        found = format.read_metadata(path)
    elif exported := engines.describe(path):
        file, found = exported
    else:
        found = format.Metadata(load(path).config, 0, ())
    if not found.parameters:
        from posehg.network import parameters

        found = replace(found, parameters=parameters(found.config.network))
    size, digest = file.stat().st_size, sha256(file)
    if as_json:
        facts = {
            **{"model": shown(model), "path": str(path), "file": str(file), "bytes": size, "sha256": digest},
            **{
                "parameters": found.parameters,
                "storage": found.storage,
                "run_by": engines.runs_by(path),
                "config": json.loads(found.config.to_json()),
            },
        }
        print(json.dumps(facts, indent=2))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    described = {"model": shown(model), **card.describe(found), "run by": engines.runs_by(path)}
    described["file"] = f"{file} ({size / 1e6:.1f} MB)"
    for row in {**described, "sha256": digest}.items():
        table.add_row(*(Text(printable(text, _LONGEST)) for text in row))
    terminal.show(table)


@app.command("get", cls=Command)
def get(model: Model, offline: Offline = False) -> None:
    """Download a model, or a newer version of it, and print where it is.

        posehg models get bearpaw-hg8
        posehg models get user/repo@v1
        posehg models get https://example.org/model.safetensors#sha256=...

    user/repo[@revision] goes to the Hub's own cache (HF_HOME, HF_ENDPOINT and HF_TOKEN apply), a URL to $POSEHG_HOME,
    by default posehg in the user's cache. Other commands download a model once, when they need it.

    A URL needs #sha256= and 64 digits. Short names such as bearpaw-hg8 stand for URLs with only a few known hash
    digits: they reveal corruption, not tampering.
    """
    from posehg.checkpoints import find

    print(find(model, offline, terminal.note, update=True))


@app.command("convert", cls=Command)
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A name or file: .pth.tar, .pth, .pt, .safetensors.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write.", metavar="FOLDER")],
    skeleton: Annotated[str, typer.Option(metavar="NAME", help=_SKELETON, autocompletion=completion.of_skeleton)] = "",
    input_size: Annotated[int, typer.Option(metavar="PIXELS", min=0, help=_INPUT_SIZE)] = 0,
    precision: Annotated[Literal["fp32", "fp16"], typer.Option(help="fp16 halves the file.")] = "fp32",
    overwrite: Overwrite = False,
    offline: Offline = False,
) -> None:
    """Convert another project's checkpoint to posehg's own format, without running any code in it.

        posehg models convert model_best.pth.tar --out models/mine
        posehg models convert bearpaw-hg8 --out models/hg8 --precision fp16
        posehg models convert birds.pt --out models/birds --skeleton beak,left_wing,right_wing

    posehg recognises checkpoints of bearpaw/pytorch-pose, including anibali's copies, and of
    princeton-vl/pytorch_stacked_hourglass. Such a file can also be given as --model directly. Without --skeleton,
    posehg picks the skeleton by the number of joints. The result is written only if it gives the same heatmaps and
    joints.
    """
    from posehg.checkpoints import card, find, foreign, format, hub
    from posehg.files import sha256
    from posehg.skeletons import SKELETONS

    exporter = EXPORTERS["safetensors"]
    folder = exporter.target(out, overwrite)
    named = foreign.parse_skeleton(skeleton) if skeleton else None
    place = find(file, offline, terminal.note)
    if format.is_ours(place):
        format.read_metadata(place)  # raises for weights without a config
        hint = "To store it differently: posehg export MODEL --out FOLDER"
        raise UsageError(f"{place} is in posehg's own format already.", hint)
    theirs = format.weights_file(place)
    checkpoint = foreign.read(theirs, named, input_size)
    joints, origin = checkpoint.config.skeleton, checkpoint.config.provenance
    origin = {**origin, "source_sha256": sha256(theirs), **hub.provenance(file)}
    config = replace(checkpoint.config, provenance=origin)
    about = f"{len(joints.joints)} joints, {card.describe(format.Metadata(config, 0, ()))['network']}"
    terminal.note(f"{origin['converted_from']} is from {origin['family']}: {about}.")
    if named is None:
        names = f"taken to be those of {joints.name}" if joints.name in SKELETONS else "unknown: joint_0 and so on"
        terminal.note(f"By their number, its joints' names are {names}. If that is wrong, give --skeleton.")
    write(replace(checkpoint, config=config), exporter, folder, ExportOptions(precision), overwrite)
    terminal.note(f"Use it: posehg predict PHOTO --model {shlex.quote(out)}")
