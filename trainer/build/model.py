"""A config's model, on its device."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from trainer.config import target
from trainer.data.facts import Facts
from trainer.errors import ConfigError
from trainer.processes.ranks import Ranks, synchronised


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of parameters and floating-point inputs. Raises ConfigError where the device does not support it."""
    dtype: torch.dtype = getattr(torch, name)
    if device.type == "mps" and dtype is torch.float64:
        raise ConfigError("dtype=float64: Apple's GPU does not support float64", "device=cpu")
    return dtype


def complete(node: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Fill in the sizes that are null in a model node, from the data. Raises ConfigError."""
    return target.complete(node, "model", **facts.for_model())


def make_model(
    node: dict[str, Any], device: torch.device, dtype: torch.dtype, synchronised_by: Ranks | None = None
) -> nn.Module:
    """Construct the model of a completed node. Raises ConfigError.

    synchronised_by: the ranks whose batch norms share their statistics; None where they do not.
    """
    model = target.construct(node, "model")
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise ConfigError(f"model._target_={node['_target_']} makes a {kind}, which is not an nn.Module")
    model = model.to(device, dtype)
    return model if synchronised_by is None else synchronised(model, device, synchronised_by)
