"""Options that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

_MODEL = "Model"

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Folder, file, user/repo[@revision] of the Hub, or a name that posehg models list shows.",
        envvar="POSEHG_MODEL",
        rich_help_panel=_MODEL,
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never fetch a model; HF_HUB_OFFLINE=1 does the same.", rich_help_panel=_MODEL)
]
Flip = Annotated[
    bool, typer.Option(help="Average with the mirrored picture: better, half as fast.", rich_help_panel=_MODEL)
]
Decoder = Annotated[
    Literal["quarter", "subpixel"], typer.Option(help="How a joint is read off its heatmap.", rich_help_panel=_MODEL)
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.", envvar="POSEHG_DEVICE", rich_help_panel=_MODEL
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data set, of several, or of their packs.", envvar="POSEHG_DATA", rich_help_panel="Data"
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder for packs of the data sets, made where they are missing or show too little.",
        rich_help_panel="Data",
    ),
]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16"],
    typer.Option(
        help="Of the network's numbers: bf16 is quicker on the newest processors and on GPUs, and less exact. A model "
        "that was exported keeps its own.",
        rich_help_panel=_MODEL,
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads (0: as many as suit).", rich_help_panel="Run")]
