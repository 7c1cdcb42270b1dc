from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from posehg.config import HourglassConfig
from posehg.network import StackedHourglass
from posehg.training.config import TrainConfig
from posehg.training.optimize import Average, learning_rate, optimizer
from posehg.training.start import freeze, set_training

PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores
CONSTANT, DROP, COSINE, CYCLE = (
    TrainConfig(schedule=schedule, lr=0.5) for schedule in ("constant", "drop", "cosine", "one-cycle")
)
WARM_UP = {"cosine": 0.02, "one-cycle": 0.1}

each_schedule = pytest.mark.parametrize("config", [CONSTANT, DROP, COSINE, CYCLE], ids=lambda config: config.schedule)
each_curve = pytest.mark.parametrize("config", [COSINE, CYCLE], ids=lambda config: config.schedule)
each_optimizer = pytest.mark.parametrize("kind", ["rmsprop", "adamw"])


def rates(config: TrainConfig, steps: int) -> np.ndarray:
    """Those of a run's steps, as the loop asks for them: in the middle of each."""
    return np.array([learning_rate(config, (step + 0.5) / steps) for step in range(steps)])


def network(seed: int = 0) -> StackedHourglass:
    torch.manual_seed(seed)
    return StackedHourglass(HourglassConfig(joints=5, stacks=2, features=4, depth=1, stem=(2, 4, 4)))


# ---- schedules ----------------------------------------------------------------------------------------------------


@each_schedule
@PATIENT
@given(done=st.floats(0, 1))
def test_no_rate_is_above_the_highest_or_below_zero(config: TrainConfig, done: float) -> None:
    assert 0 <= learning_rate(config, done) <= config.lr


@each_schedule
def test_each_step_of_a_run_has_a_rate_above_zero(config: TrainConfig) -> None:
    for steps in (1, 2, 7, 1000):
        assert (rates(config, steps) > 0).all()


def test_a_constant_rate_is_constant() -> None:
    assert set(rates(CONSTANT, 7)) == {0.5}


def test_by_default_the_rate_is_a_fifth_for_the_last_fifth_of_the_run() -> None:
    assert rates(TrainConfig(), 10).tolist() == [2.5e-4] * 8 + [5e-5] * 2


def test_wsd_warms_up_stays_and_decays_over_its_last_epochs() -> None:
    config = TrainConfig(schedule="wsd", lr=0.5, epochs=10, decay=2)
    found = rates(config, 1000)
    assert (np.diff(found[:10]) > 0).all()
    assert (found[10:800] == 0.5).all()
    assert (np.diff(found[800:]) < 0).all()
    assert found[900] == pytest.approx(0.5 * (1 - 0.5**0.5), abs=2e-3)
    assert 0 < found[-1] < 0.002


def test_wsd_without_a_decay_does_not_depend_on_the_length_of_the_run() -> None:
    short, long = (TrainConfig(schedule="wsd", lr=0.5, epochs=epochs) for epochs in (4, 400))
    assert np.allclose(rates(short, 400), rates(long, 40_000)[:400])
    assert rates(long, 40_000)[-1] == 0.5


@each_curve
@PATIENT
@given(steps=st.integers(100, 5000))
def test_a_curve_rises_to_its_highest_rate_and_falls_from_there_on(config: TrainConfig, steps: int) -> None:
    found, warm_up = rates(config, steps), WARM_UP[config.schedule]
    top = int(found.argmax())
    assert found[top] == pytest.approx(0.5, rel=0.27 if steps * warm_up < 10 else 0.06)
    assert top + 1 == pytest.approx(warm_up * steps, abs=1.5)
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) < 0).all()


@each_curve
@PATIENT
@given(done=st.floats(0, 0.999))
def test_a_curve_has_no_jump(config: TrainConfig, done: float) -> None:
    # It is steepest at the beginning, or in the middle of its half cosine.
    steepest = max(1 / WARM_UP[config.schedule], np.pi / 2 / (1 - WARM_UP[config.schedule]))
    change = learning_rate(config, done + 0.001) - learning_rate(config, done)
    assert abs(change) <= 1.001 * 0.5 * steepest * 0.001


@each_curve
def test_a_curve_begins_at_zero(config: TrainConfig) -> None:
    assert learning_rate(config, 0) == 0
    assert learning_rate(config, WARM_UP[config.schedule] / 4) == pytest.approx(0.125)


@pytest.mark.parametrize(("config", "last"), [(COSINE, 0.005), (CYCLE, 0)], ids=["cosine", "one-cycle"])
def test_cosine_ends_at_a_hundredth_and_one_cycle_at_zero(config: TrainConfig, last: float) -> None:
    assert learning_rate(config, 1) == pytest.approx(last, abs=1e-12)
    assert rates(config, 1000)[-1] == pytest.approx(last, abs=1e-5)


@each_curve
def test_half_way_from_the_highest_rate_to_the_end_half_of_the_fall_is_done(config: TrainConfig) -> None:
    middle = (1 + WARM_UP[config.schedule]) / 2
    assert learning_rate(config, middle) == pytest.approx((0.5 + learning_rate(config, 1)) / 2)


# ---- optimizers ---------------------------------------------------------------------------------------------------


def test_weight_decay_acts_on_convolutions_alone() -> None:
    hourglass = network()
    groups = optimizer(hourglass, TrainConfig(optimizer="adamw", weight_decay=0.1)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {id(p): 0.1 if p.ndim == 4 else 0.0 for p in hourglass.parameters()} == decay


def test_the_default_optimizer_is_the_papers() -> None:
    made = optimizer(nn.Linear(2, 3), TrainConfig())
    assert isinstance(made, torch.optim.RMSprop)
    assert made.param_groups[0]["lr"] == 2.5e-4


@each_optimizer
@pytest.mark.parametrize("frozen", ["", "stem", "body", "norm", "stem,norm"])
def test_an_optimizer_holds_the_weights_that_learn_and_no_others(kind: str, frozen: str) -> None:
    hourglass, config = network(), TrainConfig(optimizer=kind, freeze=frozen)  # type: ignore[arg-type]
    freeze(hourglass, config)
    held = [id(p) for group in optimizer(hourglass, config).param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in hourglass.parameters() if p.requires_grad)
    assert held


@each_optimizer
@pytest.mark.parametrize("frozen", ["stem", "body"])
def test_frozen_weights_and_statistics_stay_and_all_others_change(kind: str, frozen: str) -> None:
    hourglass = network()
    config = TrainConfig(optimizer=kind, freeze=frozen, weight_decay=0.1, lr=0.01)  # type: ignore[arg-type]
    freeze(hourglass, config)
    before = {name: value.clone() for name, value in hourglass.state_dict().items()}
    learning = {name for name, p in hourglass.named_parameters() if p.requires_grad}
    made = optimizer(hourglass, config)
    for _ in range(2):
        set_training(hourglass, config)
        made.zero_grad()
        sum(output.square().mean() for output in hourglass(torch.rand(3, 3, 16, 16))).backward()  # type: ignore[union-attr]
        made.step()
    changed = {name for name, value in hourglass.state_dict().items() if not torch.equal(value, before[name])}
    still = {name for name in before if name.startswith("stem.")} if frozen == "stem" else set(before) - learning
    assert not changed & still
    # A bias before a BatchNorm changes nothing that the loss could see.
    assert {name for name in learning - changed if not name.endswith("bias")} == set()
    assert changed


# ---- the moving average -------------------------------------------------------------------------------------------


def filled(value: float) -> StackedHourglass:
    """A network in which every weight and statistic is this."""
    hourglass = network()
    with torch.no_grad():
        for tensor in hourglass.state_dict().values():
            tensor.fill_(value)
    return hourglass


def floats(hourglass: StackedHourglass) -> Tensor:
    """Every weight and statistic."""
    return torch.cat([value.flatten() for value in hourglass.state_dict().values() if value.is_floating_point()])


def counters(hourglass: StackedHourglass) -> set[int]:
    return {int(value) for value in hourglass.state_dict().values() if not value.is_floating_point()}


def test_an_average_begins_as_the_network_and_is_one_of_its_own() -> None:
    hourglass = network()
    average = Average(hourglass, 0.9)
    before = floats(hourglass)
    assert torch.equal(floats(average.network), before)
    with torch.no_grad():
        for p in hourglass.parameters():
            p += 1
    assert torch.equal(floats(average.network), before)


def test_an_average_does_not_learn_by_itself() -> None:
    hourglass = network()
    average = Average(hourglass, 0.9)
    assert not any(p.requires_grad for p in average.network.parameters())
    assert all(p.requires_grad for p in hourglass.parameters())


def test_after_many_steps_at_the_same_weights_the_average_has_them() -> None:
    average, goal = Average(filled(0), 0.9), network(seed=3)
    for step in range(300):
        average.update(goal, step)
    torch.testing.assert_close(floats(average.network), floats(goal))


def test_the_weights_of_the_start_are_soon_forgotten_however_long_the_memory() -> None:
    average, goal = Average(filled(1), 0.9999), filled(0)
    left = []
    for step in range(5):
        average.update(goal, step)
        left.append(float(floats(average.network).max()))
    assert left[0] == pytest.approx(0.1)
    assert left[-1] < 1e-3


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_late_in_a_run_an_update_takes_up_what_the_decay_leaves(decay: float) -> None:
    average = Average(filled(1), decay)
    average.update(filled(0), 10**6)
    torch.testing.assert_close(floats(average.network), torch.full_like(floats(average.network), decay))


def test_the_memory_grows_from_step_to_step_up_to_the_decay() -> None:
    left = []
    for step in (0, 1, 3, 10, 50, 79):
        average = Average(filled(1), 0.9)
        average.update(filled(0), step)
        left.append(float(floats(average.network)[0]))
    assert all(one < other < 0.9 for one, other in pairwise(left))
    assert left[-1] == pytest.approx(0.9, abs=0.002)


def test_counters_are_not_averaged_but_copied() -> None:
    average, goal = Average(filled(0), 0.999), filled(7)
    assert counters(average.network) == {0}
    average.update(goal, 1000)
    assert counters(average.network) == {7}


def test_an_update_does_not_touch_the_network() -> None:
    hourglass = network()
    average, before = Average(filled(1), 0.9), floats(hourglass)
    average.update(hourglass, 3)
    assert torch.equal(floats(hourglass), before)


def test_an_average_follows_a_network_in_the_layout_of_training() -> None:
    hourglass = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average, plain = Average(hourglass, 0.9), Average(network(), 0.9)
    for step in range(3):
        goal = network(seed=step)
        plain.update(goal, step)
        average.update(goal.to(memory_format=torch.channels_last), step)  # type: ignore[call-overload]
    torch.testing.assert_close(floats(average.network), floats(plain.network))


def test_a_frozen_weight_is_the_same_in_the_average() -> None:
    hourglass = network()
    freeze(hourglass, replace(TrainConfig(), freeze="stem"))
    average = Average(hourglass, 0.9)
    with torch.no_grad():
        for p in hourglass.parameters():
            if p.requires_grad:
                p += 1
    for step in range(5):
        average.update(hourglass, step)
    for name, value in hourglass.state_dict().items():
        if name.startswith("stem."):
            assert torch.equal(average.network.state_dict()[name], value)
