"""posehg bench: every figure is there and fits the others. How large they are depends on the machine."""

import json
import re
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from posehg.cli import bench
from posehg.inference import devices
from tests.journeys.conftest import Posehg

STEPS = ("read", "warp", "network", "decode", "draw", "write", "together")
QUICK = ("--device", "cpu", "--seconds", "0.01", "--no-commands")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty; and matrices that take no time."""
    monkeypatch.setattr(devices, "_SIDES", (64,))
    monkeypatch.setattr(bench, "ROUNDS", 2)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def measured(posehg: Posehg, *arguments: object) -> dict[str, Any]:
    run = posehg("bench", *arguments, "--json")
    assert run.code == 0, run.err
    assert len(run.out.splitlines()) == 1

    def refuse(word: str) -> None:
        raise ValueError(word)  # NaN and infinity are not JSON

    return json.loads(run.out, parse_constant=refuse)


def test_the_steps_add_up_and_the_limit_is_the_arithmetic_at_the_machines_rate(
    posehg: Posehg, model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock of its own: on a busy machine the medians of measured steps need not add up to that of all of them.
    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=count(0.0, 0.001).__next__))
    before = set(tmp_path.rglob("*"))
    found = measured(posehg, photo, "--model", model, *QUICK, "--no-engines")
    assert set(tmp_path.rglob("*")) == before  # nothing is left behind
    times, limit = found["steps"], found["limit"]
    assert tuple(times) == STEPS
    assert all(0 < time["median_ms"] <= time["p95_ms"] for time in times.values())
    assert [time["median_ms"] for time in times.values()] == pytest.approx([1, 1, 1, 1, 1, 1, 6])
    expected = 1000 * limit["network_gflop"] / limit["matrix_products_gflop_per_second"]
    assert limit["network_milliseconds_at_least"] == pytest.approx(expected)
    assert limit["network_to_limit"] == pytest.approx(times["network"]["median_ms"] / expected)
    assert (found["setting"]["image"], found["setting"]["device"]) == (str(photo), "cpu")


def test_the_options_of_predict_are_used(
    posehg: Posehg, model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    both = measured(posehg, photo, "--model", model, *QUICK, "--no-engines")
    options = ("--no-flip", "--decoder", "quarter", "--threads", "2")
    one = measured(posehg, photo, "--model", model, *QUICK, "--no-engines", *options)
    assert [one["setting"][name] for name in ("flip", "decoder")] == [False, "quarter"]
    assert both["limit"]["network_gflop"] == 2 * one["limit"]["network_gflop"]
    assert 2 in threads


def test_the_engines_run_the_same_network(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    alone = measured(posehg, "--model", model, *QUICK)
    assert alone["setting"]["image"] == "rendered"
    libraries = ["onnxruntime"]
    libraries += ["openvino"] if find_spec("openvino") else []  # an import of openvino here starts its telemetry
    with_copy = tmp_path / "with_copy"
    assert posehg("export", model, "--out", with_copy).code == 0
    all_engines = measured(posehg, "--model", with_copy, *QUICK)
    for found, others in ((alone, []), (all_engines, libraries if find_spec("onnxscript") else [])):
        engines = found["engines_per_crop"]
        assert [name.split()[0] for name in engines] == ["torch", "torch", *others]
        assert all(engine["alone_ms"] > 0 and engine["batch_of_8_ms"] > 0 for engine in engines.values())
        assert next(iter(engines.values()))["speedup"] == 1


def test_whole_commands_are_timed(posehg: Posehg, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "IMAGES", 3)
    found = measured(posehg, photo, "--model", "small", *QUICK[:-1], "--no-engines")["commands"]
    assert all(figure > 0 for figure in found.values())
    assert len(found) == 3


def test_tables_have_a_row_for_each_figure(posehg: Posehg, model: Path, photo: Path) -> None:
    run = posehg("bench", photo, "--model", model, *QUICK, "--no-engines")
    assert run.code == 0, run.err
    for name in (*STEPS, "network to limit", "hardware"):
        assert re.search(rf"^ *{name} .*\S", run.out, re.MULTILINE), name


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("--seconds", "0"), 2, "--seconds"),
        (("--engine", "abacus"), 2, "--engine"),
        (("--stacks", "2"), 2, "--stacks"),
        (("nothing.jpg",), 3, "nothing.jpg"),
        (("--model", "nothing"), 5, "nothing"),
        (("--device", "abacus"), 2, "abacus"),
    ],
)
def test_mistakes_are_reported_in_a_sentence(posehg: Posehg, arguments: tuple[str, ...], code: int, named: str) -> None:
    posehg("bench", *arguments).assert_failed(code, named)


def test_a_missing_device_is_reported_before_anything_is_measured(
    posehg: Posehg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    posehg("bench", "--device", "cuda").assert_failed(6, "CUDA")
