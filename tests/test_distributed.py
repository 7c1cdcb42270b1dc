from __future__ import annotations

import os

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

ITEMS, SIZES = st.lists(st.integers(), max_size=40), st.integers(1, 9)


def put_into(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """The second of three processes, but for the changes; an empty one is not set."""
    for name, value in (launches.variables(1, 3, 29500) | changes).items():
        monkeypatch.setenv(name, value)


# ---- shares ------------------------------------------------------------------------------------------------------


@given(ITEMS, SIZES)
def test_the_shares_are_the_whole_again_when_they_are_put_together(items: list[int], size: int) -> None:
    parts = [distributed.share(items, World(rank, size, rank)) for rank in range(size)]
    assert distributed.interleaved(parts) == items


@given(ITEMS, SIZES)
def test_nobody_gets_two_more_than_another(items: list[int], size: int) -> None:
    lengths = [len(distributed.share(items, World(rank, size, rank))) for rank in range(size)]
    assert max(lengths) - min(lengths) <= 1


# ---- who this one is ---------------------------------------------------------------------------------------------


def test_without_torchruns_variables_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launches.variables(0, 1, 1):
        monkeypatch.delenv(name, raising=False)
    assert distributed.world() == World(0, 1, 0)
    assert distributed.world().first


def test_a_launch_of_one_is_alone_whatever_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, RANK="0", WORLD_SIZE="1", LOCAL_RANK="", MASTER_ADDR="")
    assert distributed.world() == World()


def test_torchruns_variables_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, RANK="6", WORLD_SIZE="7", LOCAL_RANK="2")
    assert distributed.world() == World(6, 7, 2)
    assert not distributed.world().first


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is not set"),
        ({"RANK": ""}, "RANK is not set"),
        ({"LOCAL_RANK": ""}, "LOCAL_RANK is not set"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
        ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
        ({"RANK": "3"}, "RANK=3 is none of WORLD_SIZE=3 processes"),
        ({"RANK": "-1"}, "RANK=-1 is not a number"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two is not a number"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT=http is not a number"),
    ],
)
def test_variables_that_make_no_launch_are_told_with_the_way_to_start_one(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], sentence: str
) -> None:
    put_into(monkeypatch, **changes)
    with pytest.raises(UsageError, match=sentence) as caught:
        distributed.world()
    assert "torchrun --nproc-per-node" in caught.value.hint


# ---- alone -------------------------------------------------------------------------------------------------------


def test_one_process_waits_for_nobody() -> None:
    tensor = torch.arange(5)
    with distributed.joined(CPU) as world:
        assert not dist.is_initialized()
        assert distributed.gather("a") == ["a"]
        assert distributed.agreed(lambda: "b") == ["b"]
        assert distributed.total(tensor) is tensor
        distributed.spread([tensor])
        distributed.wait()
    assert world == World()


def test_alone_an_error_stays_what_it_is() -> None:
    error = InputError("No.", "Yes.")

    def fail() -> None:
        raise error

    with pytest.raises(InputError) as caught:
        distributed.agreed(fail)
    assert caught.value is error


# ---- several -----------------------------------------------------------------------------------------------------


def test_every_process_gets_what_each_says_in_their_order() -> None:
    values = ["a", "bb" * 10_000, None]
    assert launch(3, lambda world: distributed.gather(values[world.rank])) == [values] * 3


def test_totals_are_sums_and_leave_the_tensor_as_it_is() -> None:
    def work(world: World) -> list[object]:
        mine = torch.full((2, 5), float(world.rank)).T
        return [distributed.total(mine).tolist(), mine.tolist()]

    sums = [[3.0, 3.0]] * 5
    assert launch(3, work) == [[sums, [[float(rank)] * 2] * 5] for rank in range(3)]


def test_tensors_are_spread_from_the_first_process() -> None:
    def work(world: World) -> list[object]:
        tensors = [torch.full((2,), world.rank + 0.5), torch.tensor(world.rank + 7)]
        distributed.spread(tensors)
        return [tensor.tolist() for tensor in tensors]

    assert launch(3, work) == [[[0.5, 0.5], 7]] * 3


def test_joined_already_nothing_happens() -> None:
    def work(world: World) -> object:
        with distributed.joined(CPU) as inner:
            first = distributed.gather(inner.rank)
        return first + distributed.gather(world.rank)

    assert launch(2, work) == [[0, 1, 0, 1]] * 2


def test_when_all_is_said_the_group_is_left() -> None:
    def work(world: World) -> bool:
        distributed.wait()  # who leaves while another still connects is lost to it
        return dist.is_initialized()

    assert launch(2, work) == [True, True]  # else it would be "still joined"


def test_a_mistake_that_one_meets_is_raised_in_all() -> None:
    def read(rank: int) -> int:
        if rank == 1:
            raise InputError("There is no file 1.jpg.", "Look for it.")
        return rank

    answers = launch(3, lambda world: distributed.agreed(lambda: read(world.rank)))
    assert [(type(a), str(a), a.hint) for a in answers] == [(InputError, "There is no file 1.jpg.", "Look for it.")] * 3


# ---- a process that is lost --------------------------------------------------------------------------------------


def leave_third(world: World) -> None:
    distributed.wait()
    if world.rank == 2:
        os._exit(9)


@pytest.mark.parametrize("say", ["gather", "total", "spread", "wait"])
def test_whoever_waits_for_a_lost_process_is_told(say: str) -> None:
    def work(world: World) -> None:
        leave_third(world)
        tensor = torch.ones(7)
        {
            "gather": lambda: distributed.gather(1),
            "total": lambda: distributed.total(tensor),
            "spread": lambda: [distributed.wait(), distributed.spread([tensor])],
            "wait": distributed.wait,
        }[say]()

    first, second, third = launch(3, work)
    assert third == GONE
    for error in (first, second):
        assert isinstance(error, ProcessLost)
        assert str(error) == "Another process of this run was lost."
        assert error.hint


def test_a_backward_pass_that_waits_for_a_lost_process_is_told_with_the_callers_hint() -> None:
    def work(world: World) -> None:
        network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
        leave_third(world)
        with distributed.watched("Go on with --resume."):
            network(torch.ones(5, 3)).sum().backward()

    first, second, _ = launch(3, work)
    assert [type(error) for error in (first, second)] == [ProcessLost] * 2
    assert [error.hint for error in (first, second)] == ["Go on with --resume."] * 2


def test_the_callers_hint_is_the_better_one() -> None:
    def work(world: World) -> None:
        leave_third(world)
        with distributed.watched("Go on with --resume."):
            distributed.wait()

    assert launch(3, work)[0].hint == "Go on with --resume."


def test_other_errors_are_no_loss() -> None:
    with pytest.raises(RuntimeError, match="shapes") as caught, distributed.watched("no"):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not isinstance(caught.value, DeviceError)


def test_processes_that_do_not_find_each_other_say_where_they_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    port = launches.free_port()
    for name, value in launches.variables(0, 2, port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_CONNECTING", distributed.timedelta(milliseconds=100))
    with pytest.raises(DeviceError, match=f"did not find each other at 127.0.0.1:{port}"), distributed.joined(CPU):
        pass


def test_several_processes_do_not_compute_on_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch)
    with pytest.raises(DeviceError, match="cannot compute together on mps"), distributed.joined(torch.device("mps")):
        pass


# ---- a GPU for each ----------------------------------------------------------------------------------------------


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("asked", "given"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")]
)
def test_each_process_has_a_gpu_of_its_own_unless_one_is_named(
    asked: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, RANK="5", WORLD_SIZE="6", LOCAL_RANK="1")
    assert devices.resolve(asked) == torch.device(given)


@pytest.mark.usefixtures("two_gpus")
def test_alone_the_gpu_is_the_one_that_torch_takes() -> None:
    assert devices.resolve("auto") == torch.device("cuda")


@pytest.mark.usefixtures("two_gpus")
def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, RANK="2", LOCAL_RANK="2")
    with pytest.raises(DeviceError, match="Process 3 of this machine has no GPU: torch finds 2 CUDA devices") as caught:
        devices.resolve("auto")
    assert "--nproc-per-node 2" in caught.value.hint
