"""The losses: as in plain loops, blind to unlabelled joints, and the same in parts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg.training.step import (
    LOSSES,
    PerJoint,
    distilled,
    supervised,
)

B, J, H, W = 3, 5, 7, 11
SIGMA = 1.1
MASKED = [(0, 1), (2, 4)]
PATIENT = settings(max_examples=50)

each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def joints(seed: int = 3) -> Tensor:
    """(B, J, 2): on the map, except one that is not labelled, one half labelled and one that is off the map."""
    points = torch.rand(B, J, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points *= torch.tensor([W - 1, H - 1])
    points[0, 1] = torch.nan
    points[2, 4, 0] = torch.nan
    points[1, 2] = torch.tensor([-50.0, 3.0])
    return points


def plain(loss: str, output: np.ndarray, x: float, y: float) -> float:
    """The loss of one map (H, W) to a joint, in loops."""
    target = np.zeros((H, W))
    if -0.5 <= x < W - 0.5 and -0.5 <= y < H - 0.5:
        for row, column in np.ndindex(H, W):
            target[row, column] = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * SIGMA**2))
    if loss == "mse":
        return float(((output - target) ** 2).sum() / (H * W))
    weights = [np.exp(value) for value in output.ravel()] + [1.0]
    wanted = [value / target.sum() for value in target.ravel()] + [0.0] if target.any() else [0.0] * (H * W) + [1.0]
    return -sum(q * np.log(w / sum(weights)) for q, w in zip(wanted, weights, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_equals_one_in_plain_loops(loss: str) -> None:
    outputs, points = [noise(seed, B, J, H, W) for seed in (1, 2)], joints()
    expected = 0.0
    for output in outputs:
        places = [place for place in np.ndindex(B, J) if place not in MASKED]
        values = [plain(loss, output[b, j].numpy(), *points[b, j].tolist()) for b, j in places]
        expected += sum(values) / len(values)
    found = supervised(outputs, points, SIGMA, LOSSES[loss])
    assert float(found) == pytest.approx(expected, rel=1e-5)  # outputs are compared in single precision
    half = [output.bfloat16() for output in outputs]
    full = [output.float() for output in half]
    assert supervised(half, points, SIGMA, LOSSES[loss]) == supervised(full, points, SIGMA, LOSSES[loss])


@each_loss
@pytest.mark.parametrize("value", [0.0, -3.0, 1e18, 1e38, torch.inf, -torch.inf, torch.nan])
def test_an_unlabelled_joint_changes_neither_value_nor_gradient(loss: PerJoint, value: float) -> None:
    one, two = noise(1, B, J, H, W).float(), noise(1, B, J, H, W).float()
    for place in MASKED:
        two[place] = value
    losses = [supervised([output.requires_grad_()], joints().float(), SIGMA, loss) for output in (one, two)]
    torch.stack(losses).sum().backward()
    assert losses[0].isfinite()
    assert losses[0] == losses[1]
    assert torch.equal(one.grad, two.grad)
    assert not any(two.grad[place].any() for place in MASKED)


@each_loss
@pytest.mark.parametrize("total", [None, torch.tensor(7.0)])
def test_a_batch_without_labels_teaches_nothing(loss: PerJoint, total: Tensor | None) -> None:
    output = noise(1, B, J, H, W).requires_grad_()
    value = supervised([output], torch.full((B, J, 2), torch.nan), SIGMA, loss, total)
    value.backward()
    assert value == 0
    assert not output.grad.any()


@each_loss
@PATIENT
@given(cut=st.integers(1, B - 1), seed=st.integers(0, 99))
def test_parts_of_a_batch_add_up_to_the_whole_in_value_and_gradient(loss: PerJoint, cut: int, seed: int) -> None:
    outputs = [noise(seed + stack, B, J, H, W).requires_grad_() for stack in (0, 1)]
    points = joints(seed)
    whole, total = supervised(outputs, points, SIGMA, loss), torch.tensor(B * J - len(MASKED))
    first, second = (
        supervised([output[some] for output in outputs], points[some], SIGMA, loss, total)
        for some in (slice(None, cut), slice(cut, None))
    )
    torch.testing.assert_close(first + second, whole)
    gradients = [torch.autograd.grad(value, outputs, retain_graph=True) for value in (first + second, whole)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@each_loss
@pytest.mark.parametrize("sigma", [1e-3, 0.03, 0.1])
def test_a_gaussian_that_falls_between_the_cells_has_a_finite_loss(loss: PerJoint, sigma: float) -> None:
    output = noise(1, 1, 1, H, W).float().requires_grad_()
    value = supervised([output], torch.tensor([[[4.5, 2.5]]]), sigma, loss)
    value.backward()
    assert value.isfinite()
    assert output.grad.isfinite().all()


def test_a_teacher_pulls_every_cell_and_nowhere_towards_its_probabilities() -> None:
    output, teacher = noise(1, B, J, H, W).requires_grad_(), noise(2, B, J, H, W)
    distilled(output, teacher).sum().backward()
    for b, j in np.ndindex(B, J):
        mine, wanted = (
            np.exp(map_) / (1 + np.exp(map_).sum()) for map_ in (output.detach()[b, j].numpy(), teacher[b, j].numpy())
        )
        np.testing.assert_allclose(output.grad[b, j].numpy(), mine - wanted, atol=1e-12)
