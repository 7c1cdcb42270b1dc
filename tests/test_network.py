from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posehg.config import HourglassConfig
from posehg.errors import UsageError
from posehg.network import Residual, StackedHourglass, parameters

B, J = 3, 5
ROWS, COLUMNS = 64, 128
HUGE = pytest.param(10**600, id="huge")
TINY = HourglassConfig(joints=J, stacks=2, features=14, stem=(4, 6, 10))


def build(config: HourglassConfig = TINY, seed: int = 7) -> StackedHourglass:
    """A network in evaluation mode in which no layer is idle: BatchNorm statistics and every weight are random."""
    torch.manual_seed(seed)
    network = StackedHourglass(config)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def pictures(batch: int = B, rows: int = ROWS, columns: int = COLUMNS, seed: int = 11) -> Tensor:
    return torch.rand(batch, 3, rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("stacks", "expected"), [(1, 3_426_448), (2, 6_570_400), (4, 12_858_304), (8, 25_434_112)])
def test_the_network_has_as_many_parameters_as_the_papers(stacks: int, expected: int) -> None:
    assert parameters(HourglassConfig(stacks=stacks)) == expected


@pytest.mark.parametrize(("stacks", "expected"), [(1, 3_586_960), (2, 6_730_912)])
def test_the_wide_stem_has_as_many_parameters_as_published_ports(stacks: int, expected: int) -> None:
    assert parameters(HourglassConfig(stacks=stacks, stem=(64, 128, 256))) == expected


def test_several_blocks_have_as_many_parameters_as_published_ports() -> None:
    assert parameters(HourglassConfig(stacks=2, blocks=4, stem=(64, 128, 256))) == 24_751_264


@torch.no_grad()
@pytest.mark.parametrize("stacks", [1, 2, 3])
@pytest.mark.parametrize("blocks", [1, 3])
def test_every_stack_gives_a_heatmap_a_joint_at_a_quarter_of_the_size(stacks: int, blocks: int) -> None:
    network = build(HourglassConfig(joints=J, stacks=stacks, blocks=blocks, features=14, stem=(4, 6, 10)))
    assert [maps.shape for maps in network(pictures())] == [(B, J, ROWS // 4, COLUMNS // 4)] * stacks


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_an_hourglass_of_another_depth_takes_the_multiples_it_says(depth: int) -> None:
    config = HourglassConfig(joints=J, stacks=1, depth=depth, features=14, stem=(4, 6, 10))
    rows, columns = config.multiple, 2 * config.multiple
    assert build(config)(pictures(2, rows, columns))[0].shape == (2, J, rows // 4, columns // 4)


def test_an_hourglass_of_the_papers_depth_takes_multiples_of_64() -> None:
    assert HourglassConfig().multiple == 64


@pytest.mark.parametrize(("rows", "columns"), [(64, 96), (65, 64), (32, 32)])
def test_an_input_of_another_size_is_refused_with_the_size_it_needs(rows: int, columns: int) -> None:
    with pytest.raises(UsageError, match=f"{columns} x {rows}") as caught:
        StackedHourglass(TINY)(pictures(1, rows, columns))
    assert "64" in caught.value.hint


@pytest.mark.parametrize("name", ["joints", "stacks", "depth", "blocks"])
def test_a_network_without_a_part_is_refused_by_the_parts_name(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        HourglassConfig(**{name: 0})


@pytest.mark.parametrize("features", [0, -2, 33])
def test_features_that_cannot_be_halved_are_refused(features: int) -> None:
    with pytest.raises(UsageError, match="Features"):
        HourglassConfig(features=features)


@pytest.mark.parametrize("stem", [(64, 128), (64, 128, 33), (0, 128, 128), (64, 128, 128, 128)])
def test_a_stem_that_is_not_three_even_widths_is_refused(stem: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="stem"):
        HourglassConfig(stem=stem)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [10**9, 1e9, 2.0, float("inf"), float("nan"), True, "2", None, [2], HUGE])
@pytest.mark.parametrize("name", ["joints", "stacks", "depth", "blocks", "features"])
def test_a_size_that_is_absurd_or_no_whole_number_is_refused_in_few_words(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=re.compile(name, re.IGNORECASE)) as caught:
        HourglassConfig(**{name: value})  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("stem", [(64, 128, 8194), (64, 128, 128.0), (64, True, 128), 3, None, "abc", (64, 128, "12")])
def test_a_stem_of_other_things_is_refused(stem: object) -> None:
    with pytest.raises(UsageError, match="stem"):
        HourglassConfig(stem=stem)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize(
    "values", [(0.5, 0.5), 0.5, (0.5, 0.5, float("nan")), (0.5, 0.5, 10**400), (1e39, 0.5, 0.5), ("a", "b", "c")]
)
def test_a_mean_or_std_that_is_none_is_refused(name: str, values: object) -> None:
    with pytest.raises(UsageError, match=name):
        HourglassConfig(**{name: values})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 0.0, 1e-300, float("inf")])
def test_nothing_is_divided_by_nothing(value: float) -> None:
    with pytest.raises(UsageError, match="std"):
        HourglassConfig(std=(1.0, value, 1.0))


def test_the_largest_sizes_are_allowed() -> None:
    config = HourglassConfig(joints=4096, stacks=64, features=8192, depth=9, blocks=64, stem=(8192, 8192, 8192))
    assert config.multiple == 2048


@pytest.mark.parametrize(("stacks", "blocks", "depth"), [(1, 1, 1), (2, 3, 2), (3, 1, 4)])
def test_a_network_has_as_many_residual_modules_as_it_says(stacks: int, blocks: int, depth: int) -> None:
    config = HourglassConfig(joints=J, stacks=stacks, blocks=blocks, depth=depth, features=14, stem=(4, 6, 10))
    network = StackedHourglass(config)
    assert config.residuals == sum(isinstance(module, Residual) for module in network.modules())
    learned = len(list(network.parameters()))
    assert config.could_be_in(learned)
    assert not config.could_be_in(learned // 3)


@torch.no_grad()
def test_the_order_of_the_batch_is_the_order_of_the_heatmaps() -> None:
    network, images, order = build(), pictures(), torch.tensor([2, 0, 1])
    for maps, reordered in zip(network(images), network(images[order]), strict=True):
        torch.testing.assert_close(reordered, maps[order], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_somebody_else_in_the_batch_changes_nothing() -> None:
    network, images = build(), pictures()
    others = torch.cat([images[:1], images[1:].flip(-1)])
    for alone, beside, between in zip(network(images[:1]), network(images), network(others), strict=True):
        # A batch of another size may be added up in another order.
        torch.testing.assert_close(beside[:1], alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(between[:1], alone, rtol=1e-4, atol=1e-4)


def test_the_loss_of_one_picture_reaches_no_other() -> None:
    images = pictures().requires_grad_()
    build()(images)[-1][1].sum().backward()
    assert images.grad is not None
    assert [bool(grad.any()) for grad in images.grad] == [False, True, False]


def test_intermediate_supervision_reaches_every_parameter() -> None:
    network = build().train()
    sum(maps.square().mean() for maps in network(pictures())).backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_the_last_heatmaps_depend_on_every_parameter() -> None:
    network = build().train()
    network(pictures())[-1].square().mean().backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


@torch.no_grad()
def test_the_network_normalises_its_input_itself() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    plain = HourglassConfig(joints=J, features=14, stem=(4, 6, 10), mean=(0, 0, 0), std=(1, 1, 1))
    normalising = HourglassConfig(joints=J, features=14, stem=(4, 6, 10), mean=mean, std=std)
    images = pictures()
    by_hand = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(build(normalising)(images)[-1], build(plain)(by_hand)[-1], rtol=1e-4, atol=1e-4)


def test_normalisation_belongs_to_the_configuration_and_not_to_the_weights() -> None:
    assert not {"mean", "std"} & set(StackedHourglass(TINY).state_dict())


@torch.no_grad()
def test_a_new_residual_begins_as_the_identity() -> None:
    network = StackedHourglass(TINY).eval()
    residual = network.stacks[0].residuals[0]
    assert isinstance(residual, Residual)
    x = torch.randn(B, TINY.features, 11, 13)
    torch.testing.assert_close(residual(x), x)


@torch.no_grad()
def test_a_residual_does_not_change_its_input() -> None:
    x = torch.randn(B, 4, 11, 13)
    before = x.clone()
    Residual(4, 6)(x)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def from_princeton(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of princeton-vl/pytorch_stacked_hourglass under posehg's names."""
    rules = [
        (r"^model\.module\.", ""),
        (r"^pre\.0\.conv\.", "stem.0."),
        (r"^pre\.0\.bn\.", "stem.1."),
        (r"^pre\.(\d)\.", lambda m: f"stem.{int(m[1]) + 2}."),
        (r"^hgs\.(\d+)\.0\.", r"stacks.\1.hourglass."),
        (r"^features\.(\d+)\.0\.", r"stacks.\1.residuals.0."),
        (r"^features\.(\d+)\.1\.conv\.", r"stacks.\1.linear.0."),
        (r"^features\.(\d+)\.1\.bn\.", r"stacks.\1.linear.1."),
        (r"^outs\.(\d+)\.conv\.", r"stacks.\1.heatmaps."),
        (r"^merge_features\.(\d+)\.conv\.conv\.", r"reinjections.\1.features."),
        (r"^merge_preds\.(\d+)\.conv\.conv\.", r"reinjections.\1.heatmaps."),
        (r"\.up1\.", ".up.0."),
        (r"\.(low[13])\.", r".\1.0."),
        (r"\.low2\.(?=bn|conv|skip)", ".low2.0."),
        (r"\.skip_layer\.conv\.", ".skip."),
        (r"\.(conv\d)\.conv\.", r".\1."),
    ]
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    # There every residual owns a convolution on its skip path; where the width does not change it is never used.
    dead = [
        name for name, value in renamed.items() if name.endswith("skip.weight") and value.shape[0] == value.shape[1]
    ]
    return {name: value for name, value in renamed.items() if name.rpartition(".")[0] + ".weight" not in dead}


@pytest.mark.shared
@torch.no_grad()
def test_every_stack_gives_what_the_authors_own_pytorch_code_gives(shared: Path) -> None:
    fixtures = shared / "fixtures"
    checkpoint = torch.load(fixtures / "princeton_s2_dim32_checkpoint.pt", map_location="cpu", weights_only=True)
    config = HourglassConfig(
        joints=16, stacks=2, features=32, stem=(64, 128, 128), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    network = StackedHourglass(config).eval()
    network.load_state_dict(from_princeton(checkpoint["state_dict"]))  # strict: no weight missing, none left over
    image = torch.from_numpy(np.load(fixtures / "input_1x3x256x256_f16.npy").astype(np.float32))
    with np.load(fixtures / "princeton_s2_dim32_out.npz") as expected:
        for index, maps in enumerate(network(image)):
            torch.testing.assert_close(maps, torch.from_numpy(expected[f"stack{index}"]), rtol=1e-4, atol=1e-4)
