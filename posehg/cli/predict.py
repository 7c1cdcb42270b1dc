"""posehg predict: pictures to skeletons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from posehg.cli import guard, options
from posehg.errors import CheckFailed, InputError, UsageError
from posehg.files import make_folder

if TYPE_CHECKING:
    from posehg.geometry import Box
    from posehg.images import Image
    from posehg.inference.estimator import Estimator
    from posehg.poses import Pose
    from posehg.processes import World

_Job = tuple[Path, Path | None]
"""A photo and the file to write."""

_ROUND = 16
"""Of several processes: photos of each between two times that the first one prints. Waiting for each other costs."""

_OUTPUT, _PEOPLE, _DRAWING = "Output", "People", "Drawing"


def predict(
    inputs: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Pictures: JPEG, PNG, WebP and so on.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .png, .jpg, .webp with the skeleton, .json, .csv, .npz. For several photos a folder.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print a line of JSON for each photo, errors included.", rich_help_panel=_OUTPUT),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=_OUTPUT)
    ] = False,
    fail_if_empty: Annotated[
        bool,
        typer.Option("--fail-if-empty", help="Exit with 4 where nobody is found in a photo.", rich_help_panel=_OUTPUT),
    ] = False,
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            metavar="X,Y,W,H",
            help="Where a person is, in pixels, instead of searching. May be given several times.",
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="The person fills the photo: do not search, take all of it.", rich_help_panel=_PEOPLE
        ),
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            "-t",
            metavar="SCORE",
            min=0,
            max=1,
            help="Draw joints with at least this score.",
            rich_help_panel=_DRAWING,
        ),
    ] = 0.3,
    style: Annotated[
        Literal["default", "thin", "bold", "lines"],
        typer.Option(help="How the skeleton is drawn.", rich_help_panel=_DRAWING),
    ] = "default",
    background: Annotated[
        Literal["image", "black", "white", "none"],
        typer.Option(help="What it is drawn on (none: transparent).", rich_help_panel=_DRAWING),
    ] = "image",
    model: options.Model = "bundled",
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
) -> None:
    """Find the pose of the most prominent person of each photo.

    Without --out and --json the joints are printed as a table and nothing is written.

    Several processes share the photos: torchrun --nproc-per-node NUMBER -m posehg predict ...
    """
    from posehg import checkpoints, drawing, images, processes
    from posehg.inference.estimator import Estimator
    from posehg.outputs import WRITERS, Found, Look, Result
    from posehg.outputs import json as records
    from posehg.outputs.table import joints_table

    if box and whole:
        raise UsageError("--box says where the person is, --whole that it is everywhere: give one of them.")
    boxes = [_box(text) for text in box or ()]
    targets = _targets(inputs, out, overwrite, transparent=background == "none")
    estimator = Estimator(checkpoints.load(checkpoints.find(model)), device, flip, decoder)
    skeleton = estimator.config.skeleton
    look = Look(threshold, drawing.STYLES[style], background)
    if out is not None and (len(inputs) > 1 or not out.suffix):
        make_folder(out)

    def one(path: Path, target: Path | None) -> _Outcome:
        try:
            image = images.read(path)
            poses = _poses(estimator, image, path, boxes, whole)
            if not poses:
                guard.note(f"{path}: nobody was found.")
            found = Found(str(path), image.shape, poses, model, skeleton)
            if target is not None:
                WRITERS[target.suffix.lower()](target, Result(found, image, look), overwrite)
                guard.note(f"Wrote {target}")
        except InputError as error:
            guard.tell(error)
            record = records.record(Found(str(path), None, [], model, skeleton, error=str(error)))
            return _Outcome(f"{records.line(record)}\n" if json else "", failed=True)
        text = ""
        if json:
            text = f"{records.line(records.record(found))}\n"
        elif out is None and poses:
            heading = f"{path}\n" if len(inputs) > 1 else ""
            text = heading + guard.drawn(joints_table(poses, threshold))
        return _Outcome(text, empty=not poses)

    # Nobody is past this line before all have found that their targets are not there yet.
    with processes.joined(estimator.device) as world, guard.together(world):
        failed, empty = _each(list(zip(inputs, targets, strict=True)), one, world)
        if failed:
            if len(inputs) > 1 and world.first:
                guard.note(f"{failed} of {len(inputs)} photos failed; the others are done.")
            raise typer.Exit(InputError.exit_code)
        if empty and fail_if_empty:
            raise CheckFailed(f"Nobody was found in {empty} of {len(inputs)} photos.")


@dataclass(frozen=True)
class _Outcome:
    """What became of a photo. text: its lines for stdout."""

    text: str
    failed: bool = False
    empty: bool = False


def _each(jobs: Sequence[_Job], one: Callable[[Path, Path | None], _Outcome], world: World) -> tuple[int, int]:
    """Every photo by one process; the first prints what all have to say, in order. Gives how many failed, are empty."""
    failed = empty = 0
    step = 1 if world.size == 1 else _ROUND * world.size
    for start in range(0, len(jobs), step):
        outcomes = _shared(jobs[start : start + step], one, world)
        if world.first:
            print("".join(outcome.text for outcome in outcomes), end="", flush=True)
        failed += sum(outcome.failed for outcome in outcomes)
        empty += sum(outcome.empty for outcome in outcomes)
    return failed, empty


def _shared(jobs: Sequence[_Job], one: Callable[[Path, Path | None], _Outcome], world: World) -> list[_Outcome]:
    from posehg import processes

    mine = processes.share(jobs, world)
    return processes.interleaved(processes.agreed(lambda: [one(*job) for job in mine]))


def _box(text: str) -> Box:
    from posehg.geometry import Box

    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--box {text} cannot be read.", "Write four numbers: --box X,Y,W,H") from None
    if w <= 0 or h <= 0:
        raise UsageError(f"--box {text} is not a box: its width and height must be above 0.")
    if not all(abs(number) < 1e6 for number in (x, y, w, h)):
        raise UsageError(f"--box {text} is not a box in a photo: its numbers are pixels.")
    return Box(x, y, w, h)


def _targets(inputs: Sequence[Path], out: Path | None, overwrite: bool, transparent: bool) -> Sequence[Path | None]:
    """The file to write for each photo; what cannot work is refused before anything is computed."""
    if out is None:
        return [None] * len(inputs)
    if out.is_dir() or len(inputs) > 1 or not out.suffix:
        targets = _in_folder(inputs, out)
    else:
        targets = [_single(out, transparent)]
    for path, target in zip(inputs, targets, strict=True):
        if target.exists() and path.exists() and target.samefile(path):
            raise UsageError(f"{target} is the photo itself, which is never replaced.", "Write to another folder.")
        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists already.", "Give --overwrite to replace it, or another name.")
    return targets


def _single(out: Path, transparent: bool) -> Path:
    from posehg.outputs import WRITERS

    suffix = out.suffix.lower()
    if suffix not in WRITERS:
        known = f"Known: {', '.join(WRITERS)}; or the name of a folder that exists."
        raise UsageError(f"--out {out}: the suffix must say what is to be written.", known)
    if transparent and suffix in (".jpg", ".jpeg"):
        raise UsageError(f"--out {out}: a JPEG cannot be transparent.", "Write a .png or .webp.")
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}.", f"Make it first: mkdir -p {out.parent}")
    return out


def _in_folder(inputs: Sequence[Path], folder: Path) -> list[Path]:
    from posehg.outputs import WRITERS

    if folder.is_file() or (folder.suffix.lower() in WRITERS and not folder.is_dir()):
        raise UsageError(f"--out {folder} is one file for {len(inputs)} photos.", "Name a folder.")
    targets = [folder / f"{path.stem}.png" for path in inputs]
    seen: dict[Path, Path] = {}
    for path, target in zip(inputs, targets, strict=True):
        if target in seen:
            raise UsageError(f"{seen[target]} and {path} would both be written to {target}.", "Predict them apart.")
        seen[target] = path
    return targets


def _poses(estimator: Estimator, image: Image, path: Path, boxes: Sequence[Box], whole: bool) -> list[Pose]:
    from posehg.geometry import Box
    from posehg.inference import people
    from posehg.inference.estimator import View

    height, width = image.shape[:2]
    picture = Box(0, 0, width, height)
    for box in boxes:
        if box.intersection(picture) <= 0:
            raise InputError(
                f"The box {box.x:g},{box.y:g},{box.w:g},{box.h:g} lies outside {path}.",
                f"The picture is {width} x {height} pixels.",
            )
    if boxes:
        return list(estimator(View(image, estimator.person_box(box)) for box in boxes))
    if whole:
        return list(estimator([View(image, picture.square())]))
    pose = people.most_prominent(estimator, image)
    return [] if pose is None else [pose]
