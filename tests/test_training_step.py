"""One step of the training, in every way it can be computed."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posehg.distributed import ALONE, World
from posehg.errors import DeviceError
from posehg.network import StackedHourglass
from posehg.training.builder import freeze, initial_network, model_config
from posehg.training.config import TrainConfig
from posehg.training.data import Crops
from posehg.training.losses import LOSSES, supervised
from posehg.training.trainer import Stepper
from tests.toy import SKELETON, TINY, dataset

CPU = torch.device("cpu")
FP32 = replace(TINY, precision="fp32", lr=1e-3)
B, J = 7, len(SKELETON.joints)


def crops(seed: int = 0) -> Crops:
    """Coarse noise; every joint of the first crop is labelled, of the others fewer and fewer."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (B, 3, 8, 8), dtype=torch.uint8, generator=draw)
    points = 7 * torch.rand(B, J, 2, generator=draw)
    points[torch.arange(J) >= J - torch.arange(B)[:, None] % J] = math.nan
    return Crops(images.repeat_interleave(4, -1).repeat_interleave(4, -2), points)


def fresh_network(config: TrainConfig) -> StackedHourglass:
    return initial_network(config, model_config(config, dataset()), None)[0]


def stepper(config: TrainConfig, network: StackedHourglass | None = None) -> Stepper:
    network = network or fresh_network(config)
    freeze(network, config)
    return Stepper(network.to(memory_format=torch.channels_last), config, CPU, ALONE)  # type: ignore[call-overload]


def trained(config: TrainConfig, steps: int) -> tuple[Stepper, list[float]]:
    """A stepper after so many steps, and the loss of each."""
    made = stepper(config)
    return made, [float(made(crops(number), config.lr, number)) for number in range(steps)]


def state(made: Stepper) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in made.network.state_dict().items()}


def gradient(made: Stepper) -> Tensor:
    return torch.cat([p.grad.flatten() for p in made.network.parameters() if p.grad is not None])


def assert_near(one: Tensor, other: Tensor) -> None:
    """Within the noise of float32."""
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of a weight, relative to the largest weight."""
    floats = [key for key, value in one.items() if value.is_floating_point()]
    largest = max(float(one[key].abs().max()) for key in floats)
    return max(float((one[key] - other[key]).abs().max()) for key in floats) / largest


def moved(made: Stepper, before: dict[str, Tensor]) -> bool:
    return not all(torch.equal(value, before[name]) for name, value in made.network.named_parameters())


# ---- the gradient ------------------------------------------------------------------------------------------------


def test_the_gradient_is_that_of_the_loss_over_the_batch() -> None:
    made, batch, network = stepper(FP32), crops(), fresh_network(FP32).train()
    loss = supervised(network(batch.images.float() / 255), batch.points, FP32.sigma, LOSSES["mse"])
    loss.backward()
    assert float(made(batch, 1e-3, 0)) == pytest.approx(loss.item(), rel=1e-5)
    assert_near(gradient(made), torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))


def test_a_step_has_the_given_rate() -> None:
    made = stepper(FP32)
    before = state(made)
    made(crops(), 0.0, 0)
    assert not moved(made, before)
    made(crops(), 1e-3, 1)
    assert moved(made, before)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_a_batch_in_parts_has_the_gradient_of_the_whole_batch(parts: int, loss: Any) -> None:
    """The parts differ in size and in the number of labels."""
    config = replace(FP32, freeze="norm", loss=loss)
    whole, parted = stepper(config), stepper(replace(config, accumulate=parts))
    losses = [float(made(crops(), 1e-3, 0)) for made in (whole, parted)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert_near(gradient(parted), gradient(whole))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_norm_of_the_gradient_is_limited(precision: Any) -> None:
    free, bound, loose = (stepper(replace(FP32, precision=precision, clip=clip)) for clip in (0.0, 0.01, 1e6))
    for made in (free, bound, loose):
        made(crops(), 1e-3, 0)
    steep = gradient(free) if precision == "fp32" else gradient(loose)  # unscaled
    assert steep.norm() > 0.1
    assert gradient(bound).norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(gradient(bound), steep * (0.01 / steep.norm()), rtol=1e-3, atol=1e-6)
    assert difference(state(free), state(loose)) == 0


# ---- the moving average ------------------------------------------------------------------------------------------


def test_the_result_is_the_moving_average_if_there_is_one() -> None:
    (plain, _), (averaging, _) = trained(FP32, 3), trained(replace(FP32, ema=0.9), 3)
    assert plain.result is plain.network
    assert averaging.average is not None
    assert averaging.result is averaging.average.network
    assert difference(state(plain), state(averaging)) == 0  # it does not change what is learned
    assert difference(averaging.result.state_dict(), state(averaging)) > 0


# ---- precision and compilation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.half)]
)
def test_convolutions_have_the_configured_precision_and_weights_stay_float32(precision: Any, kind: torch.dtype) -> None:
    made, kinds = stepper(replace(FP32, precision=precision)), set()
    made.network.stacks[1].heatmaps.register_forward_hook(lambda _, inputs, output: kinds.add(output.dtype))
    made(crops(), 1e-3, 0)
    assert kinds == {kind}
    assert {p.dtype for p in made.network.parameters()} == {torch.float32}


def test_a_gradient_too_large_for_half_precision_changes_only_the_scale() -> None:
    made = stepper(replace(FP32, precision="fp16"))
    made(crops(), 1e-3, 0)
    before, scale = state(made), made.scaler.get_scale()
    made.scaler.update(1e38)
    made(crops(), 1e-3, 1)
    assert made.scaler.get_scale() == pytest.approx(0.5e38)
    assert scale < 1e38
    assert not moved(made, before)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile has no compiler")
def test_a_compiled_network_has_the_same_losses() -> None:
    config = replace(FP32, stacks=1, depth=1)
    (plain, losses), (compiled, its_losses) = trained(config, 4), trained(replace(config, compile=True), 4)
    assert its_losses == pytest.approx(losses, rel=1e-3)
    assert compiled.network.state_dict().keys() == plain.network.state_dict().keys()


def test_shared_statistics_need_gpus() -> None:
    network = stepper(FP32).network
    with pytest.raises(DeviceError, match="--sync-bn"):
        Stepper(network, replace(FP32, sync_bn=True), CPU, World(0, 2, 0))


# ---- freezing ----------------------------------------------------------------------------------------------------


def is_frozen(name: str, freeze: str) -> bool:
    head = name.startswith(("stacks", "reinjections")) and ".heatmaps." in name
    statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    stem = name.startswith("stem.")
    return {"": False, "stem": stem, "body": not head, "norm": statistic, "stem,norm": stem or statistic}[freeze]


def is_noise(name: str) -> bool:
    """A bias that BatchNorm cancels: it learns the noise of float32, or nothing."""
    return name.endswith(("conv1.bias", "conv2.bias", "stem.0.bias", "linear.0.bias"))


def alive(config: TrainConfig) -> StackedHourglass:
    """Its statistics are those of some crops, so that no ReLU of so few channels is dead for good."""
    network = fresh_network(config).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.ones_(norm.bias)
        norm.momentum = 1.0
    network(crops().images.float() / 255)
    for norm in norms:
        norm.momentum = 0.1
    return network


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("freeze", ["", "stem", "body", "norm", "stem,norm"])
def test_frozen_parts_stay_the_same_to_the_last_bit_and_all_else_changes(freeze: str, ema: float) -> None:
    config = replace(FP32, freeze=freeze, ema=ema, optimizer="adamw", weight_decay=0.1)
    made = stepper(config, alive(config))
    before = state(made)
    for number in range(4):
        made(crops(number), 1e-2, number)
    for after in (made.network.state_dict(), made.result.state_dict()):
        changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert not {name for name in changed if is_frozen(name, freeze)}
        assert not {name for name in after.keys() - changed if not is_frozen(name, freeze) and not is_noise(name)}
