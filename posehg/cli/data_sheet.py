"""posehg data sheet: annotated persons on one picture, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posehg.cli import terminal
from posehg.errors import UsageError

_WHO = "Persons"


def sheet(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The picture to write: .png, .jpg, .webp.")],
    dataset: Annotated[
        str,
        typer.Option("--dataset", help="mpii, flic, flic-pc, lsp, lspet, coco, synthetic, or a file of your own."),
    ] = "mpii",
    split: Annotated[str, typer.Option(help="train, val or test, as the set has them.")] = "train",
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the data set, or of its packs.", envvar="POSEHG_DATA"),
    ] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="NUMBER", min=1, help="How many persons.", rich_help_panel=_WHO)
    ] = 24,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Draw them by chance; else they are evenly spread.", rich_help_panel=_WHO),
    ] = None,
    ids: Annotated[str | None, typer.Option(metavar="ID,ID,..", help="These persons.", rich_help_panel=_WHO)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Draw annotated persons on a contact sheet.

    The person's right is warm, the left is cool. Joints that are labelled as hidden are rings; those that are not
    labelled are not drawn. Under each stands the person's id.
    """
    from posehg import datasets, files, images
    from posehg.checking import sheet as sheets

    if ids is not None and seed is not None:
        raise UsageError("--ids says who is drawn, and --seed draws by chance.", "Leave out one of them.")
    if out.suffix.lower() not in images.SUFFIXES:
        raise UsageError(f"--out {out}: its name has to end in {' or '.join(images.SUFFIXES)}.")
    files.check(out, overwrite)
    found = datasets.load(dataset, data, split)
    if ids is not None:
        chosen = sheets.named(found, [id for part in ids.split(",") if (id := part.strip())])
    else:
        chosen = sheets.spread(found, number) if seed is None else sheets.drawn(found, number, seed)
    images.write(out, sheets.sheet(found, chosen), overwrite)
    terminal.note(f"Wrote {out}: {len(chosen)} of {len(found):,} persons of {found.name} {found.split}.")
