"""posehg predict: pictures and videos to skeletons."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from posehg.cli import options

_INPUT, _OUTPUT, _PEOPLE, _DRAWING, _VIDEO = "Input", "Output", "People", "Drawing", "Video"


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help='Pictures, videos, folders, "patterns*.jpg", @list.txt, web addresses, - (standard input), webcam.',
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders in folders.", rich_help_panel=_INPUT)
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="What to write. Of one picture .png, .jpg, .webp with the skeleton, .json; of a video .mp4, .webm; "
            "the joints of all .jsonl, .csv, .npz; - for standard output; any other name is a folder.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="KIND,KIND",
            help="What a folder gets: image (the default), json, csv, npz, coco, openpose, heatmaps, crops.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a line of JSON for each picture or frame, errors included.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=_OUTPUT)
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Go on where an earlier run stopped: leave out what has its files.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    fail_if_empty: Annotated[
        bool,
        typer.Option("--fail-if-empty", help="Exit with 4 where nobody is found in a photo.", rich_help_panel=_OUTPUT),
    ] = False,
    people: Annotated[
        Literal["one", "all"],
        typer.Option(help="Look for the most prominent person, or for everybody.", rich_help_panel=_PEOPLE),
    ] = "one",
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            metavar="X,Y,W,H",
            help="Where a person is, in pixels, instead of searching; of a video, in its first frame. May be given "
            "several times.",
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where people are: COCO detections or annotations (.json), posehg's records, or a table (.csv) with "
            "image,x,y,w,h.",
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.onnx",
            help="A network that finds people: YOLOX, YOLO, SSD and the like.",
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
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", help="Write each joint's name beside it, where there is room.", rich_help_panel=_DRAWING
        ),
    ] = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="The picture as it is on the left.", rich_help_panel=_DRAWING)
    ] = False,
    heatmaps: Annotated[
        str | None,
        typer.Option(
            "--heatmaps",
            metavar="JOINT,JOINT",
            help="Draw these joints' heatmaps, or those of all, instead of the skeleton.",
            rich_help_panel=_DRAWING,
        ),
    ] = None,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="Begin there: seconds or MM:SS.", rich_help_panel=_VIDEO)
    ] = "0",
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End there.", rich_help_panel=_VIDEO)] = None,
    rescan: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Look for newcomers every N frames (default: 90).", rich_help_panel=_VIDEO
        ),
    ] = None,
    smooth: Annotated[
        Literal["none", "one-euro"], typer.Option(help="Calm the joints over time.", rich_help_panel=_VIDEO)
    ] = "none",
    model: options.Model = "bundled",
    offline: options.Offline = False,
    flip: options.Flip = True,
    decoder: options.Decoder = "subpixel",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    batch: Annotated[
        int, typer.Option(min=0, help="Crops looked at together (0: what suits the device).", rich_help_panel="Run")
    ] = 0,
    threads: options.Threads = 0,
) -> None:
    """Find the poses of people on pictures and videos.

    Without --out and --json the joints are printed as a table and nothing is written. People are followed through a
    video and keep their numbers.

    Several processes share the photos: torchrun --nproc-per-node NUMBER -m posehg predict ...
    """
    from posehg.cli import predict_request as request
    from posehg.cli import predict_run, terminal
    from posehg.cli.predict_frames import Frames
    from posehg.inference.engines import Run
    from posehg.inference.estimator import opened

    drawing = request.Drawing(threshold, style, background, labels, side_by_side, heatmaps)
    output = request.Output(out, save, json, overwrite, skip_existing, fail_if_empty)
    whom = request.Whom(people, tuple(box or ()), boxes, detector, whole)
    video = request.Video(start, end, rescan, smooth == "one-euro")
    with TemporaryDirectory(prefix="posehg-") as scratch:
        prepared = request.prepared(inputs, recursive, output, whom, drawing, video, model, Path(scratch))
        with closing(Frames(prepared)) as frames:
            estimator = opened(model, Run(device, threads, precision), flip, decoder, batch, offline, terminal.note)
            predict_run.run(prepared, frames, estimator)
