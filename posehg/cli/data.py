"""posehg data: know, check, look at and prepare data sets."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from posehg.cli import terminal
from posehg.cli.data_check import check
from posehg.cli.data_list import list_sets
from posehg.cli.data_sheet import sheet
from posehg.cli.help import Command, Group
from posehg.errors import NotAvailable, UsageError
from posehg.files import make_folder
from posehg.training.config import TrainConfig

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.datasets.parts import Reach

D = TrainConfig  # what is packed is what a training without further options can show
_DATA, _VIEWS = "Data", "Views"

Split = Literal["train", "val", "both"]

app = typer.Typer(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def prepare(context: typer.Context) -> None:
    """Know, check, look at and prepare data sets."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def pack(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; it is made if need be.")],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="mpii, flic, lsp, lspet, coco, synthetic, FILE.json, FILE.csv; several joined by +.",
            rich_help_panel=_DATA,
        ),
    ] = D.dataset,
    split: Annotated[Split, typer.Option(help="What to pack.", rich_help_panel=_DATA)] = "both",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set, or of several.", envvar="POSEHG_DATA", rich_help_panel=_DATA),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", min=0, help="Only so many persons, evenly spread (0: all).", rich_help_panel=_DATA
        ),
    ] = D.limit,
    input_size: Annotated[int, typer.Option(help="Side of the crop in pixels.", rich_help_panel=_VIEWS)] = D.input_size,
    padding: Annotated[
        float, typer.Option(help="Side of the crop, as a multiple of the person's box.", rich_help_panel=_VIEWS)
    ] = D.padding,
    scale: Annotated[float, typer.Option(help="Largest zoom: 0.25 is 0.75 to 1.25.", rich_help_panel=_VIEWS)] = D.scale,
    rotation: Annotated[
        float, typer.Option(help="Largest turn, in degrees either way.", rich_help_panel=_VIEWS)
    ] = D.rotation,
    translation: Annotated[
        float, typer.Option(help="Largest shift, as a share of the crop.", rich_help_panel=_VIEWS)
    ] = D.translation,
    half_body: Annotated[
        bool, typer.Option("--half-body", help="Finer, for crops of half a body.", rich_help_panel=_VIEWS)
    ] = False,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the JPEGs.")] = 92,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Cut the people out of the photos once, so that training reads small pictures.

    Each split becomes one file NAME-SPLIT.zip. Give their folder as --data to train and eval. A file holds what a
    training with the same options for the views can show; one that zooms or turns further sees black beyond it.
    """
    from posehg import datasets
    from posehg.training.views import reach_of

    views = TrainConfig(
        input_size=input_size,
        padding=padding,
        scale=scale,
        rotation=rotation,
        translation=translation,
        half_body=float(half_body),
    )
    found = list(_sets(dataset, data, split))
    targets = [datasets.pack_path(out, one.name, one.split) for one in found]
    _check(targets, overwrite)
    make_folder(out)
    for one, target in zip(found, targets, strict=True):
        _write(target, datasets.spread(one, limit) if limit else one, reach_of(views), quality, overwrite)


for name, command in (("list", list_sets), ("check", check), ("sheet", sheet), ("pack", pack)):
    app.command(name, cls=Command)(command)


def _sets(names: str, data: Path | None, split: Split) -> Iterator[Dataset]:
    """Each set's splits; one without a val split is told and left out where val was not asked for by itself."""
    from posehg import datasets

    parsed = datasets.parse(names)  # how much each weighs is for training to say
    for name in dict.fromkeys(name for name, _ in parsed):
        for one in ("train", "val") if split == "both" else (split,):
            try:
                yield datasets.load_unpacked(name, data, one, joined=len(parsed) > 1)
            except NotAvailable as error:
                if split != "both" or one != "val":
                    raise
                terminal.note(f"The split val of {name} is left out: {error}")


def _check(targets: Iterable[Path], overwrite: bool) -> None:
    """Of all files before the first is written, which may take long."""
    for target in targets:
        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists already.", "Give --overwrite to replace it, or another folder.")


def _write(target: Path, dataset: Dataset, reach: Reach, quality: int, overwrite: bool) -> None:
    from posehg.datasets import packing

    longest = packing.pack(
        target,
        dataset,
        reach,
        quality,
        overwrite,
        lambda persons: terminal.progress(persons, f"Packing {target.name}", len(dataset)),
    )
    command = "train" if dataset.split == "train" else "eval"
    use = shlex.join(["posehg", command, "--dataset", dataset.name, "--data", str(target.parent)])
    size = target.stat().st_size / 1e6
    terminal.note(
        f"Wrote {target}: {len(dataset):,} persons, {size:.1f} MB, at most {longest} pixels a side. Use it: {use}"
    )
