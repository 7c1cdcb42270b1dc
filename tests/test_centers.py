"""Boxes to a detector's maps, its loss, and back."""

import numpy as np
import pytest
import torch

from posehg import centers

SIZE = (13, 17)
BOXES = [[4.2, 5.9, 3.0, 7.0, 1.0], [11.7, 6.4, 5.5, 9.0, 1.0], [15.0, 11.0, 2.0, 2.0, 0.0]]


def targets(*images):
    rows = np.full((len(images), 3, 5), np.nan, dtype=np.float32)
    for number, boxes in enumerate(images):
        rows[number, : len(boxes)] = np.reshape(boxes, (-1, 5))
    return centers.encode(torch.from_numpy(rows), SIZE)


def perfect(encoded):
    certain = torch.where(encoded.centers == 1, 10.0, -10.0)
    return torch.cat((certain[:, None], encoded.values), dim=1)


def test_what_is_encoded_is_decoded():
    encoded = targets(BOXES, [])
    output = perfect(encoded)
    found = centers.decode(output[0].numpy(), 0.5)
    assert found[np.argsort(found[:, 0]), :4] == pytest.approx(np.array(BOXES)[:2, :4], abs=1e-4)
    assert len(centers.decode(output[1].numpy(), 0.5)) == 0


def test_a_neighbour_of_the_middle_knows_the_box_too():
    encoded = targets([[8.4, 6.0, 12.0, 12.0, 1.0]])
    output = perfect(encoded)
    output[0, 0] = -10.0
    output[0, 0, 6, 9] = 10.0
    assert centers.decode(output[0].numpy(), 0.5)[0, :4] == pytest.approx([8.4, 6.0, 12.0, 12.0], abs=1e-4)


def test_the_loss_is_least_for_the_targets_and_blind_in_ignored_boxes():
    encoded = targets(BOXES)
    output = perfect(encoded)
    least = float(centers.loss(output, encoded))
    assert 0 <= least < 0.01
    inside, outside, larger = output.clone(), output.clone(), output.clone()
    inside[0, 0, 11, 15] = outside[0, 0, 11, 3] = 10.0
    larger[0, 1] += 0.1
    assert float(centers.loss(inside, encoded)) == pytest.approx(least)
    assert centers.loss(outside, encoded) > least + 5
    wider = 2 * (1 - np.exp(-0.1)) * centers.BOXES  # two boxes that have an IoU of e^-0.1 with what they should be
    assert float(centers.loss(larger, encoded)) == pytest.approx(least + wider, abs=1e-3)


def test_the_loss_says_how_far_a_box_is_from_its_person():
    encoded = targets(BOXES[:1])
    off = perfect(encoded).requires_grad_()
    losses = [centers.loss(off + torch.tensor([0, 0, 0, by, 0])[:, None, None], encoded) for by in (4.0, 6.0, 20.0)]
    assert losses[0] < losses[1] < losses[2] < 2 * centers.BOXES + 0.01
    [slope] = torch.autograd.grad(losses[1], off)
    assert 0 < slope[0, 3].sum() < torch.inf


def test_a_higher_neighbour_hides_a_cell_and_scores_fall():
    output = np.full((5, *SIZE), -9.0, dtype=np.float32)
    output[1:] = 0.0
    output[0, 3, 4], output[0, 3, 5], output[0, 9, 9] = 1.0, 2.0, 3.0
    found = centers.decode(output, 0.5)
    assert found[:, :2].tolist() == [[9, 9], [5, 3]]
    assert found[:, 4] == pytest.approx(1 / (1 + np.exp([-3.0, -2.0])))
    assert len(centers.decode(output, 0.9)) == 1
