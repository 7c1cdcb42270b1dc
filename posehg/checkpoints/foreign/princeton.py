"""princeton-vl/pytorch_stacked_hourglass, of the paper's own group. (Its input is NHWC; its weights are as ours.)"""

from posehg.checkpoints.foreign.family import Family

_RULES = {
    r"^pre\.0\.conv\.": "stem.0.",
    r"^pre\.0\.bn\.": "stem.1.",
    r"^pre\.1\.": "stem.3.",
    r"^pre\.3\.": "stem.5.",
    r"^pre\.4\.": "stem.6.",
    r"^hgs\.(\d+)\.0\.((?:low2\.)*)up1\.": r"stacks.\1.hourglass.\2up.0.",
    r"^hgs\.(\d+)\.0\.((?:low2\.)*low[13])\.": r"stacks.\1.hourglass.\2.0.",
    r"^hgs\.(\d+)\.0\.((?:low2\.)+)": r"stacks.\1.hourglass.\g<2>0.",  # the innermost is a residual module
    r"^features\.(\d+)\.0\.": r"stacks.\1.residuals.0.",
    r"^features\.(\d+)\.1\.conv\.": r"stacks.\1.linear.0.",
    r"^features\.(\d+)\.1\.bn\.": r"stacks.\1.linear.1.",
    r"^outs\.(\d+)\.conv\.": r"stacks.\1.heatmaps.",
    r"^merge_features\.(\d+)\.conv\.conv\.": r"reinjections.\1.features.",
    r"^merge_preds\.(\d+)\.conv\.conv\.": r"reinjections.\1.heatmaps.",
    r"\.(conv[123])\.conv\.": r".\1.",
    r"\.skip_layer\.conv\.": ".skip.",
}

FAMILY = Family(
    project="princeton-vl/pytorch_stacked_hourglass",
    mark=r"hgs\.\d+\.0\.",
    rules=lambda _: _RULES,
    mean=(0.0, 0.0, 0.0),
    # Every residual has a convolution on its skip, and uses it only where the width changes.
    unused=r"\.skip\.(weight|bias)$",
)
