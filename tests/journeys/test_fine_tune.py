"""posehg train --init: a trained network learns other joints, in one command."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch import Tensor

from posehg import checkpoints, images
from posehg.datasets import lsp
from posehg.skeletons import LSP, MPII
from posehg.training.config import RATES
from tests import stubs
from tests.journeys.conftest import Posehg

FIVE = "left_wrist,right_wrist,head_top,left_hip,right_shoulder"
SHORT = ("--epochs", 1, "--batch", 2, "--device", "cpu", "--precision", "fp32")
SYNTHETIC = ("--dataset", "synthetic", "--limit", 3, *SHORT)


@pytest.fixture
def logits(tmp_path: Path) -> Path:
    """As ``model``, trained by cross-entropy."""
    checkpoints.save_file(tmp_path / "logits.safetensors", stubs.tiny(MPII, output="logits"))
    return tmp_path / "logits.safetensors"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny LSPET: five pictures to learn from and two to validate on."""
    monkeypatch.setitem(lsp.TRAINING_IMAGES, "lspet", 5)
    draw = np.random.default_rng(0)
    joints = np.ones((14, 3, 7))
    joints[:, :2] = draw.uniform((10,), (50,), (14, 2, 7))
    root = tmp_path / "data/lspet"
    root.mkdir(parents=True)
    savemat(root / "joints.mat", {"joints": joints})
    (root / "images").mkdir()
    for number in range(7):
        noise = draw.integers(0, 256, (6, 7, 3), dtype=np.uint8).repeat(9, axis=0).repeat(9, axis=1)
        images.write(root / f"images/im{number + 1:05d}.jpg", noise)
    return tmp_path / "data"


def options_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], but: tuple[str, ...] = ()) -> bool:
    keys = [key for key in one if not any(part in key for part in but)]
    return all(torch.equal(one[key], other[key]) for key in keys)


# ---- other joints ------------------------------------------------------------------------------------------------


def test_a_network_of_16_joints_learns_14_of_another_set(
    posehg: Posehg, model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = posehg("train", "--init", model, "--dataset", "lspet", "--data", data, *SHORT, "--out", out)
    assert (run.code, run.out) == (0, ""), run.err
    [kept] = [line for line in run.err.splitlines() if line.startswith("Kept ")]
    assert kept.endswith("parameters; heatmaps of 14 joints by name.")
    made = checkpoints.load(out / "best.safetensors").config
    assert (made.skeleton, made.network.joints) == (LSP, 14)
    assert (made.network.stacks, made.network.features, made.network.stem) == (2, 8, (4, 4, 8))
    assert (made.input_size, made.output) == ((64, 64), "heatmaps")
    with open(out / "metrics.csv", newline="") as file:
        assert float(next(csv.DictReader(file))["pck_lspet"]) >= 0


@pytest.mark.parametrize(
    ("options", "joints", "kept"),
    [
        (("--joints", FIVE), tuple(FIVE.split(",")), "heatmaps of 5 joints by name."),
        (("--skeleton", "lsp"), LSP.joints, "heatmaps of 14 joints by name."),
        (("--skeleton", "lsp", "--joints", "head_top"), ("head_top",), "heatmaps of 1 joint by name."),
        ((), MPII.joints, "heatmaps of 16 joints by name."),
    ],
)
def test_the_network_learns_the_joints_that_are_asked_for(
    posehg: Posehg, model: Path, tmp_path: Path, options: tuple[str, ...], joints: tuple[str, ...], kept: str
) -> None:
    out = tmp_path / "run"
    run = posehg("train", "--init", model, *SYNTHETIC, *options, "--out", out)
    assert run.code == 0, run.err
    assert kept in run.err
    assert checkpoints.load(out / "last.safetensors").config.skeleton.joints == joints
    assert "PCK@0.2 synthetic nan" not in run.err  # the torso by which it is measured is that of the data set


def test_new_joints_begin_anew_and_this_is_said(posehg: Posehg, saved_stubs: dict[str, Path], tmp_path: Path) -> None:
    run = posehg("train", "--init", saved_stubs["dots"], *SYNTHETIC, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert "16 new: right_ankle, right_knee, " in run.err


@pytest.mark.parametrize(("freeze", "free"), [("body,norm", (".heatmaps.",)), ("stem", ("stacks.", "reinjections."))])
def test_what_is_frozen_is_still_that_of_the_model(
    posehg: Posehg, model: Path, tmp_path: Path, freeze: str, free: tuple[str, ...]
) -> None:
    run = posehg("train", "--init", model, *SYNTHETIC, "--freeze", freeze, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    before, after = (checkpoints.load(path).state for path in (model, tmp_path / "run/last.safetensors"))
    assert same(before, after, but=free)
    assert not same(before, after)


# ---- the options of the model ------------------------------------------------------------------------------------


def test_the_build_is_that_of_the_model_without_being_asked_for(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    assert posehg("train", "--init", model, *SYNTHETIC, "--out", tmp_path / "run").code == 0
    options = options_of(tmp_path / "run")
    names = ("stacks", "features", "depth", "blocks", "stem", "input_size", "padding", "sigma", "loss", "lr")
    assert [options[name] for name in names] == [2, 8, 2, 1, [4, 4, 8], 64, 1.25, 1.0, "mse", RATES["mse"]]
    assert options["init"] == str(model)


def test_another_build_than_the_models_is_refused_with_what_to_leave_out(
    posehg: Posehg, model: Path, tmp_path: Path
) -> None:
    run = posehg("train", "--init", model, *SYNTHETIC, "--features", 16, "--out", tmp_path / "run")
    run.assert_failed(2, "features 8, not 16")
    assert "--features" in run.err
    assert not (tmp_path / "run").exists()


def test_more_stacks_than_the_models_begin_anew(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    run = posehg("train", "--init", model, *SYNTHETIC, "--stacks", 3, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert "1 of 3 stacks" in run.err
    assert checkpoints.load(tmp_path / "run/last.safetensors").config.network.stacks == 3


def test_the_loss_follows_from_what_the_model_gives(posehg: Posehg, logits: Path, tmp_path: Path) -> None:
    run = posehg("train", "--init", logits, *SYNTHETIC, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    options = options_of(tmp_path / "run")
    assert (options["loss"], options["lr"]) == ("cross-entropy", RATES["cross-entropy"])
    assert "heatmaps of 16 joints by name" in run.err
    assert checkpoints.load(tmp_path / "run/last.safetensors").config.output == "logits"


def test_a_model_of_another_loss_keeps_no_heatmaps_and_this_is_said(
    posehg: Posehg, logits: Path, tmp_path: Path
) -> None:
    run = posehg("train", "--init", logits, *SYNTHETIC, "--loss", "mse", "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert "no heatmaps" in run.err
    assert options_of(tmp_path / "run")["loss"] == "mse"


def test_the_model_may_be_named_in_a_file_of_options(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    file.write_text(json.dumps({"init": str(model), "stacks": 3}))
    run = posehg("train", "--config", file, *SYNTHETIC, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    options = options_of(tmp_path / "run")
    assert (options["stacks"], options["features"]) == (3, 8)


def test_a_resumed_run_does_not_look_at_the_model_again(posehg: Posehg, logits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert posehg("train", "--init", logits, *SYNTHETIC, "--out", out).code == 0
    logits.unlink()
    made = checkpoints.load(out / "last.safetensors").config
    assert made.provenance["trained_on"] == "synthetic, after data that its file does not name"
    longer = posehg("train", "--resume", "--epochs", 2, "--out", out)
    assert longer.code == 0, longer.err
    assert "Kept" not in longer.err
    assert "epoch 2/2" in longer.err
    made = checkpoints.load(out / "last.safetensors").config
    assert made.provenance["trained_on"] == "synthetic, after data that its file does not name"


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("nowhere.safetensors", "There is no model at nowhere.safetensors."),
        ("bundeld", "There is no model at bundeld."),
    ],
)
def test_a_model_that_is_not_there_is_named(posehg: Posehg, tmp_path: Path, named: str, sentence: str) -> None:
    run = posehg("train", "--init", named, *SYNTHETIC, "--out", tmp_path / "run")
    run.assert_failed(5, sentence)
    assert "Hint: " in run.err
    assert not (tmp_path / "run").exists()


def test_what_would_be_kept_is_said_by_a_dry_run(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    run = posehg("train", "--init", model, *SYNTHETIC, "--joints", FIVE, "--dry-run", "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert run.err.startswith("Kept ")
    assert f"joints   {FIVE.replace(',', ', ')}" in run.out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_bundled_model_can_be_trained_further(posehg: Posehg, tmp_path: Path) -> None:
    few = ("--dataset", "synthetic", "--limit", 2, "--epochs", 1, "--batch", 2, "--device", "cpu")
    run = posehg("train", "--init", "bundled", *few, "--freeze", "norm", "--lr", 1e-6, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert "heatmaps of 16 joints by name." in run.err
    with open(tmp_path / "run/metrics.csv", newline="") as file:
        assert float(next(csv.DictReader(file))["pck_synthetic"]) > 50  # it has not forgotten what it knew


# ---- overfitting -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joints", [(), ("--joints", "left_wrist,right_wrist"), ("--joints", "head_top")])
def test_a_network_can_be_tried_on_a_few_persons(posehg: Posehg, tmp_path: Path, joints: tuple[str, ...]) -> None:
    """They are validated by their own torso, whichever joints are learned."""
    small = ("--stacks", 1, "--features", 16, "--stem", "8-8-16", "--depth", 2, "--input-size", 64)
    learning = ("--optimizer", "adamw", "--lr", 1e-2, "--schedule", "constant", "--epochs", 8)
    options = ("--dataset", "synthetic", "--overfit", 2, "--batch", 2, "--device", "cpu", *small, *learning, *joints)
    run = posehg("train", *options, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    with open(tmp_path / "run/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["loss"]) for row in rows]
    assert losses[-1] < 0.5 * losses[0]
    assert all(float(row["pck_synthetic"]) >= 0 for row in rows)
    assert options_of(tmp_path / "run")["rotation"] == 0
