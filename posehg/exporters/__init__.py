"""Exports a trained network to other formats.

A format is one file of this folder and one line in `EXPORTERS`; `common.write` writes it and checks the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posehg import files
from posehg.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from posehg.heatmaps import Decoder
    from posehg.images import Image

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, eq=False)
class ExportOptions:
    """What an exported file contains.

    precision: of the weights, and in ONNX of the products. decoder: if given, the graph also returns keypoints and
    scores. dynamic_size: accept images of other sizes; the batch size is always free. opset: of ONNX; 0 is the default.
    calibration: RGB crops (H, W, 3) of the network's input size, from which int8 takes its ranges.
    weights: the SHA-256 of the safetensors file beside which the ONNX file lies. halved: store convolutions as
    float16, as that file does; the products are float32 all the same.
    """

    precision: Precision = "fp32"
    decoder: Decoder | None = None
    dynamic_size: bool = False
    opset: int = 0
    calibration: Sequence[Image] = ()
    weights: str = ""
    halved: bool = False


@dataclass(frozen=True)
class Exporter:
    """A format.

    module: the file of this folder that has ``export(checkpoint, file, options)``, for a folder with the first of its
    files, and, for a format that posehg does not run, ``load(file)`` for the parity check. suffix: of the file; empty
    for a folder, which gets ``files``, and ``copy`` if the packages for it are installed: an ONNX file that posehg runs
    without torch. options: what else the format supports, by the names in posehg export.
    """

    name: str
    module: str
    suffix: str = ""
    files: tuple[str, ...] = ()
    copy: str = ""
    precisions: tuple[str, ...] = ("fp32", "fp16")
    options: tuple[str, ...] = ("--decode", "--dynamic-size")

    def check(self, asked: Sequence[str]) -> None:
        """Raises UsageError for a precision or an option that the format does not support."""
        for one in asked:
            if one not in self.precisions + self.options:
                able = ", ".join(e.name for e in EXPORTERS.values() if one in e.precisions + e.options)
                raise UsageError(f"{self.name} does not support {one}.", f"These do: {able}")

    def target(self, out: str, overwrite: bool) -> Path:
        """The path to write to. Raises, before long work, if it does not fit the format or cannot be written to."""
        path, folders = Path(out), [one.name for one in EXPORTERS.values() if not one.suffix]
        *suffixes, last = (one.suffix for one in EXPORTERS.values() if one.suffix)
        if self.suffix:
            if path.suffix.lower() != self.suffix:
                raise UsageError(f"{self.name} is written to a file that ends in {self.suffix}, not to {path}.")
            files.check(path, overwrite)
        elif path.is_file() or (path.suffix.lower() in (*suffixes, last) and files.names_file(out)):
            raise UsageError(f"{self.name} is written to a folder, not to a file such as {path}.")
        elif files.names_file(out):
            kinds = f"{', '.join(suffixes)} and {last} files, and {' and '.join(folders)} as folders"
            hint = f"Convert an .onnx file to other formats. {path}/ is a folder of that name."
            raise UsageError(f"{path} cannot be written: posehg exports {kinds}.", hint)
        return path

    def code(self) -> Any:
        """The module that writes the format. It imports torch. Its ``export`` raises UsageError or NotAvailable."""
        return import_module(f"posehg.exporters.{self.module}")


EXPORTERS = {
    exporter.name: exporter
    for exporter in (
        Exporter("safetensors", "common", files=("model.safetensors", "config.json"), copy="model.onnx", options=()),
        Exporter("onnx", "onnx", ".onnx", (), "", ("fp32", "fp16", "int8"), ("--decode", "--dynamic-size", "--opset")),
        Exporter("torchscript", "torchscript", ".torchscript"),
        Exporter("pt2", "pt2", ".pt2"),
        Exporter("openvino", "openvino", files=("model.xml", "model.bin")),
    )
}
"""All formats by name."""


def choose(format: str | None, out: Path | None) -> Exporter:
    """The format of that name, or else by the suffix of the file. Raises UnknownName."""
    if format is not None and format not in EXPORTERS:
        raise UnknownName(f"There is no format {format!r}.", f"Known: {', '.join(EXPORTERS)}.")
    by_suffix = (one.name for one in EXPORTERS.values() if out and one.suffix == out.suffix.lower())
    return EXPORTERS[format or next(by_suffix, "safetensors")]
