"""posehg train --init: a trained network learns other joints, in one command."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from posehg import checkpoints
from posehg.checkpoints import Checkpoint
from posehg.skeletons import LSP, MPII
from posehg.training.config import RATES
from tests import stubs
from tests.journeys.conftest import Posehg

FIVE = "left_wrist,right_wrist,head_top,left_hip,right_shoulder"
SHORT = ("--epochs", 1, "--batch", 2, "--device", "cpu", "--precision", "fp32")
SYNTHETIC = ("--dataset", "synthetic", "--limit", 3, *SHORT)


@pytest.fixture
def logits(tmp_path: Path) -> Path:
    """As ``model``, trained by cross-entropy and with another padding and sigma."""
    checkpoint = stubs.tiny(MPII, output="logits")
    config = replace(checkpoint.config, padding=1.7, sigma=0.6, provenance={"licence": "for research"})
    checkpoints.save_file(tmp_path / "logits.safetensors", Checkpoint(config, checkpoint.state))
    return tmp_path / "logits.safetensors"


def options_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def figures(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("options", "joints"),
    [
        (("--joints", FIVE), tuple(FIVE.split(","))),
        (("--skeleton", "lsp"), LSP.joints),
        (("--skeleton", "lsp", "--joints", "head_top"), ("head_top",)),
        ((), MPII.joints),
    ],
)
def test_the_network_learns_the_joints_that_are_asked_for(
    posehg: Posehg, model: Path, tmp_path: Path, options: tuple[str, ...], joints: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    run = posehg("train", "--init", model, *SYNTHETIC, *options, "--out", out)
    assert (run.code, run.out) == (0, ""), run.err
    assert f"{len(joints)} joint" in run.err
    made = checkpoints.load(out / "last.safetensors").config
    assert (made.skeleton.joints, made.network.joints) == (joints, len(joints))
    assert "nan" not in figures(out)[0].values()  # the torso by which it is measured is that of the data set
    saved = options_of(out)
    names = ("stacks", "features", "depth", "blocks", "stem", "input_size", "padding", "sigma", "loss", "lr", "init")
    expected = [2, 8, 2, 1, [4, 4, 8], 64, 1.25, 1.0, "mse", RATES["mse"] / 10, str(model)]
    assert [saved[name] for name in names] == expected


@pytest.mark.parametrize(("freeze", "free"), [("body,norm", (".heatmaps.",)), ("stem", ("stacks.", "reinjections."))])
def test_frozen_parts_are_still_those_of_the_model(
    posehg: Posehg, model: Path, tmp_path: Path, freeze: str, free: tuple[str, ...]
) -> None:
    run = posehg("train", "--init", model, *SYNTHETIC, "--freeze", freeze, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    before, after = (checkpoints.load(path).state for path in (model, tmp_path / "run/last.safetensors"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(any(part in key for part in free) for key in changed)


def test_another_network_than_the_models_is_refused(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    for init, code, named in ((model, 2, "features"), ("bundeld", 5, "bundeld")):
        run = posehg("train", "--init", init, *SYNTHETIC, "--features", 16, "--out", tmp_path / "run")
        run.assert_failed(code, named)
        assert "Hint: " in run.err
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "loss", "lr", "padding"),
    [
        ((), "cross-entropy", RATES["cross-entropy"] / 10, 1.7),
        (("--loss", "mse"), "mse", RATES["mse"] / 10, 1.7),
        (("--lr", 7e-4, "--padding", 2), "cross-entropy", 7e-4, 2),
    ],
)
def test_what_is_not_given_is_as_in_the_model(
    posehg: Posehg, logits: Path, tmp_path: Path, options: tuple[Any, ...], loss: str, lr: float, padding: float
) -> None:
    run = posehg("train", "--init", logits, *SYNTHETIC, *options, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert ("another loss" in run.err) == (loss == "mse")  # keeps no heatmaps
    values = options_of(tmp_path / "run")
    assert (values["loss"], values["lr"], values["padding"], values["sigma"]) == (loss, lr, padding, 0.6)
    made = checkpoints.load(tmp_path / "run/last.safetensors").config
    assert made.output == ("logits" if loss == "cross-entropy" else "heatmaps")
    assert (made.padding, made.sigma) == (padding, 0.6)


def test_a_resumed_run_does_not_need_the_model_again(posehg: Posehg, logits: Path, tmp_path: Path) -> None:
    out, origins, licences = tmp_path / "run", set(), set()
    assert posehg("train", "--init", logits, *SYNTHETIC, "--out", out).code == 0
    logits.unlink()
    for epochs in (2, 3):
        run = posehg("train", "--resume", "--epochs", epochs, "--out", out)
        assert run.code == 0, run.err
        assert "Kept" not in run.err
        provenance = checkpoints.load(out / "last.safetensors").config.provenance
        origins.add(provenance["trained_on"])
        licences.add(provenance["licence"])
    assert len(figures(out)) == 3
    [origin] = origins
    assert origin.startswith("synthetic, after ")
    assert licences == {"for research"}


def test_a_run_goes_on_where_its_data_is_now(posehg: Posehg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert posehg("data", "crop", "--dataset", "synthetic", "--limit", 4, "--out", tmp_path / "one").code == 0
    monkeypatch.chdir(tmp_path)
    own = ("--dataset", "one/people-{split}.json")
    assert posehg("train", *own, "--stacks", 1, "--features", 8, "--input-size", 64, *SHORT, "--out", "run").code == 0
    (tmp_path / "one").rename(tmp_path / "two")
    again = ("train", "--resume", "--epochs", 2, "--out", "run", "--dataset")
    posehg(*again, "two/others-{split}.json").assert_failed(2, "--dataset")
    assert posehg(*again, "two/people-{split}.json").code == 0
    assert options_of(tmp_path / "run")["dataset"] == "two/people-{split}.json"


@pytest.mark.slow
def test_the_bundled_model_can_be_trained_further(posehg: Posehg, tmp_path: Path) -> None:
    few = ("--dataset", "synthetic", "--limit", 2, "--epochs", 1, "--batch", 2, "--device", "cpu")
    run = posehg("train", "--init", "bundled", *few, "--freeze", "norm", "--lr", 1e-6, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert float(figures(tmp_path / "run")[0]["pck_synthetic"]) > 50  # it has not forgotten what it knew
