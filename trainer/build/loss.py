"""A run's loss, on its device, in the units that it sees its targets in."""

from typing import Any

import torch
from torch import nn

from trainer.config.schema import Config
from trainer.data import seeds
from trainer.data.loading import own_task
from trainer.data.preprocessing import Preprocessing
from trainer.device import seed_all
from trainer.tasks import losses
from trainer.tasks.model_loss import OfModel


def build_loss(
    config: Config, prepared: Preprocessing, device: torch.device, dtype: torch.dtype, class_axis: int = 1
) -> tuple[dict[str, Any], nn.Module]:
    """(The resolved node of a run's loss, the loss). class_axis: of predictions. Raises ConfigError."""
    node = losses.resolve(config.loss, prepared.facts, own_task(config.dataset))
    if node.get("class_axis", 1) is None:
        del node["class_axis"]
    unit = losses.unit(config.dataset, prepared.y)
    seed_all(seeds.derive(config.seed, "loss"))  # for modules that a loss makes itself
    loss_fn = losses.make_loss(node, prepared.facts, unit, class_axis).to(device, dtype)
    losses.link(loss_fn, config.dataset, prepared.y)
    if isinstance(loss_fn, OfModel):
        loss_fn.know(prepared.facts, prepared.shift)
    return node, loss_fn
