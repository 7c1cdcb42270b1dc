"""Learning rate schedules, optimizers and the moving average of the weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from posehg.config import HourglassConfig
from posehg.network import StackedHourglass
from posehg.training.builder import freeze
from posehg.training.config import TrainConfig
from posehg.training.optim import Average, learning_rate, optimizer

PATIENT = settings(max_examples=50, deadline=None)
CONSTANT, DROP, COSINE, CYCLE = (
    TrainConfig(schedule=schedule, lr=0.5) for schedule in ("constant", "drop", "cosine", "one-cycle")
)
WARM_UP = {"cosine": 0.02, "one-cycle": 0.1}

each_curve = pytest.mark.parametrize("config", [COSINE, CYCLE], ids=lambda config: config.schedule)


def rates(config: TrainConfig, steps: int) -> np.ndarray:
    """The rates of a run's steps, each in its middle."""
    return np.array([learning_rate(config, (step + 0.5) / steps) for step in range(steps)])


def network(seed: int = 0) -> StackedHourglass:
    torch.manual_seed(seed)
    return StackedHourglass(HourglassConfig(joints=5, stacks=2, features=4, depth=1, stem=(2, 4, 4)))


# ---- schedules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [CONSTANT, DROP, COSINE, CYCLE], ids=lambda config: config.schedule)
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_the_rate_of_every_step_is_above_zero_and_at_most_the_given_one(config: TrainConfig, steps: int) -> None:
    assert (rates(config, steps) > 0).all()
    assert (rates(config, steps) <= config.lr).all()
    assert 0 <= learning_rate(config, 1) <= config.lr


def test_constant_stays_and_drop_is_a_fifth_for_the_last_fifth() -> None:
    assert set(rates(CONSTANT, 7)) == {0.5}
    assert rates(TrainConfig(), 10).tolist() == [2.5e-4] * 8 + [5e-5] * 2


def test_wsd_warms_up_stays_and_decays_over_its_last_epochs() -> None:
    config = TrainConfig(schedule="wsd", lr=0.5, epochs=10, decay=2)
    found = rates(config, 1000)
    assert (np.diff(found[:10]) > 0).all()
    assert (found[10:800] == 0.5).all()
    assert (np.diff(found[800:]) < 0).all()
    assert found[900] == pytest.approx(0.5 * (1 - 0.5**0.5), abs=2e-3)
    assert 0 < found[-1] < 0.002


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


@pytest.mark.parametrize(("config", "last"), [(COSINE, 0.005), (CYCLE, 0)], ids=["cosine", "one-cycle"])
def test_a_curve_has_known_values_and_no_jump(config: TrainConfig, last: float) -> None:
    warm_up = WARM_UP[config.schedule]
    places = [0, warm_up / 4, warm_up, (1 + warm_up) / 2, 1]
    expected = [0, 0.125, 0.5, (0.5 + last) / 2, last]
    assert [learning_rate(config, done) for done in places] == pytest.approx(expected, abs=1e-12)
    steepest = 0.5 * max(1 / warm_up, np.pi / 2 / (1 - warm_up))  # at the start, or in the middle of the half cosine
    assert np.abs(np.diff(rates(config, 5000))).max() <= 1.001 * steepest / 5000


# ---- optimizers --------------------------------------------------------------------------------------------------


def test_the_default_optimizer_is_the_papers_and_adamw_decays_convolutions_only() -> None:
    made = optimizer(nn.Linear(2, 3), TrainConfig())
    assert isinstance(made, torch.optim.RMSprop)
    assert made.param_groups[0]["lr"] == 2.5e-4
    hourglass = network()
    groups = optimizer(hourglass, TrainConfig(optimizer="adamw", weight_decay=0.1)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {id(p): 0.1 if p.ndim == 4 else 0.0 for p in hourglass.parameters()} == decay


@pytest.mark.parametrize("kind", ["rmsprop", "adamw"])
@pytest.mark.parametrize("frozen", ["", "stem", "body", "norm", "stem,norm"])
def test_an_optimizer_holds_the_weights_that_learn_and_no_others(kind: str, frozen: str) -> None:
    hourglass, config = network(), TrainConfig(optimizer=kind, freeze=frozen)  # type: ignore[arg-type]
    freeze(hourglass, config)
    held = [id(p) for group in optimizer(hourglass, config).param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in hourglass.parameters() if p.requires_grad)
    assert held


# ---- the moving average ------------------------------------------------------------------------------------------


def filled(value: float) -> StackedHourglass:
    """A network in which every weight and statistic is this."""
    hourglass = network()
    with torch.no_grad():
        for tensor in hourglass.state_dict().values():
            tensor.fill_(value)
    return hourglass


def floats(hourglass: StackedHourglass) -> Tensor:
    return torch.cat([value.flatten() for value in hourglass.state_dict().values() if value.is_floating_point()])


def test_an_average_starts_as_a_copy_of_the_network_that_does_not_learn() -> None:
    hourglass = network()
    average, before = Average(hourglass, 0.9), floats(hourglass)
    assert torch.equal(floats(average.network), before)
    assert not any(p.requires_grad for p in average.network.parameters())
    assert all(p.requires_grad for p in hourglass.parameters())
    with torch.no_grad():
        for p in hourglass.parameters():
            p += 1
    assert torch.equal(floats(average.network), before)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_memory_grows_from_a_tenth_to_the_decay(decay: float) -> None:
    left = []
    for step in (0, 1, 3, 10, 50, 10**6):
        average = Average(filled(1), decay)
        average.update(filled(0), step)
        assert (floats(average.network) == floats(average.network)[0]).all()
        left.append(float(floats(average.network)[0]))
    assert left[0] == pytest.approx(min(0.1, decay))
    assert left[-1] == pytest.approx(decay)
    assert all(one <= other for one, other in pairwise(left))


def test_counters_are_copied() -> None:
    average = Average(filled(0), 0.999)
    average.update(filled(7), 1000)
    counters = {int(value) for value in average.network.state_dict().values() if not value.is_floating_point()}
    assert counters == {7}
