from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg.heatmaps import encode, probabilities
from posehg.training.losses import (
    LOSSES,
    PerJoint,
    cross_entropy,
    labelled,
    squared_difference,
    supervised,
    weighted_squared_difference,
)

B, J, H, W = 3, 5, 7, 11
PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores
SIGMA = 1.1

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


MASKED = [(0, 1), (2, 4)]


def value_and_gradient(output: Tensor, points: Tensor, loss: PerJoint) -> tuple[Tensor, Tensor]:
    output = output.clone().requires_grad_()
    value = supervised([output], points, SIGMA, loss)
    value.backward()
    assert output.grad is not None
    return value.detach(), output.grad


def plain(loss: str, output: np.ndarray, x: float, y: float) -> float:
    """The loss of one map (H, W) to a joint, in loops."""
    target = np.zeros((H, W))
    if -0.5 <= x < W - 0.5 and -0.5 <= y < H - 0.5:
        for row, column in np.ndindex(H, W):
            target[row, column] = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * SIGMA**2))
    if loss == "mse":
        return float(((output - target) ** 2).sum() / (H * W))
    if loss == "weighted-mse":
        total = 0.0
        for row, column in np.ndindex(H, W):
            share = target[row, column] / target.sum() if target.any() else 0.0  # of the Gaussian
            total += (1 / (H * W) + share) * (output[row, column] - target[row, column]) ** 2
        return total
    weights = [np.exp(value) for value in output.ravel()] + [1.0]
    wanted = [value / target.sum() for value in target.ravel()] + [0.0] if target.any() else [0.0] * (H * W) + [1.0]
    return -sum(q * np.log(w / sum(weights)) for q, w in zip(wanted, weights, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_equals_one_in_plain_loops(loss: str) -> None:
    outputs, points = [noise(seed, B, J, H, W) for seed in (1, 2)], joints()
    expected = 0.0
    for output in outputs:
        values = [
            plain(loss, output[b, j].numpy(), *points[b, j].tolist())
            for b, j in np.ndindex(B, J)
            if (b, j) not in MASKED
        ]
        expected += sum(values) / len(values)
    found = supervised([output.double() for output in outputs], points, SIGMA, LOSSES[loss])
    assert float(found) == pytest.approx(expected, rel=1e-5)  # outputs are compared in single precision


@each_loss
def test_each_joints_loss_is_its_own(loss: PerJoint) -> None:
    # Nothing broadcasts over the batch: what is changed in one map changes one value.
    output, target = noise(1, B, J, H, W), encode(joints(), (H, W), SIGMA)
    before = loss(output, target)
    output[2, 3, 5, 7] += 1
    assert before.shape == (B, J)
    changed = loss(output, target) != before
    assert changed.nonzero().tolist() == [[2, 3]]


@each_loss
@pytest.mark.parametrize("value", [0.0, -3.0, 1e18, 1e38, torch.inf, -torch.inf, torch.nan])
def test_a_joint_that_is_not_labelled_changes_neither_value_nor_gradient(loss: PerJoint, value: float) -> None:
    output, points = noise(1, B, J, H, W).float(), joints().float()
    other = output.clone()
    for b, j in MASKED:
        other[b, j] = value
    one, two = value_and_gradient(output, points, loss), value_and_gradient(other, points, loss)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert all((two[1][b, j] == 0).all() for b, j in MASKED)
    assert one[0].isfinite()


@each_loss
def test_every_labelled_joint_changes_value_and_gradient(loss: PerJoint) -> None:
    output, points = noise(1, B, J, H, W), joints()
    value, gradient = value_and_gradient(output, points, loss)
    assert (gradient.abs().amax(dim=(-2, -1)) > 0).sum() == B * J - len(MASKED)
    for b, j in np.ndindex(B, J):
        if (b, j) not in MASKED:
            other = output.clone()
            other[b, j, 2, 3] += 2
            assert supervised([other], points, SIGMA, loss) != value


@each_loss
def test_a_batch_without_a_labelled_joint_teaches_nothing(loss: PerJoint) -> None:
    value, gradient = value_and_gradient(noise(1, B, J, H, W), torch.full((B, J, 2), torch.nan), loss)
    assert value == 0
    assert (gradient == 0).all()


@each_loss
def test_a_joint_off_the_map_is_supervised_to_be_nowhere(loss: PerJoint) -> None:
    points = torch.full((1, 1, 2), -50.0)
    output = noise(1, 1, 1, H, W).clamp_min(0.1)
    _, gradient = value_and_gradient(output, points, loss)
    assert (gradient > 0).all()  # less everywhere is better


@each_loss
def test_the_loss_is_summed_over_the_stacks(loss: PerJoint) -> None:
    outputs, points = [noise(seed, B, J, H, W) for seed in (1, 2, 3)], joints()
    each = [supervised([output], points, SIGMA, loss) for output in outputs]
    torch.testing.assert_close(supervised(outputs, points, SIGMA, loss), sum(each[1:], each[0]))


@each_loss
def test_outputs_in_half_precision_are_compared_in_full(loss: PerJoint) -> None:
    output, points = noise(1, B, J, H, W).bfloat16(), joints().float()
    expected = supervised([output.float()], points, SIGMA, loss)
    assert supervised([output], points, SIGMA, loss) == expected


@each_loss
def test_an_output_that_is_not_a_number_at_a_masked_joint_leaves_every_other_gradient(loss: PerJoint) -> None:
    # In all stacks at once, and where a weight and not a missing label masks it.
    points, weights = joints().float(), torch.ones(B, J)
    weights[1, 3] = 0
    outputs = [noise(seed, B, J, H, W).float() for seed in (1, 2)]
    spoilt = [output.clone() for output in outputs]
    for output, value in zip(spoilt, (torch.nan, torch.inf), strict=True):
        for b, j in (*MASKED, (1, 3)):
            output[b, j] = value
    values, gradients = [], []
    for some in (outputs, spoilt):
        learning = [output.requires_grad_() for output in some]
        value = supervised(learning, points, SIGMA, loss, weights)
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value, learning))
    assert torch.equal(values[0], values[1])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


# ---- weights, and parts of a batch ---------------------------------------------------------------------------------


def trust(seed: int = 5) -> Tensor:
    """(B, J) weights of the labels, one of them zero; also where there is no label."""
    weights = torch.rand(B, J, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1
    weights[2, 0] = 0
    return weights


@each_loss
def test_each_label_counts_as_much_as_it_weighs(loss: PerJoint) -> None:
    output, points, weights = noise(1, B, J, H, W).float(), joints(), trust()
    per_joint = loss(output.double(), encode(points, (H, W), SIGMA))
    known = labelled(points) > 0
    expected = (per_joint * weights)[known].sum() / weights[known].sum()
    torch.testing.assert_close(supervised([output], points, SIGMA, loss, weights), expected)


@each_loss
def test_weights_that_are_all_alike_change_nothing(loss: PerJoint) -> None:
    output, points = noise(1, B, J, H, W), joints()
    found = supervised([output], points, SIGMA, loss, torch.full((B, J), 0.3, dtype=torch.float64))
    torch.testing.assert_close(found, supervised([output], points, SIGMA, loss))


@each_loss
def test_a_label_without_weight_counts_as_none(loss: PerJoint) -> None:
    output, points, weights = noise(1, B, J, H, W), joints(), torch.ones(B, J, dtype=torch.float64)
    weights[2, 0] = 0
    without = points.clone()
    without[2, 0] = torch.nan
    expected = supervised([output], without, SIGMA, loss)
    torch.testing.assert_close(supervised([output], points, SIGMA, loss, weights), expected)


@each_loss
def test_where_no_label_has_weight_nothing_is_taught(loss: PerJoint) -> None:
    output = noise(1, B, J, H, W).requires_grad_()
    value = supervised([output], joints(), SIGMA, loss, torch.zeros(B, J, dtype=torch.float64))
    value.backward()
    assert value == 0
    assert output.grad is not None
    assert not output.grad.any()


@each_loss
@PATIENT
@given(cut=st.integers(1, B - 1), seed=st.integers(0, 99), weighted=st.booleans())
def test_parts_of_a_batch_add_up_to_the_whole_in_value_and_gradient(
    loss: PerJoint, cut: int, seed: int, weighted: bool
) -> None:
    outputs = [noise(seed + stack, B, J, H, W).requires_grad_() for stack in (0, 1)]
    points, weights = joints(seed), trust(seed) if weighted else torch.ones(B, J, dtype=torch.float64)
    whole = supervised(outputs, points, SIGMA, loss, weights)
    total = (weights * labelled(points)).sum()
    parts = [
        supervised([output[some] for output in outputs], points[some], SIGMA, loss, weights[some], total)
        for some in (slice(None, cut), slice(cut, None))
    ]
    torch.testing.assert_close(parts[0] + parts[1], whole)
    gradients = [torch.autograd.grad(value, outputs, retain_graph=True) for value in (parts[0] + parts[1], whole)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@each_loss
def test_a_part_without_a_label_adds_nothing_to_the_whole(loss: PerJoint) -> None:
    output = noise(1, B, J, H, W).requires_grad_()
    value = supervised([output], torch.full((B, J, 2), torch.nan), SIGMA, loss, total=torch.tensor(7.0))
    value.backward()
    assert value == 0
    assert output.grad is not None
    assert not output.grad.any()


# ---- each loss by itself -------------------------------------------------------------------------------------------


def test_the_squared_difference_is_the_mean_over_the_cells() -> None:
    target = torch.zeros(B, J, H, W)
    assert torch.equal(squared_difference(target + 3, target), torch.full((B, J), 9.0))


def zero_map_costs(size: tuple[int, int], loss: PerJoint) -> float:
    """The loss of an all-zero map whose joint lies in its middle."""
    target = encode(torch.tensor([[[size[1] / 2, size[0] / 2]]], dtype=torch.float64), size, SIGMA)
    return float(loss(torch.zeros_like(target), target))


def test_missing_a_joint_costs_a_third_on_small_maps_and_large_when_weighted() -> None:
    # The mean of a Gaussian's square, weighted by the Gaussian: 1/3. Unweighted, it is lost among the other cells.
    sizes = ((31, 37), (61, 67), (127, 131))
    assert [zero_map_costs(size, weighted_squared_difference) for size in sizes] == pytest.approx([1 / 3] * 3, abs=5e-3)
    assert [zero_map_costs(size, squared_difference) for size in sizes] == pytest.approx(
        [np.pi * SIGMA**2 / (rows * columns) for rows, columns in sizes], rel=1e-3
    )


@PATIENT
@given(st.floats(-0.49, W - 0.51), st.floats(-0.49, H - 0.51))
def test_the_gaussian_weighs_as_much_as_the_map_wherever_it_lies(x: float, y: float) -> None:
    target = encode(torch.tensor([[[x, y]]], dtype=torch.float64), (H, W), SIGMA)
    weighted, plain = (loss(target + 0.3, target) for loss in (weighted_squared_difference, squared_difference))
    torch.testing.assert_close(weighted, 2 * plain)


def test_where_there_is_nobody_to_find_the_weighted_difference_is_the_plain_one() -> None:
    output, nothing = noise(1, B, J, H, W), torch.zeros(B, J, H, W, dtype=torch.float64)
    assert torch.equal(weighted_squared_difference(output, nothing), squared_difference(output, nothing))


@each_loss
@pytest.mark.parametrize("sigma", [1e-3, 0.03, 0.1])
def test_a_gaussian_that_falls_between_the_cells_has_a_finite_loss(loss: PerJoint, sigma: float) -> None:
    output = noise(1, 1, 1, H, W).float().requires_grad_()
    value = supervised([output], torch.tensor([[[4.5, 2.5]]]), sigma, loss)
    value.backward()
    assert output.grad is not None
    assert value.isfinite()
    assert output.grad.isfinite().all()


@PATIENT
@given(st.integers(0, 2**32 - 1))
def test_cross_entropy_equals_torchs_own(seed: int) -> None:
    output, target = 3 * noise(seed, B, J, H, W), encode(joints(seed), (H, W), SIGMA)
    flat = target.flatten(-2)
    nowhere = (flat.sum(dim=-1, keepdim=True) == 0).double()
    wanted = torch.cat((flat / (flat.sum(dim=-1, keepdim=True) + nowhere), nowhere), dim=-1)
    logits = torch.cat((output.flatten(-2), torch.zeros(B, J, 1)), dim=-1)
    expected = torch.nn.functional.cross_entropy(
        logits.reshape(B * J, -1), wanted.reshape(B * J, -1), reduction="none"
    ).view(B, J)
    torch.testing.assert_close(cross_entropy(output, target), expected)


@PATIENT
@given(st.integers(0, 2**32 - 1))
def test_cross_entropy_is_least_where_the_output_has_the_targets_shape(seed: int) -> None:
    target = encode(torch.tensor([[[4.3, 2.8]]], dtype=torch.float64), (H, W), SIGMA)
    best = (target / target.sum()).log() + 30  # so high that nowhere has no share
    least = cross_entropy(best, target)
    assert (cross_entropy(best + 0.1 * noise(seed, 1, 1, H, W), target) > least).all()
    entropy = -(target / target.sum() * (target / target.sum()).log()).sum()
    torch.testing.assert_close(least, entropy.view(1, 1))


def test_descending_cross_entropy_ends_at_the_target_and_at_nowhere() -> None:
    points = torch.tensor([[[4.3, 2.8], [-50.0, 0.0]]])
    output = torch.zeros(1, 2, H, W, requires_grad=True)
    optimizer = torch.optim.Adam([output], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        supervised([output], points, SIGMA, cross_entropy).backward()
        optimizer.step()
    first, second = probabilities(output.detach())[0]
    target = encode(points, (H, W), SIGMA)[0, 0]
    torch.testing.assert_close(first, target / target.sum(), atol=0.02, rtol=0)
    assert second.sum() < 0.02
