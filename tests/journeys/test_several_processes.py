"""posehg eval and predict, started by torchrun."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posehg import images
from tests import forks, launches, stubs
from tests.journeys.conftest import ROOT, Posehg

pytestmark = pytest.mark.slow

TORCHRUN = ("--standalone", "--nproc-per-node", "2")


def environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("POSEHG_")}
    return mine | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    options = (*TORCHRUN, "-m", "posehg", *arguments, "--device", "cpu")
    return forks.run(*options, environment=environment(), module="torch.distributed.run")


def two(*arguments: object) -> tuple[tuple[int | None, str, str], ...]:
    """What torchrun starts, without it: it takes seconds. How the first ended and what it wrote; and the second."""
    port = launches.free_port()
    both = [
        forks.start(*arguments, "--device", "cpu", environment=environment() | launches.variables(rank, 2, port))
        for rank in range(2)
    ]
    said = [fork.communicate() for fork in both]
    return tuple((fork.returncode, out, err) for fork, (out, err) in zip(both, said, strict=True))


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error: ")]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Each with a white square elsewhere."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        images.write(path, stubs.square_photo(10 + 30 * number, 60, 100))
    return paths


# ---- eval --------------------------------------------------------------------------------------------------------

EVAL = ("eval", "--dataset", "synthetic", "--limit", 5)


def test_the_scores_are_those_of_one_process_and_printed_once(posehg: Posehg, model: Path) -> None:
    alone = posehg(*EVAL, "--model", model, "--device", "cpu")
    both = torchrun(*EVAL, "--model", model)
    assert (both.returncode, both.stderr) == (0, "")
    assert both.stdout == alone.out


def test_a_score_below_the_gate_fails_and_is_told_once(model: Path) -> None:
    both = torchrun(*EVAL, "--model", model, "--min", 100)
    assert both.returncode != 0
    assert len(errors(both.stderr)) == 1
    assert both.stdout.count("\nPCK@T: ") == 1
    assert "exitcode  : 4" in both.stderr


def test_files_are_written_once_and_are_those_of_one_process(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    one, other = ((f"--predictions={tmp_path / n}.json", f"--report={tmp_path / n}-report.json") for n in ("a", "b"))
    alone = posehg(*EVAL, "--model", model, "--device", "cpu", *one)
    first, second = two(*EVAL, "--model", model, *other)
    assert first == (0, alone.out, f"Wrote {tmp_path}/b.json.\nWrote {tmp_path}/b-report.json.\n")
    assert second == (0, "", "")
    assert (tmp_path / "b.json").read_text() == (tmp_path / "a.json").read_text()
    a, b = (json.loads((tmp_path / f"{name}-report.json").read_text()) for name in ("a", "b"))
    assert {key for key in a if a[key] != b[key]} <= {"command"}


def test_a_file_that_exists_ends_all_before_the_work_and_is_told_once(model: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("mine")
    both = torchrun(*EVAL, "--model", model, "--report", tmp_path / "r.json")
    assert both.returncode != 0
    assert all(str(tmp_path / "r.json") in error for error in errors(both.stderr))
    assert (both.stdout, (tmp_path / "r.json").read_text()) == ("", "mine")


# ---- predict -----------------------------------------------------------------------------------------------------


def test_every_photo_is_done_once_and_told_in_order(model: Path, photos: list[Path], tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    given = [*photos[:2], missing, *photos[2:]]
    both = torchrun("predict", *given, "--model", model, "--whole", "--json", "--out", tmp_path / "out")
    records = [json.loads(line) for line in both.stdout.splitlines()]
    assert [record["source"] for record in records] == list(map(str, given))
    assert [record["source"] for record in records if record["error"]] == [str(missing)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in photos]
    assert sum(line.startswith("Wrote ") for line in both.stderr.splitlines()) == len(photos)
    assert both.returncode != 0
    assert len(errors(both.stderr)) == both.stderr.count("1 of 6") == 1


def test_a_single_photo_is_enough_for_two(posehg: Posehg, model: Path, photos: list[Path]) -> None:
    options = ("predict", photos[0], "--model", model, "--whole")
    first, second = two(*options)
    assert first == (0, posehg(*options, "--device", "cpu").out, "")
    assert second == (0, "", "")


def test_a_mistake_that_is_no_photos_ends_all_with_a_message(model: Path, photos: list[Path], tmp_path: Path) -> None:
    """The second photo's file cannot be written, which the second process alone finds out."""
    read_only = tmp_path / "out" / "1.png"
    read_only.mkdir(parents=True)
    both = torchrun("predict", *photos, "--model", model, "--whole", "--out", tmp_path / "out", "--overwrite")
    assert both.returncode != 0
    [error] = errors(both.stderr)
    assert str(read_only) in error


# ---- ends that nobody wants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["eval", "predict"])
def test_when_one_process_is_lost_the_other_ends_with_a_message(command: str, model: Path, photos: list[Path]) -> None:
    arguments = EVAL if command == "eval" else ("predict", *photos, "--whole")
    port = launches.free_port()
    first, second = (environment() | launches.variables(rank, 2, port) for rank in range(2))
    stays = forks.start(*arguments, "--model", model, "--device", "cpu", environment=first)
    leaves = forks.start(module="tests.leaves", environment=second)
    leaves.communicate()
    out, err = stays.communicate()
    assert (stays.returncode, leaves.returncode, out) == (6, 9, "")
    assert err.splitlines()[0] == "Error: Another process of this run was lost."
    assert err.splitlines()[1].startswith("Hint: ")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_it_sees_no_traceback_of_posehg(
    model: Path, photos: list[Path], tmp_path: Path, number: signal.Signals
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    copies = [Path(shutil.copy(photos[0], many / f"{name}.png")) for name in range(2000)]
    options = ("--model", model, "--whole", "--out", tmp_path / "out", "--device", "cpu")
    command = [sys.executable, "-m", "torch.distributed.run", *TORCHRUN, "-m", "posehg", "predict", *copies, *options]
    process = subprocess.Popen(
        list(map(str, command)),
        **{"cwd": ROOT, "env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    end = time.monotonic() + 100
    while not (tmp_path / "out" / "1.png").exists() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert errors(err) == []
    assert str(ROOT / "posehg") not in err
    assert err.count("Traceback") == 1  # torchrun's own
