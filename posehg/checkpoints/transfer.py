"""A trained network's weights for a network with other joints: where fine-tuning begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from posehg.checkpoints.format import Checkpoint
from posehg.config import HourglassConfig
from posehg.errors import UsageError
from posehg.network import parameters

Channels = Sequence[int | None]
"""For each joint of the new network the source's channel of that name; None where its heatmaps begin anew."""


@dataclass(frozen=True)
class Kept:
    """What a transfer kept; its text is a sentence for the user.

    joints, new_joints: whose heatmaps are carried over, and whose begin anew.
    stacks, new_stacks: how many are carried over, and how many after them begin anew.
    parameters, total: how many learned numbers are carried over, and how many the new network has.
    same_output: False where one network gives logits and the other heatmaps, so that no heatmaps are carried over.
    """

    joints: tuple[str, ...]
    new_joints: tuple[str, ...]
    stacks: int
    new_stacks: int
    parameters: int
    total: int
    same_output: bool = True

    def __str__(self) -> str:
        numbers = f"{self.parameters:,} of {self.total:,} parameters"
        stacks = f"; of {self.stacks + self.new_stacks} stacks {_begin(self.new_stacks)}" if self.new_stacks else ""
        return f"Kept {numbers}; {self._heatmaps()}{stacks}."

    def _heatmaps(self) -> str:
        count = len(self.joints) or "no"
        kept = f"heatmaps of {count} joint{'' if count == 1 else 's'} by name"
        if not self.same_output:
            kept = "no heatmaps, as the model was trained with another loss"
        return f"{kept}, {_begin(len(self.new_joints))}: {', '.join(self.new_joints)}" if self.new_joints else kept


def _begin(count: int) -> str:
    return f"{count} begin{'s' if count == 1 else ''} anew"


def transfer(source: Checkpoint, fresh: Checkpoint) -> tuple[Checkpoint, Kept]:
    """``fresh``, a network just built, with all that it can take over from the trained ``source``.

    Joints are matched by name. In every stack that both networks have, the features are those of the source, and so are
    the heatmaps of the joints that both have, whichever others come or go.
    Raises UsageError where the networks differ in more than joints and stacks, NotAvailable where the source is broken.
    """
    theirs, ours = source.config, fresh.config
    _refuse_another_build(theirs.network, ours.network)
    trained = source.network().state_dict()
    begun = {key: value.detach().cpu() for key, value in fresh.state.items()}
    stacks = min(theirs.network.stacks, ours.network.stacks)
    same_output = theirs.output == ours.output
    # A logit is no height of a Gaussian: a head that gave the one is of no use to a loss that compares the other.
    joints = theirs.skeleton.joints if same_output else ()
    channels = [joints.index(joint) if joint in joints else None for joint in ours.skeleton.joints]

    state = {key: trained.get(key, value) for key, value in begun.items()}
    for stack in range(stacks):
        state |= _head(trained, begun, channels, f"stacks.{stack}.heatmaps")
    for stack in range(stacks - 1):
        state |= _reinjection(trained, channels, stack)
    return Checkpoint(ours, state), _kept(ours.network, ours.skeleton.joints, channels, stacks, same_output)


def _refuse_another_build(theirs: HourglassConfig, ours: HourglassConfig) -> None:
    for name in ("features", "depth", "blocks", "stem"):
        there, here = _text(getattr(theirs, name)), _text(getattr(ours, name))
        if there != here:
            hint = f"Leave --{name} out: the new network then has the model's."
            raise UsageError(f"The model to begin from has {name} {there}, not {here}.", hint)
    # These two are in no state: unnoticed, the weights would be given other colours than they were trained on.
    if (theirs.mean, theirs.std) != (ours.mean, ours.std):
        raise UsageError(
            f"The model to begin from takes pictures with mean {theirs.mean} and std {theirs.std}, "
            f"the new network with {ours.mean} and {ours.std}.",
            "Both must bring their input to the same mean and std.",
        )


def _text(value: int | tuple[int, ...]) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _head(
    trained: Mapping[str, Tensor], begun: Mapping[str, Tensor], channels: Channels, name: str
) -> dict[str, Tensor]:
    """The convolution to the heatmaps: weight (J, F, 1, 1) and bias (J,)."""
    return {key: _chosen(trained[key], begun[key], channels) for key in (f"{name}.weight", f"{name}.bias")}


def _chosen(trained: Tensor, begun: Tensor, channels: Channels) -> Tensor:
    """(J', ...) of the source and (J, ...) of the new network -> (J, ...), joint by joint the one or the other."""
    return torch.stack([begun[j] if channel is None else trained[channel] for j, channel in enumerate(channels)])


def _reinjection(trained: Mapping[str, Tensor], channels: Channels, stack: int) -> dict[str, Tensor]:
    """The way back of features and heatmaps, such that the next stack is given what the source gave it.

    A new joint begins with a weight of 0: its map is noise at first, and the next stack has never seen it. The weight
    learns from the first step on, as the map itself is not 0.

    A joint that is gone was W h of its map h = V f + b, and the same features f go back beside the maps: W V joins
    their weight and W b their bias. Leaving it out would take from the next stack what it has learned to expect, and of
    logits, far below 0 almost everywhere, that is much.
    """
    back, head = f"reinjections.{stack}", f"stacks.{stack}.heatmaps"
    columns = trained[f"{back}.heatmaps.weight"]  # W (F, J', 1, 1)
    rows, offsets = trained[f"{head}.weight"], trained[f"{head}.bias"]  # V (J', F, 1, 1), b (J',)
    nothing = columns.new_zeros(len(channels), len(columns), 1, 1)  # (J, F, 1, 1)
    chosen = _chosen(columns.transpose(0, 1), nothing, channels)  # (J, F, 1, 1)
    state = {f"{back}.heatmaps.weight": chosen.transpose(0, 1).contiguous()}
    gone = [channel for channel in range(len(rows)) if channel not in channels]
    if gone:
        lost = columns[:, gone, 0, 0]  # (F, gone)
        weight, bias = f"{back}.features.weight", f"{back}.features.bias"
        state[weight] = trained[weight] + (lost @ rows[gone, :, 0, 0])[..., None, None]
        state[bias] = trained[bias] + lost @ offsets[gone]
    return state


def _kept(
    network: HourglassConfig, joints: tuple[str, ...], channels: Channels, stacks: int, same_output: bool
) -> Kept:
    named = list(zip(joints, channels, strict=True))
    new = tuple(joint for joint, channel in named if channel is None)
    # A joint has a weight for each feature and a bias in every head, and a weight for each feature on every way back.
    a_joint = stacks * (network.features + 1) + (stacks - 1) * network.features
    return Kept(
        joints=tuple(joint for joint, channel in named if channel is not None),
        new_joints=new,
        stacks=stacks,
        new_stacks=network.stacks - stacks,
        parameters=parameters(replace(network, stacks=stacks)) - len(new) * a_joint,
        total=parameters(network),
        same_output=same_output,
    )
