"""The options of posehg export: which format they mean, and which of them it has; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from posehg.errors import UsageError
from posehg.exporters import EXPORTERS, Exporter

_SAFETENSORS = "safetensors"
_OTHERS = {
    ".safetensors": "--format safetensors writes a folder",
    ".xml": "--format openvino writes a folder",
    ".pt": "TorchScript's files end in {torchscript}, those of torch.export in {pt2}",
    ".ts": "TorchScript's files end in {torchscript}",
    ".pth": "--format safetensors writes a folder",
}
"""Suffixes under which somebody may look for a model that is not written as such a file."""


@dataclass(frozen=True)
class Options:
    """As the command names them. decoder: None where it was not given."""

    format: str | None
    out: Path | None
    cache: bool
    push: str | None
    private: bool
    precision: Literal["fp32", "fp16", "int8"]
    decode: bool
    decoder: Literal["subpixel", "quarter"] | None
    dynamic_size: bool
    opset: int
    calibration: Path | None
    overwrite: bool
    offline: bool


def exporter(options: Options) -> Exporter:
    """The format that is meant. Raises UsageError for options that it does not have or that do not go together."""
    _check_place(options)
    found = EXPORTERS[options.format or _by_name(options)]
    if options.push is not None and found.name != _SAFETENSORS:
        raise UsageError(f"--push uploads posehg's own format, not {found.name}.", "Give a folder as --out, or none.")
    _check_form(options, found)
    if options.out is not None:
        _check_name(options.out, found)
    return found


def _check_place(options: Options) -> None:
    if options.push is None and (options.private or (options.out is None and not options.cache)):
        what = "--private belongs to --push." if options.private else "Nothing says where the model is to go."
        raise UsageError(what, "Give --out PATH, or --push USER/NAME.")
    if options.push is not None and options.offline:
        raise UsageError("--push and --offline exclude each other.", "Give --out PATH to export without a network.")
    if options.cache and (options.out is not None or options.push is not None):
        raise UsageError("--cache writes to posehg's own folder, and nowhere else.", "Leave --out and --push out.")
    if options.cache and options.format not in (None, "onnx"):
        raise UsageError(f"--cache is for --format onnx, not {options.format}.")


def _by_name(options: Options) -> str:
    if options.cache:
        return "onnx"
    suffix = "" if options.out is None else options.out.suffix.lower()
    return next((one.name for one in EXPORTERS.values() if one.suffix and one.suffix == suffix), _SAFETENSORS)


def _check_form(options: Options, exporter: Exporter) -> None:
    asked = {
        "decoder": ("--decode", options.decode),
        "dynamic_size": ("--dynamic-size", options.dynamic_size),
        "opset": ("--opset", options.opset),
    }
    for field, (option, given) in asked.items():
        if given and field not in exporter.options:
            having = [one.name for one in EXPORTERS.values() if field in one.options]
            raise UsageError(f"{option} means nothing in the format {exporter.name}, but in {', '.join(having)}.")
    if options.precision not in exporter.precisions:
        there = " or ".join(exporter.precisions)
        raise UsageError(f"The format {exporter.name} is written in {there}, not in {options.precision}.")
    if options.decoder is not None and not options.decode:
        raise UsageError("--decoder says how --decode reads joints.", "Give --decode too, or leave it out.")
    if options.calibration is not None and options.precision != "int8":
        raise UsageError("--calibration is for --precision int8.")
    if options.cache and (options.precision != "fp32" or options.decode or options.dynamic_size or options.opset):
        raise UsageError("What --cache keeps is the network as predict uses it.", "Leave the other options out.")


def _check_name(out: Path, exporter: Exporter) -> None:
    """Raises UsageError where a name is one of another format, or of a folder where a file is written."""
    suffix = out.suffix.lower()
    if not exporter.suffix:
        other = next((one.name for one in EXPORTERS.values() if one.suffix and one.suffix == suffix), None)
        if other:
            raise UsageError(f"{out} ends as files of the format {other} do; {exporter.name} is a folder.")
        if suffix in _OTHERS and not out.is_dir():
            suffixes = {name: one.suffix for name, one in EXPORTERS.items()}
            raise UsageError(f"{out} would be a folder: {_OTHERS[suffix].format(**suffixes)}.", "Give another name.")
    elif suffix != exporter.suffix:
        meant = out / f"model{exporter.suffix}" if out.is_dir() else out.with_name(f"{out.name}{exporter.suffix}")
        what = f"{out} is no name for a file of the format {exporter.name}, which ends in {exporter.suffix}"
        raise UsageError(f"{what}.", f"Give --out {meant}")
