from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg.checkpoints import Checkpoint
from posehg.checkpoints.transfer import transfer
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import UsageError
from posehg.network import StackedHourglass
from posehg.skeletons import MPII, Skeleton

B, F, ROWS, COLUMNS = 2, 14, 48, 80
NEW = ("tail", "left_wing", "right_wing")
FIVE = ("left_wrist", "head_top", "right_wrist", "left_ankle", "right_ankle")


@cache
def network(joints: tuple[str, ...], seed: int, output: str = "heatmaps", **changes: Any) -> Checkpoint:
    """A network in which no layer is idle, as the residuals of one just built are."""
    torch.manual_seed(seed)
    options: dict[str, Any] = {"stacks": 3, "features": F, "depth": 1, "stem": (4, 6, 10), **changes}
    config = HourglassConfig(len(joints), **options)
    state = StackedHourglass(config).state_dict()
    for value in state.values():
        if value.ndim == 4:
            value.normal_(std=value[0].numel() ** -0.5)
        elif value.is_floating_point():
            value.add_(0.2 * torch.rand_like(value))
    model = ModelConfig(config, Skeleton("any", joints, ()), (ROWS, COLUMNS), output=output)  # type: ignore[arg-type]
    return Checkpoint(model, state)


def trained(joints: tuple[str, ...] = MPII.joints, **changes: Any) -> Checkpoint:
    return network(joints, seed=3, **changes)


def fresh(joints: tuple[str, ...] = MPII.joints, **changes: Any) -> Checkpoint:
    return network(joints, seed=5, **changes)


@torch.no_grad()
def seen(checkpoint: Checkpoint) -> tuple[list[Tensor], list[Tensor]]:
    """What goes into each stack (B, F, h, w), and each stack's heatmaps (B, J, h, w)."""
    features: list[Tensor] = []
    built = checkpoint.network().double()  # so that only what the transfer itself rounds is seen
    for stack in built.stacks:
        stack.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    images = torch.rand(B, 3, ROWS, COLUMNS, dtype=torch.float64, generator=torch.Generator().manual_seed(11))
    return features, built(images)


def assert_sees_the_same(source: Checkpoint, target: Checkpoint) -> None:
    """In every stack that both have: the features, and the heatmaps of the joints that both have."""
    theirs, ours = source.config.skeleton, target.config.skeleton
    both = [joint for joint in ours.joints if joint in theirs.joints]
    old, new = ([skeleton.index(joint) for joint in both] for skeleton in (theirs, ours))
    stacks = min(source.config.network.stacks, target.config.network.stacks)
    (features, maps), (new_features, new_maps) = seen(source), seen(target)
    for stack in range(stacks):
        same = new_features[stack][:, : source.config.network.features]
        torch.testing.assert_close(same, features[stack], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(new_maps[stack][:, new], maps[stack][:, old], rtol=1e-5, atol=1e-5)


def equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


def test_the_same_joints_keep_everything_to_the_last_bit() -> None:
    source = trained()
    target, kept = transfer(source, fresh())
    assert target.state.keys() == source.state.keys()
    assert target.config == fresh().config
    assert all(equal(target.state[key], value) for key, value in source.state.items())
    assert "16 of 16 joints by name." in kept


def test_joints_are_the_same_in_other_letters() -> None:
    spelled = tuple(joint.replace("_", " ").title() for joint in MPII.joints)
    target, text = transfer(trained(), fresh(spelled))
    assert all(equal(target.state[key], value) for key, value in trained().state.items())
    assert "16 of 16" in text


def test_the_sentence_names_what_is_new() -> None:
    assert "heatmaps of 3 of 6 joints by name; new: tail, " in transfer(trained(FIVE), fresh(FIVE[:3] + NEW))[1]


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from(FIVE + NEW), unique=True, min_size=1),
    *(st.integers(1, 3), st.integers(1, 3), st.sampled_from([F, 22]), st.sampled_from([(4, 6, 10), (8, 6, 12)])),
    st.sampled_from([0, 26]),
)
def test_whichever_joints_stacks_and_channels_come_and_go_the_others_are_seen_as_before(
    joints: list[str], stacks: int, new_stacks: int, features: int, stem: tuple[int, int, int], low: int
) -> None:
    source = trained(FIVE, stacks=stacks, depth=2)
    begun = fresh(tuple(joints), stacks=new_stacks, features=features, stem=stem, depth=2, low_features=low)
    assert_sees_the_same(source, transfer(source, begun)[0])


def test_all_of_a_wider_network_learns() -> None:
    wider = fresh(FIVE, depth=2, features=22, stem=(6, 8, 12), low_features=26)
    built = transfer(trained(FIVE, depth=2), wider)[0].network().train()
    optimizer = torch.optim.SGD(built.parameters(), 1e-4)
    for _ in range(4):  # a new channel is first heard by others, then by those that it listens to
        optimizer.zero_grad()
        sum(maps.square().mean() for maps in built(torch.rand(B, 3, ROWS, COLUMNS))).backward()
        optimizer.step()
    assert not [name for name, p in built.named_parameters() if p.ndim == 4 and not p.grad.flatten(1).any(dim=1).all()]


def test_a_new_joint_begins_with_its_fresh_head_and_no_say_in_the_next_stack_and_learns() -> None:
    begun = fresh((*FIVE, "tail"))
    target, _ = transfer(trained(FIVE), begun)
    for name in (f"stacks.{stack}.heatmaps.{part}" for stack in range(3) for part in ("weight", "bias")):
        assert equal(target.state[name][5], begun.state[name][5])
    assert not any(target.state[f"reinjections.{number}.heatmaps.weight"][:, 5].any() for number in range(2))
    built = target.network().train()
    built(torch.rand(B, 3, ROWS, COLUMNS))[-1].square().mean().backward()
    gradient = built.reinjections[0].heatmaps.weight.grad
    assert gradient is not None
    assert gradient[:, 5].all()  # from the first step on


def test_nothing_is_done_to_either_network() -> None:
    source, begun = trained(FIVE), fresh((*NEW, *FIVE[:2]))
    copies = [{key: value.clone() for key, value in checkpoint.state.items()} for checkpoint in (source, begun)]
    transfer(source, begun)
    for checkpoint, copied in zip((source, begun), copies, strict=True):
        assert all(equal(checkpoint.state[key], value) for key, value in copied.items())


def test_of_more_stacks_the_first_are_kept_and_missing_ones_are_new() -> None:
    begun, source = fresh(FIVE, stacks=3), trained(FIVE, stacks=3)
    target, kept = transfer(trained(FIVE, stacks=1), begun)
    assert "2 of 3 stacks" in kept
    later = [key for key in begun.state if key.startswith(("stacks.1.", "stacks.2.", "reinjections."))]
    assert all(equal(target.state[key], begun.state[key]) for key in later)
    target, kept = transfer(source, fresh(FIVE, stacks=2))
    assert "stack" not in kept
    assert all(equal(value, source.state[key]) for key, value in target.state.items())


def test_heads_for_logits_are_of_no_use_for_heatmaps_but_all_else_is() -> None:
    source, begun = trained(FIVE, output="logits"), fresh(FIVE)
    target, kept = transfer(source, begun)
    assert "no heatmap" in kept
    assert ", ".join(FIVE) in kept
    assert equal(target.state["stacks.2.heatmaps.weight"], begun.state["stacks.2.heatmaps.weight"])
    for features, ours in zip(seen(source)[0], seen(target)[0], strict=True):
        torch.testing.assert_close(ours, features, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features", 12, "features 14, not 12"),
        ("stem", (4, 2, 22), "stem 4-6-10, not 4-2-22"),
        ("depth", 2, "depth 1, not 2"),
        ("stem", (4, 6, F), "--stem"),
        ("low_features", F, "low_features 18, not 14"),
        ("features", 18, "features 14, not 18"),
    ],
)
def test_a_network_of_another_build_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        transfer(trained(FIVE, low_features=18), fresh(FIVE, **{"low_features": 18, name: value}))
    assert f"--{name.replace('_', '-')}" in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(("mean", "std"), [((0.7, 0.3, 0.2), (1, 1, 1)), ((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))])
def test_an_image_is_seen_as_before_whatever_its_colours_are_normalised_by(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    source = trained(mean=mean, std=std)
    target, _ = transfer(source, fresh())
    images = torch.rand(B, 3, ROWS, COLUMNS)
    networks = (source.network(), target.network())
    old, new = (network.stem[0](network.normalise(images))[..., 2:-2, 2:-2] for network in networks)  # inside
    torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4)
