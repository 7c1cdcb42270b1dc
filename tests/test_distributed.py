"""Several processes: their places, what they exchange, and what becomes of an error or of a lost one."""

import os
from datetime import timedelta
from unittest.mock import Mock

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from posehg import distributed
from posehg.distributed import ProcessLost, World
from posehg.errors import DeviceError, InputError, UsageError
from posehg.inference import devices
from tests import launches
from tests.launches import CPU, GONE, launch


def put_into(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Sets the variables of the second of three processes, with changes; an empty one is not set."""
    for name, value in (launches.variables(1, 3, 29500) | changes).items():
        monkeypatch.setenv(name, value)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_the_shares_differ_by_one_at_most_and_are_collected_in_order(items: list[int], size: int) -> None:
    parts = [distributed.share(items, World(rank, size, rank)) for rank in range(size)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.MonkeyPatch.context() as several:
        several.setattr(distributed, "gather", lambda value: [None] if value is None else parts)
        assert distributed.collect(lambda: parts[0]) == items


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (dict.fromkeys(launches.variables(0, 1, 1), ""), World(0, 1, 0)),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "", "MASTER_ADDR": ""}, World(0, 1, 0)),
        ({"RANK": "6", "WORLD_SIZE": "7", "LOCAL_RANK": "2"}, World(6, 7, 2)),
    ],
)
def test_torchrun_gives_the_place(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], expected: World) -> None:
    put_into(monkeypatch, **changes)
    assert distributed.world() == expected
    assert distributed.world().first == (expected.rank == 0)


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ""} for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")),
        {"RANK": "-1"},
        {"WORLD_SIZE": "two"},
        {"MASTER_PORT": "http"},
    ],
    ids=str,
)
def test_inconsistent_variables_are_named(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]) -> None:
    put_into(monkeypatch, **changes)
    with pytest.raises(UsageError) as caught:
        distributed.world()
    [(name, value)] = changes.items()
    assert name in str(caught.value)
    assert value in str(caught.value)
    assert "torchrun --nproc-per-node" in caught.value.hint


def test_a_single_process_waits_for_no_other() -> None:
    tensor, error = torch.arange(5), InputError("No.", "Yes.")
    with distributed.joined(CPU) as world:
        assert (world, dist.is_initialized()) == (World(), False)
        assert distributed.gather("a") == ["a"]
        assert distributed.collect(lambda: "bc") == ["b", "c"]
        assert distributed.total(tensor) is tensor
        distributed.wait()
        with pytest.raises(InputError) as caught:
            distributed.alike(Mock(side_effect=error))
    assert caught.value is error


def test_processes_gather_and_add_up() -> None:
    values = ["a", "bb" * 10_000, None]

    def work(world: World) -> list[object]:
        mine = torch.full((2, 5), float(world.rank)).T
        return [distributed.gather(values[world.rank]), distributed.total(mine).tolist(), mine[0, 0].item()]

    assert launch(3, work) == [[values, [[3.0, 3.0]] * 5, rank] for rank in range(3)]


def test_a_group_is_joined_once_and_left_at_the_end() -> None:
    def work(world: World) -> object:
        with distributed.joined(CPU) as inner:
            first = distributed.gather(inner.rank)
        distributed.wait()  # a process that leaves while another still connects would be lost
        return first + distributed.gather(world.rank), dist.is_initialized()

    assert launch(2, work) == [([0, 1, 0, 1], True)] * 2  # else it would be "still joined"


def test_an_error_in_one_process_is_raised_in_all() -> None:
    def work(world: World) -> None:
        error = InputError("1.jpg is missing.", "Look for it.") if world.rank == 1 else None
        distributed.collect(Mock(side_effect=error, return_value=[world.rank]))

    answers = launch(3, work)
    assert [(type(a), str(a), a.hint) for a in answers] == [(InputError, "1.jpg is missing.", "Look for it.")] * 3


@pytest.mark.parametrize("how", ["gather", "total", "hint", "backward"])
def test_a_process_that_waits_for_a_lost_one_ends_with_the_callers_hint_if_there_is_one(how: str) -> None:
    def work(world: World) -> None:
        network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
        distributed.wait()
        if world.rank == 2:
            os._exit(9)
        if how == "gather":
            distributed.gather(1)
        elif how == "total":
            distributed.total(torch.ones(7))
        with distributed.watched("Use --resume."):
            if how == "backward":
                network(torch.ones(5, 3)).sum().backward()
            distributed.wait()

    *errors, third = launch(3, work)
    assert third == GONE
    for error in errors:
        assert isinstance(error, ProcessLost)
        assert error.hint
        assert (error.hint == "Use --resume.") == (how in ("hint", "backward"))


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), distributed.watched("no"):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_processes_that_do_not_find_each_other_name_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, **launches.variables(0, 2))
    monkeypatch.setattr(distributed, "_CONNECTING", timedelta(milliseconds=100))
    with pytest.raises(DeviceError, match=r"127\.0\.0\.1:1\b"), distributed.joined(CPU):
        pass


def test_each_process_has_its_own_gpu_unless_one_is_named_or_there_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.resolve("auto") == torch.device("cuda")
    put_into(monkeypatch, RANK="5", WORLD_SIZE="6", LOCAL_RANK="1")
    for asked, given_ in {"auto": "cuda:1", "cuda": "cuda:1", "cuda:0": "cuda:0", "cpu": "cpu"}.items():
        assert devices.resolve(asked) == torch.device(given_)
    put_into(monkeypatch, RANK="2", LOCAL_RANK="2")
    with pytest.raises(DeviceError) as caught:
        devices.resolve("auto")
    assert "--nproc-per-node 2" in caught.value.hint
    with pytest.raises(DeviceError, match="mps"), distributed.joined("mps"):
        pass
