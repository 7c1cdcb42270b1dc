"""posehg demo: render a person, find the pose, and draw it."""

import math
import os
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from posehg.cli import options, terminal
from posehg.cli.help import Device, Model, Offline

_NAME = "posehg-demo.png"
SEED = 3  # a standing person with raised arms
_SIZE = 480  # side of the rendered image in pixels
_OUT = f"Image to write: .png, .jpg or .webp (default: {_NAME}, or the next free name like it)."
_NEAR = 0.2  # how far a joint may be off, in torso lengths, as in PCK@0.2


def demo(
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help=_OUT)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the rendered person.")] = SEED,
    model: Model = "bundled",
    offline: Offline = False,
    device: Device = "auto",
) -> None:
    """Render a person, find the pose, and write both as an image.

        posehg demo
        posehg demo --seed 7 --out person.png --overwrite

    It needs no input and no download.
    """
    from posehg import api, drawing, images, metrics
    from posehg.datasets import synthetic

    if out is None:  # whoever repeats the command expects an image, and may have changed the first
        names = chain([_NAME], (f"posehg-demo-{number}.png" for number in count(2)))
        out = next(path for path in map(Path, names) if overwrite or not os.path.lexists(path))
    options.check_output("--out", out, images.SUFFIXES, overwrite)
    loaded = api.load(model, device=device, offline=offline, note=terminal.note)
    image, person = synthetic.render(seed, _SIZE)
    people = loaded(image).people
    drawn = drawing.draw(image, people, drawing.DrawOptions().threshold)
    images.write(out, drawing.side_by_side(image, drawn), overwrite)
    terminal.note(f"Wrote {out}")

    rendered = synthetic.INFO["synthetic"].skeleton
    joints = [joint for joint in rendered.joints if joint in loaded.joints]
    if not (people and joints):
        print("Nobody was found." if joints else "The model has other joints than the rendered person.")
    else:
        reach = _NEAR * float(metrics.torso_sizes(person.keypoints[None], rendered)[0])
        pairs = [(people[0][joint], person.keypoints[rendered.index(joint)]) for joint in joints]
        near = sum(math.dist(found, truth) <= reach for found, truth in pairs)
        print(f"{near} of {len(joints)} joints are within {_NEAR:g} torso lengths of where they were rendered.")
    print("Next, with a photo of your own: posehg predict photo.jpg --out skeleton.png")
