"""Optimizers: parameter groups without weight decay for biases and norms, and fused kernels where there are some."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trainer.config import target
from trainer.errors import ConfigError
from trainer.optim import shortcuts

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase, nn.LocalResponseNorm)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: what decays, and what does not: biases and the parameters of norms."""
    plain = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_bias = name.rpartition(".")[2] == "bias"
            (kept if is_bias or id(parameter) in plain else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_optimizer(node: Mapping[str, Any], model: nn.Module, device: torch.device) -> Optimizer:
    """The optimizer that a config names, over the model's trainable parameters. Raises ConfigError."""
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError("the model has no trainable parameter", "is a list of modules kept outside nn.ModuleList?")
    accepted = target.parameters(target.locate(node["_target_"], "optimizer"))
    if "closure" in accepted or node["_target_"].endswith(".LBFGS"):
        raise ConfigError(f"{node['_target_']} calls a closure several times a step, which the loop has not")
    weight_decay = node.get("weight_decay")
    params: Any = (
        parameter_groups(model, weight_decay) if weight_decay else [p for p in model.parameters() if p.requires_grad]
    )
    facts = {"fused": True} if fused_kernel(accepted, device) else {}
    with shortcuts.without_compiler():
        optimizer = target.construct(node, "optimizer", params, **facts)
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer._target_={node['_target_']} is no torch.optim.Optimizer")
    shortcuts.strip(optimizer)
    shortcuts.shorten(optimizer)
    return optimizer


def fused_kernel(accepted: Mapping[str, inspect.Parameter], device: torch.device) -> bool:
    """Whether torch has one kernel for the whole update of this optimizer on this device."""
    return "fused" in accepted and device.type in ("cpu", "cuda", "mps")
