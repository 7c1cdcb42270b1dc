"""bearpaw/pytorch-pose, and its weights as anibali/pytorch-stacked-hourglass republished them: the same names."""

import re
from collections.abc import Collection

from posehg.checkpoints.foreign.family import Family, Rules
from posehg.skeletons import COCO, LSP

_LEVEL = r"^hg\.(\d+)\.hg\.(\d{1,3})\.([0-3])\."


def _rules(names: Collection[str]) -> Rules:
    outermost = max((int(match[2]) for name in names if (match := re.match(_LEVEL, name))), default=0)

    def hourglass(match: re.Match[str]) -> str:
        # Their levels count from the innermost hourglass to the outermost.
        inwards = "low2." * (outermost - int(match[2]))
        return f"stacks.{match[1]}.hourglass.{inwards}{('up', 'low1', 'low3', 'low2')[int(match[3])]}."

    return {
        r"^conv1\.": "stem.0.",
        r"^bn1\.": "stem.1.",
        r"^layer1\.0\.": "stem.3.",
        r"^layer2\.0\.": "stem.5.",
        r"^layer3\.0\.": "stem.6.",
        _LEVEL: hourglass,
        r"^res\.(\d+)\.": r"stacks.\1.residuals.",
        r"^fc\.(\d+)\.": r"stacks.\1.linear.",
        r"^score\.(\d+)\.": r"stacks.\1.heatmaps.",
        r"^fc_\.(\d+)\.": r"reinjections.\1.features.",
        r"^score_\.(\d+)\.": r"reinjections.\1.heatmaps.",
        r"\.downsample\.0\.": ".skip.",
    }


FAMILY = Family(
    project="bearpaw/pytorch-pose",
    mark=r"hg\.\d+\.hg\.\d+\.",
    rules=_rules,
    mean=(0.4404, 0.4440, 0.4327),  # of MPII's images. A std is stored as well, and never divided by.
    means={LSP.name: (0.4442, 0.4302, 0.4039), COCO.name: (0.4566, 0.4369, 0.4061)},
)
