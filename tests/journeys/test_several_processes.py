"""posehg eval, predict and train, started by torchrun."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from posehg import checkpoints
from tests import forks, launches
from tests.journeys.conftest import ROOT, Posehg, environment

pytestmark = pytest.mark.slow

TORCHRUN = ("--standalone", "--nproc-per-node", "2")


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    options = (*TORCHRUN, "-m", "posehg", *arguments, "--device", "cpu")
    return forks.run(*options, environment=environment(), module="torch.distributed.run")


def two(*arguments: object) -> tuple[tuple[int | None, str, str], ...]:
    """What torchrun starts, without it: it takes seconds. How the first ended and what it wrote; and the second."""
    store = launches.meeting()
    both = [
        forks.start(*arguments, "--device", "cpu", environment=environment() | place)
        for place in launches.places(2, store)
    ]
    said = [fork.communicate() for fork in both]
    return tuple((fork.returncode, out, err) for fork, (out, err) in zip(both, said, strict=True))


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error: ")]


@pytest.fixture
def photos(photo: Path) -> list[Path]:
    return [Path(shutil.copy(photo, photo.with_name(f"{number}.png"))) for number in range(5)]


EVAL = ("eval", "--dataset", "synthetic", "--limit", 5)


def test_scores_and_files_are_those_of_one_process(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    one, other = ((f"--predictions={tmp_path / n}.json", f"--report={tmp_path / n}-report.json") for n in ("a", "b"))
    alone = posehg(*EVAL, "--model", model, "--device", "cpu", *one)
    (code, out, err), second = two(*EVAL, "--model", model, *other)
    assert (code, out, second) == (0, alone.out, (0, "", ""))
    assert [line.split()[0] for line in err.splitlines()] == ["Wrote", "Wrote"]
    assert (tmp_path / "b.json").read_text() == (tmp_path / "a.json").read_text()
    a, b = (json.loads((tmp_path / f"{name}-report.json").read_text()) for name in ("a", "b"))
    assert {key for key in a if a[key] != b[key]} <= {"command"}


def test_a_score_below_the_minimum_fails_and_is_reported_once(model: Path) -> None:
    both = torchrun(*EVAL, "--model", model, "--min", 100)
    assert both.returncode != 0
    assert "exitcode  : 4" in both.stderr
    assert len(errors(both.stderr)) == both.stdout.count("\nPCK@T: ") == 1


def test_every_image_is_processed_once_and_printed_in_order(model: Path, photos: list[Path], tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    given = [*photos[:2], missing, *photos[2:]]
    both = torchrun("predict", *given, "--model", model, "--whole", "--json", "--out", tmp_path / "out")
    records = [json.loads(line) for line in both.stdout.splitlines()]
    assert [record["source"] for record in records] == list(map(str, given))
    assert [record["source"] for record in records if record["error"]] == [str(missing)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in photos]
    assert both.returncode != 0
    assert [str(missing) in error for error in errors(both.stderr)] == [True]


def test_an_error_in_the_second_process_ends_both(model: Path, photos: list[Path], tmp_path: Path) -> None:
    blocked = tmp_path / "out" / "1.png"  # the second process's
    blocked.mkdir(parents=True)
    both = torchrun("predict", *photos, "--model", model, "--whole", "--out", tmp_path / "out", "--overwrite")
    assert both.returncode != 0
    assert [str(blocked) in error for error in errors(both.stderr)] == [True]


def test_two_processes_train_the_model_of_one(posehg: Posehg, tmp_path: Path) -> None:
    small = ("--stacks", 1, "--features", 8, "--stem", "8-8-8", "--depth", 2, "--input-size", 64, "--precision", "fp32")
    options = ("train", "--dataset", "synthetic", "--limit", 4, "--batch", 4, "--epochs", 1, "--freeze", "norm", *small)
    assert posehg(*options, "--device", "cpu", "--out", tmp_path / "one").code == 0
    (code, out, _), second = two(*options, "--out", tmp_path / "two")
    assert (code, out, second) == (0, "", (0, "", ""))
    one, other = (checkpoints.load(tmp_path / name / "last.safetensors").state for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-5 * max(1.0, float(value.abs().max())))


@pytest.mark.parametrize("command", ["eval", "predict"])
def test_a_lost_process_ends_the_other_with_a_message(command: str, model: Path, photos: list[Path]) -> None:
    arguments = EVAL if command == "eval" else ("predict", *photos, "--whole")
    store = launches.meeting()
    first, second = (environment() | place for place in launches.places(2, store))
    stays = forks.start(*arguments, "--model", model, "--device", "cpu", environment=first)
    leaves = forks.start(module="tests.leaves", environment=second)
    leaves.communicate()
    out, err = stays.communicate()
    assert (stays.returncode, leaves.returncode, out) == (6, 9, "")
    said = [line.split()[0] for line in err.splitlines() if not line.startswith("[")]  # a line of torch's own log
    assert said == ["Error:", "Hint:"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launch(model: Path, photos: list[Path], tmp_path: Path, number: signal.Signals) -> None:
    copies = [shutil.copy(photos[0], tmp_path / f"{name}.png") for name in range(1, 2001)]
    options = ("--model", model, "--whole", "--out", tmp_path / "out", "--device", "cpu")
    command = (*TORCHRUN, "-m", "posehg", "predict", *copies, *options)
    process = forks.start(*command, environment=environment(), module="torch.distributed.run")
    end = time.monotonic() + 100
    while not (tmp_path / "out" / "1.png").exists() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert errors(err) == []
    assert str(ROOT / "posehg") not in err
    assert err.count("Traceback") == 1  # torchrun's own
