"""posehg export: a trained network in another format, as a file or folder or on the Hugging Face Hub."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posehg.cli import completion, terminal
from posehg.cli.help import Offline
from posehg.errors import UsageError
from posehg.exporters import EXPORTERS, Exporter, ExportOptions, choose

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint

_graph: Callable[..., Any] = partial(typer.Option, rich_help_panel="Contents")
_hub: Callable[..., Any] = partial(typer.Option, rich_help_panel="Hugging Face Hub")

_MODEL = "What --model accepts: a name, file or folder."
_OUT = "File to write, or folder for safetensors and openvino."
_FORMAT = f"{', '.join(EXPORTERS)} (default: by the suffix of --out)."
_DECODER = "How --decode reads a joint from its heatmap (default: subpixel)."
_CALIBRATION = "Photos to calibrate int8 with (default: rendered people)."
_CHECK = "Compare the result with the network; exit with 4 if they differ."
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL, autocompletion=completion.of_model)],
    out: Annotated[str | None, typer.Option("--out", "-o", help=_OUT, metavar="PATH")] = None,
    format: Annotated[
        Literal["safetensors", "onnx", "torchscript", "pt2", "openvino"] | None,
        typer.Option(help=_FORMAT, metavar="FORMAT"),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], _graph(help="fp16 halves the file, int8 (ONNX) quarters it.")
    ] = "fp32",
    decode: Annotated[bool, _graph("--decode", help="Return keypoints besides heatmaps.")] = False,
    decoder: Annotated[Literal["subpixel", "quarter"] | None, _graph(help=_DECODER)] = None,
    dynamic_size: Annotated[bool, _graph("--dynamic-size", help="Accept images of other sizes.")] = False,
    opset: Annotated[int, _graph(min=0, help="ONNX opset, 17 to 23 (default: 18).", show_default=False)] = 0,
    calibration: Annotated[Path | None, _graph(help=_CALIBRATION)] = None,
    check: Annotated[bool, typer.Option(help=_CHECK)] = True,
    push: Annotated[str | None, _hub(metavar="USER/NAME", help="Upload the model to this repository.")] = None,
    private: Annotated[bool, _hub("--private", help="Make a new repository private.")] = False,
    overwrite: Overwrite = False,
    offline: Offline = False,
) -> None:
    """Export a model for other programs, as a folder of its own, or to the Hub.

        posehg export runs/posehg/best.safetensors --out model.onnx --decode
        posehg export bundled --out openvino-model --format openvino
        posehg export runs/posehg/best.safetensors --push user/name

    The export is compared with the network on people and on noise. It is written only if heatmaps and joints match.

    posehg can use safetensors, onnx and openvino itself: give the file or folder as --model. safetensors is posehg's
    own format; its folder also gets model.onnx, which runs without torch, and a model card, README.md, unless there is
    one. --push needs a token from hf auth login or in HF_TOKEN, and also uploads the card beside the model.
    """
    exporter = choose(format, None if out is None else Path(out))
    name, extras = exporter.name, {"--decode": decode, "--dynamic-size": dynamic_size, "--opset": opset > 0}
    given = [option for option, is_given in extras.items() if is_given]
    for wrong, message, hint in (
        (out == "-", "An export is not written to standard output.", "Give --out PATH."),
        (not (out or push), "There is nothing to write to.", "Give --out PATH or --push USER/NAME."),
        (private and not push, "--private needs --push.", "Give --push USER/NAME."),
        (push and offline, "--push and --offline cannot be used together.", "Give --out PATH instead."),
        (push and name != "safetensors", f"--push uploads safetensors, not {name}.", "Leave --format out."),
        (decoder and not decode, "--decoder needs --decode.", "Give --decode too, or leave --decoder out."),
        (calibration and precision != "int8", "--calibration needs --precision int8.", ""),
    ):
        if wrong:
            raise UsageError(message, hint)
    written = exporter.target(out, overwrite) if out else None
    exporter.check((precision, *given))

    from posehg import checkpoints
    from posehg.checkpoints import card, hub
    from posehg.exporters import common, onnx

    repository = hub.check_push(push, overwrite) if push else None
    place = checkpoints.find(model, offline, terminal.note)
    checkpoint = common.load_to_export(model, place, decode)
    config = checkpoint.config
    crops = onnx.calibration_crops(calibration, checkpoint, terminal.progress) if precision == "int8" else ()
    contents = ExportOptions(precision, (decoder or "subpixel") if decode else None, dynamic_size, opset, crops)
    if written is not None:
        write(checkpoint, exporter, written, contents, overwrite, check)
        if name == "safetensors":
            card.write(written, written.resolve().name)
        if name not in ("torchscript", "pt2"):  # which posehg itself does not run
            terminal.note(f"Use it: posehg predict PHOTO {card.option_of(config)} {shlex.quote(str(written))}")
    if repository is not None:
        with tempfile.TemporaryDirectory(prefix="posehg-") as temporary:
            folder = Path(temporary)
            if (place / "README.md").is_file():
                shutil.copyfile(place / "README.md", folder / "README.md")
            common.write(checkpoint, exporter, folder, contents, check=check)
            card.write(folder, repository.id)
            revision = hub.push(repository, folder, private)
        terminal.note(f"Pushed {revision}. Use it: posehg predict PHOTO {card.option_of(config)} {repository.id}")


def write(
    checkpoint: Checkpoint, exporter: Exporter, out: Path, contents: ExportOptions, overwrite: bool, check: bool = True
) -> None:
    """Write and check a file or folder, and say how large it is and how closely it matches the network."""
    from posehg.exporters import common

    parity = common.write(checkpoint, exporter, out, contents, overwrite, check)
    size = sum(file.stat().st_size for file in (out.iterdir() if exporter.files else [out]))
    wrote = f"Wrote {out} ({size / 1e6:.1f} MB)."
    if parity is not None:
        wrote += f" Its joints match the network's to {parity.joints:.2g} px ({parity.counted:,} compared)."
    terminal.note(wrote)
    if exporter.copy and not (out / exporter.copy).is_file():
        terminal.note(f"Without the packages of the extra onnx there is no {exporter.copy}: the model is run by torch.")
