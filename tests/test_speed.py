"""What the figures of a benchmark mean; how large they are is the machine's affair."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from posehg import datasets
from posehg.config import HourglassConfig
from posehg.datasets import Dataset
from posehg.errors import UsageError
from posehg.inference import machine
from posehg.inference.machine import clocked, count_flop, forward_flop
from posehg.training import session, speed
from posehg.training.batches import Crops
from posehg.training.config import Precision, TrainConfig
from posehg.training.loop import Run
from posehg.training.pipeline import batches
from posehg.training.samples import ALONE
from posehg.training.speed import Speed, Spread, on_data
from posehg.training.state import Progress
from tests.toy import TINY, Watcher, dataset

CPU = torch.device("cpu")
FP32 = replace(TINY, precision="fp32")


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SIDES", {"cpu": (3, 5)})


def of(config: TrainConfig, data: Dataset | None = None, seconds: float = 0.02) -> Speed:
    return on_data(config, data or dataset(), Watcher(), None, seconds)


@pytest.fixture(scope="module")
def measured() -> Speed:
    """Batches of 3, 2 and 2, warped by the device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_SIDES", {"cpu": (3, 5)})
        return of(replace(FP32, warp="device", batch=3))


# ---- operations --------------------------------------------------------------------------------------------------


def test_two_stacks_at_256_pixels_take_the_operations_that_are_known() -> None:
    assert forward_flop(HourglassConfig(), 256) == pytest.approx(16.6e9, rel=0.05)


def test_a_convolution_takes_two_operations_for_each_product() -> None:
    with torch.device("meta"):
        network, pictures = nn.Conv2d(3, 5, (7, 2)), torch.empty(11, 3, 13, 17)
    rows, columns = 13 - 7 + 1, 17 - 2 + 1
    assert count_flop(network, pictures) == 2 * (3 * 7 * 2) * 5 * rows * columns * 11


def test_the_operations_of_a_crop_of_one_cell_can_be_counted() -> None:
    assert forward_flop(HourglassConfig(features=4, depth=2, stem=(2, 4, 4)), 16) > 0


def test_a_matrix_product_takes_two_operations_for_each_product_and_the_best_size_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "clocked", lambda *given, most: machine.Clocked(most, most, 0.5 * most))
    assert machine.product_rate(CPU, "fp32", 0.01) == 2 * 5**3 / 0.5


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_matrices_are_multiplied_in_each_precision(precision: str) -> None:
    assert machine.product_rate(CPU, precision, 0.01) > 0


# ---- the clock ---------------------------------------------------------------------------------------------------


def test_the_rate_is_that_of_pictures_and_not_of_batches() -> None:
    sizes = iter((7, 5))

    def take() -> int:
        time.sleep(0.01)
        return next(sizes)

    done = clocked(CPU, take, 60, most=2)
    assert (done.batches, done.pictures) == (2, 12)
    assert done.seconds >= 0.02
    assert done.rate == 12 / done.seconds


def test_a_batch_that_takes_longer_than_the_time_is_measured_all_the_same() -> None:
    assert clocked(CPU, lambda: time.sleep(0.02) or 3, 1e-9).pictures == 3


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("wait"))
    monkeypatch.setattr(time, "perf_counter", lambda: calls.append("clock") or 0.0)
    clocked(torch.device("cuda"), lambda: calls.append("batch") or 1, 1.0, most=13)
    assert calls == ["wait", "clock", *["batch"] * 10, "wait", "clock", *["batch"] * 3, "wait", "clock"]


def test_a_round_does_not_count_what_workers_made_in_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ROUNDS", 1)
    made = iter([1000] * 4 + [1] * 1_000_000)
    pipeline, _, _ = speed._rounds(CPU, (lambda: next(made), lambda: 1, lambda: 1), ready=4, seconds=0.001)
    assert next(made) == 1
    assert pipeline[0] > 0


def test_a_figure_is_the_median_of_its_rounds_between_the_extremes() -> None:
    assert Spread.of([3.0, 11.0, 2.0, 7.0, 5.0]) == Spread(5.0, 2.0, 11.0)


# ---- the parts ---------------------------------------------------------------------------------------------------


def test_every_part_has_a_figure(measured: Speed) -> None:
    assert measured.first_time > 0
    assert measured.products > 0
    assert measured.memory is None or measured.memory > 0
    for name in ("pipeline", "step", "both", "both_to_step", "pipeline_to_step"):
        spread = getattr(measured, name)
        assert 0 < spread.lowest <= spread.median <= spread.highest


def test_the_limit_is_what_matrix_products_alone_would_allow(measured: Speed) -> None:
    assert measured.trained == 3 * measured.forward
    assert measured.limit == pytest.approx(measured.products / (3 * measured.forward))
    assert measured.step_to_limit == pytest.approx(measured.step.median / measured.limit)


def test_the_figures_say_what_was_measured(measured: Speed) -> None:
    assert asdict(measured.setting) | {"hardware": "", "parameters": 0} == {
        **{"device": "cpu", "hardware": "", "precision": "fp32", "compile": False, "warp": "device", "workers": 0},
        **{"threads": torch.get_num_threads(), "torch": torch.__version__, "persons": 7, "kept": True},
        "parameters": 0,
    }


@pytest.mark.parametrize(("precision", "bf16"), [("auto", False), ("auto", True), ("fp32", True), ("bf16", False)])
def test_the_precision_is_the_one_in_which_a_step_convolves(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, bf16: bool
) -> None:
    monkeypatch.setattr("posehg.inference.devices.multiplies_bf16", lambda device: bf16)
    config, seen = replace(TINY, precision=precision), []
    run = Run(config, dataset(), (), Path(), Watcher())
    run.stepper.network.stem[0].register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    run.stepper(next(iter(batches(dataset(), config, CPU, Progress(), ALONE))), 0.0, 0)
    assert seen == [machine._KINDS[speed.precision_of(config, CPU)]]


def test_later_crops_come_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data, reads = dataset(13), Counter[str]()

    def read(person: object) -> object:
        reads[person.id] += 1  # type: ignore[attr-defined]
        return data.read(person)  # type: ignore[arg-type]

    of(replace(FP32, batch=4), replace(data, read=read))  # type: ignore[arg-type]
    # The batch on which the step is measured has a loader of its own, and 13 persons make batches of 4, 3, 3, 3.
    assert sum(reads.values()) <= 13 + 4
    assert max(reads.values()) <= 2


def test_later_crops_are_of_the_same_persons_in_other_views() -> None:
    order = [[(0, 5), (0, 3)], [(0, 2)], [(0, 7)]]
    coming: Iterator[list[tuple[int, int]]] = iter(speed._Again(order, 2))
    assert [next(coming) for _ in range(4)] == [[(1, 5), (1, 3)], [(1, 2)], [(2, 5), (2, 3)], [(2, 2)]]


def test_workers_take_part_where_they_are_asked_for() -> None:
    setting = of(replace(FP32, workers=1)).setting
    assert (setting.workers, setting.kept) == (1, False)


def test_both_sizes_of_batches_are_warmed_up() -> None:
    sizes: list[int] = []
    crops = Crops(torch.zeros(3, 3, 32, 32), torch.zeros(3, 5, 2), torch.arange(3), torch.zeros(3, dtype=torch.bool))
    speed._warm_up(lambda batch: sizes.append(len(batch.mirrored)) or 0, crops, uneven=True)
    assert set(sizes) == {3, 2}


@pytest.mark.parametrize(
    "options",
    [{"overfit": 5}, {"ema": 0.9, "accumulate": 2, "batch": 5, "freeze": "body"}],
    ids=str,
)
def test_the_options_of_a_run_are_taken(options: dict[str, object]) -> None:
    assert of(replace(FP32, **options)).both.median > 0  # type: ignore[arg-type]


def test_a_set_is_read_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.LOADERS, "toy", lambda root, split: dataset(7 if split == "train" else 3))
    monkeypatch.setattr(datasets, "RENDERED", {"toy"})
    result = speed.measure(replace(FP32, dataset="toy"), session.Place(Path()), Watcher(), None, 0.02)
    assert result.setting.persons == 7


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    of(FP32)
    assert not list(tmp_path.iterdir())


def test_one_of_several_processes_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in launch.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="one process"):
        speed.measure(FP32, session.Place(Path()), Watcher(), None, 1.0)
