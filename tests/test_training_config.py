from typing import Any

import pytest

from posehg.errors import UsageError
from posehg.training.config import RATES, TrainConfig

SHARES = ("scale", "flip", "colour", "occlusion", "half_body", "truncation", "background", "ema")


@pytest.mark.parametrize(
    ("option", "values"),
    [
        *((name, ("other",)) for name in ("loss", "optimizer", "schedule", "precision")),
        ("freeze", ("stem,head",)),
        *((name, (0,)) for name in ("epochs", "batch", "accumulate", "sigma", "padding", "input_size")),
        *((name, (-0.1, 1.1, float("nan"))) for name in SHARES),
        *((name, (-1, float("inf"))) for name in ("rotation", "lr", "clip", "max_time", "translation", "decay")),
        *((name, (-1,)) for name in ("weight_decay", "limit", "overfit", "seed", "save_minutes")),
        *(("ema", (1.0,)), ("scale", (0.95,)), ("workers", (-2,))),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_option(option: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(UsageError) as caught:
            TrainConfig(**{option: value})
        assert option.replace("_", "-") in str(caught.value)
        if isinstance(value, str):
            assert caught.value.hint.startswith("Known: ")


@pytest.mark.parametrize(
    ("option", "value"), [("joints", "head_top"), ("loss", "cross-entropy"), ("half_body", 0.1), ("background", 0.1)]
)
def test_options_of_the_other_task_are_refused(option: str, value: Any) -> None:
    TrainConfig(**{option: value})
    with pytest.raises(UsageError, match=option.replace("_", "-")):
        TrainConfig(task="detect", **{option: value})
    with pytest.raises(UsageError, match="--mosaic"):
        TrainConfig(mosaic=0.5)


@pytest.mark.parametrize("option", ["half_body", "truncation"])
def test_crops_of_a_part_need_the_whole_box(option: str) -> None:
    with pytest.raises(UsageError, match=option.replace("_", "-")):
        TrainConfig(**{option: 0.5, "padding": 0.9})  # type: ignore[arg-type]


def test_the_learning_rate_follows_from_the_loss_if_none_is_given() -> None:
    assert {loss: TrainConfig(loss=loss).lr for loss in RATES} == RATES
    assert RATES["mse"] == 2.5e-4  # the paper's
    assert TrainConfig(loss="cross-entropy", lr=3e-4).lr == 3e-4


def test_lists_may_be_written_with_spaces() -> None:
    config = TrainConfig(freeze="stem, norm", background_from=" mpii + lspet")
    assert config.frozen == ("stem", "norm")
    assert config.background_sets == {"mpii", "lspet"}
