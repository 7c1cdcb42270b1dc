"""posehg models convert: another project's checkpoint in posehg's own format."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from posehg.cli import options, terminal

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint


def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The checkpoint: .pth.tar, .pth, .pt or .safetensors.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    skeleton: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose joints its heatmaps are: mpii, lsp, flic, coco; or their names with commas between. Without "
            "it: by their number.",
            show_default=False,
        ),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", min=1, help="Side of the crop that it was trained on.", show_default="256"),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="How numbers are stored; fp16 is half as large.")
    ] = "fp32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    offline: options.Offline = False,
) -> None:
    """Write another project's trained hourglass to a folder of its own.

    Known by the names of their tensors are the checkpoints of bearpaw/pytorch-pose, as anibali republished them too,
    and of princeton-vl/pytorch_stacked_hourglass. No code in them is run. Such a file may also be given as --model
    as it is.
    """
    from posehg import checkpoints, hub
    from posehg.checkpoints import convert as converting
    from posehg.checkpoints.foreign import joints

    named = None if skeleton is None else joints.named(skeleton)
    path = checkpoints.find(file, offline, terminal.note)
    checkpoint = converting.read(path, named, input_size, hub.licence(file))
    terminal.note(_found(checkpoint))
    if named is None:
        terminal.note(_guess(checkpoint))
    with terminal.exit_on_sigterm():
        difference = converting.write(checkpoint, out, precision == "fp16", overwrite)
    size = sum(path.stat().st_size for path in (out / "model.safetensors", out / "config.json")) / 1e6
    rounded = f", heatmaps of noise within {difference:.2%} of the file's" if precision == "fp16" else ""
    terminal.note(f"Wrote {out} ({size:.1f} MB{rounded}). Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")


def _found(checkpoint: Checkpoint) -> str:
    from posehg.network import parameters

    network, provenance = checkpoint.config.network, checkpoint.config.provenance
    parts = (
        _count(network.stacks, "stack"),
        _count(network.features, "feature"),
        f"depth {network.depth}",
        _count(network.blocks, "block"),
        f"stem {'-'.join(map(str, network.stem))}",
        _count(network.joints, "joint"),
        _count(parameters(network), "parameter"),
    )
    return f"{provenance['converted_from']} is of {provenance['family']}: {', '.join(parts)}."


def _guess(checkpoint: Checkpoint) -> str:
    from posehg.checkpoints.foreign import joints

    skeleton = checkpoint.config.skeleton
    count = len(skeleton.joints)
    if joints.are_named(skeleton):
        return f"Its {count} joints are taken for {skeleton.name}'s, as their number is; --skeleton if they are others."
    return f"Of which {count} joints its heatmaps are is not known: they are named joint_0 and so on; see --skeleton."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
