"""What describes a family: how its names become ours, and how its networks were trained.

All of these projects spread a heatmap over its crop from edge to edge: cell i stands for everything from i to i + 1,
and decoding adds 0.5. posehg measures from cell centre to cell centre, and its cell i has its centre i + 0.5 from the
edge. So a peak in cell i means a joint at i to both, and ``offset`` is 0. The projects then cut off fractions of the
image's pixels, which moves a joint by up to a pixel; posehg does not.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

Triple = tuple[float, float, float]
Rules = Mapping[str, str | Callable[[re.Match[str]], str]]
"""Regular expressions for parts of a name, and what replaces them, one after the other."""


@dataclass(frozen=True)
class Family:
    """A project's checkpoints.

    mark: how a name begins in this family only. rules: from the names of a file's tensors to the rules that make them
    ours. unused: our names of tensors that are stored and not used. mean: what is subtracted from RGB in 0 .. 1; means:
    by the name of the skeleton, where it depends on the data set. None divides by a std. offset: as in ModelConfig.
    """

    project: str
    mark: str
    rules: Callable[[Collection[str]], Rules]
    mean: Triple
    means: Mapping[str, Triple] = field(default_factory=dict)
    unused: str = r"(?!)"
    offset: float = 0.0

    def names(self, theirs: Collection[str]) -> dict[str, str]:
        """Their names -> ours. A name that no rule matches stays as it is."""
        names = {name: name for name in theirs}
        for pattern, part in self.rules(theirs).items():
            names = {name: re.sub(pattern, part, ours) for name, ours in names.items()}
        return names
