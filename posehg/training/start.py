"""What a run begins with: the network, its first weights, and which of them do not learn."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from posehg import __version__
from posehg.checkpoints import Checkpoint
from posehg.checkpoints.transfer import transfer
from posehg.config import HourglassConfig, ModelConfig
from posehg.datasets import set_names
from posehg.datasets.dataset import Dataset
from posehg.network import StackedHourglass
from posehg.training.config import TrainConfig

OUTPUTS: dict[str, Literal["heatmaps", "logits"]] = {
    "mse": "heatmaps",
    "weighted-mse": "heatmaps",
    "cross-entropy": "logits",
}
"""What the last layer gives after training by each loss."""

_BESIDE = {"dataset", "device", "workers", "save_minutes", "warp", "compile"}
"""Options that change nothing in the weights (but for the data set, which is named by itself)."""


def model_config(config: TrainConfig, data: Dataset, origin: str = "") -> ModelConfig:
    """origin: what the model that the run began with was trained on."""
    network = HourglassConfig(
        len(data.skeleton.joints), config.stacks, config.features, config.depth, config.blocks, config.stem
    )
    size = (config.input_size, config.input_size)
    return ModelConfig(
        network,
        data.skeleton,
        size,
        config.padding,
        config.sigma,
        OUTPUTS[config.loss],
        _provenance(config, origin),
    )


def _provenance(config: TrainConfig, origin: str) -> dict[str, str]:
    """What the model's file says of where it comes from: the data, and every option of it that is not the default."""
    options = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in _BESIDE}
    if config.init and Path(config.init).exists():  # a file's folder is nobody's business either
        options["init"] = Path(config.init).name
    default = TrainConfig(loss=config.loss)  # whose learning rate follows from the loss
    chosen = [f"{name} {value}" for name, value in options.items() if value != getattr(default, name) or name == "loss"]
    chosen = [text for text in chosen if text != "loss mse"]
    names = set_names(config.dataset)  # a model's file is passed on, and the path of a data set's is nobody's business
    trained_on = f"{names}, after {origin}" if origin else names
    return {"made_by": f"posehg {__version__}", "trained_on": trained_on, "options": ", ".join(chosen)}


def origin_of(source: Checkpoint | None) -> str:
    """What the weights that a run begins with were trained on; nothing for random ones."""
    return "" if source is None else source.config.provenance.get("trained_on", "data that its file does not name")


def first_network(config: TrainConfig, model: ModelConfig, source: Checkpoint | None) -> tuple[StackedHourglass, str]:
    """The network of a new run, with random weights by ``seed`` or those of ``source``, and what was kept of it."""
    torch.manual_seed(config.seed)
    network = StackedHourglass(model.network)
    if source is None:
        return network, ""
    begun, kept = transfer(source, Checkpoint(model, network.state_dict()))
    network.load_state_dict(dict(begun.state))
    return network, str(kept)


def freeze(network: StackedHourglass, config: TrainConfig) -> None:
    """Take the frozen parts' weights out of the training."""
    for module in _frozen(network, config):
        module.requires_grad_(False)


def set_training(network: StackedHourglass, config: TrainConfig) -> None:
    """Training mode, but for the frozen parts, whose BatchNorm keeps its statistics; with ``norm`` all of it does."""
    network.train()
    for module in _frozen(network, config):
        module.eval()
    if "norm" in config.frozen:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _frozen(network: StackedHourglass, config: TrainConfig) -> list[nn.Module]:
    body = "body" in config.frozen
    frozen: list[nn.Module] = [network.stem] if body or "stem" in config.frozen else []
    if body:
        for stack in network.stacks:
            frozen += [stack.hourglass, stack.residuals, stack.linear]  # type: ignore[list-item]
        frozen += [reinjection.features for reinjection in network.reinjections]  # type: ignore[misc]
    return frozen
