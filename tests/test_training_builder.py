"""What a run starts with: the options of a model, its network, initial weights and frozen parts."""

from dataclasses import replace
from pathlib import Path

import pytest

from posehg import __version__, checkpoints
from posehg.checkpoints import Checkpoint
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII
from posehg.training.builder import OUTPUTS, model_config, options_of_model
from posehg.training.config import RATES, TrainConfig
from tests.stubs import tiny
from tests.toy import SKELETON, TINY, dataset


def test_the_model_follows_from_the_options_and_the_data() -> None:
    for loss, output in OUTPUTS.items():
        model = model_config(replace(TINY, padding=1.5, sigma=0.75, loss=loss), dataset())
        network = model.network
        assert (network.joints, network.stacks, network.features, network.depth) == (5, 2, 4, 2)
        assert (network.stem, model.input_size, model.padding, model.sigma) == ((2, 4, 4), (32, 32), 1.5, 0.75)
        assert (model.skeleton, model.output) == (SKELETON, output)


def test_a_model_names_its_data_the_options_that_are_not_the_default_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").touch()
    ours = {"device": "cpu", "workers": 3, "warp": "cpu", "init": str(tmp_path / "x.safetensors")}
    config = TrainConfig(dataset="a:2+b", loss="cross-entropy", features=8, ema=0.5, **ours)  # type: ignore[arg-type]
    assert model_config(config, dataset(), "mpii, after synthetic").provenance == {
        "made_by": f"posehg {__version__}",
        "trained_on": "a:2+b, after mpii, after synthetic",
        "options": "features 8, init x.safetensors, loss cross-entropy, ema 0.5",
    }
    found = model_config(TrainConfig(), dataset()).provenance
    assert (found["trained_on"], found["options"]) == ("mpii", "")


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
    assert source.state.keys() == tiny(MPII).state.keys()
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
