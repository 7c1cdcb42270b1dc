"""Operations of torch's that an hourglass and what reads its heatmaps are made of: what a program may ask for.

Torch has others that read and write files.
"""

from __future__ import annotations

NETWORK = frozenset(
    """
    conv2d batch_norm relu relu_ max_pool2d upsample_nearest2d add add_ sub mul div neg exp log abs
    pow sum amax matmul arange slice select unsqueeze squeeze expand gather where zeros_like
    ones_like le lt ge gt eq ne clamp clip minimum maximum argmax floor_divide remainder reshape
    flatten stack sign bitwise_and logical_and __and__ to
    """.split()
)
"""By the names that they have in every form of program."""
