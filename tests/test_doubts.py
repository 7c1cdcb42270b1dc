"""What a network that was right all along would make of labels that are wrong."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posehg import heatmaps, processes
from posehg.training.doubts import Doubts
from posehg.training.samples import NOWHERE

PATIENT = settings(max_examples=50, deadline=None)  # another process may have the cores
H, W, PERSONS = 31, 37, 7
LEFT, HEAD, RIGHT, FOOT, TAIL = range(5)
FLIP = (RIGHT, HEAD, LEFT, FOOT, TAIL)
LABELS = torch.tensor([(6.0, 5.0), (18.0, 14.0), (31.0, 6.0), (7.0, 25.0), (30.0, 24.0)])
"""Far from each other, in cells."""
ELSEWHERE = torch.tensor([18.0, 27.0])
"""Far from all of them."""
EVERYBODY = torch.arange(PERSONS)
MIDDLES = (HEAD, FOOT, TAIL)


def mirrored(points: Tensor) -> Tensor:
    """(..., J, 2) as a mirrored sample has them."""
    return torch.tensor([W - 1.0, 0.0]) - points[..., list(FLIP), :] * torch.tensor([1.0, -1.0])


def doubts() -> Doubts:
    return Doubts(PERSONS, FLIP, torch.device("cpu"))


def labels() -> Tensor:
    """(N, J, 2): everybody's are alike."""
    return LABELS.repeat(PERSONS, 1, 1)


def found(person: int, joint: int, at: Tensor = ELSEWHERE) -> Tensor:
    """Where the network finds everybody's joints: at their labels, but for one."""
    points = labels()
    points[person, joint] = at
    return points


def exchanged(person: int) -> Tensor:
    """The same, but for somebody's left and right."""
    points = labels()
    points[person] = points[person, list(FLIP)]
    return points


def watch(
    doubts: Doubts,
    network: Tensor,
    given: Tensor | None = None,
    people: Tensor = EVERYBODY,
    score: float = 0.9,
    turned: Tensor | None = None,
    over: bool = True,
) -> None:
    """An epoch in which the network finds the joints at ``network``. turned: whose sample is mirrored."""
    given = labels() if given is None else given
    turned = torch.zeros(PERSONS, dtype=torch.bool) if turned is None else turned
    network, given = (torch.where(turned[:, None, None], mirrored(points), points) for points in (network, given))
    maps = score * heatmaps.encode(network, (H, W), 1.0)
    doubts.observe(maps[people], given[people], people, turned[people])
    if over:
        doubts.end_epoch()


def weights(doubts: Doubts, turned: bool = False) -> Tensor:
    """(N, J), of samples that are mirrored or not."""
    return doubts.corrected(labels(), EVERYBODY, torch.full((PERSONS,), turned))[1]


def corrected(doubts: Doubts, given: Tensor | None = None) -> Tensor:
    """(N, J, 2)"""
    given = labels() if given is None else given
    return doubts.corrected(given, EVERYBODY, torch.zeros(PERSONS, dtype=torch.bool))[0]


def doubted(weights: Tensor) -> list[list[int]]:
    return (weights < 1).nonzero().tolist()


# ---- labels that are contradicted ---------------------------------------------------------------------------------


def test_at_first_every_label_is_trusted() -> None:
    assert (weights(doubts()) == 1).all()
    assert torch.equal(corrected(doubts()), labels())


def test_a_label_that_the_network_meets_is_trusted() -> None:
    table = doubts()
    for _ in range(5):
        watch(table, labels())
    assert (weights(table) == 1).all()


def test_a_label_that_is_contradicted_weighs_less_each_epoch_down_to_a_tenth() -> None:
    table, seen = doubts(), [1.0]
    for _ in range(9):
        watch(table, found(3, HEAD))
        assert doubted(weights(table)) == [[3, HEAD]]
        seen.append(float(weights(table)[3, HEAD]))
    assert seen[:4] == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8])
    assert seen[4:] == pytest.approx([0.1] * 6)


def test_a_label_regains_its_weight_when_the_network_agrees() -> None:
    table = doubts()
    for _ in range(9):
        watch(table, found(3, HEAD))
    seen = [float(weights(table)[3, HEAD])]
    for _ in range(9):
        watch(table, labels())
        seen.append(float(weights(table)[3, HEAD]))
    assert seen == sorted(seen)
    assert seen[1] == pytest.approx(0.5, abs=0.01)
    assert seen[-1] > 0.99


def test_nothing_changes_within_an_epoch() -> None:
    table = doubts()
    watch(table, found(3, HEAD), over=False)
    assert (weights(table) == 1).all()


def test_evidence_counts_for_one_epoch_only() -> None:
    table = doubts()
    watch(table, found(3, HEAD))
    watch(table, found(3, HEAD), people=torch.tensor([1, 2]))
    watch(table, labels())
    assert weights(table)[3, HEAD] == pytest.approx(0.75)


@PATIENT
@given(st.floats(0, 0.49))
def test_a_contradiction_of_which_the_network_is_not_sure_counts_nothing(score: float) -> None:
    table = doubts()
    for _ in range(5):
        watch(table, found(3, HEAD), score=score)
    assert (weights(table) == 1).all()


@PATIENT
@given(
    st.floats(-180, 180),
    st.sampled_from([(0.0, 0.14), (0.13, 0.14), (0.16, 0.17), (0.16, 0.3)]).flatmap(lambda ends: st.floats(*ends)),
)
def test_a_joint_is_contradicted_that_is_found_further_off_than_a_seventh_of_the_crop(
    angle: float, distance: float
) -> None:
    turn = torch.tensor(angle).deg2rad()
    offset = W * distance * torch.stack((turn.cos(), turn.sin()))
    table = doubts()
    watch(table, found(3, HEAD, LABELS[HEAD] + offset))
    assert doubted(weights(table)) == ([[3, HEAD]] if distance > 0.15 else [])


def test_somebody_who_was_not_seen_in_an_epoch_is_taken_as_before() -> None:
    table = doubts()
    watch(table, found(3, HEAD))
    before = weights(table)
    for _ in range(5):
        watch(table, labels(), people=torch.tensor([0, 1, 2, 4, 5, 6]))
    assert torch.equal(weights(table), before)


def test_batches_of_an_epoch_come_in_any_order_and_size() -> None:
    whole, parts = doubts(), doubts()
    network = found(3, HEAD)
    network[5, FOOT] = ELSEWHERE
    watch(whole, network)
    for people in ([5, 1], [0, 2, 6], [4, 3]):
        watch(parts, network, people=torch.tensor(people), over=False)
    parts.end_epoch()
    assert torch.equal(weights(parts), weights(whole))
    assert doubted(weights(parts)) == [[3, HEAD], [5, FOOT]]


# ---- no label, no evidence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [torch.nan, NOWHERE, -1.0, H + 1.0], ids=["NaN", "nowhere", "above", "below"])
def test_a_joint_without_a_label_on_the_map_is_no_evidence(missing: float) -> None:
    given, table = labels(), doubts()
    given[3, LEFT] = missing
    given[5] = missing
    for _ in range(5):
        watch(table, exchanged(3), given)
    assert (weights(table)[:, [LEFT, *MIDDLES]] == 1).all()
    torch.testing.assert_close(corrected(table, given), given, equal_nan=True)


@pytest.mark.parametrize("missing", [torch.nan, NOWHERE])
def test_a_sample_that_shows_nobody_leaves_the_evidence_as_it_is(missing: float) -> None:
    table = doubts()
    watch(table, found(3, HEAD))
    before = weights(table)
    watch(table, found(3, FOOT), torch.full((PERSONS, 5, 2), missing))
    assert torch.equal(weights(table), before)


def test_a_joint_without_a_label_stays_without() -> None:
    given, table = labels(), doubts()
    for _ in range(2):
        watch(table, exchanged(3))
    given[3, LEFT] = torch.nan
    assert corrected(table, given)[3].isnan().all(dim=-1).nonzero().flatten().tolist() == [RIGHT]


# ---- left and right ----------------------------------------------------------------------------------------------


def test_left_and_right_are_exchanged_after_two_epochs_and_not_after_one() -> None:
    table = doubts()
    watch(table, exchanged(3))
    assert torch.equal(corrected(table), labels())
    watch(table, exchanged(3))
    assert torch.equal(corrected(table), exchanged(3))


def test_what_was_exchanged_has_its_full_weight() -> None:
    table = doubts()
    watch(table, exchanged(3))
    assert doubted(weights(table)) == [[3, LEFT], [3, RIGHT]]
    watch(table, exchanged(3))
    assert (weights(table) == 1).all()


@pytest.mark.parametrize("joint", [LEFT, RIGHT])
def test_one_of_a_pair_alone_is_not_exchanged(joint: int) -> None:
    # The network finds both at one place: it cannot tell them apart.
    table = doubts()
    for _ in range(9):
        watch(table, found(3, joint, LABELS[FLIP[joint]]))
    assert torch.equal(corrected(table), labels())
    assert weights(table)[3, joint] == pytest.approx(0.1)


def test_two_that_are_both_elsewhere_are_not_exchanged() -> None:
    table, network = doubts(), found(3, LEFT)
    network[3, RIGHT] = ELSEWHERE
    for _ in range(9):
        watch(table, network)
    assert torch.equal(corrected(table), labels())


def test_what_was_exchanged_comes_back_when_the_network_agrees_with_the_label() -> None:
    table = doubts()
    for _ in range(5):
        watch(table, exchanged(3))
    watch(table, labels())
    assert torch.equal(corrected(table), labels())
    watch(table, labels())
    watch(table, labels())
    watch(table, labels())
    assert (weights(table) > 0.9).all()


# ---- mirrored samples --------------------------------------------------------------------------------------------


def test_a_contradiction_in_a_mirrored_sample_is_that_of_the_joint_on_the_person() -> None:
    table, network = doubts(), found(3, LEFT)
    network[5, HEAD] = ELSEWHERE
    watch(table, network, turned=torch.ones(PERSONS, dtype=torch.bool))
    assert doubted(weights(table)) == [[3, LEFT], [5, HEAD]]


def test_a_mirrored_sample_has_the_weights_of_the_joints_that_it_shows() -> None:
    table = doubts()
    watch(table, found(3, LEFT))
    assert doubted(weights(table, turned=True)) == [[3, RIGHT]]  # where a mirrored person's left hand is


@PATIENT
@given(st.lists(st.booleans(), min_size=2, max_size=2), st.lists(st.booleans(), min_size=PERSONS, max_size=PERSONS))
def test_mirrored_or_not_the_same_labels_are_exchanged(epochs: list[bool], last: list[bool]) -> None:
    table = doubts()
    for turned in epochs:
        watch(table, exchanged(3), turned=torch.full((PERSONS,), turned))
    turned = torch.tensor(last)
    shown, right = (torch.where(turned[:, None, None], mirrored(p), p) for p in (labels(), exchanged(3)))
    points, trusted = table.corrected(shown, EVERYBODY, turned)
    assert torch.equal(points, right)
    assert (trusted == 1).all()


# ---- the same again ------------------------------------------------------------------------------------------------


def test_it_goes_on_in_the_middle_of_an_epoch_where_it_was() -> None:
    table, other = doubts(), doubts()
    watch(table, exchanged(3))
    watch(table, found(5, HEAD), people=torch.tensor([5, 3]), over=False)
    other.load_state_dict(table.state_dict())
    for one in (table, other):
        watch(one, exchanged(3), people=torch.tensor([0, 1, 3]))
    assert torch.equal(weights(other), weights(table))
    assert torch.equal(corrected(other), corrected(table))
    assert doubted(weights(other)) == [[5, HEAD]]
    assert torch.equal(corrected(other), exchanged(3))


def test_a_state_that_was_taken_does_not_change_any_more() -> None:
    table, other = doubts(), doubts()
    state = table.state_dict()
    watch(table, found(3, HEAD))
    other.load_state_dict(state)
    assert (weights(other) == 1).all()


def test_the_given_points_are_not_touched() -> None:
    table, given = doubts(), labels()
    for _ in range(2):
        watch(table, exchanged(3), given)
    corrected(table, given)
    assert torch.equal(given, labels())


# ---- several processes, of which each sees some of the persons -------------------------------------------------------


def test_the_evidence_of_all_processes_counts_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    table, other = doubts(), doubts()
    watch(other, found(3, HEAD), people=torch.tensor([3, 4]), over=False)
    watch(table, found(5, FOOT), people=torch.tensor([5, 6]), over=False)

    def both(tensor: Tensor) -> Tensor:
        (name,) = (name for name, value in vars(table).items() if value is tensor)
        return tensor + vars(other)[name]

    monkeypatch.setattr(processes, "total", both)
    table.end_epoch()
    assert doubted(weights(table)) == [[3, HEAD], [5, FOOT]]
    assert weights(table)[3, HEAD] == weights(table)[5, FOOT] == 0.5


def test_a_state_that_several_processes_go_on_from_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = doubts()
    watch(table, found(3, HEAD), over=False)
    monkeypatch.setattr(processes, "total", lambda tensor: 3 * tensor)  # all three began with this state
    table.end_epoch()
    assert weights(table)[3, HEAD] == 0.5


# ---- what is told of it ----------------------------------------------------------------------------------------------


def test_labels_that_weigh_half_or_less_and_those_exchanged_are_counted() -> None:
    table = doubts()
    assert table.summary() == (0, 0)
    network = exchanged(3)
    network[5, [HEAD, FOOT]] = ELSEWHERE
    watch(table, network)
    assert table.summary() == (4, 0)
    watch(table, network)
    assert table.summary() == (2, 2)
