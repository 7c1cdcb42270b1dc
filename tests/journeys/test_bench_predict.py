from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from posehg import images
from posehg.inference import machine, speed
from tests.journeys.conftest import Posehg
from tests.stubs import square_photo

PARTS = ("read", "warp", "network", "decode", "draw", "write")
QUICK = ("--device", "cpu", "--seconds", "0.01", "--no-engines")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty; and little that is measured."""
    monkeypatch.setattr(machine, "_SIDES", {"cpu": (64,)})
    monkeypatch.setattr(speed, "ROUNDS", 2)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def strict(text: str) -> dict[str, Any]:
    """JSON as the standard has it, without NaN and infinity."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


# ---- what is told ------------------------------------------------------------------------------------------------


def test_the_figures_are_tables_on_stdout(posehg: Posehg, model: Path, photo: Path) -> None:
    run = posehg("bench", photo, "--model", model, *QUICK)
    assert run.code == 0, run.err
    assert f"{photo.name}, 320 x 240 pixels" in run.out.replace("\n", "")
    names = (*PARTS, "together", "network / limit", "--whole", "--people one", "--people all", "as predict")
    for name in names:
        assert re.search(rf"^ *{name}.* \d", run.out, re.MULTILINE), name
    assert run.err.splitlines()[0] == "Warming up"


def test_nothing_is_left_behind(posehg: Posehg, model: Path, photo: Path, nowhere: Path, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if model not in path.parents}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(nowhere))
        assert posehg("bench", photo, "--model", model, *QUICK).code == 0
    assert {path for path in tmp_path.rglob("*") if model not in path.parents} == before


def test_every_part_is_in_one_json_object(posehg: Posehg, model: Path, photo: Path) -> None:
    run = posehg("bench", photo, "--model", model, *QUICK, "--json")
    assert run.code == 0, run.err
    assert len(run.out.splitlines()) == 1
    found = strict(run.out)
    assert found["photo"] == str(photo)
    assert tuple(found["milliseconds"]) == (*PARTS, "together")
    assert all(0 < times["median"] <= times["p95"] for times in found["milliseconds"].values())
    assert tuple(found["share"]) == PARTS
    assert all(share > 0 for share in found["share"].values())
    assert sum(found["share"].values()) == pytest.approx(1)
    assert found["setting"]["picture"] == [240, 320]
    assert found["setting"]["crop"] == [64, 64]


def test_a_whole_picture_costs_its_parts_and_the_search(posehg: Posehg, square: Path, photo: Path) -> None:
    found = strict(posehg("bench", photo, "--model", square, *QUICK, "--json").out)
    files = sum(found["milliseconds"][name]["median"] for name in ("read", "draw", "write")) / 1000
    assert tuple(found["picture"]) == ("whole", "one", "all")
    for way in found["picture"].values():
        assert way["crops"] >= way["windows"]
        assert way["seconds"] == pytest.approx(way["finding_seconds"] + files)
        assert way["finding_share"] == pytest.approx(way["finding_seconds"] / way["seconds"])
    assert [found["picture"][way]["people"] for way in ("whole", "one")] == [1, 1]
    assert (found["picture"]["whole"]["windows"], found["picture"]["whole"]["crops"]) == (1, 2)


def test_the_limit_is_the_arithmetic_at_the_machines_rate(posehg: Posehg, model: Path, photo: Path) -> None:
    found = strict(posehg("bench", photo, "--model", model, *QUICK, "--json").out)
    limit = 1000 * found["network_flop"] / found["flop_per_second"]
    assert found["network_limit_milliseconds"] == pytest.approx(limit)
    assert found["network_to_limit"] == pytest.approx(found["milliseconds"]["network"]["median"] / limit)


def test_markdown_has_a_row_for_each_part_and_names_the_machine(posehg: Posehg, model: Path, photo: Path) -> None:
    run = posehg("bench", photo, "--model", model, *QUICK, "--markdown")
    assert run.code == 0, run.err
    machine_line, empty, *lines = run.out.splitlines()
    assert machine.name_of(torch.device("cpu")) in machine_line
    assert f"torch {torch.__version__.partition('+')[0]}" in machine_line
    assert empty == ""
    tables = [table.splitlines() for table in "\n".join(lines).split("\n\n")]
    assert len(tables) == 4
    for heading, rule, *rows in tables:
        assert re.fullmatch(r"\| --- \|( --: \|)+", rule)
        assert rows
        assert {row.count("|") for row in (heading, *rows)} == {rule.count("|")}
    assert [row.split(" ")[1] for row in tables[0][2:]] == [*PARTS, "together"]


# ---- what is measured --------------------------------------------------------------------------------------------


def test_without_a_photo_one_is_rendered(posehg: Posehg, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ROUNDS", 1)
    monkeypatch.setattr(speed, "_LEAST", 2)
    run = posehg("bench", "--model", model, *QUICK, "--json")
    assert run.code == 0, run.err
    assert run.err.startswith("Rendering a picture\n")
    found = strict(run.out)
    assert (found["photo"], found["setting"]["picture"]) == (None, [960, 1280])


def test_the_options_of_predict_are_taken(
    posehg: Posehg, model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    options = ("--no-flip", "--decoder", "quarter", "--batch", "3", "--threads", "2")
    found = strict(posehg("bench", photo, "--model", model, *QUICK, *options, "--json").out)
    setting = found["setting"]
    assert (setting["flip"], setting["decoder"], setting["batch"]) == (False, "quarter", 3)
    assert found["picture"]["whole"]["crops"] == 1
    assert threads == [2]


def test_the_mirrored_crop_doubles_the_arithmetic(posehg: Posehg, model: Path, photo: Path) -> None:
    both, one = (
        strict(posehg("bench", photo, "--model", model, *QUICK, flip, "--json").out)["network_flop"]
        for flip in ("--flip", "--no-flip")
    )
    assert both == 2 * one


# ---- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--json", "--markdown"), 2, "two forms of the same"),
        (("--seconds", "0"), 2, "above 0"),
        (("--seconds", "inf"), 2, "above 0"),
        (("--batch", "-1"), 2, "--batch"),
        (("--stacks", "2"), 2, "--stacks means something with --train only."),
        (("--dataset=mpii",), 2, "--dataset means something with --train only."),
        (("--no-compile",), 2, "--no-compile means something with --train only."),
        (("--bax",), 2, "No such option: --bax"),
        (("nothing.jpg",), 3, "There is no file nothing.jpg."),
        (("--model", "nothing"), 5, "nothing"),
        (("--device", "abacus"), 2, "abacus"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(posehg: Posehg, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    posehg("bench", *arguments).assert_failed(code, sentence)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_picture_is_refused(posehg: Posehg, model: Path, nowhere: Path, content: bytes) -> None:
    (nowhere / "broken.jpg").write_bytes(content)
    posehg("bench", "broken.jpg", "--model", model, *QUICK).assert_failed(3, "broken.jpg")


def test_a_picture_that_was_cut_short_is_refused(posehg: Posehg, model: Path, nowhere: Path) -> None:
    path = nowhere / "cut.jpg"
    images.write(path, square_photo(11, 13, 31))
    path.write_bytes(path.read_bytes()[:-200])
    posehg("bench", path, "--model", model, *QUICK).assert_failed(3, "cut short")


def test_a_device_that_is_not_there_is_told_before_anything_is_measured(
    posehg: Posehg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    posehg("bench", "nothing.jpg", "--device", "cuda").assert_failed(6, "no CUDA device")


def test_help_fits_into_80_columns_and_names_the_other_help(posehg: Posehg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = posehg("bench", "--help")
    assert max(map(len, run.out.splitlines())) <= 80
    assert "--train --help" in run.out
    assert "--stacks" not in run.out


# ---- engines -----------------------------------------------------------------------------------------------------


def test_the_engines_that_are_installed_are_compared(posehg: Posehg, model: Path, photo: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    run = posehg("bench", photo, "--model", model, "--seconds", "0.01", "--device", "cpu", "--json")
    assert run.code == 0, run.err
    engines = strict(run.out)["engines"]
    assert [re.sub(r" [0-9.]+[^ ,]*", "", one["name"]) for one in engines][:3] == [
        "torch, as ports run it",
        "torch",
        "onnxruntime",
    ]
    assert all(one["apart"] < 0.01 for one in engines)
    assert all(min(one["alone"], one["together"], one["gain"], one["to_limit"]) > 0 for one in engines)


def test_without_onnxruntime_it_is_said_and_torch_is_compared(
    posehg: Posehg, model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posehg.cli.bench_engines.find_spec", lambda name: None)
    run = posehg("bench", photo, "--model", model, "--seconds", "0.01", "--device", "cpu", "--markdown")
    assert run.code == 0, run.err
    assert "onnxruntime is not installed, and is not measured." in run.err
    table = run.out.split("| engine, ms a crop |")[1].splitlines()
    assert [line.split(" | ")[0].startswith("| torch ") for line in table[2:4]] == [True, True]
    assert len(table) == 4
