"""What a run starts with: the options of a model, its network, initial weights and frozen parts."""

from pathlib import Path

import pytest

from posehg import __version__, checkpoints
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII
from posehg.training.builder import model_config, options_of_model
from posehg.training.config import TrainConfig
from tests.stubs import tiny
from tests.toy import dataset


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


def test_a_model_that_is_missing_or_has_crops_that_are_not_square_is_refused(tmp_path: Path) -> None:
    checkpoints.save_file(tmp_path / "tall.safetensors", tiny(MPII, size=(64, 32)))
    with pytest.raises(UsageError, match="32 x 64"):
        options_of_model(TrainConfig(init=str(tmp_path / "tall.safetensors")), set())
    with pytest.raises(NotAvailable):
        options_of_model(TrainConfig(init=str(tmp_path / "none")), set())
