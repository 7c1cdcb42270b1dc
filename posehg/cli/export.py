"""posehg export: a trained network in another format, as a file or folder or on the Hugging Face Hub."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from posehg import files
from posehg.cli import options, terminal
from posehg.errors import NotAvailable, UsageError
from posehg.exporters import EXPORTERS, Exporter, ExportOptions

_GRAPH, _HUB = "Contents", "Hugging Face Hub"
_FILE_SUFFIXES = {
    ".safetensors",
    ".xml",
    ".pt",
    ".pth",
    ".ts",
    *(one.suffix for one in EXPORTERS.values() if one.suffix),
}
"""Names with such suffixes are not taken for folders."""


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="What --model accepts: a name, file or folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write, or folder for safetensors and openvino.")
    ] = None,
    format: Annotated[
        Literal["safetensors", "onnx", "torchscript", "pt2", "openvino"] | None,
        typer.Option(
            metavar="FORMAT",
            help="safetensors, onnx, torchscript, pt2 or openvino (default: by the suffix of --out).",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="fp16 halves the file, int8 (ONNX) quarters it.", rich_help_panel=_GRAPH),
    ] = "fp32",
    decode: Annotated[
        bool, typer.Option("--decode", help="Return keypoints besides heatmaps.", rich_help_panel=_GRAPH)
    ] = False,
    decoder: Annotated[
        Literal["subpixel", "quarter"] | None,
        typer.Option(
            help="How --decode reads a joint off its heatmap.", show_default="subpixel", rich_help_panel=_GRAPH
        ),
    ] = None,
    dynamic_size: Annotated[
        bool, typer.Option("--dynamic-size", help="Accept images of other sizes.", rich_help_panel=_GRAPH)
    ] = False,
    opset: Annotated[
        int, typer.Option(min=0, help="ONNX opset, 17 to 23.", show_default="18", rich_help_panel=_GRAPH)
    ] = 0,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos that set the ranges of int8 (default: rendered people).", rich_help_panel=_GRAPH
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Compare the result with the network; exit with 4 if they differ.")
    ] = True,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep an ONNX file with which predict runs this model without torch.")
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(metavar="USER/NAME", help="Upload the model to this repository.", rich_help_panel=_HUB),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.", rich_help_panel=_HUB)
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    offline: options.Offline = False,
) -> None:
    """Export a model for other programs, as a folder of its own, or to the Hub.

        posehg export runs/posehg/best.safetensors --out model.onnx --decode
        posehg export bundled --out openvino-model --format openvino
        posehg export runs/posehg/best.safetensors --push user/name

    The result is run beside the network, on people and on noise. It is written only if heatmaps and joints match.

    posehg can use safetensors, onnx and openvino itself: give the file or folder as --model. safetensors is posehg's
    own format; its folder gets a model card, README.md, unless there is one. --push needs a token from hf auth login or
    in HF_TOKEN, and also uploads the card beside the model.
    """
    exporter = EXPORTERS[format or ("onnx" if cache else _format_of(out))]
    given = {"decoder": decode, "dynamic_size": dynamic_size, "opset": bool(opset)}
    _check_options(exporter, given, precision, decoder, calibration)
    if private and push is None:
        raise UsageError("--private needs --push.", "Give --push USER/NAME.")
    if push is not None and offline:
        raise UsageError("--push and --offline exclude each other.", "Give --out PATH to export without a network.")
    if cache and (precision != "fp32" or any(given.values()) or format not in (None, "onnx")):
        raise UsageError("--cache keeps an ONNX file as predict uses it.", "Leave --format and its options out.")
    _check_target(exporter, out, cache, push, overwrite)

    from posehg import checkpoints
    from posehg.checkpoints import cache as models_cache
    from posehg.checkpoints import card, hub
    from posehg.exporters import common
    from posehg.inference import engines

    repository = hub.check_push(push, overwrite) if push else None
    place = checkpoints.find(model, offline, terminal.note)
    if engines.is_exported(place):
        raise NotAvailable(f"{place} was exported already.", "Export the model that it was made from.")
    checkpoint = checkpoints.load(place)
    checkpoint.network()  # raises for weights that do not fit the config
    licence, provenance = hub.licence(model), checkpoint.config.provenance
    if licence and "licence" not in provenance:
        config = replace(checkpoint.config, provenance={**provenance, "licence": licence})
        checkpoint = replace(checkpoint, config=config)
    crops: list[Any] = []
    if precision == "int8" and calibration is None:
        crops = common.rendered_crops(checkpoint.config, common.ENOUGH)
    elif precision == "int8" and calibration is not None:
        crops = common.calibration_crops(calibration, checkpoint, terminal.progress)
    contents = ExportOptions(precision, (decoder or "subpixel") if decode else None, dynamic_size, opset, crops)

    if cache:
        out, overwrite = models_cache.onnx_file(place), True
        files.make_folder(out.parent)
    if out is not None:
        parity = common.write(checkpoint, exporter, out, contents, overwrite, check)
        size = sum(file.stat().st_size for file in ([out / name for name in exporter.files] or [out]))
        wrote = f"{'Kept' if cache else 'Wrote'} {out} ({size / 1e6:.1f} MB)."
        if parity is not None:
            wrote += f" Its joints match the network's to {parity.joints:.2g} px ({parity.counted:,} compared)."
        terminal.note(wrote)
        if exporter.name == "safetensors":
            card.write(out, out.resolve().name)
        if not cache and exporter.name not in ("torchscript", "pt2"):  # which posehg itself does not run
            terminal.note(f"Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")
    if repository is not None:
        with tempfile.TemporaryDirectory(prefix="posehg-") as temporary:
            folder = Path(temporary)
            if (place / "README.md").is_file():
                shutil.copyfile(place / "README.md", folder / "README.md")
            common.write(checkpoint, exporter, folder, contents, check=check)
            card.write(folder, repository.id)
            revision = hub.push(repository, folder, private)
        terminal.note(f"Pushed {revision}. Use it: posehg predict PHOTO --model {repository.id}")


def _format_of(out: Path | None) -> str:
    """The format that the suffix of --out stands for; otherwise posehg's own."""
    suffix = "" if out is None else out.suffix.lower()
    name = next((one.name for one in EXPORTERS.values() if suffix and one.suffix == suffix), None)
    if name is None and suffix[1:].isalpha() and out is not None and not out.is_dir():  # models/v1.2 is a folder
        known = ", ".join(one.suffix for one in EXPORTERS.values() if one.suffix)
        raise UsageError(f"--out {out}: posehg does not export {suffix} files.", f"It exports {known}, or a folder.")
    return name or "safetensors"


def _check_options(
    exporter: Exporter, given: dict[str, bool], precision: str, decoder: str | None, calibration: Path | None
) -> None:
    """Raises UsageError for contents that the format does not support, or that do not go together."""
    for field in (field for field, is_given in given.items() if is_given and field not in exporter.options):
        option = {"decoder": "--decode"}.get(field, f"--{field.replace('_', '-')}")
        supporting = ", ".join(one.name for one in EXPORTERS.values() if field in one.options)
        raise UsageError(f"{exporter.name} does not support {option}.", f"These formats do: {supporting}")
    if precision not in exporter.precisions:
        raise UsageError(f"{exporter.name} supports {' and '.join(exporter.precisions)}, not {precision}.")
    if decoder is not None and not given["decoder"]:
        raise UsageError("--decoder needs --decode.", "Give --decode too, or leave --decoder out.")
    if calibration is not None and precision != "int8":
        raise UsageError("--calibration needs --precision int8.")


def _check_target(exporter: Exporter, out: Path | None, cache: bool, push: str | None, overwrite: bool) -> None:
    """Raises, before long work, for a target that does not fit the format or cannot be written to."""
    if out is None and push is None and not cache:
        raise UsageError("There is nothing to write to.", "Give --out PATH or --push USER/NAME.")
    if cache and (out is not None or push is not None):
        raise UsageError("--cache writes to posehg's own folder only.", "Leave --out and --push out.")
    if push is not None and exporter.name != "safetensors":
        raise UsageError(f"--push uploads safetensors, not {exporter.name}.", "Give a folder as --out, or no --out.")
    if out is None:
        return
    if exporter.suffix and out.suffix.lower() != exporter.suffix:
        better = out / f"model{exporter.suffix}" if out.is_dir() else out.with_name(f"{out.name}{exporter.suffix}")
        raise UsageError(f"{out} must end in {exporter.suffix} for {exporter.name}.", f"Give --out {better}")
    if exporter.suffix:
        files.check(out, overwrite)
    elif out.is_file():
        raise UsageError(f"{out} is a file, and {exporter.name} is a folder.")
    elif not out.is_dir() and out.suffix.lower() in _FILE_SUFFIXES:
        hint = f"Give --out {out.with_suffix('')}, or another --format."
        raise UsageError(f"{out} looks like a file, and {exporter.name} is a folder.", hint)
