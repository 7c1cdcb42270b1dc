"""A trained network's weights for a network with other joints or stacks, or more channels: where training begins."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from posehg.checkpoints.format import Checkpoint
from posehg.config import HourglassConfig
from posehg.errors import UsageError
from posehg.network import StackedHourglass


def transfer(source: Checkpoint, fresh: Checkpoint) -> tuple[Checkpoint, str]:
    """The network ``fresh``, just built, with everything that it can take over from the trained ``source``.

    Joints are matched by name, whichever case and spaces. In every stack that both networks have, the features are
    those of the source, and so are the heatmaps of the joints that both have, whichever others are added or
    removed. The text is a sentence for the user: which joints and stacks were kept.
    Raises UsageError if the networks differ in more than joints, stacks and channels that are added.
    """
    theirs, ours = source.config.network, fresh.config.network
    wide = replace(theirs, features=ours.features, stem=ours.stem, low_features=ours.low_features)
    for name in ("features", "low_features", "depth", "blocks", "stem"):
        there, here = (getattr(one, name) or one.features for one in (theirs, ours))
        is_fixed = name in ("depth", "blocks") or (name == "features" and theirs.low_features > theirs.features)
        if there != here and (is_fixed or np.any(np.greater(there, here))):
            there, here = (str(side).strip("()").replace(", ", "-") for side in (there, here))
            hint = f"Leave out --{name.replace('_', '-')} to use the model's value."
            raise UsageError(f"The initial model has {name} {there}, not {here}.", hint)
    trained = _normalised(source.state, theirs, ours)
    if wide != theirs:
        trained = _widened(trained, wide)
    stacks = min(theirs.stacks, ours.stacks)
    same_output = source.config.output == fresh.config.output
    # A logit is not the height of a Gaussian: a head that was trained for one is useless for the other.
    known = [_plain(joint) for joint in source.config.skeleton.joints] if same_output else []
    joints = [_plain(joint) for joint in fresh.config.skeleton.joints]
    channels = [known.index(joint) if joint in known else None for joint in joints]
    state = {key: trained.get(key, value.detach().cpu()) for key, value in fresh.state.items()}
    for stack in range(stacks):
        for key in (f"stacks.{stack}.heatmaps.weight", f"stacks.{stack}.heatmaps.bias"):
            state[key] = _chosen(trained[key], fresh.state[key].detach().cpu(), channels)
    for stack in range(stacks - 1):
        state |= _reinjection(trained, channels, stack)

    added = [joint for joint, channel in zip(fresh.config.skeleton.joints, channels, strict=True) if channel is None]
    text = f"Kept the heatmaps of {len(joints) - len(added)} of {len(joints)} joints by name"
    if not same_output:
        text = "Kept no heatmap layers, as the model was trained for another loss or task"
    text += f"; new: {', '.join(added)}" if added else ""
    text += f"; {ours.stacks - stacks} of {ours.stacks} stacks are new" if ours.stacks > stacks else ""
    return Checkpoint(fresh.config, state), f"{text}."


def _plain(joint: str) -> str:
    return re.sub(r"[\W_]+", "_", joint.lower())


def _normalised(trained: Mapping[str, Tensor], theirs: HourglassConfig, ours: HourglassConfig) -> Mapping[str, Tensor]:
    """Weights for images that are normalised by the mean and std of ``ours`` instead of ``theirs``.

    The first convolution gives the same, except at the crop's border, where the padding has another colour.
    """
    mean, std, new_mean, new_std = map(np.array, (theirs.mean, theirs.std, ours.mean, ours.std))
    weight = trained["stem.0.weight"]  # (F, 3, 7, 7)
    factor, shift = (torch.as_tensor(v, dtype=weight.dtype) for v in (new_std / std, (new_mean - mean) / std))
    bias = trained["stem.0.bias"] + (weight * shift[:, None, None]).sum(dim=(1, 2, 3))
    return {**trained, "stem.0.weight": weight * factor[:, None, None], "stem.0.bias": bias}


def _widened(trained: Mapping[str, Tensor], network: HourglassConfig) -> Mapping[str, Tensor]:
    """Weights of a wider network that computes the same: Net2Net (Chen, Goodfellow and Shlens, ICLR 2016).

    New channels begin at random, and those of before do not see them yet. Raises UsageError if a skip connection
    becomes a convolution, or the other way round.
    """
    wide = StackedHourglass(network).state_dict()
    if wide.keys() != trained.keys():
        hint = "Widen all of them by the same factor."
        raise UsageError("The initial model cannot be widened to these --features and --stem.", hint)
    for name, old in trained.items():
        if old.ndim == 4:
            # Also the last layers of residuals, which begin at 0: a ReLU would keep their new channels there.
            nn.init.kaiming_normal_(wide[name], nonlinearity="relu")
            wide[name][: len(old)] = 0
        wide[name][tuple(map(slice, old.shape))] = old
    return wide


def _chosen(trained: Tensor, new: Tensor, channels: Sequence[int | None]) -> Tensor:
    """(J', ...) of the source and (J, ...) of the new network -> (J, ...): of each joint its channel in the source."""
    return torch.stack([new[j] if channel is None else trained[channel] for j, channel in enumerate(channels)])


def _reinjection(trained: Mapping[str, Tensor], channels: Sequence[int | None], stack: int) -> dict[str, Tensor]:
    """The way back of features and heatmaps, such that the next stack gets what it got in the source."""
    back, head = f"reinjections.{stack}", f"stacks.{stack}.heatmaps"
    columns = trained[f"{back}.heatmaps.weight"]  # W (F, J', 1, 1)
    rows, offsets = trained[f"{head}.weight"], trained[f"{head}.bias"]  # V (J', F, 1, 1), b (J',)
    # A new joint begins with a weight of 0: its map is noise at first, and the next stack has never seen it.
    zeros = columns.new_zeros(len(channels), len(columns), 1, 1)  # (J, F, 1, 1)
    chosen = _chosen(columns.transpose(0, 1), zeros, channels)  # (J, F, 1, 1)
    state = {f"{back}.heatmaps.weight": chosen.transpose(0, 1).contiguous()}
    removed = [channel for channel in range(len(rows)) if channel not in channels]
    if removed:
        # They contributed W h of their maps h = V f + b. The features f go back beside the maps, so W V is added to
        # their weight and W b to their bias. Of logits, far below 0 almost everywhere, leaving it out would take much.
        lost = columns[:, removed, 0, 0]  # (F, removed)
        weight, bias = f"{back}.features.weight", f"{back}.features.bias"
        state[weight] = trained[weight] + (lost @ rows[removed, :, 0, 0])[..., None, None]
        state[bias] = trained[bias] + lost @ offsets[removed]
    return state
