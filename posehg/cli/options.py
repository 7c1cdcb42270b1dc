"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

T = TypeVar("T")

_MODEL = "Model"


def from_dataclass(kind: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """A command that takes one dataclass, whose annotated fields become its arguments and options."""

    def decorate(command: Callable[[T], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(kind(**values))

        signature = inspect.signature(kind, eval_str=True)
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        return run

    return decorate


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A name from posehg models list, a file or folder, or user/repo[@revision] on the Hub.",
        envvar="POSEHG_MODEL",
        rich_help_panel=_MODEL,
    ),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Never download a model, as HF_HUB_OFFLINE=1 does.", rich_help_panel=_MODEL),
]
Flip = Annotated[
    bool,
    typer.Option(help="Average with the mirrored image: more accurate, half the speed.", rich_help_panel=_MODEL),
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
Precision = Annotated[
    Literal["fp32", "bf16", "fp16"],
    typer.Option(
        help="Number format of the network. bf16 is faster on recent CPUs and GPUs but less exact.",
        rich_help_panel=_MODEL,
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads (0: automatic).", rich_help_panel="Run")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of the data set, or of several.", envvar="POSEHG_DATA", rich_help_panel="Data"),
]
