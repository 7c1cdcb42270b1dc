"""bearpaw/pytorch-pose, and its weights as anibali/pytorch-stacked-hourglass republished them: the same names."""

from __future__ import annotations

from posehg.checkpoints.foreign.family import Family, Shapes, count, hourglass, width
from posehg.config import HourglassConfig
from posehg.skeletons import COCO, LSP


def _network(shapes: Shapes) -> HourglassConfig:
    return HourglassConfig(
        joints=width(shapes, "score.0.weight"),
        stacks=count(shapes, r"(?:hg|res|fc|score)\.(\d+)\."),
        features=width(shapes, "score.0.weight", axis=1),
        depth=count(shapes, r"hg\.0\.hg\.(\d+)\."),
        blocks=count(shapes, r"hg\.0\.hg\.\d+\.0\.(\d+)\."),
        stem=(
            width(shapes, "conv1.weight"),
            width(shapes, "layer1.0.conv3.weight"),
            width(shapes, "layer2.0.conv3.weight"),
        ),
    )


def _names(network: HourglassConfig) -> dict[str, str]:
    named = {"stem.0": "conv1", "stem.1": "bn1", "stem.3": "layer1.0", "stem.5": "layer2.0", "stem.6": "layer3.0"}
    for s in range(network.stacks):
        for b in range(network.blocks):
            for d in range(network.depth):
                # Theirs count from the innermost hourglass to the outermost; in each: up, low1, low3, low2.
                level = f"hg.{s}.hg.{network.depth - 1 - d}"
                named[f"{hourglass(s, d)}up.{b}"] = f"{level}.0.{b}"
                named[f"{hourglass(s, d)}low1.{b}"] = f"{level}.1.{b}"
                named[f"{hourglass(s, d)}low3.{b}"] = f"{level}.2.{b}"
            named[f"{hourglass(s, network.depth)}{b}"] = f"hg.{s}.hg.0.3.{b}"
            named[f"stacks.{s}.residuals.{b}"] = f"res.{s}.{b}"
        named[f"stacks.{s}.linear.0"] = f"fc.{s}.0"
        named[f"stacks.{s}.linear.1"] = f"fc.{s}.1"
        named[f"stacks.{s}.heatmaps"] = f"score.{s}"
    for s in range(network.stacks - 1):
        named[f"reinjections.{s}.features"] = f"fc_.{s}"
        named[f"reinjections.{s}.heatmaps"] = f"score_.{s}"
    return named


FAMILY = Family(
    project="bearpaw/pytorch-pose",
    mark=r"hg\.\d+\.hg\.\d+\.",
    network=_network,
    names=_names,
    inside={"skip": "downsample.0"},
    mean=(0.4404, 0.4440, 0.4327),  # of MPII's images. A std is stored as well, and never divided by.
    means={LSP.name: (0.4442, 0.4302, 0.4039), COCO.name: (0.4566, 0.4369, 0.4061)},
)
