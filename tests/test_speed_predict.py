"""What the figures of a prediction's benchmark mean; how large they are is the machine's affair."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posehg import images
from posehg.cli.bench_figures import Figures, number
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.inference import machine, speed
from posehg.inference.estimator import View
from posehg.inference.everybody import Scan
from posehg.inference.finding import How, find
from posehg.inference.machine import Spread
from posehg.inference.people import Search
from posehg.inference.speed_figures import PARTS, Choice, Finding, Folder, Setting, Speed, Times, Way
from tests import stubs

CPU = torch.device("cpu")


class CountingSquare(stubs.Square):
    """Square, which remembers how many crops it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> list[Tensor]:
        self.seen += len(images)
        return super().forward(images)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    images.write(path, stubs.square_photo(53, 23, 97, (149, 211)))
    return path


def work(photo: Path, network: nn.Module | None = None) -> speed._Work:
    estimator = stubs.estimator(stubs.tiny(stubs.SQUARE), network=network or stubs.Square())
    return speed._Work(estimator, "square", photo, photo.with_name("drawn.png"))


# ---- the parts ---------------------------------------------------------------------------------------------------


def test_the_parts_follow_each_other_without_a_gap(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = iter((2, 5, 10, 17, 28, 41, 58))
    monkeypatch.setattr(speed, "_now", lambda device: next(marks))
    assert dict(zip(PARTS, speed._round(work(photo)), strict=True)) == {
        **{"read": 3, "warp": 5, "network": 7},
        **{"decode": 11, "draw": 13, "write": 17},
    }


def test_each_part_does_what_its_name_says(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(owner: object, name: str, part: str) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **named: (done.append(part), real(*given, **named))[1])

    noted(images, "read", "read")
    noted(images, "warp", "warp")
    noted(stubs.Square, "forward", "network")
    noted(speed.Estimator, "poses", "decode")
    noted(speed.pictures, "render", "draw")
    noted(images, "write", "write")
    noted(speed, "_now", "clock")
    speed._round(work(photo))
    assert done == ["clock", *itertools.chain.from_iterable((part, "clock") for part in PARTS)]


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("wait"))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: calls.append("clock") or 0.0)
    speed._now(torch.device("cuda"))
    assert calls == ["wait", "clock"]


def test_the_parts_give_the_pose_that_predict_gives() -> None:
    estimator = stubs.estimator(stubs.tiny(stubs.DOTS, output="logits"))
    photo = np.random.default_rng(7).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    views = [View(photo, Box(3, 5, 47, 47)), View(photo, Box(11, 2, 31, 31), 17.0)]
    apart = list(estimator.poses(views, estimator.maps(estimator.ask(estimator.crops(views)))))
    for one, other in zip(apart, estimator(views), strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_the_drawn_picture_is_the_file_that_predict_writes(photo: Path) -> None:
    it = work(photo)
    speed._round(it)
    drawn = images.read(it.target)
    assert drawn.shape == (149, 211, 3)
    assert (drawn != images.read(photo)).any()


def test_times_are_the_median_and_the_95th_percentile() -> None:
    assert Times.of([float(value) for value in range(100, -1, -1)]) == Times(50.0, 95.0)


def test_what_takes_longer_than_the_time_is_measured_all_the_same() -> None:
    counted = itertools.count()
    assert speed._for(1e-9, lambda: next(counted)) == [0, 1, 2]


# ---- finding people ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "how"), [("whole", How(whole=True)), ("one", How(people="one")), ("all", How(people="all"))]
)
def test_the_crops_of_one_search_are_counted_mirrored_ones_included(photo: Path, way: Way, how: How) -> None:
    network = CountingSquare()
    it = work(photo, network)
    image = it.read()
    found = find(it.estimator, image, how)
    once = network.seen
    finding = speed._finding(it, image, way, 0.05)
    assert (finding.crops, finding.people) == (once, len(found))
    assert finding.seconds > 0


@pytest.mark.parametrize(("way", "search"), [("one", Search()), ("all", Scan())])
def test_the_windows_are_those_that_the_search_begins_with(
    way: Way, search: Search | Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros((149, 211, 3), dtype=np.uint8)  # where nobody is, nothing else is looked at
    network = CountingSquare()
    estimator = stubs.estimator(stubs.tiny(stubs.SQUARE), network=network)
    assert find(estimator, image, How(people=way)) == []  # type: ignore[arg-type]
    assert speed._windows(image, way) == network.seen
    assert len(search.scales) < network.seen


# ---- a folder ----------------------------------------------------------------------------------------------------


def test_predict_is_imitated_with_reading_and_writing_in_threads_of_their_own(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: dict[str, set[int]] = {"read": set(), "network": set(), "write": set()}

    def noted(owner: object, name: str, part: str) -> None:
        real = getattr(owner, name)

        def call(*given: object, **named: object) -> object:
            where[part].add(threading.get_ident())
            return real(*given, **named)

        monkeypatch.setattr(owner, name, call)

    noted(images, "read", "read")
    noted(stubs.Square, "forward", "network")
    noted(images, "write", "write")
    assert speed._overlapped(work(photo), 0.01) > 0
    assert [len(threads) for threads in where.values()] == [1, 1, 1]
    assert len(set.union(*where.values())) == 3
    assert where["network"] == {threading.get_ident()}


def test_every_way_through_a_folder_has_a_rate(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ROUNDS", 2)
    it = work(photo)
    folder = speed._folder(it, it.read(), 0.01)
    for spread in (folder.in_turn, folder.overlapped, folder.estimator, folder.bound):
        assert 0 < spread.lowest <= spread.median <= spread.highest


def test_a_file_that_cannot_be_written_ends_the_measurement(photo: Path) -> None:
    it = work(photo)
    it.target.mkdir()
    with pytest.raises(UsageError, match="folder"):
        speed._overlapped(it, 0.01)


# ---- all of it ---------------------------------------------------------------------------------------------------

SETTING = Setting("m", 7, (64, 96), True, "subpixel", 3, "cpu", "abacus", "fp32", 1, "2", (11, 13))
PARTS_TIMES = {name: Times(value, 2 * value) for name, value in zip(PARTS, (2, 3, 5, 7, 11, 13), strict=True)}
RATES = Spread(1, 1, 1)


def of(flop: int = 34, products: float = 17.0) -> Speed:
    folder = Folder(RATES, RATES, RATES, RATES)
    return Speed(SETTING, 19, PARTS_TIMES, Times(41, 82), flop, products, (), folder)


def test_shares_are_of_the_sum_of_all_parts() -> None:
    assert [of().share(name) for name in PARTS] == [value / 41 for value in (2, 3, 5, 7, 11, 13)]


def test_the_limit_is_the_arithmetic_at_the_rate_of_matrix_products() -> None:
    assert of().limit == 2.0
    assert of().network_to_limit == 2.5


def test_a_picture_takes_its_search_and_what_is_read_drawn_and_written() -> None:
    assert of().picture(Finding("one", 23, 29, 1, 31.0)) == 31 + 2 + 11 + 13


def test_the_arithmetic_is_that_of_a_crop_that_need_not_be_square() -> None:
    square, wide = (speed._flop(stubs.tiny(stubs.DOTS, size).config) for size in ((64, 64), (64, 128)))
    assert wide == 2 * square > 0


def test_the_rendered_picture_shows_somebody_on_a_photos_usual_size(tmp_path: Path) -> None:
    path = speed._rendered(tmp_path / "rendered.jpg")
    image = images.read(path)
    assert image.shape == (960, 1280, 3)
    assert image.std() > 10
    assert not (image[:, :160] == 0).all(axis=2).any()  # no bars beside a square


def test_one_of_several_processes_cannot_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in launch.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="one process"):
        speed.measure(stubs.tiny(stubs.DOTS), Choice("dots"), None, tmp_path, 1.0, print)


# ---- the machine -------------------------------------------------------------------------------------------------


def test_the_processor_has_a_name_wherever_the_system_does_not_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.name_of(CPU)

    def refuse(path: Path, **_: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert machine.name_of(CPU)


@pytest.mark.parametrize("content", ["", "processor: 0\nmodel: 7\n"])
def test_a_list_of_processors_without_names_is_no_name(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda path, **_: content)
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "abacus64")
    assert machine.name_of(CPU) == "abacus64"


def test_the_name_is_that_of_the_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "flags\t: sse\nmodel name\t: Abacus 7: quick\n")
    assert machine.name_of(CPU) == "Abacus 7: quick"


# ---- figures -----------------------------------------------------------------------------------------------------


def test_a_cell_of_a_markdown_table_stays_one_cell() -> None:
    lines = list(Figures(("a|b", "ms"), [("c", "1|2")]).markdown())
    assert lines == ["| a/b | ms |", "| --- | --: |", "| c | 1/2 |"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (98.76, "98.8"), (1234.5, "1,234")]
)
def test_numbers_have_three_figures_or_more(value: float, text: str) -> None:
    assert number(value) == text
