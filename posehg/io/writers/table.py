"""The joints of people as a table for the terminal, printed if there is no other output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from posehg.poses import Pose

if TYPE_CHECKING:
    from rich.table import Table


def joints_table(poses: Sequence[Pose], threshold: float) -> Table:
    """One line a joint: name, x and y in image pixels, score. Joints under the threshold are dim."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("joint")
    for heading in ("x", "y", "score"):
        table.add_column(heading, justify="right")
    for number, pose in enumerate(poses, start=1):
        if len(poses) > 1:
            table.add_row(f"person {number if pose.id is None else pose.id}", "", "", f"{pose.score:.2f}", style="bold")
        for joint, (x, y), score in zip(pose.skeleton.joints, pose.keypoints, pose.scores, strict=True):
            style = None if score >= threshold else "dim"
            table.add_row(joint.replace("_", " "), f"{x:.1f}", f"{y:.1f}", f"{score:.2f}", style=style)
        table.add_section()
    return table
