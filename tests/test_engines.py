"""Engines: what runs a network, and that it says the same as the network itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posehg.checkpoints import Checkpoint
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import DeviceError
from posehg.inference.engines import Run, pytorch
from posehg.inference.engines.folding import Folded
from posehg.network import Residual, StackedHourglass
from posehg.skeletons import FLIC

B, H, W = 3, 32, 48


def trained(seed: int, blocks: int = 1, stacks: int = 2) -> Checkpoint:
    """With statistics and weights such as a network has after training, none of them 0 or 1."""
    random = torch.Generator().manual_seed(seed)
    config = HourglassConfig(len(FLIC.joints), stacks=stacks, features=14, depth=2, blocks=blocks, stem=(6, 10, 12))
    network = StackedHourglass(config)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) - (0 if "var" in name else 0.5) + 0.05)
    return Checkpoint(ModelConfig(config, FLIC, (H, W)), network.state_dict())


def crops(seed: int, count: int = B) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, H, W, 3), dtype=np.uint8)


# ---- torch -------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), blocks=st.integers(1, 2), stacks=st.integers(1, 3))
def test_a_folded_network_says_what_the_network_says(seed: int, blocks: int, stacks: int) -> None:
    network = trained(seed, blocks, stacks).network()
    pictures = torch.rand(B, 3, H, W, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        expected, [found] = network(pictures)[-1], Folded(network)(pictures)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_folding_leaves_the_norms_that_follow_a_sum_and_the_network_as_it_was() -> None:
    network = trained(3).network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = Folded(network)
    residuals = sum(isinstance(module, Residual) for module in folded.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == residuals
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_folded_network_asks_for_the_last_heatmaps_only() -> None:
    network = trained(5, stacks=3).network()
    joints = network.config.joints
    makers = [module for module in Folded(network).modules() if getattr(module, "out_channels", 0) == joints]
    takers = [module for module in Folded(network).modules() if getattr(module, "in_channels", 0) == joints]
    assert (len(makers), len(takers)) == (1, 0)


def test_norms_that_have_nothing_to_say_but_their_shift_are_heard() -> None:
    """Where a BatchNorm's factor is 0 or next to it, as weight decay leaves some."""
    checkpoint = trained(11)
    for name, value in checkpoint.state.items():
        if name.endswith("bn1.weight"):
            value[:4] = torch.tensor([0.0, 0.0, 1e-30, -1e-30])
        if name.endswith("bn1.bias"):
            value[:4] = torch.tensor([0.7, -0.7, 0.7, 0.7])
    with torch.inference_mode():
        expected = checkpoint.network()(torch.from_numpy(crops(2)).permute(0, 3, 1, 2) / 255)[-1]
    found = pytorch.of(checkpoint, Run("cpu"))(crops(2))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_torch_is_given_the_crops_as_rgb_in_0_to_1() -> None:
    seen: list[torch.Tensor] = []

    class Keep(nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            seen.append(images)
            return [images[:, :, ::4, ::4] * 0, images[:, :, ::4, ::4]]

    some = crops(5)
    answer = pytorch.Torch(trained(0).config, Keep(), "cpu")(some)
    np.testing.assert_allclose(seen[0].numpy(), some.transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    np.testing.assert_allclose(answer.numpy(), some.transpose(0, 3, 1, 2)[:, :, ::4, ::4] / 255, rtol=1e-6)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_fewer_digits_give_nearly_the_same(precision: str) -> None:
    checkpoint = trained(7)
    exact = pytorch.of(checkpoint, Run("cpu"))(crops(1))
    rough = pytorch.of(checkpoint, Run("cpu", precision=precision))(crops(1))  # type: ignore[arg-type]
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert float((rough - exact).abs().max()) < 0.1 * float(exact.abs().max())


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError):
        pytorch.of(trained(0), Run("cuda:7"))
