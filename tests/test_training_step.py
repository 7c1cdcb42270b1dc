"""One step of the training: its rate, its gradient however it is computed, the average, and what stays frozen."""

import math
import os
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posehg.distributed import ALONE
from posehg.errors import DeviceError
from posehg.network import StackedHourglass
from posehg.training.builder import model_config
from posehg.training.config import TrainConfig
from posehg.training.data import Crops
from posehg.training.step import LOSSES, Stepper, learning_rate, optimizer, supervised, update_average
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
    torch.manual_seed(config.seed)
    return StackedHourglass(model_config(config, dataset()).network)


def stepper(config: TrainConfig, network: StackedHourglass | None = None, teacher: nn.Module | None = None) -> Stepper:
    network = (network or fresh_network(config)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Stepper(network, config, CPU, ALONE, teacher)


def state(made: Stepper) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in made.network.state_dict().items()}


def gradient(network: StackedHourglass) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def assert_near(one: Tensor, other: Tensor) -> None:
    """Within the noise of float32."""
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def rates(config: TrainConfig, steps: int) -> np.ndarray:
    """The rates of a run's steps, each in its middle: all above zero and at most the given one."""
    found = np.array([learning_rate(config, (step + 0.5) / steps) for step in range(steps)])
    assert (found > 0).all()
    assert (found <= config.lr).all()
    return found


def test_drop_is_a_fifth_for_the_last_fifth() -> None:
    assert rates(TrainConfig(), 10).tolist() == [2.5e-4] * 8 + [5e-5] * 2


def test_wsd_warms_up_stays_and_decays_over_its_last_epochs() -> None:
    found = rates(TrainConfig(schedule="wsd", lr=0.5, epochs=10, decay=2), 1000)
    assert (np.diff(found[:10]) > 0).all()
    assert (found[10:800] == 0.5).all()
    assert (np.diff(found[800:]) < 0).all()
    assert found[900] == pytest.approx(0.5 * (1 - 0.5**0.5), abs=2e-3)
    assert 0 < found[-1] < 0.002


@pytest.mark.parametrize(("name", "warm_up", "last"), [("cosine", 0.02, 0.005), ("one-cycle", 0.1, 0)])
def test_a_curve_rises_and_falls_through_known_values(name: Any, warm_up: float, last: float) -> None:
    config, places = TrainConfig(schedule=name, lr=0.5), [0, warm_up / 4, warm_up, (1 + warm_up) / 2, 1]
    assert len(rates(config, 1)) == 1
    expected = [0, 0.125, 0.5, (0.5 + last) / 2, last]
    assert [learning_rate(config, done) for done in places] == pytest.approx(expected, abs=1e-12)
    steps = np.diff(rates(config, 5000))
    assert (steps[: round(warm_up * 5000) - 1] > 0).all()
    assert (steps[round(warm_up * 5000) :] < 0).all()
    steepest = 0.5 * max(1 / warm_up, np.pi / 2 / (1 - warm_up))  # at the start, or in the middle of the half cosine
    assert np.abs(steps).max() <= 1.001 * steepest / 5000


def test_the_default_optimizer_is_the_papers_and_adamw_decays_convolutions_only() -> None:
    made = optimizer(nn.Linear(2, 3), TrainConfig())
    assert isinstance(made, torch.optim.RMSprop)
    assert made.param_groups[0]["lr"] == 2.5e-4
    network = fresh_network(TINY)
    groups = optimizer(network, TrainConfig(optimizer="adamw", weight_decay=0.1)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {id(p): 0.1 if p.ndim == 4 else 0.0 for p in network.parameters()} == decay


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_memory_of_the_average_grows_from_a_tenth_to_the_decay_and_counters_are_copied(decay: float) -> None:
    left: list[float] = []
    average, network = (nn.BatchNorm2d(3).requires_grad_(False) for _ in range(2))
    values = average.state_dict().values()
    for step in (0, 1, 3, 10, 50, 10**6):
        for value, module in ((1, average), (0, network)):  # every weight, statistic and counter
            for tensor in module.state_dict().values():
                tensor.fill_(value)
        update_average(average, network, decay, step)
        assert {int(value) for value in values if not value.is_floating_point()} == {0}
        left += {float(value) for tensor in values if tensor.is_floating_point() for value in tensor}
    assert (len(left), left) == (6, sorted(left))
    assert (left[0], left[-1]) == pytest.approx((min(0.1, decay), decay))


def test_the_result_is_the_moving_average_if_there_is_one() -> None:
    plain, averaging = stepper(FP32), stepper(replace(FP32, ema=0.9))
    for made in (plain, averaging):
        made(crops(), 1e-3, 0)
    assert plain.result is plain.network
    assert averaging.result is averaging.average
    assert same(state(plain), state(averaging))  # it does not change what is learned
    assert not same(averaging.result.state_dict(), state(averaging))


def test_the_gradient_is_that_of_the_loss_over_the_batch() -> None:
    made, batch, network = stepper(FP32), crops(), fresh_network(FP32).train()
    loss = supervised(network(batch.images.float() / 255), batch.points, FP32.sigma, LOSSES["mse"])
    loss.backward()
    assert float(made(batch, 1e-3, 0)) == pytest.approx(loss.item(), rel=1e-5)
    assert_near(gradient(made.network), gradient(network))


class Elsewhere(nn.Module):
    """A teacher that sees every joint in one cell."""

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), J, 8, 8)
        logits[:, :, 5, 2] = 9
        return logits


@pytest.mark.parametrize(("loss", "teacher"), [*((loss, None) for loss in LOSSES), ("cross-entropy", Elsewhere())])
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_a_batch_in_parts_has_the_gradient_of_the_whole_batch(parts: int, loss: Any, teacher: Any) -> None:
    """The parts differ in size and in the number of labels."""
    config = replace(FP32, freeze="norm", loss=loss)
    whole, parted = stepper(config, teacher=teacher), stepper(replace(config, accumulate=parts), teacher=teacher)
    losses = [float(made(crops(), 1e-3, 0)) for made in (whole, parted)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert_near(gradient(parted.network), gradient(whole.network))


def test_a_teacher_is_followed_where_there_are_no_labels() -> None:
    made, batch = stepper(replace(FP32, loss="cross-entropy"), teacher=Elsewhere()), crops()
    unlabelled = Crops(batch.images, torch.full_like(batch.points, math.nan))
    losses = [float(made(unlabelled, 1e-2, number)) for number in range(100)]
    assert losses[-1] < losses[0] / 2
    maps = made.network.train()(batch.images.float() / 255)[-1]
    assert set(maps.flatten(-2).argmax(-1).flatten().tolist()) == {5 * 8 + 2}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_norm_of_the_gradient_is_limited(precision: Any) -> None:
    free, bound, loose = (stepper(replace(FP32, precision=precision, clip=clip)) for clip in (0.0, 0.01, 1e6))
    for made in (free, bound, loose):
        made(crops(), 1e-3, 0)
    steep = gradient((free if precision == "fp32" else loose).network)  # unscaled
    assert steep.norm() > 0.1
    assert gradient(bound.network).norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(gradient(bound.network), steep * (0.01 / steep.norm()), rtol=1e-3, atol=1e-6)
    assert same(state(free), state(loose))


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
    before = state(made)
    made.scaler.update(1e38)
    made(crops(), 1e-3, 1)
    assert made.scaler.get_scale() == pytest.approx(0.5e38)
    assert same(dict(made.network.named_parameters()), before)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile has no compiler")
def test_a_compiled_network_has_the_same_losses() -> None:
    config = replace(FP32, stacks=1, depth=1)
    plain, compiled = stepper(config), stepper(replace(config, compile=True))
    losses, its_losses = ([float(made(crops(n), config.lr, n)) for n in range(4)] for made in (plain, compiled))
    assert its_losses == pytest.approx(losses, rel=1e-3)
    assert compiled.network.state_dict().keys() == plain.network.state_dict().keys()


def test_shared_statistics_need_gpus() -> None:
    with pytest.raises(DeviceError, match="--sync-bn"):
        Stepper(fresh_network(FP32), replace(FP32, sync_bn=True), CPU, ALONE)


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
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
            module.momentum = None  # the mean of all batches
    network(crops().images.float() / 255)
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
