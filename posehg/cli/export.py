"""posehg export: a trained network in another form, in a file or folder, or on the Hub."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posehg.cli import options, terminal
from posehg.errors import NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint
    from posehg.cli.export_request import Options
    from posehg.exporters import Exporter
    from posehg.exporters.form import Form
    from posehg.exporters.parity import Parity
    from posehg.hub.names import Repo

_FORM, _HUB = "Form", "Hub"


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Model as --model takes it, such as runs/NAME/best.safetensors."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write, or folder for safetensors and openvino."),
    ] = None,
    format: Annotated[
        Literal["safetensors", "onnx", "torchscript", "pt2", "openvino"] | None,
        typer.Option(
            metavar="FORMAT",
            help="safetensors, onnx, torchscript, pt2 or openvino; else the suffix of --out decides.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="Of weights and products; fp16 is half as large, int8 a quarter.", rich_help_panel=_FORM),
    ] = "fp32",
    decode: Annotated[
        bool,
        typer.Option("--decode", help="Give joints too, read off the heatmaps in the file.", rich_help_panel=_FORM),
    ] = False,
    decoder: Annotated[
        Literal["subpixel", "quarter"] | None,
        typer.Option(
            help="How --decode reads a joint off its heatmap (default: subpixel).",
            show_default=False,
            rich_help_panel=_FORM,
        ),
    ] = None,
    dynamic_size: Annotated[
        bool, typer.Option("--dynamic-size", help="Take pictures of other sizes too.", rich_help_panel=_FORM)
    ] = False,
    opset: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of ONNX, 17 to 23 (0: 18).", rich_help_panel=_FORM)
    ] = 0,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Photos by which int8 finds its ranges; else people are rendered.",
            rich_help_panel=_FORM,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Compare what was written with the network; exit with 4 where it says something else.")
    ] = True,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Keep an ONNX file by which predict runs this model without torch from now on."),
    ] = False,
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
    """Write a model as a file or folder for other programs, to a folder of its own, or to the Hub.

    All may be given as --model. What is written is run beside the network first, on people and on noise, and nothing
    is written where heatmaps or joints are not the same.

    The format safetensors is posehg's own. Its folder gets a model card, README.md, which is left alone where there is
    one. The name that is given to --push may be given as --model anywhere. Who pushes needs a token of the Hub, from hf
    auth login or in HF_TOKEN. A card beside the model is pushed with it; else one is written.
    """
    from posehg.cli import export_request

    asked = export_request.Options(
        format=format,
        out=out,
        cache=cache,
        push=push,
        private=private,
        precision=precision,
        decode=decode,
        decoder=decoder,
        dynamic_size=dynamic_size,
        opset=opset,
        calibration=calibration,
        overwrite=overwrite,
        offline=offline,
    )
    exporter = export_request.exporter(asked)
    _check_target(asked, exporter)
    repo = None if push is None else _checked(push, overwrite)
    place, checkpoint = _loaded(model, offline)
    form = _form(asked, checkpoint)
    if cache:
        _keep(place, checkpoint, exporter, form, check)
    if out is not None:
        _write(checkpoint, exporter, out, form, asked.overwrite, check)
    if repo is not None:
        with tempfile.TemporaryDirectory(prefix="posehg-") as temporary:
            folder = Path(temporary)
            _copy_card(place, folder)
            _made(checkpoint, exporter, folder, form, overwrite, check, repo.id)
            pushed = _pushed(repo, folder, private)
        terminal.note(f"Pushed {pushed}. Use it: posehg predict PHOTO --model {repo.id}")


def _check_target(asked: Options, exporter: Exporter) -> None:
    """Raises, before long work, what cannot be written after it."""
    from posehg import files

    if asked.out is None:
        return
    if not exporter.files:
        files.check(asked.out, asked.overwrite)
    elif asked.out.is_file():
        raise UsageError(f"{asked.out} is a file; {exporter.name} is a folder.")


def _form(asked: Options, checkpoint: Checkpoint) -> Form:
    from posehg.exporters.form import Form

    decoder = (asked.decoder or "subpixel") if asked.decode else None
    crops = _calibration(asked.calibration, checkpoint) if asked.precision == "int8" else ()
    return Form(asked.precision, decoder, asked.dynamic_size, asked.opset, crops)


def _calibration(folder: Path | None, checkpoint: Checkpoint) -> list[Any]:
    from posehg.exporters import pictures
    from posehg.inference.engines import pytorch
    from posehg.inference.estimator import Estimator

    def watch(photos: list[Any]) -> Iterable[Any]:
        return terminal.progress(photos, "Looking at people", len(photos))

    if folder is None:
        return pictures.rendered(checkpoint.config, pictures.ENOUGH)
    return pictures.of_folder(folder, Estimator(pytorch.of(checkpoint)), watch)


def _write(checkpoint: Checkpoint, exporter: Exporter, out: Path, form: Form, overwrite: bool, check: bool) -> None:
    parity = _made(checkpoint, exporter, out, form, overwrite, check, out.resolve().name)
    files = [out / name for name in exporter.files] or [out]
    size = sum(file.stat().st_size for file in files) / 1e6
    _tell(f"Wrote {out} ({size:.1f} MB).", parity)
    terminal.note(f"Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")


def _keep(place: Path, checkpoint: Checkpoint, exporter: Exporter, form: Form, check: bool) -> None:
    from posehg.exporters import writing
    from posehg.files import make_folder
    from posehg.hub import twins

    out = twins.place(place)
    make_folder(out.parent)
    parity = writing.write(checkpoint, exporter, out, form, overwrite=True, check=check)
    _tell(f"Kept {out} ({out.stat().st_size / 1e6:.1f} MB).", parity)


def _tell(what: str, parity: Parity | None) -> None:
    if parity is None:
        terminal.note(what)
    else:
        terminal.note(
            f"{what} Its joints are those of the network to {parity.joints:.2g} px, in {parity.counted:,} tried."
        )


def _made(
    checkpoint: Checkpoint, exporter: Exporter, out: Path, form: Form, overwrite: bool, check: bool, name: str
) -> Parity | None:
    """name: what the model's card calls it."""
    from posehg.exporters import writing
    from posehg.hub import card

    parity = writing.write(checkpoint, exporter, out, form, overwrite, check)
    if exporter.name == "safetensors":
        card.write(out, name)
    return parity


def _checked(name: str, overwrite: bool) -> Repo:
    from posehg.hub import push

    return push.check(name, overwrite)


def _pushed(repo: Repo, folder: Path, private: bool) -> str:
    from posehg.hub import push

    return push.push(repo, folder, private)


def _loaded(model: str, offline: bool) -> tuple[Path, Checkpoint]:
    """Where the model lies, and what it is; a licence that only its short name tells is written down with it."""
    from posehg import checkpoints, hub
    from posehg.inference import engines

    place = checkpoints.find(model, offline, terminal.note)
    if engines.is_exported(place):
        raise NotAvailable(f"{place} was exported already.", "Export the model that it was made of.")
    checkpoint = checkpoints.load(place)
    checkpoint.network()  # weights that do not fit their config are not passed on
    licence, provenance = hub.licence(model), checkpoint.config.provenance
    if licence and "licence" not in provenance:
        config = replace(checkpoint.config, provenance={**provenance, "licence": licence})
        checkpoint = replace(checkpoint, config=config)
    return place, checkpoint


def _copy_card(place: Path, folder: Path) -> None:
    card = place / "README.md"
    if place.is_dir() and card.is_file():
        (folder / card.name).write_bytes(card.read_bytes())
