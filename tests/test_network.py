from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posehg import checkpoints
from posehg.config import HourglassConfig
from posehg.errors import UsageError
from posehg.network import Residual, StackedHourglass, parameters

B, J = 3, 5
ROWS, COLUMNS = 64, 128
HUGE = pytest.param(10**600, id="huge")
WIDE = (64, 128, 256)
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


def photos(batch: int = B, rows: int = ROWS, columns: int = COLUMNS, seed: int = 11) -> Tensor:
    return torch.rand(batch, 3, rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        *(({"stacks": 1}, 3_426_448), ({}, 6_570_400), ({"stacks": 4}, 12_858_304), ({"stacks": 8}, 25_434_112)),
        *(({"stacks": 1, "stem": WIDE}, 3_586_960), ({"stem": WIDE}, 6_730_912)),
        ({"blocks": 4, "stem": WIDE}, 24_751_264),
        ({"features": 128, "stem": (32, 64, 64), "low_features": 256}, 4_211_936),
    ],
)
def test_the_network_has_as_many_parameters_as_the_papers_and_published_ports(
    options: dict[str, Any], expected: int
) -> None:
    assert parameters(HourglassConfig(**options)) == expected


@torch.no_grad()
@pytest.mark.parametrize(
    ("stacks", "blocks", "depth", "low"), [(1, 3, 1, 0), (2, 1, 4, 0), (3, 2, 3, 18), (1, 1, 5, 0)]
)
def test_every_stack_gives_a_heatmap_a_joint_at_a_quarter_of_the_size(
    stacks: int, blocks: int, depth: int, low: int
) -> None:
    config = HourglassConfig(J, stacks, features=14, depth=depth, blocks=blocks, stem=(4, 6, 10), low_features=low)
    rows, columns = config.multiple, 2 * config.multiple
    found = build(config)(photos(B, rows, columns))
    assert [maps.shape for maps in found] == [(B, J, rows // 4, columns // 4)] * stacks


@pytest.mark.parametrize(("rows", "columns"), [(64, 96), (65, 64), (32, 32)])
def test_an_input_of_another_size_is_refused_with_the_size_it_needs(rows: int, columns: int) -> None:
    with pytest.raises(UsageError, match=f"{columns} x {rows}") as caught:
        StackedHourglass(TINY)(photos(1, rows, columns))
    assert "64" in caught.value.hint


@pytest.mark.parametrize("value", [0, -2, 10**9, 1e9, 2.0, float("nan"), True, "2", None, [2], HUGE])
@pytest.mark.parametrize("name", ["joints", "stacks", "depth", "blocks", "features"])
def test_a_size_that_is_absurd_or_no_whole_number_is_refused_in_few_words(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"(?i){name}") as caught:
        HourglassConfig(**{name: value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *[("low_features", 254), ("low_features", 257), ("low_features", None), ("low_features", True)],
        *[("features", 33), ("stem", (64, 128)), ("stem", (64, 128, 33)), ("stem", (0, 128, 128)), ("stem", None)],
        *[("stem", (64, 128, 8194)), ("stem", (64, 128, 128.0)), ("stem", (64, True, 128)), ("stem", "abc")],
        *[("mean", (0.5, 0.5)), ("mean", 0.5), ("mean", (0.5, 0.5, float("nan"))), ("mean", (1e39, 0.5, 0.5))],
        *[("std", (1.0, 0, 1.0)), ("std", (1.0, -1, 1.0)), ("std", (1.0, 1e-300, 1.0)), ("std", ("a", "b", "c"))],
    ],
)
def test_widths_that_cannot_be_halved_and_broken_means_are_refused(name: str, values: Any) -> None:
    with pytest.raises(UsageError, match=f"(?i){name}"):
        HourglassConfig(**{name: values})


@pytest.mark.parametrize(("stacks", "blocks", "depth"), [(1, 1, 1), (2, 3, 2), (3, 1, 4)])
def test_a_network_knows_about_how_many_tensors_it_has(stacks: int, blocks: int, depth: int) -> None:
    config = HourglassConfig(joints=J, stacks=stacks, blocks=blocks, depth=depth, features=14, stem=(4, 6, 10))
    learned = len(list(StackedHourglass(config).parameters()))
    assert config.could_be_in(learned)
    assert not config.could_be_in(learned // 3)


def test_the_loss_of_one_image_reaches_no_other() -> None:
    images = photos().requires_grad_()
    build()(images)[-1][1].sum().backward()
    assert images.grad is not None
    assert [bool(grad.any()) for grad in images.grad] == [False, True, False]


def test_the_last_heatmaps_depend_on_every_parameter() -> None:
    network = build().train()
    network(photos())[-1].square().mean().backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


@torch.no_grad()
def test_the_network_normalises_its_input_itself() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    plain = HourglassConfig(joints=J, features=14, stem=(4, 6, 10), mean=(0, 0, 0), std=(1, 1, 1))
    normalising = HourglassConfig(joints=J, features=14, stem=(4, 6, 10), mean=mean, std=std)
    images = photos()
    by_hand = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(build(normalising)(images)[-1], build(plain)(by_hand)[-1], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_new_residual_begins_as_the_identity() -> None:
    network = StackedHourglass(TINY).eval()
    residual = network.stacks[0].residuals[0]
    assert isinstance(residual, Residual)
    x = torch.randn(B, TINY.features, 11, 13)
    torch.testing.assert_close(residual(x), x)


@pytest.mark.shared
@torch.no_grad()
def test_every_stack_gives_what_the_authors_own_pytorch_code_gives(shared: Path) -> None:
    fixtures = shared / "fixtures"
    network = checkpoints.load(fixtures / "princeton_s2_dim32_checkpoint.pt").network().eval()
    image = torch.from_numpy(np.load(fixtures / "input_1x3x256x256_f16.npy").astype(np.float32))
    with np.load(fixtures / "princeton_s2_dim32_out.npz") as expected:
        for index, maps in enumerate(network(image)):
            torch.testing.assert_close(maps, torch.from_numpy(expected[f"stack{index}"]), rtol=1e-4, atol=1e-4)
