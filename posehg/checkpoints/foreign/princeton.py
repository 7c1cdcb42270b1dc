"""princeton-vl/pytorch_stacked_hourglass, of the paper's own group. (Its input is NHWC; its weights are as ours.)"""

from __future__ import annotations

from posehg.checkpoints.foreign.family import Family, Shapes, count, hourglass, width
from posehg.config import HourglassConfig


def _network(shapes: Shapes) -> HourglassConfig:
    return HourglassConfig(
        joints=width(shapes, "outs.0.conv.weight"),
        stacks=count(shapes, r"(?:hgs|features|outs)\.(\d+)\."),
        features=width(shapes, "outs.0.conv.weight", axis=1),
        depth=count(shapes, r"hgs\.0\.0\.((?:low2\.)*)up1\."),
        blocks=1,
        stem=(
            width(shapes, "pre.0.conv.weight"),
            width(shapes, "pre.1.conv3.conv.weight"),
            width(shapes, "pre.3.conv3.conv.weight"),
        ),
    )


def _names(network: HourglassConfig) -> dict[str, str]:
    named = {"stem.0": "pre.0.conv", "stem.1": "pre.0.bn", "stem.3": "pre.1", "stem.5": "pre.3", "stem.6": "pre.4"}
    for s in range(network.stacks):
        for d in range(network.depth):
            level = f"hgs.{s}.0." + "low2." * d
            named[f"{hourglass(s, d)}up.0"] = f"{level}up1"
            named[f"{hourglass(s, d)}low1.0"] = f"{level}low1"
            named[f"{hourglass(s, d)}low3.0"] = f"{level}low3"
        named[f"{hourglass(s, network.depth)}0"] = f"hgs.{s}.0." + ".".join(["low2"] * network.depth)
        named[f"stacks.{s}.residuals.0"] = f"features.{s}.0"
        named[f"stacks.{s}.linear.0"] = f"features.{s}.1.conv"
        named[f"stacks.{s}.linear.1"] = f"features.{s}.1.bn"
        named[f"stacks.{s}.heatmaps"] = f"outs.{s}.conv"
    for s in range(network.stacks - 1):
        named[f"reinjections.{s}.features"] = f"merge_features.{s}.conv.conv"
        named[f"reinjections.{s}.heatmaps"] = f"merge_preds.{s}.conv.conv"
    return named


FAMILY = Family(
    project="princeton-vl/pytorch_stacked_hourglass",
    mark=r"hgs\.\d+\.0\.",
    network=_network,
    names=_names,
    inside={"conv1": "conv1.conv", "conv2": "conv2.conv", "conv3": "conv3.conv", "skip": "skip_layer.conv"},
    mean=(0.0, 0.0, 0.0),
    # Every residual has a convolution on its skip, and uses it only where the width changes.
    unused=r".+\.skip_layer\.conv\.(weight|bias)",
)
