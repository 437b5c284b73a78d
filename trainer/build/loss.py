"""A run's loss, on its device, in the units that it sees its targets in."""

from typing import Any

import torch
from torch import nn

from trainer.config.schema import Config
from trainer.data.preprocessing import Preprocessing
from trainer.tasks import losses


def build_loss(
    config: Config, prepared: Preprocessing, device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Any], nn.Module]:
    """(The resolved node of a run's loss, the loss). Raises ConfigError."""
    node = losses.resolve(config.loss, prepared.facts)
    unit, as_numbers = losses.unit(config.dataset, prepared.y), as_numbers_of(prepared)
    loss_fn = losses.make_loss(node, prepared.facts, unit, as_numbers).to(device, dtype)
    losses.link(loss_fn, config.dataset, prepared.y)
    return node, loss_fn


def as_numbers_of(prepared: Preprocessing) -> str:
    """What makes whole-number targets of this data numbers instead of classes."""
    return "dataset.task=numbers" if prepared.table is not None else "return or store the targets as floats"
