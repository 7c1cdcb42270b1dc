"""Files of whole runs: there when the run has ended, and not before."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from posehg.errors import InputError, UsageError
from posehg.io.writers import COLLECTORS, SAVES, Collect
from tests.results import failed, found, small_disk

EVERY: dict[str, Collect] = {
    **COLLECTORS,
    **{f"{kind} video": save.video[1] for kind, save in SAVES.items() if save.video},
    **{f"{kind} run": save.run[1] for kind, save in SAVES.items() if save.run},
}

every = pytest.mark.parametrize("collect", EVERY.values(), ids=EVERY)


@every
def test_the_file_appears_when_the_run_has_ended(tmp_path: Path, collect: Collect) -> None:
    path = tmp_path / "run"
    with collect(path, False) as add:
        add(found("a.jpg"))
        add(failed())
        assert not path.exists()
    assert path.stat().st_size > 100
    assert list(tmp_path.iterdir()) == [path]


@every
def test_a_run_of_nothing_has_its_file(tmp_path: Path, collect: Collect) -> None:
    with collect(tmp_path / "run", False):
        pass
    assert (tmp_path / "run").exists()


@every
def test_what_is_there_stays_unless_it_may_be_replaced(tmp_path: Path, collect: Collect) -> None:
    path = tmp_path / "run"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"), collect(path, False) as add:
        add(found())
    assert path.read_text() == "mine"
    with collect(path, True) as add:
        add(found())
        assert path.read_text() == "mine"
    assert path.read_bytes() != b"mine"


@every
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path, collect: Collect, stop: type[BaseException]) -> None:
    with pytest.raises(stop), collect(tmp_path / "run", False) as add:  # noqa: PT012
        add(found())
        raise stop
    assert not list(tmp_path.iterdir())


@every
@pytest.mark.parametrize("error", [BrokenPipeError("stdout is closed"), PermissionError(13, "Other"), OSError(5, "?")])
def test_what_goes_wrong_elsewhere_is_not_called_this_files_fault(
    tmp_path: Path, collect: Collect, error: OSError
) -> None:
    with pytest.raises(OSError) as caught, collect(tmp_path / "run", False) as add:  # noqa: PT011, PT012
        add(found())
        raise error
    assert caught.value is error
    assert not list(tmp_path.iterdir())


@every
def test_a_full_disk_is_told_with_the_files_name(tmp_path: Path, collect: Collect) -> None:
    def run() -> None:
        with collect(tmp_path / "run", False) as add:
            for number in range(50):
                add(found(f"{number}.jpg"))

    with small_disk(3000), pytest.raises(InputError, match=r"run cannot be written: File too large"):
        run()
    assert not list(tmp_path.iterdir())


@every
def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path: Path, collect: Collect) -> None:
    with pytest.raises(UsageError, match="There is no folder"), collect(tmp_path / "none" / "run", False):
        pytest.fail("the work has begun")


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    script = f"""
import sys, time
from pathlib import Path
from posehg.io.writers import json
from tests.results import found
with json.lines(Path({str(tmp_path / "run.jsonl")!r})) as add:
    for _ in range(1000):
        add(found())
    print("half", flush=True)
    time.sleep(60)
"""
    root = Path(__file__).parent.parent
    process = subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.wait()
    assert not (tmp_path / "run.jsonl").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell memory so")
@pytest.mark.parametrize("collect", EVERY.values(), ids=EVERY)
def test_memory_does_not_grow_with_the_run(tmp_path: Path, collect: Collect) -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    marks = {}
    with collect(tmp_path / "run", False) as add:
        for number in range(9000):
            add(found(f"folder/{number:06d}.jpg", people=2))
            if number + 1 in (1000, 9000):
                marks[number + 1] = resident()
    assert marks[9000] - marks[1000] < 8, marks
