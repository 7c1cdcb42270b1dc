"""posehg demo: what posehg does, shown without a picture of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posehg.cli import options, terminal
from posehg.errors import UsageError

if TYPE_CHECKING:
    from posehg.poses import Person, Pose

SEED = 3
"""Somebody who stands with raised arms."""

_SIZE = 480
"""The side of the rendered picture in pixels."""
_NEAR = 0.2
"""How far off a found joint may be, in torsos: as in PCK@0.2."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write: .png, .jpg or .webp.")] = Path(
        "posehg-demo.png"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Another number renders somebody else.")] = SEED,
    model: options.Model = "bundled",
    offline: options.Offline = False,
    device: options.Device = "auto",
) -> None:
    """Render somebody who does not exist, find their pose, and write both as a picture.

    Nothing is needed and nothing is downloaded.
    """
    from posehg import drawing, files, images
    from posehg.datasets import synthetic
    from posehg.inference.engines import Run
    from posehg.inference.estimator import opened
    from posehg.inference.oks import THRESHOLD
    from posehg.inference.person_search import find

    if out.suffix.lower() not in images.SUFFIXES:
        raise UsageError(f"--out {out}: its name has to end in {' or '.join(images.SUFFIXES)}.")
    files.check(out, overwrite)
    estimator = opened(model, Run(device), offline=offline, tell=terminal.note)
    image, person = synthetic.render(seed, _SIZE)
    poses = find(estimator, image)
    drawn = drawing.draw(image, poses, THRESHOLD)
    images.write(out, drawing.side_by_side(image, drawn), overwrite)
    terminal.note(f"Wrote {out}")
    print(_judged(poses[0], person) if poses else "Nobody was found.")
    print("Next, with a photo of your own: posehg predict photo.jpg --out skeleton.png")


def _judged(pose: Pose, person: Person) -> str:
    """How many joints are where they were rendered, as a sentence. Joints are matched by name."""
    import numpy as np

    from posehg import metrics
    from posehg.datasets import synthetic

    rendered = synthetic.INFO["synthetic"].skeleton
    joints = [joint for joint in rendered.joints if joint in pose.skeleton.joints]
    if not joints:
        return f"The model has none of the {len(rendered.joints)} joints that are rendered, so it cannot be judged."
    found = np.array([[pose[joint] for joint in joints]])
    truth = person.keypoints[None]  # (1, J, 2)
    wanted = truth[:, [rendered.index(joint) for joint in joints]]
    distances = metrics.normalised_distances(found, wanted, metrics.torso_sizes(truth, rendered))
    near = int(metrics.found(distances, _NEAR).correct.sum())
    return f"{near} of {len(joints)} joints are within {_NEAR:g} of the torso's length of where they were rendered."
