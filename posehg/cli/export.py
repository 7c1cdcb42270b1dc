"""posehg export: a trained network in another form."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from posehg.cli import guard


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model folder or .safetensors file, such as runs/NAME/best.safetensors."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    format: Annotated[Literal["safetensors"], typer.Option(help="Form of the result.")] = "safetensors",
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="How numbers are stored; fp16 is half as large.")
    ] = "fp32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write a model to a folder of its own.

    The folder gets config.json and model.safetensors, and may be given as --model.
    """
    from posehg import checkpoints
    from posehg.exporters import EXPORTERS

    checkpoint = checkpoints.load(checkpoints.find(model))
    checkpoint.network()  # weights that do not fit their config are not passed on
    EXPORTERS[format](checkpoint, out, precision == "fp16", overwrite)
    size = sum(file.stat().st_size for file in (out / "model.safetensors", out / "config.json")) / 1e6
    guard.note(f"Wrote {out} ({size:.1f} MB). Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")
