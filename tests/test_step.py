"""One step of the training, whatever way it is computed in."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posehg.distributed import World
from posehg.errors import DeviceError
from posehg.network import StackedHourglass
from posehg.training.batches import Crops
from posehg.training.config import TrainConfig
from posehg.training.losses import LOSSES, supervised
from posehg.training.samples import ALONE
from posehg.training.start import first_network, freeze, model_config
from posehg.training.step import Stepper
from tests.toy import SKELETON, TINY, dataset

CPU = torch.device("cpu")
FP32 = replace(TINY, precision="fp32", lr=1e-3)
B, J = 7, len(SKELETON.joints)


def crops(seed: int = 0, count: int = B) -> Crops:
    """Coarse noise; of the first crop every joint is labelled, of the others fewer and fewer."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=draw)
    points = 7 * torch.rand(count, J, 2, generator=draw)
    missing = torch.arange(J) >= J - torch.arange(count)[:, None] % J
    points[missing] = math.nan
    mirrored = torch.rand(count, generator=draw) < 0.5
    return Crops(images.repeat_interleave(4, -1).repeat_interleave(4, -2), points, torch.arange(count), mirrored)


def stepper(config: TrainConfig, network: StackedHourglass | None = None) -> Stepper:
    network = network or first_network(config, model_config(config, dataset()), None)[0]
    freeze(network, config)
    return Stepper(network.to(memory_format=torch.channels_last), config, CPU, ALONE)  # type: ignore[call-overload]


def gone(config: TrainConfig, steps: int) -> tuple[Stepper, list[float]]:
    """After so many steps, and the loss of each."""
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


# ---- the gradient ------------------------------------------------------------------------------------------------


def test_the_gradient_is_that_of_the_loss_over_the_batch() -> None:
    made, batch = stepper(FP32), crops()
    network = first_network(FP32, model_config(FP32, dataset()), None)[0].train()
    loss = supervised(network(batch.images.float() / 255), batch.points, FP32.sigma, LOSSES["mse"])
    loss.backward()
    assert float(made(batch, 1e-3, 0)) == pytest.approx(loss.item(), rel=1e-5)
    expected = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    assert_near(gradient(made), expected)


def test_a_step_is_taken_with_the_rate_that_it_is_given() -> None:
    made = stepper(FP32)
    before = state(made)
    made(crops(), 0.0, 0)
    assert all(torch.equal(value, before[name]) for name, value in made.network.named_parameters())
    made(crops(), 1e-3, 1)
    assert not all(torch.equal(value, before[name]) for name, value in made.network.named_parameters())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_crops_that_go_through_in_parts_give_the_gradient_of_the_whole_batch(parts: int, loss: Any) -> None:
    """The parts differ in their size and in how many of their joints are labelled."""
    config = replace(FP32, freeze="norm", loss=loss)
    whole, parted = stepper(config), stepper(replace(config, accumulate=parts))
    losses = [float(made(crops(), 1e-3, 0)) for made in (whole, parted)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert_near(gradient(parted), gradient(whole))


@pytest.mark.parametrize("optimizer", ["rmsprop", "adamw"])
def test_crops_that_go_through_in_parts_lead_to_the_same_weights(optimizer: Any) -> None:
    config = replace(FP32, freeze="norm", optimizer=optimizer)
    whole, losses = gone(config, 5)
    parted, its_losses = gone(replace(config, accumulate=3), 5)
    assert its_losses == pytest.approx(losses, rel=1e-4)
    moved = difference(state(stepper(config)), state(whole))
    assert difference(state(whole), state(parted)) < 1e-3 * moved


# ---- clipping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_norm_of_the_gradient_is_bounded(precision: Any) -> None:
    free, bound = (stepper(replace(FP32, precision=precision, clip=clip)) for clip in (0.0, 0.01))
    for made in (free, bound):
        made(crops(), 1e-3, 0)
    steep = gradient(free)
    assert steep.norm() > 0.1
    assert gradient(bound).norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(gradient(bound), steep * (0.01 / steep.norm()), rtol=1e-3, atol=1e-6)


def test_a_gradient_within_the_bound_is_left_as_it_is() -> None:
    one, _ = gone(FP32, 3)
    other, _ = gone(replace(FP32, clip=1e6), 3)
    assert difference(state(one), state(other)) == 0


# ---- the moving average ------------------------------------------------------------------------------------------


def test_the_result_of_a_step_is_the_moving_average_where_one_is_asked_for() -> None:
    plain, _ = gone(FP32, 3)
    assert plain.average is None
    assert plain.result is plain.network
    averaging, _ = gone(replace(FP32, ema=0.9), 3)
    assert averaging.average is not None
    assert averaging.result is averaging.average.network
    assert difference(state(plain), state(averaging)) == 0  # it looks and does not teach
    assert difference(averaging.average.network.state_dict(), state(averaging)) > 0


def test_the_moving_average_forgets_the_random_weights_of_the_start_soon() -> None:
    shares = []
    for number in (0, 100_000):
        made, layer = stepper(replace(FP32, ema=0.999)), "stem.0.weight"
        begun = state(made)[layer]
        made(crops(), 1e-3, number)
        average, now = made.result.state_dict()[layer], state(made)[layer]
        shares.append(float((average - now).norm() / (begun - now).norm()))
    assert shares == pytest.approx([0.1, 0.999], rel=1e-3)


# ---- precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.half)]
)
def test_the_convolutions_are_computed_as_asked(precision: Any, kind: torch.dtype) -> None:
    made, kinds = stepper(replace(FP32, precision=precision)), set()
    made.network.stacks[1].heatmaps.register_forward_hook(lambda _, inputs, output: kinds.add(output.dtype))
    made(crops(), 1e-3, 0)
    assert kinds == {kind}
    assert {p.dtype for p in made.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_ends_near_full_precision(precision: Any, loss: Any) -> None:
    config = replace(FP32, loss=loss, optimizer="adamw")
    full, losses = gone(config, 8)
    half, its_losses = gone(replace(config, precision=precision), 8)
    assert its_losses == pytest.approx(losses, rel=0.05)
    assert losses[-1] < losses[0]
    begun = state(stepper(config))
    assert difference(state(full), state(half)) < 0.5 * difference(begun, state(full))


def test_a_gradient_too_large_for_half_precision_changes_nothing_but_the_scale() -> None:
    made = stepper(replace(FP32, precision="fp16"))
    made(crops(), 1e-3, 0)
    before, scale = state(made), made.scaler.get_scale()
    made.scaler.update(1e38)
    made(crops(), 1e-3, 1)
    assert made.scaler.get_scale() == pytest.approx(0.5e38)
    assert scale < 1e38
    assert all(torch.equal(value, before[name]) for name, value in made.network.named_parameters())


# ---- compilation -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile has no compiler")
def test_a_compiled_network_has_the_same_losses() -> None:
    config = replace(FP32, stacks=1, depth=1)
    _, losses = gone(config, 4)
    compiled, its_losses = gone(replace(config, compile=True), 4)
    assert compiled._called is not compiled.network
    assert its_losses == pytest.approx(losses, rel=1e-3)
    assert compiled.network.state_dict().keys() == stepper(config).network.state_dict().keys()


# ---- freezing ----------------------------------------------------------------------------------------------------


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def is_noise(name: str) -> bool:
    """A bias that BatchNorm takes away again: what it learns is the noise of float32, or nothing."""
    return name.endswith(("conv1.bias", "conv2.bias", "stem.0.bias", "linear.0.bias"))


def is_frozen(name: str, freeze: str) -> bool:
    head = name.startswith(("stacks", "reinjections")) and ".heatmaps." in name
    return {
        "": False,
        "stem": name.startswith("stem."),
        "body": not head,
        "norm": is_statistic(name),
        "stem,norm": name.startswith("stem.") or is_statistic(name),
    }[freeze]


def alive(config: TrainConfig) -> StackedHourglass:
    """Its statistics are those of some crops, so that no ReLU of so few channels is shut for good."""
    network = first_network(config, model_config(config, dataset()), None)[0].train()
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
def test_what_is_frozen_stays_the_same_to_the_last_bit_and_all_else_changes(freeze: str, ema: float) -> None:
    config = replace(FP32, freeze=freeze, ema=ema, optimizer="adamw", weight_decay=0.1)
    made = stepper(config, alive(config))
    before = state(made)
    for number in range(4):
        made(crops(number), 1e-2, number)
    for after in (made.network.state_dict(), made.result.state_dict()):
        changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert not {name for name in changed if is_frozen(name, freeze)}
        assert not {name for name in after.keys() - changed if not is_frozen(name, freeze) and not is_noise(name)}


# ---- several processes -------------------------------------------------------------------------------------------


def test_statistics_over_all_processes_need_gpus() -> None:
    network = stepper(FP32).network
    with pytest.raises(DeviceError, match="--sync-bn needs GPUs"):
        Stepper(network, replace(FP32, sync_bn=True), CPU, World(0, 2, 0))
