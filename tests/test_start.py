"""What a run begins with: its network, the weights of another one, and which of them do not learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posehg import __version__, checkpoints
from posehg.checkpoints import Checkpoint
from posehg.datasets import on_skeleton
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import LSP, MPII, Skeleton
from posehg.training import session
from posehg.training.config import RATES, TrainConfig
from posehg.training.start import OUTPUTS, first_network, freeze, model_config, origin_of, set_training
from tests.stubs import tiny
from tests.toy import SKELETON, TINY, dataset

LIKE_THE_STUB = replace(TINY, stacks=2, features=8, depth=2, stem=(4, 4, 8), input_size=64)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[key]) for key, value in one.items())


# ---- the network -------------------------------------------------------------------------------------------------


def test_the_network_is_that_of_the_options_and_the_data() -> None:
    model = model_config(replace(TINY, padding=1.5, sigma=0.75, loss="weighted-mse"), dataset())
    network = model.network
    assert (network.joints, network.stacks, network.features, network.depth, network.stem) == (5, 2, 4, 2, (2, 4, 4))
    assert (model.skeleton, model.input_size, model.padding, model.sigma) == (SKELETON, (32, 32), 1.5, 0.75)


@pytest.mark.parametrize(("loss", "output"), OUTPUTS.items())
def test_what_the_network_gives_follows_from_its_loss(loss: Any, output: str) -> None:
    assert model_config(replace(TINY, loss=loss), dataset()).output == output


def test_every_loss_has_an_output() -> None:
    assert OUTPUTS.keys() == RATES.keys()


def test_a_model_says_how_it_was_made() -> None:
    config = TrainConfig(
        dataset="a:2+b", loss="cross-entropy", features=8, ema=0.5, device="cpu", workers=3, warp="cpu"
    )
    assert model_config(config, dataset()).provenance == {
        "made_by": f"posehg {__version__}",
        "trained_on": "a:2+b",
        "options": "features 8, loss cross-entropy, ema 0.5",
    }


def test_a_model_says_what_the_one_was_trained_on_that_it_began_with() -> None:
    source = tiny(SKELETON)
    named = replace(source.config, provenance={"trained_on": "mpii, after synthetic"})
    origins = [origin_of(None), origin_of(source), origin_of(Checkpoint(named, source.state))]
    config = TrainConfig(dataset="lspet")
    assert [model_config(config, dataset(), origin).provenance["trained_on"] for origin in origins] == [
        "lspet",
        "lspet, after data that its file does not name",
        "lspet, after mpii, after synthetic",
    ]


def test_a_model_of_the_papers_recipe_has_no_options_to_tell() -> None:
    assert model_config(TrainConfig(), dataset()).provenance["options"] == ""


def test_random_weights_follow_from_the_seed() -> None:
    model = model_config(TINY, dataset())
    one, again, other = (first_network(replace(TINY, seed=seed), model, None) for seed in (3, 3, 4))
    assert same(one[0].state_dict(), again[0].state_dict())
    assert not same(one[0].state_dict(), other[0].state_dict())
    assert one[1] == ""


# ---- another one's weights ---------------------------------------------------------------------------------------


def test_a_run_begins_with_the_weights_of_the_model_that_it_is_given() -> None:
    source = tiny(SKELETON, seed=7)
    network, kept = first_network(LIKE_THE_STUB, model_config(LIKE_THE_STUB, dataset()), source)
    assert same(network.state_dict(), dict(source.state))
    assert kept.startswith("Kept ")
    assert kept.endswith("heatmaps of 5 joints by name.")


def test_the_heads_of_other_joints_begin_as_the_seed_has_them() -> None:
    two = on_skeleton(dataset(), Skeleton("two", ("tail", "head"), ()))
    model = model_config(LIKE_THE_STUB, two)
    source, (random, _) = tiny(SKELETON, seed=7), first_network(LIKE_THE_STUB, model, None)
    network, kept = first_network(LIKE_THE_STUB, model, source)
    head, its = (state["stacks.1.heatmaps.weight"] for state in (network.state_dict(), source.state))
    assert torch.equal(head[0], random.state_dict()["stacks.1.heatmaps.weight"][0])
    assert torch.equal(head[1], its[SKELETON.index("head")])
    assert "heatmaps of 1 joint by name, 1 begins anew: tail" in kept


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoints.save_file(tmp_path / "model.safetensors", tiny(MPII, output="logits"))
    return tmp_path / "model.safetensors"


def test_the_options_of_the_network_are_those_of_the_model(model: Path) -> None:
    source = checkpoints.load(model)
    changed = replace(source.config, padding=1.7, sigma=0.6)
    checkpoints.save_file(model, Checkpoint(changed, source.state), overwrite=True)
    config, source = session.from_model(TrainConfig(init=str(model), epochs=3), set())
    assert (config.stacks, config.features, config.depth, config.blocks, config.stem) == (2, 8, 2, 1, (4, 4, 8))
    assert (config.input_size, config.padding, config.sigma, config.epochs) == (64, 1.7, 0.6, 3)
    assert (config.loss, config.lr) == ("cross-entropy", RATES["cross-entropy"])
    assert same(source.state, tiny(MPII, output="logits").state)


def test_options_that_were_given_are_left_as_they_are(model: Path) -> None:
    asked = TrainConfig(init=str(model), features=16, input_size=128, padding=2, loss="mse", lr=7e-4)
    config, _ = session.from_model(asked, {"features", "input_size", "padding", "loss", "lr"})
    assert (config.features, config.input_size, config.padding) == (16, 128, 2)
    assert (config.loss, config.lr, config.depth) == ("mse", 7e-4, 2)


def test_a_loss_of_the_same_output_is_kept(tmp_path: Path) -> None:
    checkpoints.save_file(tmp_path / "a.safetensors", tiny(MPII))
    config, _ = session.from_model(TrainConfig(init=str(tmp_path / "a.safetensors"), loss="weighted-mse"), set())
    assert config.loss == "weighted-mse"


def test_a_rate_that_was_not_given_follows_from_the_loss_that_was(model: Path) -> None:
    config, _ = session.from_model(TrainConfig(init=str(model), loss="mse"), {"loss"})
    assert config.lr == RATES["mse"]


def test_a_model_for_crops_that_are_not_square_cannot_be_trained(tmp_path: Path) -> None:
    checkpoints.save_file(tmp_path / "tall.safetensors", tiny(MPII, size=(64, 32)))
    with pytest.raises(UsageError, match="square crops, and its are 32 x 64"):
        session.from_model(TrainConfig(init=str(tmp_path / "tall.safetensors")), set())


def test_a_model_that_is_not_there_is_not_available(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no model at"):
        session.from_model(TrainConfig(init=str(tmp_path / "none")), set())


def test_the_bundled_model_can_be_begun_with() -> None:
    config, source = session.from_model(TrainConfig(init="bundled"), set())
    network, kept = first_network(config, model_config(config, on_skeleton(dataset(), LSP)), source)
    assert network.config.features == source.config.network.features
    assert "heatmaps of 14 joints by name" in kept


# ---- freezing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frozen", "learning"),
    [
        ("stem", {"stacks", "reinjections"}),
        ("body", {"stacks.0.heatmaps", "stacks.1.heatmaps", "reinjections.0.heatmaps"}),
        ("norm", {"stem", "stacks", "reinjections"}),
        ("body,stem,norm", {"stacks.0.heatmaps", "stacks.1.heatmaps", "reinjections.0.heatmaps"}),
    ],
)
def test_frozen_weights_take_no_part_in_the_learning(frozen: str, learning: set[str]) -> None:
    config = replace(TINY, freeze=frozen)
    network, _ = first_network(config, model_config(config, dataset()), None)
    freeze(network, config)
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == any(name.startswith(f"{part}.") for part in learning), name


@pytest.mark.parametrize(
    ("frozen", "prefixes"),
    [("", ("none",)), ("stem", ("stem",)), ("body", ("stem", "stacks", "reinjections")), ("norm", ("",))],
)
def test_frozen_statistics_are_used_and_not_taken(frozen: str, prefixes: tuple[str, ...]) -> None:
    config = replace(TINY, freeze=frozen)
    network, _ = first_network(config, model_config(config, dataset()), None)
    network.eval()
    set_training(network, config)
    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert {name for name, module in norms.items() if not module.training} == {
        name for name in norms if name.startswith(prefixes)
    }
