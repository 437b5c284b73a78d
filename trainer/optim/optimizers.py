"""Optimizers: no weight decay for biases and norms, and fused kernels where torch has them."""

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
    """Two groups of trainable parameters: those that decay, and biases and the parameters of norms, which do not."""
    norms = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
    groups: list[dict[str, Any]] = [{"params": [], "weight_decay": weight_decay}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_bias = name.rpartition(".")[2] == "bias"
            groups[is_bias or id(parameter) in norms]["params"].append(parameter)
    return [group for group in groups if group["params"]]


def make_optimizer(node: Mapping[str, Any], model: nn.Module, device: torch.device) -> Optimizer:
    """Construct the config's optimizer over the model's trainable parameters. Raises ConfigError."""
    params: list[Any] = [p for p in model.parameters() if p.requires_grad]
    if not params and any(True for _ in model.parameters()):
        raise ConfigError("all parameters of the model are frozen", "parameter.requires_grad_(True) for those to train")
    if not params:
        raise ConfigError("the model has no trainable parameter", "is a list of modules kept outside nn.ModuleList?")
    accepted = target.parameters(target.locate(node["_target_"], "optimizer"))
    if "closure" in accepted or node["_target_"].endswith(".LBFGS"):
        raise ConfigError(f"{node['_target_']} calls a closure several times a step, which the loop does not support")
    if node.get("weight_decay"):
        params = parameter_groups(model, node["weight_decay"])
    has_kernel = "fused" in accepted and device.type in ("cpu", "cuda", "mps")  # one for the entire update
    has_kernel &= not any(p.is_complex() for p in model.parameters())
    facts = {"fused": True} if has_kernel else {}
    with shortcuts.without_compiler():
        optimizer = target.construct(node, "optimizer", {"params": params}, **facts)
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer._target_={node['_target_']} is not a torch.optim.Optimizer")
    shortcuts.strip(optimizer)
    shortcuts.shorten(optimizer)
    return optimizer
