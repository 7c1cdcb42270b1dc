"""posehg export: a trained network in another form, in a folder or on the Hub."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from posehg.cli import guard, options
from posehg.errors import UsageError

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint
    from posehg.hub.names import Repo

_HUB = "Hub"


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model as --model takes it, such as runs/NAME/best.safetensors."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.")] = None,
    format: Annotated[Literal["safetensors"], typer.Option(help="Form of the result.")] = "safetensors",
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="How numbers are stored; fp16 is half as large.")
    ] = "fp32",
    push: Annotated[
        str | None,
        typer.Option(
            metavar="USER/NAME", help="Upload it to this repository of the Hugging Face Hub.", rich_help_panel=_HUB
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Show a new repository to nobody else.", rich_help_panel=_HUB)
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    offline: options.Offline = False,
) -> None:
    """Write a model to a folder of its own, or to the Hub.

    The folder gets config.json, model.safetensors and a model card, README.md, which is left alone where there is one;
    it may be given as --model. So may the name that is given to --push, anywhere. Who pushes needs a token of the Hub,
    from hf auth login or in HF_TOKEN. A card beside the model is pushed with it; else one is written.
    """
    if push is None and (out is None or private):
        what = "--private belongs to --push." if private else "Nothing says where the model is to go."
        raise UsageError(what, "Give --out FOLDER, or --push USER/NAME.")
    if push is not None and offline:
        raise UsageError("--push and --offline exclude each other.", "Give --out FOLDER to export without a network.")
    repo = None if push is None else _checked(push, overwrite)
    place, checkpoint = _loaded(model, offline)
    if out is not None:
        _write(checkpoint, out, out.resolve().name, format, precision, overwrite)
        size = sum(file.stat().st_size for file in (out / "model.safetensors", out / "config.json")) / 1e6
        guard.note(f"Wrote {out} ({size:.1f} MB). Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")
    if repo is not None:
        with tempfile.TemporaryDirectory(prefix="posehg-") as temporary:
            folder = Path(temporary)
            _copy_card(place, folder)
            _write(checkpoint, folder, repo.id, format, precision, overwrite)
            pushed = _pushed(repo, folder, private)
        guard.note(f"Pushed {pushed}. Use it: posehg predict PHOTO --model {repo.id}")


def _checked(name: str, overwrite: bool) -> Repo:
    from posehg.hub import push

    return push.check(name, overwrite)


def _pushed(repo: Repo, folder: Path, private: bool) -> str:
    from posehg.hub import push

    return push.push(repo, folder, private)


def _loaded(model: str, offline: bool) -> tuple[Path, Checkpoint]:
    """Where the model lies, and what it is; a licence that only its short name tells is written down with it."""
    from posehg import checkpoints, hub

    place = checkpoints.find(model, offline, guard.note)
    checkpoint = checkpoints.load(place)
    checkpoint.network()  # weights that do not fit their config are not passed on
    licence, provenance = hub.licence(model), checkpoint.config.provenance
    if licence and "licence" not in provenance:
        config = replace(checkpoint.config, provenance={**provenance, "licence": licence})
        checkpoint = replace(checkpoint, config=config)
    return place, checkpoint


def _write(
    checkpoint: Checkpoint,
    folder: Path,
    name: str,
    format: Literal["safetensors"],
    precision: Literal["fp32", "fp16"],
    overwrite: bool,
) -> None:
    from posehg.exporters import EXPORTERS
    from posehg.hub import card

    EXPORTERS[format](checkpoint, folder, precision == "fp16", overwrite)
    card.write(folder, name)


def _copy_card(place: Path, folder: Path) -> None:
    card = place / "README.md"
    if place.is_dir() and card.is_file():
        (folder / card.name).write_bytes(card.read_bytes())
