"""posehg export: a trained network in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from posehg.cli import guard


def export(
    model: Annotated[Path, typer.Argument(help="Model folder or safetensors file, as runs/NAME/best.safetensors.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    format: Annotated[Literal["safetensors"], typer.Option(help="Form of the result.")] = "safetensors",
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="How numbers are stored; fp16 is half as large.")
    ] = "fp32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write a model to a folder (config.json and model.safetensors) that --model loads."""
    from posehg import checkpoints
    from posehg.exporters import EXPORTERS

    checkpoint = checkpoints.load(model)
    checkpoint.network()  # weights that do not fit their config are not passed on
    EXPORTERS[format](checkpoint, out, precision == "fp16", overwrite)
    size = sum(file.stat().st_size for file in (out / "model.safetensors", out / "config.json")) / 1e6
    guard.note(f"Wrote {out} ({size:.1f} MB). Use it: posehg predict PHOTO --model {out}")
