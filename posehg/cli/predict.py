"""posehg predict: pictures to skeletons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from posehg.cli import guard
from posehg.errors import CheckFailed, InputError, PosehgError, UsageError

if TYPE_CHECKING:
    from posehg.geometry import Box
    from posehg.inference.estimator import Estimator
    from posehg.outputs import Result

SOME_FAILED = InputError.exit_code


def predict(
    inputs: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Pictures: JPEG, PNG, WebP and so on.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Picture (.png .jpg .webp) with the skeleton, or .json; for several photos a folder.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON a photo on standard output.")] = False,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", metavar="X,Y,W,H", help="Where a person is, in pixels; may be given several times."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="The person fills the picture: do not search, take all of it.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Folder or safetensors file; the bundled one.", envvar="POSEHG_MODEL")
    ] = "",
    flip: Annotated[bool, typer.Option(help="Average with the mirrored picture: better, half as fast.")] = True,
    decoder: Annotated[Literal["quarter", "subpixel"], typer.Option(help="How a joint is read off.")] = "subpixel",
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", min=0, max=1, help="Draw joints with at least this score.")
    ] = 0.3,
    style: Annotated[
        Literal["default", "thin", "bold", "lines"], typer.Option(help="How the skeleton is drawn.")
    ] = "default",
    background: Annotated[
        Literal["image", "black", "white", "none"], typer.Option(help="What it is drawn on (none: transparent).")
    ] = "image",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    fail_if_empty: Annotated[
        bool, typer.Option("--fail-if-empty", help="Exit with 4 where nobody is found in a photo.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", envvar="POSEHG_DEVICE")] = "auto",
) -> None:
    """Find the pose of the most prominent person of each photo.

    Without --out and --json the joints are printed as a table and nothing is written.
    """
    from posehg import checkpoints
    from posehg.inference.estimator import Estimator

    boxes = [_box(text) for text in box or ()]
    if boxes and whole:
        raise UsageError("--box says where the person is, --whole that it is everywhere: give one of them.")
    targets = _targets(inputs, out, overwrite)
    folder = Path(model) if model else checkpoints.bundled_folder()
    estimator = Estimator(checkpoints.load(folder), device, flip, decoder)
    name = model or "bundled"
    failed = empty = 0
    for path, target in zip(inputs, targets, strict=True):
        try:
            result = _result(estimator, path, boxes, whole, name, threshold, style, background)
            if target is not None:
                _write(target, result, overwrite)
        except InputError as error:
            failed += 1
            guard.tell(error)
            if json:
                _print_error(path, error, name, estimator)
            continue
        if not result.poses:
            empty += 1
            guard.note(f"{path}: nobody was found.")
        _show(result, json, table=out is None and not json, threshold=threshold)
    if failed:
        if len(inputs) > 1:
            guard.note(f"{failed} of {len(inputs)} photos failed; the others are done.")
        raise typer.Exit(SOME_FAILED)
    if empty and fail_if_empty:
        raise CheckFailed(f"Nobody was found in {empty} of {len(inputs)} photos.")


def _box(text: str) -> Box:
    from posehg.geometry import Box

    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--box {text} cannot be read.", "Write four numbers: --box X,Y,W,H") from None
    if not all(abs(value) < 1e6 for value in (x, y, w, h)) or w <= 0 or h <= 0:
        raise UsageError(f"--box {text} is not a box: its width and height must be above 0.")
    return Box(x, y, w, h)


def _targets(inputs: list[Path], out: Path | None, overwrite: bool) -> list[Path | None]:
    """The file to write for each photo; what cannot work is refused before anything is computed."""
    from posehg.outputs import WRITERS

    if out is None:
        return [None] * len(inputs)
    if len(inputs) == 1 and not out.is_dir():
        if out.suffix.lower() not in WRITERS:
            raise UsageError(f"--out {out}: the suffix decides what is written.", "Known: " + ", ".join(WRITERS))
        targets = [out]
    else:
        if out.suffix and not out.is_dir():
            raise UsageError(f"--out {out} is one file for {len(inputs)} photos.", "Give a folder.")
        targets = [out / f"{path.stem}.png" for path in inputs]
    seen: dict[Path, Path] = {}
    for path, target in zip(inputs, targets, strict=True):
        if target in seen:
            raise UsageError(f"{seen[target]} and {path} would both be written to {target}.", "Predict them apart.")
        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists already.", "Give --overwrite to replace it, or another name.")
        seen[target] = path
    return list(targets)


def _result(
    estimator: Estimator,
    path: Path,
    boxes: list[Box],
    whole: bool,
    name: str,
    threshold: float,
    style: str,
    background: str,
) -> Result:
    from posehg import drawing, images
    from posehg.geometry import Box
    from posehg.inference import people
    from posehg.inference.estimator import View
    from posehg.outputs import Result

    image = images.read(path)
    height, width = image.shape[:2]
    picture = Box(0, 0, width, height)
    for box in boxes:
        if box.intersection(picture) <= 0:
            raise InputError(
                f"The box {box.x:g},{box.y:g},{box.w:g},{box.h:g} lies outside {path}.",
                f"The picture is {width} x {height} pixels.",
            )
    if boxes:
        poses = list(estimator(View(image, estimator.person_box(box)) for box in boxes))
    elif whole:
        poses = list(estimator([View(image, picture)]))
    else:
        pose = people.most_prominent(estimator, image)
        poses = [] if pose is None else [pose]
    skeleton = estimator.config.skeleton
    return Result(str(path), image, poses, name, skeleton, threshold, drawing.STYLES[style], background)


def _write(target: Path, result: Result, overwrite: bool) -> None:
    from posehg.outputs import WRITERS

    target.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[target.suffix.lower()](target, result, overwrite)


def _show(result: Result, json: bool, table: bool, threshold: float) -> None:
    from posehg.outputs import json as json_output
    from posehg.outputs.table import joints_table

    if json:
        record = json_output.record(result.source, result.image.shape, result.poses, result.model, result.skeleton)
        print(json_output.line(record), flush=True)
    elif table and result.poses:
        from rich.console import Console

        Console().print(joints_table(result.poses, threshold))


def _print_error(path: Path, error: PosehgError, name: str, estimator: Estimator) -> None:
    from posehg.outputs import json as json_output

    record = json_output.record(str(path), None, [], name, estimator.config.skeleton, error=str(error))
    print(json_output.line(record), flush=True)


