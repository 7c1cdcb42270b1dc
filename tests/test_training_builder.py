"""What a run starts with: the options of a model, its network, initial weights and frozen parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from posehg import __version__, checkpoints
from posehg.checkpoints import Checkpoint
from posehg.datasets import on_skeleton
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII, Skeleton
from posehg.training.builder import (
    OUTPUTS,
    initial_network,
    model_config,
    options_of_model,
)
from posehg.training.config import RATES, TrainConfig
from tests.stubs import tiny
from tests.toy import SKELETON, TINY, dataset

LIKE_THE_STUB = replace(TINY, stacks=2, features=8, depth=2, stem=(4, 4, 8), input_size=64)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_the_model_follows_from_the_options_and_the_data() -> None:
    for loss, output in OUTPUTS.items():
        model = model_config(replace(TINY, padding=1.5, sigma=0.75, loss=loss), dataset())
        network = model.network
        assert (network.joints, network.stacks, network.features, network.depth) == (5, 2, 4, 2)
        assert (network.stem, model.input_size, model.padding, model.sigma) == ((2, 4, 4), (32, 32), 1.5, 0.75)
        assert (model.skeleton, model.output) == (SKELETON, output)


def test_a_model_names_its_data_and_the_options_that_are_not_the_default() -> None:
    ours = {"device": "cpu", "workers": 3, "warp": "cpu"}
    config = TrainConfig(dataset="a:2+b", loss="cross-entropy", features=8, ema=0.5, **ours)  # type: ignore[arg-type]
    assert model_config(config, dataset()).provenance == {
        "made_by": f"posehg {__version__}",
        "trained_on": "a:2+b",
        "options": "features 8, loss cross-entropy, ema 0.5",
    }
    assert model_config(TrainConfig(), dataset()).provenance["options"] == ""


def test_a_model_names_what_its_initial_weights_were_trained_on_and_no_path(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.touch()
    found = model_config(TrainConfig(dataset="lspet", init=str(file)), dataset(), "mpii, after synthetic").provenance
    assert found["trained_on"] == "lspet, after mpii, after synthetic"
    assert "init x.safetensors" in found["options"]
    assert str(tmp_path) not in str(found)


def test_random_weights_follow_from_the_seed() -> None:
    model = model_config(TINY, dataset())
    one, again, other = (initial_network(replace(TINY, seed=seed), model, None) for seed in (3, 3, 4))
    assert same(one[0].state_dict(), again[0].state_dict())
    assert not same(one[0].state_dict(), other[0].state_dict())
    assert one[1] == ""


def test_a_run_starts_with_the_weights_of_its_model() -> None:
    source = tiny(SKELETON, seed=7)
    network, kept = initial_network(LIKE_THE_STUB, model_config(LIKE_THE_STUB, dataset()), source)
    assert same(network.state_dict(), dict(source.state))
    assert "5 joints" in kept


def test_the_heads_of_new_joints_start_at_random() -> None:
    two = on_skeleton(dataset(), Skeleton("two", ("tail", "head"), ()))
    model = model_config(LIKE_THE_STUB, two)
    source, (random, _) = tiny(SKELETON, seed=7), initial_network(LIKE_THE_STUB, model, None)
    network, kept = initial_network(LIKE_THE_STUB, model, source)
    head, its = (state["stacks.1.heatmaps.weight"] for state in (network.state_dict(), source.state))
    assert torch.equal(head[0], random.state_dict()["stacks.1.heatmaps.weight"][0])
    assert torch.equal(head[1], its[SKELETON.index("head")])
    assert "tail" in kept


@pytest.fixture
def model(tmp_path: Path) -> str:
    source = tiny(MPII, output="logits")
    changed = replace(source.config, padding=1.7, sigma=0.6)
    checkpoints.save_file(tmp_path / "model.safetensors", Checkpoint(changed, source.state))
    return str(tmp_path / "model.safetensors")


def test_options_that_are_not_given_are_those_of_the_model(model: str, tmp_path: Path) -> None:
    config, source = options_of_model(TrainConfig(init=model, epochs=3), set())
    assert (config.stacks, config.features, config.depth, config.blocks, config.stem) == (2, 8, 2, 1, (4, 4, 8))
    assert (config.input_size, config.padding, config.sigma, config.epochs) == (64, 1.7, 0.6, 3)
    assert (config.loss, config.lr) == ("cross-entropy", RATES["cross-entropy"])
    assert same(source.state, tiny(MPII, output="logits").state)
    asked = TrainConfig(init=model, features=16, input_size=128, padding=2, loss="mse", lr=7e-4)
    config, _ = options_of_model(asked, {"features", "input_size", "padding", "loss", "lr"})
    assert (config.features, config.input_size, config.padding) == (16, 128, 2)
    assert (config.loss, config.lr, config.depth) == ("mse", 7e-4, 2)
    assert options_of_model(TrainConfig(init=model, loss="mse"), {"loss"})[0].lr == RATES["mse"]
    checkpoints.save_file(tmp_path / "a.safetensors", tiny(MPII))
    same_output = TrainConfig(init=str(tmp_path / "a.safetensors"), loss="weighted-mse")
    assert options_of_model(same_output, set())[0].loss == "weighted-mse"


def test_a_model_that_is_missing_or_has_crops_that_are_not_square_is_refused(tmp_path: Path) -> None:
    checkpoints.save_file(tmp_path / "tall.safetensors", tiny(MPII, size=(64, 32)))
    with pytest.raises(UsageError, match="32 x 64"):
        options_of_model(TrainConfig(init=str(tmp_path / "tall.safetensors")), set())
    with pytest.raises(NotAvailable):
        options_of_model(TrainConfig(init=str(tmp_path / "none")), set())
