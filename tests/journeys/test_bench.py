from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from posehg.inference import machine
from tests.journeys.conftest import Posehg

TINY = (
    *("--dataset", "synthetic", "--limit", "5", "--stacks", "1", "--features", "8", "--stem", "8-8-8", "--depth", "2"),
    *("--input-size", "64", "--batch", "3", "--device", "cpu", "--precision", "fp32", "--seconds", "0.2"),
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty; and matrices that take no time."""
    monkeypatch.setattr(machine, "_SIDES", {"cpu": (64,)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def strict(text: str) -> dict[str, Any]:
    """JSON as the standard has it, without NaN and infinity."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def test_the_figures_are_a_table_on_stdout_and_nothing_is_written(posehg: Posehg, nowhere: Path) -> None:
    run = posehg("bench", "--train", *TINY)
    assert run.code == 0, run.err
    assert "synthetic, 5 persons; crops of 64 pixels" in run.out
    for line in ("pipeline, first time", "pipeline, later", "step ", "both, as training goes"):
        assert re.search(rf"^ *{line}.* \d", run.out, re.MULTILINE), line
    for line in ("both / step", "pipeline / step", "step / limit", "matrix products", "memory at its highest"):
        assert re.search(rf"^ *{line}.* \d", run.out, re.MULTILINE), line
    assert "Warming up" in run.err
    assert not list(nowhere.iterdir())


def test_the_figures_are_one_json_object(posehg: Posehg) -> None:
    run = posehg("bench", "--train", *TINY, "--json")
    assert run.code == 0, run.err
    assert len(run.out.splitlines()) == 1
    found = strict(run.out)
    rates = found["pictures_per_second"]
    assert set(rates) == {"pipeline_first_time", "pipeline", "step", "both", "limit"}
    assert rates["pipeline"].keys() == {"median", "lowest", "highest"}
    assert found["options"]["stem"] == [8, 8, 8]
    assert found["options"]["epochs"] == 100
    assert (found["setting"]["device"], found["setting"]["precision"]) == ("cpu", "fp32")
    flop = found["flop_per_picture"]
    assert flop["all"] == flop["forward"] + flop["backward"]
    assert rates["limit"] == pytest.approx(found["flop_per_second"] / flop["all"])


def test_a_model_to_begin_with_brings_its_build(posehg: Posehg, model: Path) -> None:
    run = posehg("bench", "--train", *TINY[:4], "--init", model, "--device", "cpu", "--seconds", "0.05", "--json")
    assert run.code == 0, run.err
    options = strict(run.out)["options"]
    assert (options["stacks"], options["features"], options["input_size"]) == (2, 8, 64)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--train", "--markdown"), 2, "--markdown means nothing with --train."),
        (("--train", "--no-flip"), 2, "--no-flip means nothing with --train."),
        (("--train", "-m", "bundled"), 2, "-m means nothing with --train."),
        (("--train", "--decoder=quarter"), 2, "--decoder means nothing with --train."),
        (("--train", "photo.jpg"), 2, "photo.jpg"),
        (("--train", "--seconds", "0"), 2, "above 0"),
        (("--train", "--seconds", "nan"), 2, "above 0"),
        (("--train", "--dataset", "synthetik"), 2, "synthetik"),
        (("--train", "--dataset", "mpii", "--data", "nowhere"), 5, "nowhere"),
        (("--train", "--init", "nothing"), 5, "nothing"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(posehg: Posehg, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    posehg("bench", *arguments).assert_failed(code, sentence)


def test_the_options_of_training_have_a_help_of_their_own(posehg: Posehg) -> None:
    run = posehg("bench", "--train", "--help")
    assert run.code == 0
    assert "posehg bench --train [OPTIONS]" in run.out
    assert "--stacks" in run.out
    assert "--markdown" not in run.out


def test_a_device_that_is_not_there_is_told_first(posehg: Posehg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    posehg("bench", "--train", "--device", "cuda", "--data", "nowhere").assert_failed(6, "no CUDA device")
